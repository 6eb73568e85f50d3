// context_many: several writes as one command. All of them happen, or none.

import { z } from "zod";
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { MAX_COMMAND_WORK, WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { type AnyWrite, type ApplyStamp, type Proposer, type WriteLimits, write } from "../../operation/define.ts";
import { parseArguments } from "../../operation/parse-input.ts";
import { versionOf } from "../../operation/versions.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { contextDelete } from "./delete.ts";
import { contextPatch } from "./patch.ts";
import { contextPut } from "./put.ts";
import { contextRestore } from "./restore.ts";

const MAX_WRITES = 64;

/**
 * Version in all parts: what they mean follows from that of the whole, as does the limit on work.
 */
const PART_V = 1;
const WRITES: Readonly<Record<string, AnyWrite>> = {
  context_put: contextPut,
  context_patch: contextPatch,
  context_delete: contextDelete,
  context_restore: contextRestore,
};
const names = ["context_put", "context_patch", "context_delete", "context_restore"] as const;

interface Part {
  operation: string;
  v: number;
  command: { id: string };
}

interface ManyCommand {
  parts: Part[];
}

/**
 * The arguments of all writes as clients see them, without descriptions. They are judged in `parseWrites`, by the
 * operation of each.
 */
const shownArguments: Readonly<Record<string, z.ZodType>> = Object.fromEntries(
  Object.values(WRITES).flatMap(({ input: schema }) =>
    Object.entries(z.toJSONSchema(schema, { io: "input" }).properties ?? {}).map(([name, shown]) => {
      const { description: _, ...type } = typeof shown === "object" ? shown : {};
      return [name, z.unknown().optional().meta(type)];
    }),
  ),
);

const input = z.object({
  writes: z
    .array(
      z.looseObject({
        operation: z.enum(names).describe("Which write; its arguments are members beside this one."),
        ...shownArguments,
      }),
    )
    .min(1)
    .max(MAX_WRITES)
    .describe("Applied in this order; each sees the earlier ones."),
});

/** Does several writes as one. */
export const contextMany = write({
  name: "context_many",
  v: 3,
  level: 3,
  maxWork: MAX_COMMAND_WORK,
  earlier: [
    // Parts have the meaning of their first version.
    { v: 2, level: 2, maxWork: MAX_COMMAND_WORK, apply: applyFirstVersions },
    // Without a limit on its work.
    { v: 1, apply: applyFirstVersions },
  ],
  title: "Several writes at once",
  search: "write several notes together, all or none",
  description:
    "Does up to 64 writes (context_put, context_patch, context_delete, context_restore, each with its own arguments) as one, with at most 4 MiB of text in all: all of them happen or none. Use it when several contexts must change together. An error names the index of the write that failed.",
  input,
  example: {
    writes: [
      { operation: "context_put", id: "team-a/status", content: "Released." },
      { operation: "context_put", id: "team-a/next", content: { goal: "Release 1.1" } },
    ],
  },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  output: z.object({
    results: z.array(z.record(z.string(), z.unknown())).describe("The output of each write, in order."),
  }),
  access: {
    verb: "write",
    spaces: ({ writes }) => [...new Set(parseWrites(writes).flatMap(({ operation, own }) => spacesOf(operation, own)))],
  },
  hints: { destructive: true },
  aliases: { operations: "writes", items: "writes" },
  needsLevel: ({ writes }) =>
    Math.max(...parseWrites(writes).map(({ operation, own }) => operation.needsLevel?.(own) ?? 1)),
  prepare: ({ writes }, limits, proposer): ManyCommand => {
    const parts = parseWrites(writes).map((item, index) => prepareWrite(item, index, limits, proposer));
    refuseTooLarge(parts);
    return { parts };
  },
  asked: ({ parts }) => ({
    parts: parts.map(({ operation, v, command }) => ({
      ...{ operation, v },
      command: WRITES[operation]?.asked?.(command) ?? command,
    })),
  }),
  work: workOfParts,
  weight: ({ parts }) =>
    parts.reduce((sum, { operation, command }) => sum + (WRITES[operation]?.weight?.(command) ?? 0), 0),
  apply: (tx, command, stamp) => applyParts(tx, command, stamp, (write) => write.apply),
  explain: ({ writes }, fault, reader) => {
    const seen = new Set<unknown>();
    for (const { operation, own } of fault.code === "patch_failed" ? parseWrites(writes) : []) {
      // What an earlier write of the call made of the document was undone, so it cannot be looked at.
      const explained = seen.has(own["id"]) ? undefined : operation.explain?.(own, fault, reader);
      if (explained !== undefined && explained !== fault) return explained;
      seen.add(own["id"]);
    }
    return fault;
  },
});

type ApplyOf = (write: AnyWrite) => AnyWrite["apply"];

function applyFirstVersions(tx: Writer, command: ManyCommand, stamp: ApplyStamp) {
  return applyParts(tx, command, stamp, (write) => versionOf(write, PART_V)?.apply ?? write.apply);
}

/** Applies all parts in their order; `applyOf` returns the meaning of one. */
function applyParts(tx: Writer, command: ManyCommand, stamp: ApplyStamp, applyOf: ApplyOf) {
  const results: Record<string, unknown>[] = [];
  const changes: Changed[] = [];
  for (const [index, { operation, v, command: part }] of command.parts.entries()) {
    const known = WRITES[operation];
    if (known === undefined || v !== PART_V)
      throw new Error(`context_many holds ${operation} version ${v}, which this build does not know`);
    const effect = inWrite(index, operation, () =>
      applyOf(known)(tx, part, { ...stamp, seq: stamp.seq + changes.length }),
    );
    results.push(effect.output);
    changes.push(...effect.changes);
  }
  return { output: { results }, changes };
}

/** Returns the least units of all parts. What an earlier part wrote may have any size by then. */
function workOfParts({ parts }: ManyCommand, reader?: Reader): number {
  const written = new Set<string>();
  let units = 0;
  for (const { operation, command } of parts) {
    const { id } = command;
    units += WRITES[operation]?.work?.(command, written.has(id) ? undefined : reader) ?? WRITE_ROW;
    written.add(id);
  }
  return units;
}

/** Returns the spaces that a write touches. */
function spacesOf({ access: { spaces } }: AnyWrite, own: Record<string, unknown>): readonly string[] {
  const touched = typeof spaces === "function" ? spaces(own) : spaces;
  if (touched === "visible") throw new Error("a write of a context names its spaces");
  return touched;
}

interface ParsedWrite {
  operation: AnyWrite;
  own: Record<string, unknown>;
}

/** Parsed writes by the input that holds them: the gate and `prepare` both need them. */
const parsedWrites = new WeakMap<object, ParsedWrite[]>();

/** Returns the writes with their arguments parsed by the schema of each operation. Throws `invalid_input`. */
function parseWrites(writes: z.output<typeof input>["writes"]): ParsedWrite[] {
  const known = parsedWrites.get(writes);
  if (known !== undefined) return known;
  const made = writes.map(({ operation: name, ...rest }, index) => {
    const operation = WRITES[name];
    if (operation === undefined) throw new Error(`${name} passed the schema`);
    return { operation, own: inWrite(index, name, () => parseArguments(operation, rest)) };
  });
  parsedWrites.set(writes, made);
  return made;
}

function prepareWrite(
  { operation, own }: ParsedWrite,
  index: number,
  limits: WriteLimits,
  proposer: Proposer | undefined,
): Part {
  const command = inWrite(index, operation.name, () => operation.prepare(own, limits, proposer));
  return { operation: operation.name, v: PART_V, command };
}

/** Throws `too_large` if the texts together are larger than one document may be: a command must fit into one entry. */
function refuseTooLarge(parts: readonly Part[]): void {
  const size = parts.reduce((sum, { command }) => sum + textBytes(command), 0);
  if (size <= MAX_DOCUMENT_BYTES) return;
  throw new Fault("too_large", `The writes have ${size} bytes in total; the limit is ${MAX_DOCUMENT_BYTES}`, {
    hint: "Send them in several calls.",
    details: { limit: MAX_DOCUMENT_BYTES },
  });
}

function textBytes(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value, "utf8");
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, item) => sum + textBytes(item), 0);
}

/** Runs `body`. Adds to its Fault which write it is about. */
function inWrite<T>(index: number, operation: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw error.retold(`Write ${index} (${operation}): ${error.message}`, { details: { index } });
  }
}
