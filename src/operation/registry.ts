// All operations of this build by name, with their JSON Schemas made once.

import { z } from "zod";
import { type Apply, type Command, UnknownCommand } from "../log/log.ts";
import type { Operation } from "./define.ts";

/** An operation with its schemas as clients see them. */
export interface Entry {
  operation: Operation;
  /** JSON Schema 2020-12 of the arguments, common arguments included; unknown properties are refused. */
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
}

/** Arguments that every operation takes besides its own; `invoke` handles them (architecture.md 5). */
export const commonInput = z.object({
  consistency: z
    .enum(["any", "session", "leader"])
    .optional()
    .describe(
      "What a read must have seen: any = what this node has; session = at least min_position (default); leader = every acknowledged write.",
    ),
  min_position: z
    .string()
    .max(64)
    .optional()
    .describe("A position that an earlier answer named; the read is at least that new."),
});

/** The argument that only writes take besides. */
export const writeInput = z.object({
  idempotency_key: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[\x21-\x7e]+$/, "printable ASCII without spaces")
    .optional()
    .describe("Give the same key when you repeat a write whose answer you missed: it is done once and answered twice."),
});

/** The operations that callers may name, and the writes that the log may hold. */
export class Registry {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #writes: ReadonlyMap<string, Extract<Operation, { kind: "write" }>>;

  constructor(operations: readonly Operation[]) {
    if (new Set(operations.map((operation) => operation.name)).size !== operations.length)
      throw new Error("two operations have one name");
    const writes = operations.filter((operation) => operation.kind === "write");
    this.#writes = new Map(writes.map((operation) => [operation.name, operation]));
    const listed = operations.filter(
      (operation) => operation.offered?.() !== false && (operation.kind !== "write" || operation.internal !== true),
    );
    const sorted = listed.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#entries = new Map(sorted.map((operation) => [operation.name, entryOf(operation)]));
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Sorted by name, without internal ones. */
  list(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  /** The command a log entry names: its write in exactly that version, or undefined. */
  write(name: string, v: number): Extract<Operation, { kind: "write" }> | undefined {
    const operation = this.#writes.get(name);
    return operation?.v === v ? operation : undefined;
  }
}

/** Returns the log's apply over these operations: it finds the write that a command names and runs it. */
export function applierOf(operations: readonly Operation[]): Apply {
  const registry = new Registry(operations);
  const find = ({ name, v }: Command) => {
    const operation = registry.write(name, v);
    if (operation === undefined)
      throw new UnknownCommand(`the log holds ${name} version ${v}, which this build does not know`);
    return operation;
  };
  const apply: Apply = (tx, command, stamp) => find(command).apply(tx, command.input, stamp);
  apply.asked = (command) => find(command).asked?.(command.input) ?? command.input;
  return apply;
}

function entryOf(operation: Operation): Entry {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(operation.name)) throw new Error(`${operation.name} is not an operation name`);
  for (const [alias, name] of Object.entries(operation.aliases ?? {})) {
    if (!Object.hasOwn(operation.input.shape, name) || Object.hasOwn(operation.input.shape, alias))
      throw new Error(`${operation.name}: ${alias} cannot stand for ${name}`);
  }
  if (operation.kind === "read" && operation.waits === true)
    for (const name of ["since", "timeout_seconds"])
      if (!Object.hasOwn(operation.input.shape, name)) throw new Error(`${operation.name} waits without ${name}`);
  const common = operation.kind === "write" ? { ...commonInput.shape, ...writeInput.shape } : commonInput.shape;
  const input: z.ZodObject = operation.input;
  return {
    operation,
    inputSchema: z.toJSONSchema(z.strictObject({ ...input.shape, ...common }), { io: "input" }),
    outputSchema: z.toJSONSchema(operation.output, { io: "output" }),
  };
}
