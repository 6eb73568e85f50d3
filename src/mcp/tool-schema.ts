// The arguments of a tool as models see them: of its JSON Schema only what function calling takes everywhere. Arguments
// are judged by the whole schema in any case (operation/parse-input.ts).

import { isObject } from "../lib/json-object.ts";

type Json = Record<string, unknown>;

/**
 * Keywords that pass as they are. OpenAI (strict), Gemini and google-genai refuse or lose others: `$schema`, `pattern`,
 * lengths of texts, `additionalProperties`, `const`, unions.
 */
const KEPT = ["description", "enum", "minimum", "maximum", "minItems", "maxItems"];

/**
 * Returns the input of a tool without the arguments in `left`. An argument of any JSON value, and an object whose
 * members are not listed, which Gemini refuses, is given as its text.
 */
export function toolInput(schema: Json, left: readonly string[]): { type: "object"; [key: string]: unknown } {
  return { type: "object", ...membersOf(schema, left) };
}

function membersOf(schema: Json, left: readonly string[] = []): Json {
  const own = Object.entries(isObject(schema["properties"]) ? schema["properties"] : {});
  const properties = own
    .filter(([name]) => !left.includes(name))
    .map(([name, argument]) => [name, argumentOf(isObject(argument) ? argument : {})] as const);
  const { required } = schema;
  return { properties: Object.fromEntries(properties), ...(Array.isArray(required) && { required }) };
}

function argumentOf(schema: Json): Json {
  const { format, items } = schema;
  const isOpen = schema["type"] === "object" && schema["properties"] === undefined;
  const type = isOpen ? "string" : (schema["type"] ?? "string");
  const shown: Json = { type };
  for (const keyword of KEPT) if (isTelling(keyword, schema[keyword])) shown[keyword] = schema[keyword];
  if (format === "date-time") shown["format"] = format;
  if (type === "array") shown["items"] = argumentOf(isObject(items) ? items : {});
  return type === "object" ? { ...shown, ...membersOf(schema) } : shown;
}

/** Reports whether a keyword says something: whole numbers have the bounds of a double everywhere. */
function isTelling(keyword: string, value: unknown): boolean {
  if (value === undefined) return false;
  return !((keyword === "minimum" || keyword === "maximum") && Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER);
}
