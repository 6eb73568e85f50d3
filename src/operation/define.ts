// One definition for each thing a caller can do (architecture.md 7). REST, MCP, CLI and /openapi.json are thin over these values; nothing else defines an operation.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Rights, Verb } from "../access/rights.ts";
import type { Change, Changes } from "../log/changes.ts";
import type { Effect, Stamp } from "../log/log.ts";
import type { Position } from "../log/position.ts";
import type { Reader, Writer } from "../store/store.ts";

export interface Access<Input> {
  verb: Verb;
  /** Every space the operation touches, or "visible": `run` filters by `ctx.visible(space)` itself. A function may answer "visible" for inputs that name no space. */
  spaces: ((input: Input) => string[] | "visible") | "visible";
}

export interface Hints {
  /** The same call twice has the effect of one. */
  idempotent?: boolean;
  /** The call removes or overwrites something that cannot be had back. */
  destructive?: boolean;
}

interface Common<I extends z.ZodObject, O extends z.ZodObject> {
  /** 1 to 64 of [a-z0-9_]; the tool name, the CLI word and the REST name. */
  name: string;
  title: string;
  /** For people and models: what it does and when to use it. Never holds stored text. */
  description: string;
  input: I;
  /** A call that works, for docs/operations.md; left out: one without arguments. A test runs it. */
  example?: z.input<I>;
  output: O;
  access: Access<z.output<I>>;
  hints?: Hints;
  /** Reports whether this node offers it to callers, asked once at its start; left out: it does. */
  offered?(): boolean;
  /** Names that agents try for an argument → its name. Both together are refused. */
  aliases?: Readonly<Record<string, string>>;
}

/** What a read or an act knows of its call. */
export interface CallContext {
  caller: Caller;
  rights: Rights;
  /** Whether the caller may use this operation's verb in a space. */
  visible: (space: string) => boolean;
  signal: AbortSignal;
  /** The change feed of this node. */
  changes: Changes;
  /** Position of what is applied on this node. */
  position(): Position;
  /** The newest applied change and its chain hash, as this process knows them. */
  head(): { seq: number; hash: Uint8Array };
  /** The position of a seq, as answers write it. */
  positionAt(seq: number): string;
  /** Reads a position that the caller shows and waits (at most 2 s) until this node has applied it; answers its seq. Faults: `invalid_input`, `history_forked`, `unavailable`. */
  reach(position: string): Promise<number>;
  /** Counts a long wait of this caller until the answered function is called; Fault `rate_limited` above the limit. */
  holdStream(): () => void;
}

/** How a read goes on without an end. */
export interface Follow {
  /** Position behind which it begins; undefined: now. */
  since: string | undefined;
  /** What a caller is shown of a change, judged anew each time; undefined leaves it out. */
  show(change: Change): Record<string, unknown> | undefined;
}

/** Answers from the store of this node and changes nothing. */
export interface ReadOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "read";
  /** A call may wait for something to happen: after the position `since`, for `timeout_seconds`. Both are its arguments. */
  waits?: true;
  /** What it answers is about this node: it is never asked elsewhere, and needs no store. */
  here?: true;
  /** Edges keep its answers: each may say from where it came and how old it is. */
  kept?: true;
  run(reader: Reader, input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
  /** The same read without an end, for streams: where it begins and what it shows of each change. */
  follow?(input: z.output<I>, context: CallContext): Follow;
}

/** Has its effect on this node only; nothing goes through the log. */
export interface ActOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "act";
  run(input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

/** Becomes a command of the log; what it does is decided in apply. */
export interface WriteOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject, C = unknown>
  extends Common<I, O> {
  kind: "write";
  /** Version of the command's meaning; a new meaning is a new number (architecture.md 5). */
  v: number;
  /** The argument that names the one id it changes; left out: it may change any. */
  target?: string;
  /** Proposed by the node itself: no surface lists it and `invoke` does not know it. */
  internal?: true;
  /** Runs before the log on the node that took the call: turns the input into the command, with every bound and normal form that apply relies on (replication.md 6). */
  prepare(input: z.output<I>, limits: WriteLimits): C;
  /**
   * The part of the command that its caller asked for; the rest are limits that the node stamped. An idempotency key
   * stands for this part alone, so that a retry under other settings is the same write. Left out: the whole command.
   */
  asked?(command: C): unknown;
  /** How much apply handles at least, in bytes, where that is more than the command itself: it decides how many share an entry, which is applied without a pause. */
  weight?(command: C): number;
  /** Deterministic: state, command and stamp only. A thrown Fault is the outcome; any other throw stops the node. */
  apply(tx: Writer, command: C, stamp: Stamp): Effect<z.output<O>>;
}

/** Bounds from the settings: judged before a write is proposed, or stamped into its command (replication.md 6). */
export interface WriteLimits {
  /** Largest document in bytes of UTF-8. */
  maxDocumentBytes: number;
  /** How much of the history of a space is kept. */
  history: HistoryLimits & { spaces: Readonly<Record<string, HistoryLimits>> };
  /** Bytes of kept versions that one caller may have written, and one space may hold; 0: no limit. */
  quota: { callerBytes: number; spaceBytes: number };
}

/** How much of a history is kept. */
export interface HistoryLimits {
  /** Versions kept of each context; 0: all. */
  maxVersions: number;
  /** Age in days after which a version that is not the newest goes; 0: never. */
  maxDays: number;
}

/** Any operation; the registry holds them by name. */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds operations of every input; invoke parses before it calls
export type Operation = ReadOperation<any, any> | WriteOperation<any, any, any> | ActOperation<any, any>;

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
