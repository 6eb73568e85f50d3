// The operations of a node by name, with their JSON Schemas, and the apply function over its writes.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import { refuseWork, Work } from "../lib/work.ts";
import { type AfterChanges, type Apply, type Command, UnknownCommand } from "../log/log.ts";
import { type AgentTable, refuseEndedAgent } from "./agents.ts";
import { type AnyWrite, isKeyed, type Operation, onlyReads } from "./define.ts";
import { versionOf, type WriteVersion } from "./versions.ts";

/** An operation with its schemas as clients see them. */
export interface Entry {
  operation: Operation;
  /** JSON Schema 2020-12 of the arguments, including the common ones; unknown properties are refused. */
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
}

/** Arguments that every operation takes beside its own; `invoke` handles them (architecture.md 5). */
export const commonInput = z.object({
  consistency: z
    .enum(["any", "session", "leader"])
    .optional()
    .describe(
      "How new a read must be: any = what this node has; session = at least min_position (default); leader = every acknowledged write.",
    ),
  min_position: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe("A position from an earlier answer; the read is at least that new."),
  as: z
    .string()
    .regex(/^agent-[0-9a-f]{32}$/)
    .optional()
    .describe("Acts as an agent: the handle that agent_register returned. It is a secret, and is not kept."),
});

/** The common argument of writes alone. */
export const writeInput = z.object({
  idempotency_key: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[\x21-\x7e]+$/, "printable ASCII without spaces")
    .optional()
    .describe("Send the same key when you repeat a write whose answer you did not get: the write is done only once."),
});

/** Largest input of an operation that carries no document, as JSON in bytes. */
const MAX_PLAIN_INPUT_BYTES = 64 * 1024;

/** Names of the common arguments. */
export const COMMON_NAMES: readonly string[] = [...Object.keys(commonInput.shape), ...Object.keys(writeInput.shape)];

/** The operations that callers may name, and the writes whose commands the log may hold. */
export class Registry {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #writes: ReadonlyMap<string, AnyWrite>;

  constructor(operations: readonly Operation[]) {
    if (new Set(operations.map((operation) => operation.name)).size !== operations.length)
      throw new Error("two operations have the same name");
    const writes = operations.filter((operation) => operation.kind === "write");
    this.#writes = new Map(writes.map((operation) => [operation.name, operation]));
    const listed = operations.filter(
      (operation) => operation.offered?.() !== false && (operation.kind !== "write" || operation.internal !== true),
    );
    const sorted = listed.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#entries = new Map(sorted.map((operation) => [operation.name, new LazyEntry(operation)]));
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Returns the operation of a call. Throws Fault `unknown_operation` with the nearest name. */
  find(name: string): Operation {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry.operation;
    const names = [...this.#entries.keys()];
    const near = nearest(name, names) ?? names.find((known) => known.includes(name) || name.includes(known));
    throw new Fault("unknown_operation", `There is no operation ${JSON.stringify(name.slice(0, 80))}`, {
      hint: near === undefined ? `Known operations: ${names.join(", ")}.` : `Did you mean ${near}?`,
    });
  }

  /** Returns the largest input of an operation as JSON, in bytes. */
  maxInputBytes(name: string): number {
    return this.#entries.get(name)?.operation.maxInputBytes ?? MAX_PLAIN_INPUT_BYTES;
  }

  /** Returns the operations sorted by name, without internal ones. */
  list(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  /** Returns the write of a command, in exactly that version, or undefined. */
  write(name: string, v: number): WriteVersion | undefined {
    const operation = this.#writes.get(name);
    return operation && versionOf(operation, v);
  }
}

/**
 * Returns the apply function of a log over these operations: it runs the write that a command names. `agents` judges
 * commands that act as an agent, `after` is what follows from changes.
 */
export function applierOf(operations: readonly Operation[], agents?: AgentTable, after?: AfterChanges): Apply {
  const registry = new Registry(operations);
  const find = ({ name, v }: Command) => {
    const version = registry.write(name, v);
    if (version === undefined)
      throw new UnknownCommand(`the log holds ${name} version ${v}, which this build does not know`);
    return version;
  };
  const apply: Apply = (tx, command, stamp) => {
    const { maxWork, work, apply: run } = find(command);
    if (command.agent !== undefined) refuseEndedAgent(agents, tx, command.agent, stamp);
    if (maxWork !== undefined) refuseWork(work?.(command.input, tx) ?? 0, maxWork);
    return run(tx, command.input, { ...stamp, work: new Work(maxWork) });
  };
  apply.apart = new Set(
    operations.flatMap((each) => (each.kind === "write" && each.apart === true ? [each.name] : [])),
  );
  if (after !== undefined) apply.after = after;
  apply.asked = (command) => {
    const { first, asked } = find(command);
    return [first, asked?.(command.input) ?? command.input];
  };
  return apply;
}

/** Throws an Error for a definition that contradicts itself. */
function checkDefinition(operation: Operation): void {
  const { name, aliases = {} } = operation;
  const hasArgument = (argument: string): boolean => Object.hasOwn(operation.input.shape, argument);
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) throw new Error(`${name} is not an operation name`);
  if (operation.hints !== undefined && onlyReads(operation))
    throw new Error(`${name} only reads, so hints say nothing more about it`);
  for (const [alias, argument] of Object.entries(aliases))
    if (!hasArgument(argument) || hasArgument(alias))
      throw new Error(`${name}: ${alias} cannot be an alias of ${argument}`);
  if (operation.kind !== "read" || operation.waits !== true) return;
  const missing = ["since", "timeout_seconds"].find((argument) => !hasArgument(argument));
  if (missing !== undefined) throw new Error(`${name} waits but has no argument ${missing}`);
}

/** Makes its schemas when they are first asked for: those of all operations take half of the time of a start. */
class LazyEntry implements Entry {
  readonly operation: Operation;
  #inputSchema: Record<string, unknown> | undefined;
  #outputSchema: Record<string, unknown> | undefined;

  constructor(operation: Operation) {
    checkDefinition(operation);
    this.operation = operation;
  }

  get inputSchema(): Record<string, unknown> {
    this.#inputSchema ??= inputSchemaOf(this.operation);
    return this.#inputSchema;
  }

  get outputSchema(): Record<string, unknown> {
    this.#outputSchema ??= z.toJSONSchema(this.operation.output, { io: "output" });
    return this.#outputSchema;
  }
}

function inputSchemaOf(operation: Operation): Record<string, unknown> {
  const common = isKeyed(operation) ? { ...commonInput.shape, ...writeInput.shape } : commonInput.shape;
  const input: z.ZodObject = operation.input;
  return z.toJSONSchema(z.strictObject({ ...input.shape, ...common }), { io: "input" });
}
