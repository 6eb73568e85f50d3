// The arguments of tools by the rules of the programs that pass them to models: what OpenAI, Gemini and google-genai
// refuse in a function declaration occurs in none, and each argument has one type.

import { expect, test } from "bun:test";
import { OPERATIONS } from "../../src/features/index.ts";
import { isObject } from "../../src/lib/json-object.ts";
import { toolInput } from "../../src/mcp/tool-schema.ts";
import { COMMON_NAMES, Registry } from "../../src/operation/registry.ts";
import { whoami } from "../../src/operation/whoami.ts";

type Json = Record<string, unknown>;

const registry = new Registry([...OPERATIONS.filter(({ name }) => name !== "whoami"), whoami]);
const tools = registry
  .list()
  .map(({ operation: { name }, inputSchema }) => ({ name, input: toolInput(inputSchema, COMMON_NAMES) as Json }));

/** Calls `visit` for a schema and all schemas in it. */
function walk(schema: Json, place: string, visit: (schema: Json, place: string) => void): void {
  visit(schema, place);
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  for (const [name, property] of Object.entries(properties)) walk(property as Json, `${place}.${name}`, visit);
  if (schema["items"] !== undefined) walk(schema["items"] as Json, `${place}[]`, visit);
}

/** Returns what OpenAI refuses of a function, without `strict` and with it. */
function refusedByOpenAi(name: string, input: Json): string[] {
  const refused: string[] = [];
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(name)) refused.push(`${name} is no function name`);
  if (!isObject(input["properties"])) refused.push(`${name}: object schema missing properties`);
  const known = ["type", "description", "properties", "required", "items", "enum", "format"];
  const bounds = ["minimum", "maximum", "minItems", "maxItems"];
  walk(input, name, (schema, place) => {
    for (const keyword of Object.keys(schema))
      if (![...known, ...bounds].includes(keyword)) refused.push(`${place}: ${keyword} is not permitted`);
    if (typeof schema["type"] !== "string") refused.push(`${place}: schema must have a 'type' key`);
    if (schema["type"] === "array" && !isObject(schema["items"])) refused.push(`${place}: array schema missing items`);
    const format = schema["format"];
    if (format !== undefined && format !== "date-time") refused.push(`${place}: format ${format} is not valid`);
  });
  return refused;
}

/** The members of a Schema of the Gemini API that JSON Schema has too. */
const GEMINI = [
  ...["type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required"],
  ...["minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering"],
  ...["default", "items", "minimum", "maximum"],
];

/** Returns what the Gemini API refuses of `parameters`, in the words of its errors. */
function refusedByGemini(name: string, input: Json): string[] {
  const refused: string[] = [];
  walk(input, name, (schema, place) => {
    for (const keyword of Object.keys(schema))
      if (!GEMINI.includes(keyword)) refused.push(`Unknown name "${keyword}" at ${place}`);
    const { type, properties, required, format } = schema;
    if (typeof type !== "string") refused.push(`${place}.type: must be one of the types`);
    const members = Object.keys((properties ?? {}) as object);
    if (type === "object" && members.length === 0 && place !== name)
      refused.push(`${place}.properties: should be non-empty for OBJECT type`);
    if (type !== "object" && (properties ?? required) !== undefined)
      refused.push(`${place}.properties: only allowed for OBJECT type`);
    for (const member of (required ?? []) as string[])
      if (!members.includes(member)) refused.push(`${place}.required: property ${member} is not defined`);
    if (type === "array" && schema["items"] === undefined) refused.push(`${place}.items: missing field`);
    if (type === "string" && format !== undefined && format !== "date-time" && format !== "enum")
      refused.push(`${place}.format: only 'enum' and 'date-time' are supported for STRING type`);
    const choices = (schema["enum"] ?? []) as unknown[];
    if (choices.some((choice) => typeof choice !== "string" || choice === ""))
      refused.push(`${place}.enum: cannot be empty`);
  });
  return refused;
}

/** Returns what the Python google-genai cannot make of a tool: it has one type a schema, and whole bounds. */
function refusedByGoogleGenai(name: string, input: Json): string[] {
  const refused: string[] = [];
  walk(input, name, (schema, place) => {
    const type = String(schema["type"]).toUpperCase();
    if (!["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"].includes(type))
      refused.push(`${place}: ${type} is no Type`);
    if (Object.hasOwn(schema, "additionalProperties"))
      refused.push(`${place}: additionalProperties is not supported in the Gemini API`);
    for (const bound of ["minimum", "maximum", "minItems", "maxItems"])
      if (schema[bound] !== undefined && !Number.isSafeInteger(schema[bound])) refused.push(`${place}: ${bound}`);
  });
  return refused;
}

test.each(tools)("the arguments of $name are taken by OpenAI, Gemini and google-genai", ({ name, input }) => {
  expect(refusedByOpenAi(name, input)).toEqual([]);
  expect(refusedByGemini(name, input)).toEqual([]);
  expect(refusedByGoogleGenai(name, input)).toEqual([]);
});

test("the rules see what they are for", () => {
  const whole = registry.get("context_many")?.inputSchema ?? {};
  expect(refusedByOpenAi("context_many", whole)).toContain("context_many: $schema is not permitted");
  expect(refusedByGemini("context_many", whole)).toContain('Unknown name "additionalProperties" at context_many');
  expect(refusedByGoogleGenai("context_put", registry.get("context_put")?.inputSchema ?? {})).toContain(
    "context_put.content: UNDEFINED is no Type",
  );
});

test("every argument of every operation has one type; only a document, a patch, the data of an event and what it is compared with take any JSON", () => {
  const free: string[] = [];
  for (const { operation, inputSchema } of registry.list()) {
    walk(inputSchema, operation.name, (schema, place) => {
      if (typeof schema["type"] !== "string") free.push(place);
    });
  }
  expect(free).toEqual([
    "context_many.writes[].content",
    "context_many.writes[].patch",
    "context_patch.patch",
    "context_put.content",
    "event_publish.data",
    "event_replay.rules[].match.conditions[].value",
    "event_replay_count.rules[].match.conditions[].value",
    "event_stats.rules[].match.conditions[].value",
    "memory_store.value",
    "set_memory.value",
    "subscription_change.rules[].match.conditions[].value",
    "subscription_create.rules[].match.conditions[].value",
    "subscription_test.rules[].match.conditions[].value",
  ]);
});

test("no tool lists the arguments that all take, and each says what its own are for", () => {
  for (const { name, input } of tools) {
    const own = Object.entries((input["properties"] ?? {}) as Record<string, Json>);
    const operation = registry.get(name)?.operation;
    // It says what the tool of the other product says.
    const isAlike = operation?.alike !== undefined;
    for (const [argument, { description }] of own) {
      expect([name, argument, COMMON_NAMES.includes(argument)]).toEqual([name, argument, false]);
      if (operation?.access.verb !== "admin" && !isAlike)
        expect([name, argument, typeof description]).toEqual([name, argument, "string"]);
    }
  }
});
