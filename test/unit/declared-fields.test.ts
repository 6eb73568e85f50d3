// Every field of every kind of declarations, wrong in each way that its schema knows: of another type, out of bounds,
// null, unknown. Each is refused with the name of the field, and what was in force stays.

import { expect, test } from "bun:test";
import { z } from "zod";
import { FEATURES } from "../../src/features/index.ts";
import type { DeclaredKind } from "../../src/operation/declared-kind.ts";
import { judgeValue } from "../../src/operation/judge-declared.ts";
import { startDeclarations } from "../kit/declarations.ts";
import { eventually } from "../kit/eventually.ts";

type Json = Record<string, unknown>;
type Place = readonly (string | number)[];

const KINDS: readonly DeclaredKind[] = FEATURES.flatMap(({ declares = [] }) => declares);
const PROGRAM = {
  ...{ environment: ["PATH"], secrets: { TOKEN: "secret:API" }, grace: 5, labels: ["nightly"], space: "ops" },
  limits: { memory_bytes: 2 ** 30, processes: 100, cpus: 2 },
  ...{ folder: "/srv", description: "for tests" },
};
const WINDOW = { pattern: "0 3 * * 0", timezone: "Europe/Berlin" };
const PROBE = {
  ...{ where: "leader", interval: 60, retry: 5, timeout: 10, down: 3, up: 2, grace: 30, depends_on: ["router"] },
  ...{ maintenance: [{ ...WINDOW, minutes: 60 }], labels: ["nightly"], space: "ops", description: "for tests" },
};
/** Good declarations of each kind, which have all of its fields together. */
const GOOD: Readonly<Record<string, readonly Json[]>> = {
  probe: [
    {
      ...{ type: "http", target: "https://example.com/", network: "host", headers: { accept: "text/plain" } },
      expect: {
        ...{ status: [200, "3xx"], contains: "ok", json: [{ path: "/a", equals: "b", above: 1, below: 2 }] },
        ...{ latency_ms: 500, certificate_days: 7 },
      },
      ...{ ...PROBE, schedule: WINDOW, value: "/total" },
    },
    { ...PROBE, type: "tcp", target: "db.example:5432", tls: true },
    { ...PROBE, type: "dns", target: "example.com", record: "A", expect: { address: "192.0.2.1" } },
    { ...PROBE, type: "command", command: ["df"], environment: { TOKEN: "secret:API" }, expect: { exit_code: 0 } },
  ],
  action: [
    {
      ...{ argv: ["/bin/x", "{file}", "{count}"], where: "any", kind: "copying", timeout: 60, claim: 30 },
      ...{ attempts: 2, backoff: 5, keep: 3600, user: "nobody", output_bytes: 1024, exit_final: [3], ...PROGRAM },
      parameters: {
        file: {
          ...{ type: "string", description: "which", optional: true, default: "a.txt", one_of: ["a.txt", "b.txt"] },
          ...{ characters: "name", max_length: 20 },
        },
        count: { type: "integer", min: 1, max: 9 },
      },
    },
  ],
  schedule: [
    {
      ...{ pattern: "30 2 * * *", timezone: "UTC", catch_up: "once", action: "tidy", input: { file: "a" } },
      ...{ priority: 5, concurrency_key: "k", attempts: 2, paused: true, description: "for tests" },
    },
  ],
  rule: [
    {
      ...{ probe: "queue", above: 10, for_seconds: 60, at_most: 2, cool_down_seconds: 60, paused: false },
      start: { action: "tidy", input: { file: "a" }, priority: 5, attempts: 2 },
      description: "for tests",
    },
    { probe: "queue", below: 10, start: { action: "tidy" } },
  ],
  service: [
    {
      ...{ argv: ["/bin/wiki"], stop: ["/bin/stop"], ready_timeout: 30, status_interval: 10, status_failures: 3 },
      ...{ ready: { http: "/health", port: 8081 }, status: { argv: ["/bin/check"] }, port: 8080, primary: "mini" },
      ...{ backups: ["vm"], copies: "one", failback: "stable:60", lease: 15, fence: "resource", attempts: 3 },
      ...{ backoff: 2, enabled: true, ...PROGRAM, folder: "/srv", artifact: "9f".repeat(32) },
      deploy: { before: 1, within: 60, failed: { version: 2, reason: "it was not ready" } },
    },
    {
      ...{ argv: ["/bin/wiki"], ready: { argv: ["/bin/check"] }, status: { http: "/", port: 80 } },
      ...{ where: "label:gpu", user: "nobody" },
      while: { probe: "queue", above: 5, for_seconds: 30, cool_down_seconds: 60 },
    },
    { unit: "wiki.service", ready: { http: "/", port: 80 }, lease: 60 },
    { argv: ["/bin/wiki"], while: { probe: "queue", below: 5 } },
  ],
};

interface Node {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Node[];
  properties?: Record<string, Node>;
  additionalProperties?: Node | boolean;
  propertyNames?: Node;
  items?: Node;
  [bound: string]: unknown;
}

/** The schemas that a value may have. */
const choices = (schema: Node): Node[] => schema.anyOf?.flatMap(choices) ?? [schema];
const typesOf = (schema: Node): string[] =>
  choices(schema).flatMap(({ type, enum: all, const: one }) => type ?? [...(all ?? [one])].map((each) => typeof each));

/** A value of each type. */
const SAMPLES: Readonly<Record<string, unknown>> = {
  ...{ null: null, boolean: true, number: 1.5, string: "x", array: [], object: {} },
};

/** Values that a schema does not take. */
function wrongOf(schema: Node, value: unknown): unknown[] {
  const types = new Set(typesOf(schema).map((type) => (type === "integer" ? "number" : type)));
  // A schema without a type takes anything.
  if (types.has("undefined")) return [];
  const wrong = Object.entries(SAMPLES).flatMap(([type, sample]) => (types.has(type) ? [] : [sample]));
  const all = choices(schema);
  const only = all.length === 1 ? all[0] : undefined;
  if (all.every((each) => each.enum !== undefined || each.const !== undefined)) wrong.push("another");
  if (only === undefined) return wrong;
  const { type, pattern } = only;
  const bound = (name: string) => (typeof only[name] === "number" ? (only[name] as number) : undefined);
  const [low, high] = [bound("minimum"), bound("maximum")];
  if (low !== undefined) wrong.push(low - 1);
  if (high !== undefined) wrong.push(high + 1);
  if (type === "integer") wrong.push(1.5, 2 ** 60);
  const [shortest, longest] = [bound("minLength"), bound("maxLength")];
  if (shortest !== undefined && shortest > 0) wrong.push("");
  if (longest !== undefined) wrong.push("x".repeat(longest + 1));
  if (pattern !== undefined) wrong.push("\0\n");
  const [fewest, most] = [bound("minItems"), bound("maxItems")];
  if (fewest !== undefined && fewest > 0) wrong.push([]);
  if (most !== undefined && Array.isArray(value)) wrong.push(Array.from({ length: most + 1 }, () => value[0]));
  return wrong;
}

interface Field {
  at: Place;
  schema: Node;
  value: unknown;
}

/** Every value within a declaration, with the schema of its place. */
function fieldsOf(schema: Node, value: unknown, at: Place = []): Field[] {
  const within = (key: string | number, sub: Node | boolean | undefined, each: unknown) =>
    typeof sub === "object" ? fieldsOf(sub, each, [...at, key]) : [];
  const [only] = choices(schema).filter(({ properties, items }) => properties !== undefined || items !== undefined);
  const one = only ?? schema;
  const deeper = Array.isArray(value)
    ? value.flatMap((each, index) => within(index, one.items, each))
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, each]) =>
          within(key, one.properties?.[key] ?? one.additionalProperties, each),
        )
      : [];
  return [{ at, schema: one, value }, ...deeper];
}

/** The fields that a schema has, without those within records. */
function namesOf(schema: Node, at = ""): string[] {
  const all = choices(schema).flatMap(({ properties = {}, items }) => [
    ...Object.entries(properties).flatMap(([name, each]) => [`${at}${name}`, ...namesOf(each, `${at}${name}.`)]),
    ...(items === undefined ? [] : namesOf(items, at)),
  ]);
  return all;
}

function replaced(value: unknown, [first, ...rest]: Place, by: unknown): unknown {
  if (first === undefined) return by;
  if (Array.isArray(value)) return value.map((each, index) => (index === first ? replaced(each, rest, by) : each));
  return { ...(value as Json), [first]: replaced((value as Json)[first], rest, by) };
}

/** Each wrong declaration of a kind, with the field that is wrong. */
function wrongOnes(kind: DeclaredKind, good: Json): { field: string; value: Json }[] {
  const schema = z.toJSONSchema(kind.schema, { io: "input" }) as Node;
  return fieldsOf(schema, good).flatMap((field) => {
    const { at, value } = field;
    const place = at.join(".");
    const others = at.length === 0 ? [] : wrongOf(field.schema, value);
    const wrong = others.map((by) => ({ field: place, value: replaced(good, at, by) as Json }));
    const { additionalProperties: more, propertyNames: names } = field.schema;
    const unknown = (name: string, named: string) => ({
      field: named,
      value: replaced(good, at, { ...(value as Json), [name]: 1 }) as Json,
    });
    if (more === false) wrong.push(unknown("tpyo", "tpyo"));
    if (names !== undefined && names["pattern"] !== undefined) wrong.push(unknown("a b\n", place));
    return wrong;
  });
}

const cases = KINDS.flatMap((kind) => (GOOD[kind.kind] ?? []).map((good, at) => ({ kind, good, at, name: kind.kind })));

test("each kind has good declarations, which name all of its fields", () => {
  expect(KINDS.map(({ kind }) => kind).toSorted()).toEqual(Object.keys(GOOD).toSorted());
  for (const kind of KINDS) {
    const schema = z.toJSONSchema(kind.schema, { io: "input" }) as Node;
    const given = (GOOD[kind.kind] ?? []).flatMap((good) =>
      fieldsOf(schema, good).map(({ at }) => at.filter((key) => typeof key === "string").join(".")),
    );
    const lacking = namesOf(schema).filter((name) => !given.includes(name));
    expect([kind.kind, lacking]).toEqual([kind.kind, []]);
  }
});

test.each(cases)("$name $at: each wrong field is refused by its name", ({ kind, good }) => {
  expect(judgeValue(kind, "it", good)).toHaveProperty("value");
  const wrong = wrongOnes(kind, good);
  expect(wrong.length).toBeGreaterThan(20);
  const unnamed = wrong.flatMap(({ field, value }) => {
    const judged = judgeValue(kind, "it", value);
    const problem = "problem" in judged ? judged.problem : "it was taken";
    return problem.includes(field) ? [] : [{ field, problem, value: JSON.stringify(value).slice(0, 400) }];
  });
  expect(unnamed).toEqual([]);
});

test("after each wrong version the last good one stays in force, whole, and a condition counts them", async () => {
  await using node = startDeclarations({ kinds: KINDS });
  const wrong = cases.flatMap(({ kind, good }) => wrongOnes(kind, good).map((each) => ({ ...each, kind, good })));
  // Each has a declaration of its own; every seventh is enough to go through the log.
  const some = wrong.filter((_, at) => at % 7 === 0).map((each, at) => ({ ...each, name: `n${at}` }));
  const write = async (content: (each: (typeof some)[number]) => Json) => {
    for (let at = 0; at < some.length; at += 64) {
      const part = some.slice(at, at + 64);
      const writes = part.map((each) => ({
        ...{ operation: "context_put", id: `fleet/${each.kind.place}/${each.name}`, content: content(each) },
      }));
      await node.call("context_many", { writes });
    }
  };
  const listed = async () =>
    (await node.call("declaration_list", {}))["declarations"] as (Json & { name: string; newest: number })[];
  const areJudged = (version: number) => async () => {
    const all = await listed();
    return all.length === some.length && all.every(({ newest }) => newest === version);
  };
  await write(({ good }) => good);
  await eventually("the good ones are judged", areJudged(1), { withinMs: 30_000 });
  await write(({ value }) => value);
  await eventually("the wrong ones are judged", areJudged(2), { withinMs: 30_000 });
  const byName = new Map((await listed()).map((each) => [each.name, each]));
  for (const { name, field, good } of some) {
    expect(byName.get(name)).toMatchObject({ in_force: 1, newest: 2, declared: good });
    expect(String(byName.get(name)?.["problem"])).toContain(field);
  }
  const text = await eventually("the condition", () => node.conditionText("declaration_refused"));
  expect(text).toEndWith(`(${some.length} in all)`);
  expect(node.conditions.list(() => false)[0]?.text).toBe(`${some.length} declarations are refused`);
  for (const kind of KINDS) {
    const names = some.filter((each) => each.kind === kind).map(({ name }) => name);
    expect(node.declarations.list(kind).map(({ name, version }) => [name, version])).toEqual(
      names.toSorted().map((name) => [name, 1]),
    );
  }
  await write(({ good }) => good);
  await eventually("the condition ends", () => node.conditionText("declaration_refused") === undefined, {
    withinMs: 30_000,
  });
}, 120_000);
