// Parses the arguments of a call: the operation's own by its schema, the common ones beside it; other names that agents try become the right one, and an unknown one is refused with the near name.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { nearest } from "../lib/nearest.ts";
import type { Operation } from "./define.ts";
import { commonInput, writeInput } from "./registry.ts";
import type { Consistency } from "./routing.ts";

/** The common arguments of a call. */
export interface Common {
  consistency: Consistency;
  minPosition: string | undefined;
  idempotencyKey: string | undefined;
}

/** What `parseArguments` needs of an operation, or of a part of its input. */
export interface Arguments {
  /** Names it in messages. */
  name: string;
  input: z.ZodObject;
  aliases?: Readonly<Record<string, string>>;
}

const COMMON_NAMES = new Set([...Object.keys(commonInput.shape), ...Object.keys(writeInput.shape)]);
const COMMON_LIST: readonly string[] = [...COMMON_NAMES];
const NOTHING_COMMON: Common = { consistency: "session", minPosition: undefined, idempotencyKey: undefined };
const commonForReads = z.strictObject(commonInput.shape);
const commonForWrites = z.strictObject({ ...commonInput.shape, ...writeInput.shape });
const strictByInput = new WeakMap<z.ZodObject, z.ZodObject>();

/** Splits and parses; throws Fault `invalid_input` with the path of the first thing wrong. */
export function splitInput(operation: Operation, raw: unknown): { input: Record<string, unknown>; common: Common } {
  const own: Record<string, unknown> = Object.create(null);
  const shared: Record<string, unknown> = {};
  let anyShared = false;
  for (const [name, value] of Object.entries(objectOf(operation.name, raw))) {
    if (COMMON_NAMES.has(name)) {
      shared[name] = value;
      anyShared = true;
    } else own[name] = value;
  }
  const input = parseArguments(operation, own, COMMON_LIST);
  if (!anyShared) return { input, common: NOTHING_COMMON };
  const schema = operation.kind === "write" ? commonForWrites : commonForReads;
  const common = parse(operation, schema, shared, () => COMMON_LIST);
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

/** Parses an object strictly, aliases taken for their names; `otherNames` are offered besides when a name is unknown. Fault `invalid_input`. */
export function parseArguments(
  what: Arguments,
  raw: unknown,
  otherNames: readonly string[] = [],
): Record<string, unknown> {
  const named: Record<string, unknown> = Object.create(null);
  const given = objectOf(what.name, raw);
  for (const [name, value] of Object.entries(given)) {
    const meant = aliasOf(what, name);
    if (meant === undefined) {
      named[name] = value;
      continue;
    }
    const other = Object.keys(given).find(
      (candidate) => candidate !== name && (candidate === meant || aliasOf(what, candidate) === meant),
    );
    if (other !== undefined) {
      throw new Fault("invalid_input", `${what.name}: ${name} and ${other} mean the same argument`, {
        hint: `Give only ${meant}.`,
        details: { field: meant },
      });
    }
    named[meant] = value;
  }
  return parse(what, strictOf(what.input), named, () => [...Object.keys(what.input.shape), ...otherNames]);
}

function aliasOf(what: Arguments, name: string): string | undefined {
  return what.aliases !== undefined && Object.hasOwn(what.aliases, name) ? what.aliases[name] : undefined;
}

function objectOf(name: string, raw: unknown): object {
  if (isObject(raw)) return raw;
  throw new Fault("invalid_input", `The arguments of ${name} are not an object`, { hint: "Send a JSON object." });
}

function strictOf(input: z.ZodObject): z.ZodObject {
  const known = strictByInput.get(input);
  if (known !== undefined) return known;
  const strict = input.strict();
  strictByInput.set(input, strict);
  return strict;
}

function parse<S extends z.ZodObject>(
  what: Arguments,
  schema: S,
  value: unknown,
  known: () => readonly string[],
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === "unrecognized_keys" && issue.path.length === 0);
  if (unknown?.code === "unrecognized_keys") throw unknownArgument(what, unknown.keys[0] ?? "", known());
  const issue = parsed.error.issues[0];
  const at = issue?.path.join(".") ?? "";
  const reason = issue?.message ?? "invalid arguments";
  const said = reason.endsWith("received undefined") ? `${at} is missing` : at === "" ? reason : `${at}: ${reason}`;
  throw new Fault("invalid_input", `${what.name}: ${said}`, {
    hint: `The schema of ${what.name} stands in /openapi.json and in the list of tools.`,
    details: at === "" ? {} : { field: at },
  });
}

function unknownArgument(what: Arguments, name: string, known: readonly string[]): Fault {
  const near = nearest(name, known);
  return new Fault("invalid_input", `${what.name} has no argument ${JSON.stringify(name.slice(0, 80))}`, {
    hint: near === undefined ? `Known are: ${known.join(", ")}.` : `Did you mean ${near}?`,
    details: { field: name.slice(0, 80) },
  });
}
