// The list of features is whole, its manifests name what is there, and what is derived from them refuses mistakes.

import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ALL_CONDITIONS, CLEARED_BY_FORK, FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { LOG_TABLES } from "../../src/log/digest.ts";
import { read } from "../../src/operation/define.ts";
import { clearedByFork, conditionsOf, digestTablesOf, eventTypesOf, migrationsOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { Registry } from "../../src/operation/registry.ts";
import { ServiceKey, Services } from "../../src/operation/services.ts";

const src = join(dirname(dirname(import.meta.dir)), "src");
const registry = new Registry(OPERATIONS);

test("every folder of src/features is in the list, by its name", () => {
  const folders = readdirSync(join(src, "features"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.length).toBeGreaterThan(1);
  const names = FEATURES.map(({ name }) => name);
  expect(folders.map(({ name }) => name).filter((name) => !names.includes(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
});

test("manifests name operations that are there", () => {
  const named = FEATURES.flatMap(({ commands = [], changes, prompts = [], edge = [], instructions, resources }) => [
    ...commands.map(({ operation }) => operation),
    ...(changes === undefined ? [] : [changes.readBy, ...changes.operations, changes.waitedBy ?? changes.readBy]),
    ...prompts.flatMap(({ needs }) => needs),
    ...edge.map(({ operation }) => operation),
    ...(instructions === undefined ? [] : [instructions.writers.operation]),
    ...(resources === undefined ? [] : [resources.list, resources.read, resources.complete].map((by) => by.operation)),
  ]);
  const names = OPERATIONS.map(({ name }) => name);
  expect(named.filter((name) => !names.includes(name))).toEqual([]);
  const words = FEATURES.flatMap(({ commands = [] }) => commands.map((command) => command.words.join(" ")));
  expect(new Set(words).size).toBe(words.length);
});

test("an edge caches the reads that are defined as cacheable, and no others", () => {
  const cached = FEATURES.flatMap(({ edge = [] }) => edge.map(({ operation }) => operation));
  const cacheable = OPERATIONS.filter((operation) => operation.kind === "read" && operation.cacheable === true);
  expect(cached.toSorted()).toEqual(cacheable.map(({ name }) => name).toSorted());
});

test("the lists of this build come from all features", () => {
  expect(CLEARED_BY_FORK).toEqual(clearedByFork(FEATURES));
  // The members of the history before, and those that could have become one, are none of the new one.
  expect(CLEARED_BY_FORK.toSorted()).toEqual(["members", "tickets"]);
  const codes = FEATURES.flatMap(({ conditions = {} }) => Object.keys(conditions));
  expect(Object.keys(ALL_CONDITIONS)).toEqual(expect.arrayContaining(codes));
});

test("a digest has the tables of the log and a feature's own order and decoding", () => {
  const decode = (row: Record<string, unknown>) => row;
  const tables: Feature["tables"] = [
    { name: "a", scope: "replicated", fork: "keep", sql: "SELECT * FROM a ORDER BY id", decode: decode as never },
    { name: "b", scope: "node", fork: "keep" },
    { name: "c", scope: "replicated", fork: "clear" },
  ];
  const found = digestTablesOf([{ name: "x", tables }]);
  expect(found).toEqual([
    ...LOG_TABLES,
    { name: "a", sql: "SELECT * FROM a ORDER BY id", decode: decode as never },
    { name: "c", sql: "SELECT * FROM c" },
  ]);
});

test("a migration left out, an event type of another form and a part provided twice or never are refused", () => {
  const step = (id: number) => ({ name: `f${id}`, migrations: [{ id, level: 1, sql: "" }] });
  expect(() => migrationsOf([step(1), step(3)])).toThrow("migration 3 of f3 should have the id 2");
  for (const type of ["cairn.a", "cairn.a.b.c", "cairn.A.b", "a.b.c"])
    expect(() => eventTypesOf([{ name: "x", events: { [type]: "x" } }])).toThrow("is not cairn.<noun>.<verb>");
  const both = (feature: Omit<Feature, "name">) => ["x", "y"].map((name) => ({ ...feature, name }));
  expect(() => eventTypesOf(both({ events: { "cairn.a.b": "x" } }))).toThrow("cairn.a.b is declared twice");
  const [condition] = Object.entries(FEATURES.find(({ conditions }) => conditions !== undefined)?.conditions ?? {});
  expect(condition).toBeDefined();
  expect(() => conditionsOf(both({ conditions: Object.fromEntries([condition ?? []]) }))).toThrow("the same code");
  const levels = [2, 1].map((level, index) => ({ id: index + 1, level, sql: "" }));
  expect(() => migrationsOf([{ name: "f", migrations: levels }])).toThrow("migration 2 of f has too low a level");
  const first = { name: "f", migrations: [{ id: 1, level: 0, sql: "" }] };
  expect(() => migrationsOf([first])).toThrow("migration 1 of f has too low a level");
  const key = new ServiceKey<string>("the part");
  expect(() => new Services().get(key)).toThrow("nothing provides the part");
  expect(() => new Services().provide(key, "a").provide(key, "b")).toThrow("the part is provided twice");
});

test("a definition that contradicts itself is refused, one that is not offered is not listed", () => {
  const echo = (more: object) =>
    read({
      ...{ name: "echo", title: "Echo", description: "Returns nothing.", output: z.object({}) },
      input: z.object({ a: z.string().optional(), b: z.string().optional() }),
      access: { verb: "read", spaces: "visible" },
      run: () => ({}),
      ...more,
    });
  const made = (more: object) => () => new Registry([echo(more)]);
  expect(made({ aliases: { id: "c" } })).toThrow("id cannot be an alias of c");
  expect(made({ aliases: { b: "a" } })).toThrow("b cannot be an alias of a");
  expect(made({ waits: true })).toThrow("no argument since");
  expect(made({ name: "Echo" })).toThrow("is not an operation name");
  expect(() => new Registry([echo({}), echo({})])).toThrow("same name");
  expect(new Registry([echo({ offered: () => false })]).list()).toEqual([]);
  const names = registry.list().map(({ operation }) => operation.name);
  expect(names).toEqual(names.toSorted());
  for (const { inputSchema } of registry.list()) expect(inputSchema["additionalProperties"]).toBe(false);
});
