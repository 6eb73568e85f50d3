// The list of features is whole, its manifests name what is there, and what is derived from them refuses mistakes.

import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ALL_CONDITIONS, CLEARED_BY_FORK, FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { LOG_TABLES } from "../../src/log/digest.ts";
import { read } from "../../src/operation/define.ts";
import {
  agentTableOf,
  changeRulesOf,
  cleanCopyOf,
  clearedByFork,
  conditionsOf,
  digestTablesOf,
  eventTypesOf,
  migrationsOf,
  searchedOf,
} from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { Registry } from "../../src/operation/registry.ts";
import { ServiceKey, Services } from "../../src/operation/services.ts";
import { startCore } from "../kit/core.ts";

const src = join(dirname(dirname(import.meta.dir)), "src");
const registry = new Registry(OPERATIONS);

/** Folders that are no features, but mechanisms of others. */
const MECHANISMS = ["process"];

test("every folder of src/features is in the list, by its name", () => {
  const folders = readdirSync(join(src, "features"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.length).toBeGreaterThan(1);
  const names = FEATURES.map(({ name }) => name);
  expect(folders.map(({ name }) => name).filter((name) => !names.includes(name))).toEqual(MECHANISMS);
  expect(new Set(names).size).toBe(names.length);
});

test("manifests name operations that are there", () => {
  const named = FEATURES.flatMap(
    ({ commands = [], changes, prompts = [], edge = [], preset, resources, ...feature }) => [
      ...commands.map(({ operation }) => operation),
      ...(changes === undefined ? [] : [changes.readBy, ...changes.operations, changes.waitedBy ?? changes.readBy]),
      ...prompts.flatMap(({ needs }) => needs),
      ...edge.map(({ operation }) => operation),
      ...[feature.instructions, preset?.instructions].flatMap((part) => part?.writers?.operation ?? []),
      ...(preset?.tools ?? []),
      ...(resources === undefined
        ? []
        : [resources.list, resources.read, resources.complete].map((by) => by.operation)),
    ],
  );
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

test("a read that takes how long it may wait is one that waits, which other nodes and programs have to know", () => {
  const timed = OPERATIONS.filter(
    ({ kind, input }) => kind === "read" && Object.hasOwn(input.shape, "timeout_seconds"),
  );
  expect(timed.map(({ name }) => name)).toContain("lease_wait");
  const waits = OPERATIONS.filter((each) => each.kind === "read" && each.waits === true);
  expect(timed.map(({ name }) => name)).toEqual(waits.map(({ name }) => name));
});

test("the lists of this build come from all features", () => {
  expect(CLEARED_BY_FORK).toEqual(clearedByFork(FEATURES));
  // The members of the history before, and those that could have become one, are none of the new one.
  expect(CLEARED_BY_FORK.toSorted()).toEqual(["fleet_states", "members", "tickets"]);
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

test("a copy for another member has no rows of this node, and all others", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "a/x", content: 1 });
  core.store.transaction((tx) => {
    tx.run("INSERT INTO refusals (caller, verb, space, minute, operation, count) VALUES ('c', 'read', 's', 1, 'o', 1)");
    // A store of a lower level lacks tables.
    cleanCopyOf([...FEATURES, { name: "x", tables: [{ name: "later", scope: "node", fork: "keep" }] }])(tx);
  });
  const count = (table: string) => core.store.reader.get(`SELECT COUNT(*) AS count FROM ${table}`);
  expect([count("refusals"), count("versions"), count("changes")]).toEqual([{ count: 0 }, { count: 1 }, { count: 1 }]);
});

test("changes that not everyone sees are judged by the rule of their feature, and agents and sources are of one", () => {
  const mayRead = () => false;
  const changes = { operations: ["a_put", "a_drop"], readBy: "a_get" } as never as NonNullable<Feature["changes"]>;
  const rules = changeRulesOf([
    { name: "a", changes: { ...changes, mayRead } },
    { name: "b", changes: { ...changes, operations: ["b_put"] } },
    { name: "c" },
  ]);
  expect([...rules]).toEqual([
    ["a_put", mayRead],
    ["a_drop", mayRead],
  ]);
  const agents = { byKey: () => undefined, saw: () => {} };
  expect(agentTableOf([{ name: "a" }, { name: "b", agents }])).toBe(agents);
  expect(() => agentTableOf(["a", "b"].map((name) => ({ name, agents })))).toThrow("two features have agents");
  const source = (kind: string) => ({ name: kind, searched: [{ kind }] as never });
  expect(searchedOf([source("a"), source("b"), { name: "c" }]).map(({ kind }) => kind)).toEqual(["a", "b"]);
  expect(() => searchedOf([source("a"), source("a")])).toThrow("two sources have the same kind");
});

const KIND = { when: "x", subject: "x", operations: [] };

test("a migration left out, an event type of another form and a part provided twice or never are refused", () => {
  const step = (id: number) => ({ name: `f${id}`, migrations: [{ id, level: 1, sql: "" }] });
  expect(() => migrationsOf([step(1), step(3)])).toThrow("migration 3 of f3 should have the id 2");
  for (const type of ["cairn.a", "cairn.a.b.c", "cairn.A.b", "a.b.c"])
    expect(() => eventTypesOf([{ name: "x", events: { [type]: KIND } }])).toThrow("is not cairn.<noun>.<verb>");
  const both = (feature: Omit<Feature, "name">) => ["x", "y"].map((name) => ({ ...feature, name }));
  expect(() => eventTypesOf(both({ events: { "cairn.a.b": KIND } }))).toThrow("cairn.a.b is declared twice");
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
  expect(made({ hints: { idempotent: true } })).toThrow("echo only reads");
  expect(made({ atLeader: true, hints: { idempotent: true } })).not.toThrow();
  expect(() => new Registry([echo({}), echo({})])).toThrow("same name");
  expect(new Registry([echo({ offered: () => false })]).list()).toEqual([]);
  const internal = OPERATIONS.flatMap((each) => (each.kind === "write" && each.internal === true ? [each.name] : []));
  expect(internal).toContain("lease_expire");
  for (const name of internal) expect(() => registry.find(name)).toThrow("There is no operation");
  const names = registry.list().map(({ operation }) => operation.name);
  expect(names).toEqual(names.toSorted());
  for (const { inputSchema } of registry.list()) expect(inputSchema["additionalProperties"]).toBe(false);
});
