// The definition of an operation: one thing a caller can do (architecture.md 7). REST, MCP, CLI and /openapi.json are
// made from these values; nothing else defines an operation.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Rights, Verb } from "../access/rights.ts";
import type { Fault } from "../lib/fault.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import type { Work } from "../lib/work.ts";
import type { Change, Changes } from "../log/changes.ts";
import type { Effect, Stamp } from "../log/log.ts";
import type { Position } from "../log/position.ts";
import type { Reader, Writer } from "../store/store.ts";
import type { ActingAgent } from "./agents.ts";
import type { Surface } from "./call.ts";
import type { CallWrites } from "./call-writes.ts";
import type { HeldWait } from "./caller-limits.ts";
import type { FollowCursor } from "./follow.ts";
import type { Viewer } from "./viewer.ts";

/** How long a read waits where its caller does not say (`waits`): many clients give up after 60 s, some earlier. */
export const DEFAULT_WAIT_SECONDS = 20;

/** What a caller must be allowed to do. */
export interface AccessRule<Input> {
  verb: Verb;
  /**
   * Every space that a call touches: the same whatever its input, or as a function of it. "visible", for operations or
   * inputs that name no space: `run` itself filters by `context.visible(space)`.
   */
  spaces: readonly string[] | ((input: Input) => string[] | "visible") | "visible";
}

/** Annotations for clients, as in MCP. What only reads has none: its kind says all of it. */
export interface Hints {
  /** Calling twice has the same effect as calling once. */
  idempotent?: boolean;
  /** The call removes or overwrites something for good. */
  destructive?: boolean;
}

interface Common<I extends z.ZodObject, O extends z.ZodObject> {
  /** 1 to 64 of [a-z0-9_], the first a letter: its name as a tool, in the CLI and in REST. */
  name: string;
  title: string;
  /** For people and models: what it does and when to use it. Never contains stored text. */
  description: string;
  input: I;
  /** A call that works, for docs/operations.md; left out: one without arguments. A test runs it. */
  example?: z.input<I>;
  /** Values of arguments that `example` lacks, for the hint where one is refused. A test takes each of them. */
  samples?: Readonly<Partial<z.input<I>>>;
  output: O;
  access: AccessRule<z.output<I>>;
  hints?: Hints;
  /** Reports whether this node offers the operation; called once at the start. Default: it does. */
  offered?(): boolean;
  /**
   * Words that people use for what it does, on one line: clients that load tools on demand search them. Every tool has
   * them.
   */
  search?: string;
  /** One of the few tools for daily work (`/mcp?preset=core`). "always": clients load it at once. */
  core?: "daily" | "always";
  /** Largest input as JSON, in bytes, where it carries documents; left out: 64 KiB. */
  maxInputBytes?: number;
  /** false: no tool of MCP, because it is for programs, and each tool costs models a part of their context. */
  isTool?: false;
  /** Its name as a tool, where clients know it by another one; only for operations of a feature that is `apart`. */
  toolName?: string;
  /**
   * Returns what clients of MCP get in place of a Fault, where they know the answers of another server. Left out: a
   * failed result, as for all tools.
   */
  refused?(fault: Fault): Record<string, unknown>;
  /**
   * Its results as a tool are those of another product: the output alone as structured content, whose schema is listed,
   * and one text. Left out: as JSON with the position of the answer, and long ones as text alone.
   */
  alike?: AlikeResults<z.output<O>>;
  /** Other names that agents try for an argument → its name. Both together are refused. */
  aliases?: Readonly<Record<string, string>>;
}

/** How such results look. */
export interface AlikeResults<Output> {
  /** Returns the text of a result. Default: the output as JSON. */
  text?(output: Output): string;
  /** Returns the text of a failed result. Default: those of all tools. */
  failed?(fault: Fault): string;
  /** The result has no structured content. */
  isTextOnly?: true;
}

/** What a read or an act gets beside its input. */
export interface CallContext {
  caller: Caller;
  /** The agent as which the caller acts; undefined: the caller itself, and on an edge, which has no list of agents. */
  agent?: ActingAgent;
  /** The name under which the log keeps what this caller writes (`fleetNameOf`). */
  author: string;
  rights: Rights;
  /** Reports whether the caller may use this operation's verb in a space. */
  visible: (space: string) => boolean;
  /** Returns the caller as a viewer of rows in a space. Throws Fault `agent_unknown` once its agent has ended. */
  viewer(space: string): Viewer;
  /**
   * Reports whether the caller may see a change now: its space is visible, and so is its row. Throws Fault
   * `agent_unknown` once its agent has ended.
   */
  maySee(change: Change): boolean;
  signal: AbortSignal;
  /** Counts units of work (lib/work.ts) against the caller's limit, before or after they are spent. */
  spend(units: number): void;
  /** Runs long work in slices, alone, at the caller's turn. Throws Fault `rate_limited` where too much of it waits. */
  inTurn<T>(work: () => T | Promise<T>): Promise<T>;
  /** The position that the caller named as `min_position`: this node has applied it. */
  minPosition: string | undefined;
  /** The change feed of this node. */
  changes: Changes;
  /** Returns the position that is applied on this node. */
  position(): Position;
  /** Returns the newest applied change and its chain hash, as this process knows them. */
  head(): { seq: number; hash: Uint8Array };
  /** Returns the position of a seq, as text. */
  positionAt(seq: number): string;
  /**
   * Waits (at most 2 s) until this node has applied a position that the caller sent, and returns its seq. Rejects with
   * Fault `invalid_input`, `history_forked` or `unavailable`.
   */
  reach(position: string): Promise<number>;
  /** Counts a long wait of this caller until it is released. Throws Fault `rate_limited`. */
  holdWait(): HeldWait;
  /** The writes that the call makes for its caller, where it runs at the leader. */
  writes: CallWrites;
}

/** How a read of the change feed is followed without end. */
export interface Follow {
  /** Position after which it begins; undefined: now. */
  since: string | undefined;
  /** Returns what the caller may see of a change under its rights now; undefined leaves the change out. */
  show(change: Change): Record<string, unknown> | undefined;
}

/** Reads the store and changes nothing. */
export interface ReadOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "read";
  /** A call may wait for a change: after the position `since`, for `timeout_seconds`. Both are its arguments. */
  waits?: true;
  /** Its output is about this node: it is never forwarded, and needs no store. */
  local?: true;
  /**
   * It runs at the leader, as a read of the consistency `leader`, and may change what the leader alone remembers, or
   * propose internal writes (`CallContext.writes`). So its verb may be another one than `read`.
   */
  atLeader?: true;
  /** Edges may cache its answers, so an answer may say that it came from a cache and how old it is. */
  cacheable?: true;
  run(reader: Reader, input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
  /**
   * Set where arguments only choose what the caller sees of what is read: `run` then returns the whole, which is also
   * what other nodes are asked for, edges keep, and `shape` makes the output of.
   */
  whole?: Whole<z.output<I>, z.output<O>>;
  /** The same read without end, for streams: what it shows of each change, or its place in a feed of its own. */
  follow?(input: z.output<I>, context: CallContext, reader: Reader): Follow | FollowCursor | Promise<FollowCursor>;
  /** What it follows is in tables of full members: an edge, which has only the feed, asks its upstream instead. */
  followsTables?: true;
  /** With `followsTables`: how a stream of an edge reads the outputs of waits. Without, an edge has no such stream. */
  waitShape?: WaitShape;
}

/** Members of the output of a wait, which lists what a stream shows. */
export interface WaitShape {
  /** The list. */
  items: string;
  /** Of each item: the place from which to resume behind it. */
  at: string;
  /** What the next wait takes as `since`. */
  next: string;
  /** True where the answer begins later than `since` says: the stream then fails with `below_floor`. */
  gap?: string;
  /** As that of the stream of a full member (`FollowCursor.eventName`). */
  eventName?: string;
}

/** What is read, apart from what its caller sees of it. */
export interface Whole<Input, Output> {
  /** Returns the arguments that ask another node for the whole, in words that nodes of all versions know. */
  input(input: Input): Record<string, unknown>;
  /**
   * Returns the output for the input. `maxChars`: most characters of a document that the caller's surface takes if its
   * arguments do not say; undefined: all. Throws Faults.
   */
  shape(whole: Output, input: Input, maxChars: number | undefined): Output;
}

/** Has its effect on this node only, outside the log. */
export interface ActOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "act";
  run(input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

/** Runs other operations, as steps that its caller may take by itself too (macro.ts). */
export interface MacroOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "macro";
  run(input: z.output<I>, steps: MacroSteps): Promise<z.output<O>>;
}

/** The steps of a macro. */
export interface MacroSteps {
  /**
   * Runs an operation as the caller, and as the agent that an earlier step registered. Rejects with its Fault.
   * `signal`: ends the step in place of that of the call.
   */
  ask(operation: string, input: Record<string, unknown>, signal?: AbortSignal): Promise<Record<string, unknown>>;
  /** Like `ask`, with a Fault as a value; rejects where it is `internal`. */
  tryAsk(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown> | Fault>;
  /** Aborts when the caller ends the call. */
  signal: AbortSignal;
  /** The idempotency key of the call. */
  key: string | undefined;
  /** What the call is part of; left out: it is not traced. */
  trace?: TraceContext;
  /** The surface that the call came through. */
  surface: Surface;
  /** Whose steps these are: calls with the same text have the same caller, connection, agent and client. */
  who: string;
}

/** Becomes a command of the log; its apply decides what it does. */
export interface WriteOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject, C = unknown>
  extends Common<I, O> {
  kind: "write";
  /** Version of the command's meaning; a new meaning gets a new number (architecture.md 5). */
  v: number;
  /** Name of the argument with the one id that it changes. Default: it may change any. */
  target?: string;
  /** Only the node itself proposes it: no surface lists it and `invoke` does not find it. */
  internal?: true;
  /** Its changes are rows of the audit, and in no feed of changes: what it writes is followed in another way. */
  apart?: true;
  /**
   * Turns the input into the command, on the node that took the call and before the log. Checks every bound and makes
   * every normal form that apply relies on (replication.md 6).
   */
  prepare(input: z.output<I>, limits: WriteLimits, proposer?: Proposer): C;
  /**
   * Returns the part of the command that the caller asked for, without the limits that the node added. A key stands for
   * it where the command has no `inputHash`: those from before its fleet level. Default: the whole command.
   */
  asked?(command: C): unknown;
  /**
   * Fleet level from which `v` is proposed (replication.md 8); below it the newest of `earlier` is. Left out: 1.
   */
  level?: number;
  /** Returns the fleet level that this input needs, if that is higher: builds below it could not read what it makes. */
  needsLevel?(input: z.output<I>): number;
  /** Versions with another meaning, newest first, of which a log may hold commands. */
  earlier?: readonly EarlierVersion<C, z.output<O>>[];
  /**
   * Most units of work that apply may spend (`ApplyStamp.work`); left out: the size of the command bounds its work.
   * Part of the meaning of a version, because a command beyond it has another outcome.
   */
  maxWork?: number;
  /**
   * Returns about the least that apply will spend, in the state of `reader`: it sets how many commands share an entry,
   * and apply refuses a command beyond `maxWork` by it before it does anything. Without a reader, the least in any
   * state, by which a command is refused before the log. Depends on command and state alone.
   */
  work?(command: C, reader?: Reader): number;
  /** Returns the least weight in bytes when commands are batched: an entry is applied without a pause. */
  weight?(command: C): number;
  /**
   * Returns a refusal of apply with more to go by, such as why a place was not found, or the Fault as it is. Called on
   * the node that proposed the write, with the state as it is by now: nothing of it is stored.
   */
  explain?(input: z.output<I>, fault: Fault, reader: Reader): Fault;
  /**
   * Set if its answer holds a secret that only its caller may know: the log has the hash alone. The node that takes the
   * call draws it (reveal.ts).
   */
  reveals?: Reveals;
  /** Deterministic: state, command and stamp only. A thrown Fault is the outcome; any other throw stops the node. */
  apply(tx: Writer, command: C, stamp: ApplyStamp): Effect<z.output<O>>;
}

/** Whose write is prepared: apply knows of a caller no more than its name and its agent. */
export interface Proposer {
  /** Returns the caller as a viewer of rows in a space. */
  viewer(space: string): Viewer;
  /** Member id of the node that took the call; "" while it is unknown. */
  node: string;
  /** What the call is part of. A retry may be part of another one: no key stands for it. */
  trace?: TraceContext;
}

/** How a write answers with a new secret. */
export interface Reveals {
  /** Name of the argument that holds its key, and of the member of `apply`'s output that says which key it wrote. */
  argument: string;
  /** Name of the member of the answer that holds the secret. */
  output: string;
  /** What to do where the answer cannot hold it, because an earlier attempt of the same write did. */
  lost: string;
}

/** What apply knows beside the command, and the work that it may do. */
export interface ApplyStamp extends Stamp {
  work: Work;
}

/** An earlier version of a write: the same command with another meaning. */
export interface EarlierVersion<C, Output> {
  v: number;
  /** Fleet level from which it was proposed; left out: 1. */
  level?: number;
  maxWork?: number;
  /** Left out: as in the newest version, apart from `maxWork`. */
  apply?(tx: Writer, command: C, stamp: ApplyStamp): Effect<Output>;
}

/**
 * Bounds from the settings of the fleet, checked before a write is proposed or written into its command (replication.md
 * 6).
 */
export interface WriteLimits {
  /** Largest document in bytes of UTF-8. */
  maxDocumentBytes: number;
  /** History limits, and those of single spaces. */
  history: HistoryLimits & { spaces: Readonly<Record<string, HistoryLimits>> };
  /** Changes kept for the feed and the audit; 0: all. */
  maxChanges: number;
  /** Bytes of kept versions that one caller may have written, and that one space may hold; 0: no limit. */
  quota: { callerBytes: number; spaceBytes: number };
  /** Bytes of kept outcomes that one caller may have, its own keys and those of nodes apart; 0: no limit. */
  maxOutcomeBytes: number;
  events: EventLimits;
  blobs: BlobLimits;
}

/** What there may be of blobs. */
export interface BlobLimits {
  /** Largest blob in bytes. */
  maxBytes: number;
  /** Bytes of blobs that one caller may have put, and that one space may hold; 0: no limit. */
  callerBytes: number;
  spaceBytes: number;
  /** Full members that hold each blob where its put does not say. */
  copies: number;
  /** How long a blob is kept to which nothing refers, in ms. */
  keepMs: number;
}

/** What there may be of events. */
export interface EventLimits {
  /** Largest event in bytes. */
  maxBytes: number;
  /** Age, number and bytes of events that are kept; 0: no limit. */
  keepMs: number;
  keepCount: number;
  keepBytes: number;
  /** Bytes of kept events that one caller, and one space, may have; 0: no limit. */
  callerBytes: number;
  spaceBytes: number;
  /** Within this time an event of the same caller, source and id is the same event. */
  dedupeSeconds: number;
  /** Where NATS is, for a log of events that is there; left out: not set. `isFirst`: a new fleet begins with it. */
  nats?: { url: string; credentials: string | undefined; ca?: string; replicas: number; isFirst: boolean };
  /** Returns how far the log of events goes, where it is not in the tables. Read by the few writes that need it. */
  place?: () => EventPlace | undefined;
  /** Returns how many voters keep an event of the replicated log. */
  voters?: () => number;
}

/** How far a log of events goes that apply cannot read. */
export interface EventPlace {
  name: string;
  tail: number;
  floor: number;
}

/** How much of a history is kept. */
export interface HistoryLimits {
  /** Versions kept of each context; 0: all. */
  maxVersions: number;
  /** Age in days after which a version that is not the newest is removed; 0: never. */
  maxDays: number;
  /**
   * The other limits apply to the history as it was so many hours ago: newer versions, and the one that was the newest
   * then, are kept whatever their number. 0: they apply to the whole history.
   */
  keepHours: number;
}

/** Any write. */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds operations of every input; invoke parses before it calls
export type AnyWrite = WriteOperation<any, any, any>;

/** Any operation. */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds operations of every input; invoke parses before it calls
export type Operation = ReadOperation<any, any> | AnyWrite | ActOperation<any, any> | MacroOperation<any, any>;

/** Reports whether a call changes nothing, so that two have the effect of one. */
export function onlyReads(operation: Operation): boolean {
  if (operation.kind === "read") return operation.atLeader !== true;
  return operation.kind !== "write" && operation.access.verb === "read";
}

/** Reports whether calls of an operation take an idempotency key: those that may write. */
export function isKeyed({ kind }: Pick<Operation, "kind">): boolean {
  return kind === "write" || kind === "macro";
}

/** Defines a read. */
export function read<I extends z.ZodObject, O extends z.ZodObject>(
  definition: Omit<ReadOperation<I, O>, "kind">,
): ReadOperation<I, O> {
  return { kind: "read", ...definition };
}

/** Defines a write. */
export function write<I extends z.ZodObject, O extends z.ZodObject, C>(
  definition: Omit<WriteOperation<I, O, C>, "kind">,
): WriteOperation<I, O, C> {
  return { kind: "write", ...definition };
}

/** Defines an act. */
export function act<I extends z.ZodObject, O extends z.ZodObject>(
  definition: Omit<ActOperation<I, O>, "kind">,
): ActOperation<I, O> {
  return { kind: "act", ...definition };
}

/** Defines a macro. */
export function macro<I extends z.ZodObject, O extends z.ZodObject>(
  definition: Omit<MacroOperation<I, O>, "kind">,
): MacroOperation<I, O> {
  return { kind: "macro", ...definition };
}

/** Returns the spaces that a call touches; `visible`: those that the caller may see. */
export function spacesOf({ access }: Operation, input: Record<string, unknown>): readonly string[] | "visible" {
  return typeof access.spaces === "function" ? access.spaces(input) : access.spaces;
}
