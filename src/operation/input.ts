// Parses the arguments of a call: the operation's own by its schema, the common ones beside it, and says of an unknown one which known name is near.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import type { Operation } from "./define.ts";
import { commonInput, writeInput } from "./registry.ts";

export interface Common {
  consistency: "any" | "session" | "leader";
  minPosition: string | undefined;
  idempotencyKey: string | undefined;
}

const COMMON_NAMES = new Set([...Object.keys(commonInput.shape), ...Object.keys(writeInput.shape)]);
const strictByOperation = new WeakMap<Operation, z.ZodObject>();

/** Splits and parses; throws Fault `invalid_input` with the path of the first thing wrong. */
export function splitInput(operation: Operation, raw: unknown): { input: Record<string, unknown>; common: Common } {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw new Fault("invalid_input", `The arguments of ${operation.name} are not an object`, {
      hint: "Send a JSON object.",
    });
  }
  const own: Record<string, unknown> = Object.create(null);
  const shared: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (COMMON_NAMES.has(name)) shared[name] = value;
    else own[name] = value;
  }
  const common = parse(operation, operation.kind === "write" ? commonForWrites : commonForReads, shared);
  const input = parse(operation, strictOf(operation), own);
  return {
    input,
    common: {
      consistency: common.consistency ?? "session",
      minPosition: common.min_position,
      idempotencyKey:
        "idempotency_key" in common && typeof common.idempotency_key === "string" ? common.idempotency_key : undefined,
    },
  };
}

const commonForReads = z.strictObject(commonInput.shape);
const commonForWrites = z.strictObject({ ...commonInput.shape, ...writeInput.shape });

function strictOf(operation: Operation): z.ZodObject {
  const known = strictByOperation.get(operation);
  if (known !== undefined) return known;
  const input: z.ZodObject = operation.input;
  const strict = input.strict();
  strictByOperation.set(operation, strict);
  return strict;
}

function parse<S extends z.ZodObject>(operation: Operation, schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue?.code === "unrecognized_keys") throw unknownArgument(operation, issue.keys[0] ?? "");
  const at = issue?.path.join(".") ?? "";
  throw new Fault(
    "invalid_input",
    `${operation.name}: ${at === "" ? "" : `${at}: `}${issue?.message ?? "invalid arguments"}`,
    {
      hint: `The schema of ${operation.name} stands in /openapi.json and in the list of tools.`,
      details: at === "" ? {} : { field: at },
    },
  );
}

function unknownArgument(operation: Operation, name: string): Fault {
  const input: z.ZodObject = operation.input;
  const known = [...Object.keys(input.shape), ...COMMON_NAMES];
  const near = nearest(name, known);
  return new Fault("invalid_input", `${operation.name} has no argument ${JSON.stringify(name.slice(0, 80))}`, {
    hint: near === undefined ? `Known are: ${known.join(", ")}.` : `Did you mean ${near}?`,
    details: { field: name.slice(0, 80) },
  });
}
