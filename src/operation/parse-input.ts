// Parses the arguments of a call: the operation's own by its schema, and the common ones. Maps aliases to the
// argument's name, and refuses an unknown name with the nearest known one.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { nearest } from "../lib/nearest.ts";
import { describeIssue } from "../lib/schema-issue.ts";
import type { Operation } from "./define.ts";
import { commonInput, writeInput } from "./registry.ts";
import type { Consistency } from "./routing.ts";

/** The common arguments of a call. */
export interface CommonArguments {
  consistency: Consistency;
  minPosition: string | undefined;
  idempotencyKey: string | undefined;
}

/** What `parseArguments` needs of an operation, or of a part of its input. */
export interface ArgumentSchema {
  /** Its name in messages. */
  name: string;
  input: z.ZodObject;
  /** A complete input, for the hints of refusals. */
  example?: unknown;
  aliases?: Readonly<Record<string, string>>;
}

const COMMON_LIST: readonly string[] = [...Object.keys(commonInput.shape), ...Object.keys(writeInput.shape)];
const COMMON_NAMES: ReadonlySet<string> = new Set(COMMON_LIST);
const NO_COMMON: CommonArguments = { consistency: "session", minPosition: undefined, idempotencyKey: undefined };
const commonForReads = z.strictObject(commonInput.shape);
const commonForWrites = z.strictObject({ ...commonInput.shape, ...writeInput.shape });
const strictByInput = new WeakMap<z.ZodObject, z.ZodObject>();

/** Separates and parses both kinds of arguments. Throws Fault `invalid_input` with the path of the first problem. */
export function parseInput(
  operation: Operation,
  raw: unknown,
): { input: Record<string, unknown>; common: CommonArguments } {
  const own: Record<string, unknown> = Object.create(null);
  const common: Record<string, unknown> = {};
  let hasCommon = false;
  for (const [name, value] of Object.entries(objectOf(operation.name, raw))) {
    if (COMMON_NAMES.has(name)) {
      common[name] = value;
      hasCommon = true;
    } else own[name] = value;
  }
  const input = parseArguments(operation, own, COMMON_LIST);
  return { input, common: hasCommon ? parseCommon(operation, common) : NO_COMMON };
}

/**
 * Parses an object by a strict schema, with aliases mapped to their names. If a name is unknown, `otherNames` are
 * suggested too. Throws Fault `invalid_input`.
 */
export function parseArguments(
  schema: ArgumentSchema,
  raw: unknown,
  otherNames: readonly string[] = [],
): Record<string, unknown> {
  const named: Record<string, unknown> = Object.create(null);
  const given = objectOf(schema.name, raw);
  for (const [name, value] of Object.entries(given)) {
    const target = aliasOf(schema, name);
    if (target === undefined) {
      named[name] = value;
      continue;
    }
    const other = Object.keys(given).find(
      (candidate) => candidate !== name && (candidate === target || aliasOf(schema, candidate) === target),
    );
    if (other !== undefined) {
      throw new Fault("invalid_input", `${schema.name}: ${name} and ${other} mean the same argument`, {
        hint: `Give only ${target}.`,
        details: { field: target },
      });
    }
    named[target] = value;
  }
  const known = () => [...Object.keys(schema.input.shape), ...otherNames];
  return parse(schema, strictOf(schema.input), named, known);
}

function parseCommon(operation: Operation, given: Record<string, unknown>): CommonArguments {
  const schema = operation.kind === "write" ? commonForWrites : commonForReads;
  const parsed: z.output<typeof commonForReads> & { idempotency_key?: unknown } = parse(
    { name: operation.name },
    schema,
    given,
    () => COMMON_LIST,
  );
  return {
    consistency: parsed.consistency ?? "session",
    minPosition: parsed.min_position,
    idempotencyKey: typeof parsed.idempotency_key === "string" ? parsed.idempotency_key : undefined,
  };
}

function aliasOf({ aliases }: ArgumentSchema, name: string): string | undefined {
  return aliases !== undefined && Object.hasOwn(aliases, name) ? aliases[name] : undefined;
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

/** Parses `value`. `known` returns the names to suggest for an unknown one. */
function parse<S extends z.ZodObject>(
  { name, example }: Pick<ArgumentSchema, "name" | "example">,
  schema: S,
  value: unknown,
  known: () => readonly string[],
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === "unrecognized_keys" && issue.path.length === 0);
  if (unknown?.code === "unrecognized_keys") throw unknownArgument(name, unknown.keys[0] ?? "", known());
  const { place, text } = describeIssue(parsed.error.issues[0], value);
  const such = example === undefined ? "" : `For example: ${JSON.stringify(example)}. `;
  throw new Fault("invalid_input", `${name}: ${text}`, {
    hint: `${such}The schema of ${name} is in /openapi.json and in the list of tools.`,
    details: place === "" ? {} : { field: place },
  });
}

function unknownArgument(name: string, given: string, known: readonly string[]): Fault {
  const near = nearest(given, known);
  return new Fault("invalid_input", `${name} has no argument ${JSON.stringify(given.slice(0, 80))}`, {
    hint: near === undefined ? `Known arguments: ${known.join(", ")}.` : `Did you mean ${near}?`,
    details: { field: given.slice(0, 80) },
  });
}
