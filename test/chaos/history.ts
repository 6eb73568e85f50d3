// The history of a run as clients, followers and nodes saw it (replication.md 31): the types shared by recorder and
// checker. Makes no decisions.

import type { RaftEvent } from "./raft-events.ts";

/** What a client may ask for: the writes, each of which makes one change, then the reads. */
export const WRITES = ["put", "patch", "delete", "restore"] as const;
export const READS = ["get", "version", "at", "metadata", "history", "list"] as const;
export type Write = (typeof WRITES)[number];
export type Read = (typeof READS)[number];

/** One request of a client and its response. Times in ms of one monotonic clock for all clients. */
export interface Row {
  /** The client; it has one request at a time. */
  process: string;
  operation: Write | Read;
  /** What its caller may do; absent: both. The writes of a reader must be refused. */
  rights?: "read" | undefined;
  /** False for a write without idempotency key, which is sent once: again only where it was certainly not done. */
  keyed?: boolean | undefined;
  /** Name of the batch that this write is a part of; the parts follow each other in the order of the batch. */
  batch?: string | undefined;
  /** Id of the context; of a list, the prefix. */
  key: string;
  invokeMs: number;
  /** When the response arrived; of an unknown outcome, when the client gave up. */
  completeMs: number;
  /** The node that received the request. */
  node: string;
  /** `fail`: certainly not done. `unknown`: done once, or not at all. */
  outcome: "ok" | "fail" | "unknown";
  /** Code of the fault, or "". */
  code: string;
  /** Version that was written or read; 0 where there is none or it is not known. */
  version: number;
  /**
   * First 12 hex digits of the content's SHA-256: of a put, of what was sent; else of what the response names. Each put
   * has a different content, so this identifies the put.
   */
  hash: string;
  /** What a put or patch put into the document (documents.ts), and the letters that pad the document of a put. */
  token?: string | undefined;
  padding?: number | undefined;
  /** Token that the document must have for a patch to be done. */
  needs?: string | undefined;
  /** Version that a restore or a read names. */
  named?: number | undefined;
  /** Position that a read names: it reads the state as it was then. */
  at?: Place | undefined;
  /** First 12 hex digits of the SHA-256 of the body that a read received; undefined where there was none. */
  body?: string | undefined;
  /** ETag that a read presented as known. With `unchanged` the response said that it is current. */
  known?: string | undefined;
  unchanged?: boolean | undefined;
  /** Why a read found no document; `version` is then that of the deletion. */
  absent?: "not_found" | "deleted" | undefined;
  /** What a list or a history returned, in that order. */
  listed?: readonly Listed[] | undefined;
  /** A list has ids after this one only, and at most `limit`. With `more` there are further ones. */
  after?: string | undefined;
  limit?: number | undefined;
  more?: boolean | undefined;
  /** Position in the response, or undefined. */
  position: Place | undefined;
  /** Condition of a write: the ETag that must be current, or `new`: there must be none. */
  condition?: string | undefined;
  /** ETag that a refusal names as the current one, or `none`. */
  current?: string | undefined;
  consistency?: "any" | "session" | "leader";
  /** Position that a read presented. */
  shown?: Place | undefined;
  /** Maximum age that the response states, in ms; undefined where it states none. */
  ageMs?: number | undefined;
  /** From an edge, which may know less of other contexts than its position says. */
  cached?: boolean | undefined;
}

/** An entry of a list or of a history. */
export interface Listed {
  key: string;
  version: number;
  hash: string;
}

/** Hash of a deletion: that of no bytes. */
export const DELETED = "e3b0c44298fc";

export function isDeletion({ hash }: SeenChange): boolean {
  return hash === DELETED;
}

/** Code of the parts of a batch that was refused for another part. */
export const OTHER_PART = "other part";

export function isWrite({ operation }: Row): boolean {
  return (WRITES as readonly string[]).includes(operation);
}

/** Code of an acknowledged put whose ETag names another content than the one that was sent. */
export const OTHER_CONTENT = "other content";

/** A position: history and seq. */
export interface Place {
  epoch: string;
  seq: number;
}

/** A change, as in a feed or in a node's table. */
export interface SeenChange extends Place {
  key: string;
  version: number;
  /** 12 hex digits. */
  hash: string;
}

/** What a follower received from one node's feed, or from several in turn. */
export interface Feed {
  follower: string;
  /** Start position: the first change comes after it. */
  since: Place;
  /** In the order received; only contexts whose id starts with `prefix`, or this one. */
  changes: readonly SeenChange[];
  prefix: string;
  id?: string | undefined;
  /** Position that it had reached, or had to reach, at the end. */
  until: Place;
}

/** What a client of MCP was notified of by one subscription, without positions. */
export interface Wakes {
  follower: string;
  /** Contexts that it subscribed to. */
  keys: readonly string[];
  /** From when to when it was subscribed without a break, in ms. */
  sinceMs: number;
  untilMs: number;
  wakes: readonly { key: string; atMs: number }[];
}

/** Final content of a full member. */
export interface End {
  node: string;
  /** Newest change, its chain hash in hex, and the digest of everything that is replicated. */
  seq: number;
  hash: string;
  digest: string;
  /** All changes that are kept; those up to `floor` were compacted. */
  changes: readonly SeenChange[];
  floor: number;
}

/** How a member went through a run, as its processes and its data folder show it. */
export interface MemberEnd {
  node: string;
  /** Reports whether its process runs and responds at the end. */
  runs: boolean;
  /** Ends of its processes that the scenario did not ask for, each with its code or signal. */
  ends: readonly string[];
  /** The folders of data that it set aside, each with its reason. */
  asides: readonly string[];
  /** The scenario harmed its data, its disk or its build, so that it may end and set data aside. */
  harmed: boolean;
}

/** A lease that a client counted on, in ms of the clock of all clients. */
export interface Hold {
  process: string;
  name: string;
  /** The seq of its fence. */
  fence: number;
  /** When the client knew of the grant. */
  fromMs: number;
  /** Until when it counted on it: its deadline, or the moment before it sent the release. */
  untilMs: number;
  /** It was granted in line, at a later seq than that of its fence. */
  waited: boolean;
}

/** An acknowledged write with a fence. */
export interface FencedWrite {
  name: string;
  fence: number;
  /** Seq of the write. */
  seq: number;
}

/** An event that a node took. */
export interface Published {
  id: string;
  publisher: string;
  /** Counts the events of its publisher, which sent the next one after this was taken. */
  n: number;
  /** Its place, as the node answered. */
  cursor: string;
}

/** An event in the log of a node, in order. */
export interface LoggedEvent {
  id: string;
  n: number;
  cursor: string;
}

/** A delivery that a receiver took. */
export interface Arrival {
  id: string;
  atMs: number;
  /** It answered with 200: otherwise the delivery had to be repeated. */
  wasTold: boolean;
}

/** What a load of events recorded. */
export interface EventRun {
  published: readonly Published[];
  /** By node. */
  logs: ReadonlyMap<string, readonly LoggedEvent[]>;
  /** In order. */
  arrivals: readonly Arrival[];
  /** Reports whether the subscription takes an event with that number. */
  isWanted: (n: number) => boolean;
}

/** A line of the ledger that attempts write to, in order. */
export interface LedgerLine {
  /** cancelled: a client knew that the job is cancelled; it has no fence. */
  what: "begin" | "tick" | "done" | "end" | "cancelled";
  id: string;
  fence: string;
}

/** A job in the log. */
export interface LoggedJob {
  id: string;
  /** What its starter counted, so that a start that was done twice is found; undefined of those of schedules. */
  n: number | undefined;
  state: string;
  key: string;
  schedule: string;
  result: string;
}

/** A change of a job in the log. */
export interface LoggedStep {
  seq: number;
  id: string;
  outcome: string;
}

/** What a load of jobs recorded. Each attempt that succeeds has its fence as the result. */
export interface JobRun {
  /** Starts that were acknowledged. */
  started: readonly { n: number; id: string }[];
  /** Ends of attempts of agents that were acknowledged, with the state that the job got. */
  finished: readonly { id: string; fence: string; state: string }[];
  /** Writes with the fence of an attempt that were acknowledged, with their seq. */
  fenced: readonly { id: string; fence: string; seq: number }[];
  ledger: readonly LedgerLine[];
  /** By id. */
  jobs: readonly LoggedJob[];
  /** In order. */
  steps: readonly LoggedStep[];
  /** Firings of schedules, with the due time in ms; undefined: of none that was due. */
  firings: readonly { name: string; seq: number; outcome: string; dueMs: number | undefined }[];
  /** The due times of each schedule that must have been fired. */
  due: ReadonlyMap<string, readonly number[]>;
}

/** A history: it forked from the one before at `forkSeq`. In order; the first has no parent. */
export interface Epoch {
  id: string;
  forkSeq: number;
}

/** A whole run. */
export interface Run {
  rows: readonly Row[];
  feeds: readonly Feed[];
  wakes?: readonly Wakes[];
  ends: readonly End[];
  /** What clients held, and wrote under it. */
  holds?: readonly Hold[];
  fenced?: readonly FencedWrite[];
  events?: EventRun;
  jobs?: JobRun;
  /** Votes and leaderships of all members, in any order. */
  raft?: readonly RaftEvent[];
  /** All members that the scenario did not take away. */
  members?: readonly MemberEnd[];
  /** Longest time in ms for which writes may wait while none is decided; absent: unbounded. */
  outageMs?: number;
  /** More than one only where a fleet was recovered. */
  epochs: readonly Epoch[];
  /** Acknowledged writes after a fork may be lost: the recovery reported it. */
  mayLose?: boolean;
}

/** A finding: the rule, and the rows that show it. */
export interface Finding {
  rule: string;
  message: string;
  rows: readonly string[];
}

/** Collects findings; after a few of one rule only their number. */
export class Findings {
  readonly list: Finding[] = [];
  readonly counts = new Map<string, number>();
  static readonly SHOWN = 5;

  add(rule: string, message: string, ...rows: readonly (Row | SeenChange)[]): void {
    const count = (this.counts.get(rule) ?? 0) + 1;
    this.counts.set(rule, count);
    if (count <= Findings.SHOWN) this.list.push({ rule, message, rows: rows.map(describe) });
  }
}

/** Returns one line about a row or a change. */
export function describe(row: Row | SeenChange): string {
  if (!("process" in row)) return `change ${row.epoch}-${row.seq} ${row.key} ${row.version}-${row.hash}`;
  const parts = [
    `${row.process} ${row.operation} ${row.key}`,
    `at ${row.node}`,
    `${row.invokeMs.toFixed(1)}–${row.completeMs.toFixed(1)} ms`,
    row.rights === undefined ? undefined : `may ${row.rights}`,
    row.keyed === false ? "without key" : undefined,
    row.consistency,
    row.batch === undefined ? undefined : `part of ${row.batch}`,
    row.named === undefined ? undefined : `version ${row.named}`,
    row.at === undefined ? undefined : `at ${row.at.epoch}-${row.at.seq}`,
    row.needs === undefined ? undefined : `needs ${row.needs}`,
    row.condition === undefined ? undefined : `if ${row.condition}`,
    row.shown === undefined ? undefined : `shown ${row.shown.epoch}-${row.shown.seq}`,
    `→ ${row.outcome}${row.code === "" ? "" : ` ${row.code}`} ${row.version}-${row.hash}`,
    row.absent,
    row.unchanged === true ? `unchanged since ${row.known}` : undefined,
    row.current === undefined ? undefined : `current ${row.current}`,
    row.listed?.map(({ key, version, hash }) => `${key} ${version}-${hash}`).join(", "),
    row.body === undefined || row.body === row.hash ? undefined : `body ${row.body}`,
    row.position === undefined ? undefined : `position ${row.position.epoch}-${row.position.seq}`,
    row.ageMs === undefined ? undefined : `age ${row.ageMs} ms`,
    row.cached === true ? "cached" : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(" ");
}

/** Reads `<epoch>-<seq>`; undefined where there is none. */
export function placeOf(text: string | null | undefined): Place | undefined {
  const match = /^([0-9a-z]+)-(\d+)$/.exec(text ?? "");
  return match?.[1] === undefined ? undefined : { epoch: match[1], seq: Number(match[2]) };
}

/** Reads an ETag such as `"7-1f3a9c0b22de+gzip"`; version 0 where there is none. */
export function tagOf(etag: string | null | undefined): { version: number; hash: string } {
  const match = /^"?(\d+)-([0-9a-f]{12})/.exec(etag ?? "");
  return match?.[2] === undefined ? { version: 0, hash: "" } : { version: Number(match[1]), hash: match[2] };
}
