// One definition for each thing a caller can do (design 7). REST, MCP, CLI and /openapi.json are thin over these values; nothing else defines an operation.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Rights, Verb } from "../access/rights.ts";
import type { Effect, Stamp } from "../log/log.ts";
import type { Reader, Writer } from "../store/store.ts";

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

export interface ReadOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "read";
  run(reader: Reader, input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

export interface ActOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject>
  extends Common<I, O> {
  kind: "act";
  run(input: z.output<I>, context: CallContext): z.output<O> | Promise<z.output<O>>;
}

export interface WriteOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodObject = z.ZodObject, C = unknown>
  extends Common<I, O> {
  kind: "write";
  /** Version of the command's meaning; a new meaning is a new number (design 5). */
  v: number;
  /** Runs before the log on the node that took the call: turns the input into the command, with every bound and normal form that apply relies on (replication.md 6). */
  prepare(input: z.output<I>, limits: WriteLimits): C;
  /** Deterministic: state, command and stamp only. A thrown Fault is the outcome; any other throw stops the node. */
  apply(tx: Writer, command: C, stamp: Stamp): Effect<z.output<O>>;
}

/** Bounds from the settings that writes judge before they are proposed. */
export interface WriteLimits {
  /** Largest document in bytes of UTF-8. */
  maxDocumentBytes: number;
}

// biome-ignore lint/suspicious/noExplicitAny: the registry holds operations of every input; invoke parses before it calls
export type Operation = ReadOperation<any, any> | WriteOperation<any, any, any> | ActOperation<any, any>;

export function read<I extends z.ZodObject, O extends z.ZodObject>(
  definition: Omit<ReadOperation<I, O>, "kind">,
): ReadOperation<I, O> {
  return { kind: "read", ...definition };
}

export function write<I extends z.ZodObject, O extends z.ZodObject, C>(
  definition: Omit<WriteOperation<I, O, C>, "kind">,
): WriteOperation<I, O, C> {
  return { kind: "write", ...definition };
}

export function act<I extends z.ZodObject, O extends z.ZodObject>(
  definition: Omit<ActOperation<I, O>, "kind">,
): ActOperation<I, O> {
  return { kind: "act", ...definition };
}
