// A fleet in memory, in virtual time: a leader's order, followers that lag, an edge with a cache, clients that write
// and read. It is correct unless it is given one of the faults of replication.md 32. The checker is tested with it.

import type { Epoch, Feed, Place, Row, Run, SeenChange } from "./history.ts";
import { Random } from "./random.ts";

/** The planted bugs. */
export const BUGS = [
  "ack before commit",
  "leader read without a barrier",
  "skipped apply",
  "doubled apply",
  "dedupe lost in a snapshot",
  "label ahead of content",
  "feed drops the last row of a batch",
  "edge fill race",
  "etag without hash",
  "position reused after recover",
  "body of the version before",
] as const;

export type Bug = (typeof BUGS)[number];

export interface ModelOptions {
  seed: number;
  /** Kinds of requests. */
  asks: number;
  bug?: Bug;
  /** A recovery half way that loses what followers did not have. */
  recover?: boolean;
}

const FULL = ["one", "two", "three"] as const;
const EDGE = "edge";
const KEYS = 12;
const CLIENTS = 8;

interface Member {
  name: string;
  changes: SeenChange[];
  /** What reads are served from: newest change by key. */
  state: Map<string, SeenChange>;
  /** Position that it claims to have applied. */
  seq: number;
  /** Extra versions, by key. */
  extra: Map<string, number>;
}

interface Cached {
  change: SeenChange | undefined;
  seq: number;
}

interface Client {
  name: string;
  busyUntilMs: number;
  position: Place | undefined;
  /** The last ETag seen of each key. */
  tags: Map<string, string>;
}

/** Runs the model and returns what its clients and followers saw. */
export function runModel(options: ModelOptions): Run {
  return new Model(options).run();
}

class Model {
  readonly #options: ModelOptions;
  readonly #random: Random;
  readonly #order: SeenChange[] = [];
  readonly #members: Member[] = FULL.map((name) => ({ name, changes: [], state: new Map(), seq: 0, extra: new Map() }));
  readonly #feeds: { feed: Feed & { changes: SeenChange[] }; member: Member }[];
  readonly #rows: Row[] = [];
  readonly #epochs: Epoch[] = [{ id: "e1", forkSeq: 0 }];
  readonly #cache = new Map<string, Cached>();
  /** Position up to which the edge has followed its upstream, and when. */
  #edge = { seq: 0, asOfMs: 0 };
  #nowMs = 0;
  #content = 0;
  /** Changes lost in a recovery: clients still know their ETags. */
  #lost: SeenChange[] = [];
  #old: Map<string, SeenChange> | undefined;
  #oldSeq = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#feeds = this.#members.map((member) => ({
      member,
      feed: {
        follower: `at ${member.name}`,
        since: { epoch: "e1", seq: 0 },
        changes: [],
        prefix: "k",
        until: { epoch: "e1", seq: 0 },
      },
    }));
  }

  get #epoch(): string {
    return this.#epochs.at(-1)?.id ?? "";
  }

  #has(bug: Bug): boolean {
    return this.#options.bug === bug;
  }

  run(): Run {
    const clients: Client[] = Array.from({ length: CLIENTS }, (_, at) => ({
      name: `c${at}`,
      busyUntilMs: 0,
      position: undefined,
      tags: new Map(),
    }));
    for (let asked = 0; asked < this.#options.asks; asked++) {
      this.#nowMs += this.#random.next() * 3;
      for (const member of this.#members) if (this.#random.chance(0.4)) this.#catchUp(member);
      if (this.#random.chance(0.3)) this.#followByEdge();
      if (this.#random.chance(0.01)) this.#pause();
      if (asked === Math.floor(this.#options.asks / 2) && this.#options.recover === true) this.#recover(clients);
      const free = clients.filter(({ busyUntilMs }) => busyUntilMs < this.#nowMs);
      if (free.length === 0) continue;
      const client = this.#random.pick(free);
      if (this.#random.chance(0.45)) this.#put(client);
      else this.#get(client);
    }
    return this.#end();
  }

  /** The state from which an old leader, now paused, will serve when it resumes. */
  #pause(): void {
    this.#old = this.#stateAt(this.#order.length);
    this.#oldSeq = this.#order.length;
  }

  #stateAt(seq: number): Map<string, SeenChange> {
    return new Map(this.#order.slice(0, seq).map((change) => [change.key, change]));
  }

  #newest(key: string): SeenChange | undefined {
    return this.#order.findLast((change) => change.key === key);
  }

  /** Applies some of what it lacks, as one batch, and passes it to the follower. */
  #catchUp(member: Member, to = this.#random.between(member.seq, this.#order.length)): void {
    const before = member.seq;
    const isFaulty = member.name === "three";
    if (this.#has("label ahead of content") && isFaulty && to > before + 2 && this.#random.chance(0.5)) {
      // A copy that is older than its label: the difference is wrongly taken as applied.
      member.seq = to;
      return;
    }
    const batch = this.#order.slice(before, to);
    for (const change of batch) {
      const isHit = isFaulty && change.seq % 97 === 0;
      if (this.#has("skipped apply") && isHit) continue;
      if (this.#has("doubled apply") && isHit) member.extra.set(change.key, (member.extra.get(change.key) ?? 0) + 1);
      const there = { ...change, version: change.version + (member.extra.get(change.key) ?? 0) };
      member.changes.push(there);
      member.state.set(change.key, there);
    }
    member.seq = to;
    const shown = this.#has("feed drops the last row of a batch") && batch.length > 1 ? batch.slice(0, -1) : batch;
    for (const { feed, member: of } of this.#feeds) {
      if (of !== member) continue;
      feed.changes.push(...shown);
      feed.until = { epoch: this.#epoch, seq: to };
    }
  }

  #followByEdge(): void {
    const upstream = this.#members[0];
    if (upstream === undefined) return;
    this.#catchUp(upstream, this.#order.length);
    for (const change of this.#order.slice(this.#edge.seq)) {
      const cached = this.#cache.get(change.key);
      if (cached !== undefined && change.seq > cached.seq) this.#cache.delete(change.key);
    }
    this.#edge = { seq: this.#order.length, asOfMs: this.#nowMs };
  }

  #put(client: Client): void {
    const key = `k${this.#random.between(0, KEYS - 1)}`;
    const invokeMs = this.#nowMs;
    const completeMs = invokeMs + 1 + this.#random.next() * 20;
    client.busyUntilMs = completeMs;
    this.#content += 1;
    const hash = this.#content.toString(16).padStart(12, "0");
    const seen = client.tags.get(key);
    const current = this.#newest(key);
    const lost = this.#lost.find((change) => change.key === key && change.version === current?.version);
    const known = lost === undefined ? (seen ?? "new") : tag(lost);
    const condition = this.#random.chance(0.5) ? known : undefined;
    const row: Row = {
      process: client.name,
      operation: "put",
      key,
      invokeMs,
      completeMs,
      node: this.#random.pick(FULL),
      outcome: "ok",
      code: "",
      version: 0,
      hash,
      position: undefined,
      condition,
    };
    this.#rows.push(row);
    const fate = this.#random.next();
    if (!this.#holds(condition, current)) {
      Object.assign(row, { outcome: "fail", code: "version_mismatch" });
      client.tags.delete(key);
      if (current !== undefined) client.tags.set(key, tag(current));
      return;
    }
    if (fate < 0.03) {
      Object.assign(row, { outcome: "unknown", code: "unavailable" });
      if (this.#random.chance(0.5)) this.#commit(key, hash);
      return;
    }
    if (this.#has("ack before commit") && fate > 0.99) {
      const seq = this.#order.length + 1;
      Object.assign(row, { version: (current?.version ?? 0) + 1, position: { epoch: this.#epoch, seq } });
      return;
    }
    const change = this.#commit(key, hash);
    // The first response was lost and the client retried with the same key: the outcome is that of the first attempt.
    if (this.#has("dedupe lost in a snapshot") && fate > 0.99) this.#commit(key, hash);
    Object.assign(row, { version: change.version, position: { epoch: change.epoch, seq: change.seq } });
    client.position = row.position;
    client.tags.set(key, tag(change));
  }

  #holds(condition: string | undefined, current: SeenChange | undefined): boolean {
    if (condition === undefined) return true;
    if (condition === "new") return current === undefined;
    if (current === undefined) return false;
    if (this.#has("etag without hash")) return condition.split("-")[0] === String(current.version);
    return condition === tag(current);
  }

  #commit(key: string, hash: string): SeenChange {
    const version = (this.#newest(key)?.version ?? 0) + 1;
    const change = { epoch: this.#epoch, seq: this.#order.length + 1, key, version, hash };
    this.#order.push(change);
    return change;
  }

  #get(client: Client): void {
    const key = `k${this.#random.between(0, KEYS - 1)}`;
    const consistency = this.#random.pick(["any", "session", "leader"] as const);
    const atEdge = consistency !== "leader" && this.#random.chance(0.3);
    const member = this.#random.pick(this.#members);
    const answer = atEdge
      ? this.#askEdge(key, consistency === "session" ? client.position : undefined)
      : this.#askMember(member, key, consistency, client.position);
    const completeMs = this.#nowMs + this.#random.next() * 3;
    client.busyUntilMs = completeMs;
    const { change, seq, ageMs } = answer;
    if (change !== undefined) client.tags.set(key, tag(change));
    const position = { epoch: this.#epoch, seq };
    this.#rows.push({
      process: client.name,
      operation: "get",
      key,
      invokeMs: this.#nowMs,
      completeMs,
      node: atEdge ? EDGE : member.name,
      outcome: "ok",
      code: "",
      version: change?.version ?? 0,
      hash: change?.hash ?? "",
      body: this.#bodyOf(change),
      position,
      consistency,
      shown: consistency === "session" ? client.position : undefined,
      ageMs,
      cached: atEdge,
    });
    if (consistency !== "any" && (client.position === undefined || seq > client.position.seq))
      client.position = position;
  }

  /** Hash of what a read receives; the planted bug answers one in twenty with the version before. */
  #bodyOf(change: SeenChange | undefined): string | undefined {
    if (change === undefined || !this.#has("body of the version before") || !this.#random.chance(0.05))
      return change?.hash;
    const before = this.#order.find(({ key, version }) => key === change.key && version === change.version - 1);
    return before?.hash ?? change.hash;
  }

  #askMember(member: Member, key: string, consistency: string, shown: Place | undefined) {
    if (consistency === "leader") {
      const old = this.#has("leader read without a barrier") && this.#random.chance(0.05) ? this.#old : undefined;
      if (old !== undefined) return { change: old.get(key), seq: this.#oldSeq, ageMs: undefined };
      return { change: this.#newest(key), seq: this.#order.length, ageMs: undefined };
    }
    if (consistency === "session" && shown !== undefined && shown.seq > member.seq)
      this.#catchUp(member, this.#order.length);
    return { change: member.state.get(key), seq: member.seq, ageMs: undefined };
  }

  #askEdge(key: string, shown: Place | undefined) {
    if (shown !== undefined && shown.seq > this.#edge.seq) this.#followByEdge();
    const cached = this.#cache.get(key);
    const ageMs = this.#nowMs - this.#edge.asOfMs;
    if (cached !== undefined)
      return { change: cached.change, seq: Math.max(this.#edge.seq, cached.change?.seq ?? 0), ageMs };
    // A cache fill: requested some changes ago, arriving now. Changes since then make it unfit to keep.
    const askedSeq = this.#random.between(Math.max(0, this.#edge.seq - 3), this.#order.length);
    const change = this.#stateAt(askedSeq).get(key);
    const passed = this.#order.slice(askedSeq, this.#edge.seq).some((later) => later.key === key);
    if (!passed) this.#cache.set(key, { change, seq: askedSeq });
    else if (this.#has("edge fill race")) this.#cache.set(key, { change, seq: askedSeq });
    const current = this.#newest(key);
    const answered = passed ? current : change;
    return { change: answered, seq: Math.max(this.#edge.seq, answered?.seq ?? 0), ageMs };
  }

  /** The rest of the fleet is lost: what one follower has becomes a new history. */
  #recover(clients: readonly Client[]): void {
    const left = Math.min(...this.#members.map(({ seq }) => seq), this.#edge.seq);
    const forkSeq = Math.max(0, left - 30);
    this.#lost = this.#order.splice(forkSeq);
    if (!this.#has("position reused after recover")) this.#epochs.push({ id: "e2", forkSeq });
    for (const member of this.#members) {
      member.changes = this.#order.slice();
      member.state = this.#stateAt(forkSeq);
      member.seq = forkSeq;
    }
    for (const { feed } of this.#feeds) {
      feed.changes.length = 0;
      feed.since = { epoch: this.#epoch, seq: forkSeq };
      feed.until = feed.since;
    }
    this.#cache.clear();
    this.#edge = { seq: forkSeq, asOfMs: this.#nowMs };
    this.#old = undefined;
    // All clients learned that the history forked and start again, but may still hold ETags.
    for (const client of clients) client.position = undefined;
  }

  #end(): Run {
    for (const member of this.#members) this.#catchUp(member, this.#order.length);
    const hashOf = (changes: readonly SeenChange[]) =>
      new Bun.CryptoHasher("sha256").update(JSON.stringify(changes)).digest("hex");
    return {
      rows: this.#rows,
      feeds: this.#feeds.map(({ feed }) => feed),
      ends: this.#members.map(({ name, changes, state, seq }) => ({
        node: name,
        seq,
        hash: hashOf(changes),
        digest: hashOf([...state.values()].toSorted((one, other) => (one.key < other.key ? -1 : 1))),
        changes,
        floor: 0,
      })),
      epochs: this.#epochs,
      mayLose: this.#options.recover === true,
    };
  }
}

function tag(change: SeenChange): string {
  return `${change.version}-${change.hash}`;
}
