// All operations of this build by name, with their JSON Schemas made once.

import { z } from "zod";
import type { Operation } from "./define.ts";

export interface Entry {
  operation: Operation;
  /** JSON Schema 2020-12 of the arguments, common arguments included; unknown properties are refused. */
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
}

/** Arguments that every operation takes besides its own; `invoke` handles them (design 5). */
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

export class Registry {
  readonly #entries: ReadonlyMap<string, Entry>;

  constructor(operations: readonly Operation[]) {
    const sorted = [...operations].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#entries = new Map(sorted.map((operation) => [operation.name, entryOf(operation)]));
    if (this.#entries.size !== operations.length) throw new Error("two operations have one name");
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Sorted by name. */
  list(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  /** The command a log entry names: its write in exactly that version, or undefined. */
  write(name: string, v: number): Extract<Operation, { kind: "write" }> | undefined {
    const operation = this.#entries.get(name)?.operation;
    return operation?.kind === "write" && operation.v === v ? operation : undefined;
  }
}

function entryOf(operation: Operation): Entry {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(operation.name)) throw new Error(`${operation.name} is not an operation name`);
  const common = operation.kind === "write" ? { ...commonInput.shape, ...writeInput.shape } : commonInput.shape;
  const input: z.ZodObject = operation.input;
  return {
    operation,
    inputSchema: z.toJSONSchema(z.strictObject({ ...input.shape, ...common }), { io: "input" }),
    outputSchema: z.toJSONSchema(operation.output, { io: "output" }),
  };
}
