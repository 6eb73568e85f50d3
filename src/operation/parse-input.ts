// Parses the arguments of a call: the operation's own by its schema, and the common ones. Maps aliases to the
// argument's name, and refuses an unknown name with the nearest known one. What else is taken for what: lenient.ts.

import { z } from "zod";
import { agentKeyOf } from "../lib/agent-key.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { sampleOf, typeOf } from "../lib/json-type.ts";
import { nearest } from "../lib/nearest.ts";
import { describeIssue, shownValue } from "../lib/schema-issue.ts";
import { isKeyed, type Operation } from "./define.ts";
import { MAX_PASSES, objectIn, parseLeniently } from "./lenient.ts";
import { COMMON_NAMES, commonInput, writeInput } from "./registry.ts";
import type { Consistency } from "./routing.ts";

/** The common arguments of a call. */
export interface CommonArguments {
  consistency: Consistency;
  minPosition: string | undefined;
  idempotencyKey: string | undefined;
  /** Key of the agent that `as` names. */
  agentKey: string | undefined;
}

/** What `parseArguments` needs of an operation, or of a part of its input. */
export interface ArgumentSchema {
  /** Its name in messages. */
  name: string;
  input: z.ZodObject;
  /** A complete input, for the hints of refusals. */
  example?: unknown;
  /** Values of arguments that the example lacks. */
  samples?: Readonly<Record<string, unknown>> | undefined;
  aliases?: Readonly<Record<string, string>>;
}

const COMMON: ReadonlySet<string> = new Set(COMMON_NAMES);
const COMMON_NAMES_OF_READS = COMMON_NAMES.filter((name) => !Object.hasOwn(writeInput.shape, name));
const COMMON_SAMPLES = {
  min_position: "1f3a9c0b22-7",
  as: "agent-0123456789abcdef0123456789abcdef",
  idempotency_key: "release-1.0-plan",
};
const NO_COMMON: CommonArguments = {
  consistency: "session",
  minPosition: undefined,
  idempotencyKey: undefined,
  agentKey: undefined,
};
const commonForReads = z.strictObject(commonInput.shape);
const commonForWrites = z.strictObject({ ...commonInput.shape, ...writeInput.shape });
const strictByInput = new WeakMap<z.ZodObject, z.ZodObject>();

/** The arguments of a call. */
export interface ParsedInput {
  input: Record<string, unknown>;
  common: CommonArguments;
  /**
   * All of them as they are sent on to another node: not parsed, under their own names, none that means "none", and
   * without `as`, which is a secret.
   */
  given: Record<string, unknown>;
}

/** How the values of arguments are taken: also for what they can only mean, or exactly as the schema has them. */
type Taking = "leniently" | "exactly";

/** Separates and parses both kinds of arguments. Throws Fault `invalid_input` with the path of the first problem. */
export function parseInput(operation: Operation, raw: unknown, taking: Taking = "leniently"): ParsedInput {
  const own: Record<string, unknown> = Object.create(null);
  const common: Record<string, unknown> = {};
  let hasCommon = false;
  for (const [name, value] of Object.entries(objectOf(operation, raw))) {
    if (COMMON.has(name)) {
      common[name] = value;
      hasCommon = true;
    } else own[name] = value;
  }
  const { data: input, given } = parseOwn(operation, own, commonNamesOf(operation), taking);
  if (!hasCommon) return { input, common: NO_COMMON, given };
  const parsed = parseCommon(operation, common, taking);
  return { input, common: parsed.common, given: { ...given, ...parsed.given } };
}

/** Parses an object by a strict schema, with aliases mapped to their names. Throws Fault `invalid_input`. */
export function parseArguments(schema: ArgumentSchema, raw: unknown): Record<string, unknown> {
  return parseOwn(schema, raw, [], "leniently").data;
}

/** If a name is unknown, `otherNames` are suggested too. */
function parseOwn(
  schema: ArgumentSchema,
  raw: unknown,
  otherNames: readonly string[],
  taking: Taking,
): Parsed<z.ZodObject> {
  const named: Record<string, unknown> = Object.create(null);
  const given = objectOf(schema, raw);
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
  return parse(schema, strictOf(schema.input), named, { known, taking });
}

/** Returns the names of the common arguments that an operation takes. */
function commonNamesOf(operation: Operation): readonly string[] {
  return isKeyed(operation) ? COMMON_NAMES : COMMON_NAMES_OF_READS;
}

function parseCommon(
  operation: Operation,
  { as, ...raw }: Record<string, unknown>,
  taking: Taking,
): { common: CommonArguments; given: Record<string, unknown> } {
  const { name, example = {} } = operation;
  const isNone = as === undefined || ((as === null || as === "") && taking === "leniently");
  const schema = isKeyed(operation) ? commonForWrites : commonForReads;
  const agentKey = isNone
    ? undefined
    : agentKeyOf(as, () => `${hintFor(schema, "as", { example, samples: COMMON_SAMPLES })} `);
  const { data, given } = parse({ name, example, samples: COMMON_SAMPLES }, schema, raw, {
    known: () => [...Object.keys(operation.input.shape), ...commonNamesOf(operation)],
    taking,
  });
  const common: z.output<typeof commonForReads> & { idempotency_key?: unknown } = data;
  const { consistency = "session", min_position: minPosition, idempotency_key: key } = common;
  const idempotencyKey = typeof key === "string" ? key : undefined;
  return { common: { consistency, minPosition, idempotencyKey, agentKey }, given };
}

function aliasOf({ aliases }: ArgumentSchema, name: string): string | undefined {
  return aliases !== undefined && Object.hasOwn(aliases, name) ? aliases[name] : undefined;
}

function objectOf({ name, example }: Pick<ArgumentSchema, "name" | "example">, raw: unknown): object {
  if (isObject(raw)) return raw;
  const meant = raw === null || raw === undefined || raw === "" ? {} : objectIn(raw);
  if (meant !== undefined) return meant;
  throw new Fault("invalid_input", `The arguments of ${name} are ${shownValue(raw)}, not an object`, {
    hint: `Send a JSON object, such as ${JSON.stringify(example ?? {})}.`,
  });
}

function strictOf(input: z.ZodObject): z.ZodObject {
  const known = strictByInput.get(input);
  if (known !== undefined) return known;
  const strict = input.strict();
  strictByInput.set(input, strict);
  return strict;
}

interface Parsed<S extends z.ZodObject> {
  data: z.output<S>;
  given: Record<string, unknown>;
}

/** Parses `value`. `known` returns the names to suggest for an unknown one. */
function parse<S extends z.ZodObject>(
  { name, example, samples }: Pick<ArgumentSchema, "name" | "example" | "samples">,
  schema: S,
  value: Record<string, unknown>,
  { known, taking }: { known: () => readonly string[]; taking: Taking },
): Parsed<S> {
  const parsed = parseLeniently(schema, value, taking === "exactly" ? 1 : MAX_PASSES);
  const given = parsed.given as Record<string, unknown>;
  if ("data" in parsed) return { data: parsed.data, given };
  const unknown = parsed.issues.find((issue) => issue.code === "unrecognized_keys" && issue.path.length === 0);
  if (unknown?.code === "unrecognized_keys") throw unknownArgument(name, unknown.keys[0] ?? "", known());
  const [issue] = parsed.issues;
  const { place, text } = describeIssue(issue, given);
  throw new Fault("invalid_input", `${name}: ${text}`, {
    hint: hintFor(schema, String(issue?.path[0] ?? ""), { example, samples }),
    details: place === "" ? {} : { field: place },
  });
}

/** Returns a call that has the argument, and what the argument takes. */
function hintFor(
  schema: z.ZodObject,
  argument: string,
  { example = {}, samples }: Pick<ArgumentSchema, "example" | "samples">,
): string {
  const shown = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }).properties?.[argument];
  if (!isObject(shown)) return `For example: ${JSON.stringify(example)}.`;
  const call = { ...(isObject(example) ? example : {}) };
  call[argument] ??= samples?.[argument] ?? sampleOf(shown);
  const about = typeof shown["description"] === "string" ? ` ${shown["description"]}` : "";
  return `For example: ${JSON.stringify(call)}. ${argument} takes ${typeOf(shown)}.${about}`;
}

function unknownArgument(name: string, given: string, known: readonly string[]): Fault {
  const near = nearest(given, known);
  return new Fault("invalid_input", `${name} has no argument ${JSON.stringify(given.slice(0, 80))}`, {
    hint: near === undefined ? `Known arguments: ${known.join(", ")}.` : `Did you mean ${near}?`,
    details: { field: given.slice(0, 80) },
  });
}
