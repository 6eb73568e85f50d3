// One definition for each thing a caller can do (design 7). REST, MCP, CLI and /openapi.json are thin over these values; nothing else defines an operation.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import type { Stamp } from "../log/log.ts";
import type { Reader, Writer } from "../store/store.ts";

export type Verb = "read" | "write" | "operate" | "admin";

export interface Access<Input> {
  verb: Verb;
  /** Every space the operation touches, or "visible": `run` filters by `ctx.visible(space)` itself. */
  spaces: ((input: Input) => string[]) | "visible";
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
  output: O;
  access: Access<z.output<I>>;
  hints?: Hints;
}

/** What a read or an act knows of its call. */
export interface CallContext {
  caller: Caller;
  rights: Rights;
  /** Whether the caller may use this operation's verb in a space. */
  visible: (space: string) => boolean;
  signal: AbortSignal;
}

export interface ReadOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject> extends Common<I, O> {
  kind: "read";
  run(reader: Reader, input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

export interface ActOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject> extends Common<I, O> {
  kind: "act";
  run(input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

/** One applied command as others see it: the fields of a change row (replication.md 3). */
export interface Effect<Output> {
  output: Output;
  /** The id of what was changed, for the change feed and the audit. */
  target: string;
  version: number;
  /** Hex SHA-256 of the content bytes, or "" where there is none. */
  contentHash: string;
}

export interface WriteOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject> extends Common<I, O> {
  kind: "write";
  /** Version of the command's meaning; a new meaning is a new number (design 5). */
  v: number;
  /** Runs before the log, on the node that took the call: bounds and normal forms that apply may rely on. */
  prepare?(input: z.output<I>): z.output<I>;
  /** Deterministic: state and `input` and `stamp` only. A thrown Fault is the outcome; any other throw stops the node. */
  apply(tx: Writer, input: z.output<I>, stamp: Stamp): Effect<z.output<O>>;
}

// biome-ignore lint/suspicious/noExplicitAny: the registry holds operations of every input; invoke parses before it calls
export type Operation = ReadOperation<any, any> | WriteOperation<any, any> | ActOperation<any, any>;

export function read<I extends z.ZodObject, O extends z.ZodObject>(definition: Omit<ReadOperation<I, O>, "kind">): ReadOperation<I, O> {
  return { kind: "read", ...definition };
}

export function write<I extends z.ZodObject, O extends z.ZodObject>(definition: Omit<WriteOperation<I, O>, "kind">): WriteOperation<I, O> {
  return { kind: "write", ...definition };
}

export function act<I extends z.ZodObject, O extends z.ZodObject>(definition: Omit<ActOperation<I, O>, "kind">): ActOperation<I, O> {
  return { kind: "act", ...definition };
}
