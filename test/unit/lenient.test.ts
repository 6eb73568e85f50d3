// Arguments as clients really send them: what can mean but one thing is taken, everything else is refused with field,
// value, what is wanted and an example. And documents that are JSON text keep every digit.

import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { OPERATIONS } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { MAX_PASSES, parseLeniently } from "../../src/operation/lenient.ts";
import { parseArguments, parseInput } from "../../src/operation/parse-input.ts";
import { type Core, startCore } from "../kit/core.ts";

type Json = Record<string, unknown>;

let core: Core;
beforeAll(() => {
  core = startCore();
});
afterAll(() => core[Symbol.asyncDispose]());

/** Returns what an operation runs with. */
function inputOf(name: string, raw: unknown): Json {
  const operation = OPERATIONS.find((one) => one.name === name);
  if (operation === undefined) throw new Error(`there is no ${name}`);
  const { input, common } = parseInput(operation, raw);
  const shared = { min_position: common.minPosition, key: common.idempotencyKey };
  return { ...input, ...Object.fromEntries(Object.entries(shared).filter(([, value]) => value !== undefined)) };
}

test.each<[string, string, unknown, Json]>([
  ["null for what is optional", "context_list", { prefix: null, limit: null, cursor: null, consistency: null }, {}],
  ["null for no arguments", "context_list", null, {}],
  ['"" for no arguments', "context_list", "", {}],
  ["arguments as JSON text", "context_get", '{"id":"a/b","version":2}', { id: "a/b", version: 2 }],
  [
    '"" where a value cannot be empty',
    "context_get",
    { id: "a/b", at: "", format: "", min_position: "" },
    { id: "a/b" },
  ],
  ['"" for an optional id', "context_wait", { id: "", since: "", prefix: "a/" }, { prefix: "a/" }],
  ['"" for a condition and a key', "context_delete", { id: "a/b", if_match: "", idempotency_key: "" }, { id: "a/b" }],
  ["null for no agent", "context_list", { as: null, limit: 5 }, { limit: 5 }],
  ['"" for no agent', "context_list", { as: "", limit: 5 }, { limit: 5 }],
  ["a key as it is", "context_delete", { id: "a/b", idempotency_key: "k1" }, { id: "a/b", key: "k1" }],
  ["a number as text", "context_list", { limit: "20" }, { limit: 20 }],
  ["a number as text with spaces", "context_get", { id: "a/b", version: " 3 " }, { id: "a/b", version: 3 }],
  ["true as text", "context_list", { current: "true" }, { current: true }],
  ["false as text", "context_list", { current: "false" }, { current: false }],
  ["a list as text", "context_list", { fields: '["id","title"]' }, { fields: ["id", "title"] }],
  ["numbers in a list as text", "context_purge", { id: "a/b", versions: '["1",2]' }, { id: "a/b", versions: [1, 2] }],
  [
    "a title may be empty",
    "context_put",
    { id: "a/b", content: "x", title: "" },
    { id: "a/b", content: "x", title: "" },
  ],
  ["a prefix may be empty", "context_list", { prefix: "" }, { prefix: "" }],
  ["content is what it is", "context_put", { id: "a/b", content: null }, { id: "a/b", content: null }],
])("%s is taken: %s %j", (_what, name, raw, input) => {
  expect(inputOf(name, raw)).toEqual(input);
});

test("what is optional may be null at any depth, within lists and members that are optional too", () => {
  const part = z.object({ a: z.string().min(1).optional(), n: z.number().default(7) });
  const schema = z.object({ list: z.array(part).optional(), one: part.default({ n: 1 }) });
  const given = { list: [{ a: null }, { a: "x", n: "2" }], one: { a: "", n: null } };
  expect(parseLeniently(schema, given, MAX_PASSES)).toMatchObject({
    data: { list: [{ n: 7 }, { a: "x", n: 2 }], one: { n: 7 } },
  });
  expect(parseLeniently(schema, { list: [null] }, MAX_PASSES)).toHaveProperty("issues");
});

test("a caller that wants it has its arguments taken exactly as the schema has them", () => {
  const list = OPERATIONS.find(({ name }) => name === "context_list");
  if (list === undefined) throw new Error("there is no context_list");
  for (const raw of [{ limit: "20" }, { prefix: null }, { consistency: null }, { as: "" }, { as: null }])
    expect(() => parseInput(list, raw, "exactly")).toThrow(Fault);
  expect(parseInput(list, { limit: 20 }, "exactly").input).toEqual({ limit: 20 });
});

const VALUES = { tags: '["a"]', title: null, content_type: "", if_match: null };

test("a list of writes may be text, and each write is as lenient as alone; digits in it stay", async () => {
  const writes = `[{"operation":"context_put","id":"len/1","content":{"n":12345678901234567890},"tags":"[\\"a\\"]"},
    {"operation":"context_put","id":"len/2","content":"x","if_match":"","title":null,"content_type":""}]`;
  expect(await core.call("context_many", { writes })).toMatchObject({ results: [{ version: 1 }, { version: 1 }] });
  const { content, tags } = await core.call("context_get", { id: "len/1", format: "text" });
  expect([content, tags]).toEqual(['{"n":12345678901234567890}', ["a"]]);
  expect(await core.call("context_get", { id: "len/2" })).toMatchObject({ content: "x", title: "" });
});

test("what was taken for something else is so on the node that the call is sent to", () => {
  const operation = OPERATIONS.find(({ name }) => name === "context_put");
  if (operation === undefined) throw new Error("no context_put");
  const raw = { key: "a/b", text: "x", ...VALUES, min_position: "", idempotency_key: "7", consistency: "any" };
  const { given } = parseInput(operation, raw);
  const common = { idempotency_key: "7", consistency: "any" };
  expect({ ...given }).toEqual({ id: "a/b", content: "x", tags: ["a"], ...common });
  expect(parseInput(operation, given)).toEqual({ ...parseInput(operation, raw), given });
});

test.each<[string, unknown, string, string, string]>([
  ["context_list", { limit: "many" }, "limit", 'it is "many"', '"limit":20}. limit takes integer 1–500. At most'],
  ["context_list", { limit: "12345678901234567890" }, "limit", 'it is "12345678901234567890"', "integer 1–500"],
  ["context_list", { current: "yes" }, "current", 'it is "yes"', "current takes"],
  ["context_list", { fields: "title" }, "fields", 'it is "title"', '"fields":["id"]}'],
  ["context_list", { tag: { a: 1 } }, "tag", 'it is {"a":1}', "tag takes text. Only"],
  ["context_list", { tag: 2026 }, "tag", "it is 2026", "tag takes text. Only"],
  ["context_get", { id: null }, "id", "it is null", '{"id":"team-a/plan"}'],
  ["context_get", { id: "" }, "id", "an id has 1 to 256 characters", '{"id":"team-a/plan"}'],
  ["context_get", {}, "id", "id is missing", '{"id":"team-a/plan"}'],
  ["context_put", { id: "a/b", content: "x", tags: "a, b" }, "tags", 'it is "a, b"', '"tags":["release"]'],
  ["context_put", { id: "a/b", content: "x", tags: '["a"' }, "tags", "expected array, received string", "list of text"],
  ["context_list", { consistency: "strong" }, "consistency", 'it is "strong"', '"any", "session", "leader"'],
  ["context_diff", { id: "a/b", from: 1.5 }, "from", "it is 1.5", "from takes integer from 1. The older version."],
  ["context_list", { updated_since: "yesterday" }, "updated_since", 'it is "yesterday"', "2026-01-31T09:00:00Z"],
])("%s %j is refused with field, value, what is wanted and an example", (name, raw, field, came, wanted) => {
  const fault = faultOf(() => inputOf(name, raw));
  expect(fault.code).toBe("invalid_input");
  expect(fault.message).toStartWith(`${name}: `);
  expect(fault.message).toContain(came);
  expect(fault.hint).toStartWith("For example: {");
  expect(fault.hint).toContain(wanted);
  expect(fault.details["field"]).toBe(field);
});

test("no refusal of an argument points to a page", () => {
  for (const operation of OPERATIONS) {
    for (const name of Object.keys(operation.input.shape)) {
      const said = faultOf(() => inputOf(operation.name, { [name]: [[{}]] }), true);
      // Beside the URLs of an example that has some.
      const hint = (said?.hint ?? "").replaceAll(/"https:[^"]*"/g, "");
      expect(hint).not.toMatch(/openapi|docs\/|list of tools|https?:/);
    }
  }
  expect(faultOf(() => inputOf("context_get", "a/b")).message).toBe(
    'The arguments of context_get are "a/b", not an object',
  );
});

test("a refusal is about the argument that is wrong, also within it and where none is", () => {
  const input = z.object({ a: z.strictObject({ b: z.number() }).optional() });
  expect(faultOf(() => parseArguments({ name: "toy", input }, 5)).hint).toContain("such as {}");
  const within = faultOf(() => parseArguments({ name: "toy", input }, { a: { b: 1, c: 2 } }));
  expect(String(within.details["field"])).toStartWith("a");
  const never = input.refine(() => false, "never");
  expect(faultOf(() => parseArguments({ name: "toy", input: never }, {})).message).toContain("never");
});

test("routes shaped for HTTP take values exactly, and operations by name leniently", async () => {
  const list = OPERATIONS.find(({ name }) => name === "context_list");
  if (list === undefined) throw new Error("no context_list");
  for (const given of [{ limit: "5" }, { cursor: "" }, { tag: null }, { min_position: "" }])
    expect(faultOf(() => parseInput(list, given, "exactly")).code).toBe("invalid_input");
  expect((await core.http("/contexts?cursor=")).status).toBe(400);
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ cursor: "", limit: "5" });
  expect((await core.http("/operations/context_list", { method: "POST", headers, body })).status).toBe(200);
  const empty = { ...headers, "if-match": "" };
  const put = await core.http("/contexts/len/guard", { method: "PUT", headers: empty, body: "1" });
  const named = {
    method: "POST",
    headers: { ...headers, "idempotency-key": "" },
    body: '{"id":"len/x","content":"x"}',
  };
  expect([put.status, (await core.http("/operations/context_put", named)).status]).toEqual([400, 400]);
});

test("a value that fits is never changed", () => {
  const list = OPERATIONS.find(({ name }) => name === "context_list");
  if (list === undefined) throw new Error("no context_list");
  const values = fc.record(
    {
      prefix: fc.string({ maxLength: 20 }),
      limit: fc.integer({ min: 1, max: 500 }),
      tag: fc.string({ minLength: 1, maxLength: 20 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(fc.property(values, (given) => expect(inputOf("context_list", given)).toEqual({ ...given })));
});

test.each<[string, Json, string, unknown]>([
  ["the text of an object", { content: ' {"a": 12345678901234567890}' }, "application/json", { a: 1 }],
  ["the text of an array", { content: "[1]" }, "application/json", [1]],
  ["an object", { content: { a: 1 } }, "application/json", { a: 1 }],
  ["the text of a number", { content: "12345678901234567890" }, "text/plain", "12345678901234567890"],
  ["the text of a string", { content: '"a"' }, "text/plain", '"a"'],
  ["what only looks like JSON", { content: "{ not json }" }, "text/plain", "{ not json }"],
  ["several JSON lines", { content: '{"a":1}\n{"a":2}\n' }, "text/plain", '{"a":1}\n{"a":2}\n'],
  ["what parsers read differently", { content: '{"a":1,"a":2}' }, "text/plain", '{"a":1,"a":2}'],
  ["JSON text that is meant as text", { content: "[1]", content_type: "text/markdown" }, "text/markdown", "[1]"],
])("%s is stored by what it is, and the answer says as what", async (what, given, type, content) => {
  const id = `types/${Bun.hash(what)}`;
  expect(await core.call("context_put", { id, ...given })).toMatchObject({ content_type: type });
  const read = await core.call("context_get", { id });
  expect(read).toMatchObject({ content_type: type });
  if (what === "the text of an object") {
    expect(JSON.stringify(read["content"])).toBe('{"a":12345678901234567890}');
    expect(await core.call("context_get", { id, format: "text" })).toMatchObject({ content: given["content"] });
  } else expect(read["content"]).toEqual(content);
});

test.each<[string, string, unknown, string]>([
  ["a text", "text/markdown", "# b", "text/markdown"],
  ["a text that is JSON", "text/markdown", "[1]", "text/markdown"],
  ["a value", "text/markdown", { a: 1 }, "application/json"],
  ["a value", "application/geo+json", { a: 1 }, "application/geo+json"],
  ["the text of a value", "application/geo+json", "[1]", "application/geo+json"],
  ["a text", "application/geo+json", "b", "text/plain"],
  ["the text of a value", "text/plain", "[1]", "application/json"],
  ["a text", "application/json", "b", "text/plain"],
])("%s without a type over %s keeps that type where it can", async (what, before, content, type) => {
  const id = `types/${Bun.hash(`${what} over ${before}`)}`;
  await core.call("context_put", { id, content: "[]", content_type: before });
  expect(await core.call("context_put", { id, content })).toMatchObject({ version: 2, content_type: type });
  const many = await core.call("context_many", { writes: [{ operation: "context_put", id, content }] });
  expect(many).toMatchObject({ results: [{ version: 3, content_type: type }] });
  await core.call("context_delete", { id });
  expect(await core.call("context_put", { id, content: "b" })).toMatchObject({ content_type: "text/plain" });
});

test("a patch is JSON text with all its digits, or the value itself", async () => {
  const id = "types/patched";
  await core.call("context_put", { id, content: '{"big": 12345678901234567890, "list": []}' });
  await core.call("context_patch", { id, format: "merge", patch: '{"other": 98765432109876543210}' });
  await core.call("context_patch", { id, format: "json-patch", patch: [{ op: "add", path: "/list/-", value: 1 }] });
  const steps = '[{"op":"add","path":"/list/-","value":11111111111111111111}]';
  expect(await core.call("context_patch", { id, format: "json-patch", patch: steps })).toMatchObject({
    content_type: "application/json",
  });
  expect(JSON.stringify((await core.call("context_get", { id }))["content"])).toBe(
    '{"big":12345678901234567890,"list":[1,11111111111111111111],"other":98765432109876543210}',
  );
});

function faultOf(run: () => unknown): Fault;
function faultOf(run: () => unknown, mayPass: true): Fault | undefined;
function faultOf(run: () => unknown, mayPass = false): Fault | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  if (mayPass) return undefined;
  throw new Error("nothing was refused");
}
