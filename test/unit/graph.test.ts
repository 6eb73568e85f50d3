// The knowledge graph: what its tools store, read and refuse, that writers lose nothing, and its file. The same calls
// against the original: test/contract/graph-original.test.ts.

import { describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { readPart } from "../../src/features/memory/graph/change.ts";
import {
  graphFeature,
  graphFile,
  importGraph,
  memoryFeature,
  parseGraphFile,
} from "../../src/features/memory/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { localAdmin } from "../kit/core.ts";
import { Searched } from "../kit/search.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { checkUsage } from "../kit/usage.ts";

type Json = Record<string, unknown>;

const features = [agentFeature, contextFeature, memoryFeature, graphFeature];
const start = () => startSessions({ features });
const ann = user("ann");
const SECRET = `ghp_${"Ab3dEf9h".repeat(5).slice(0, 36)}`;
const entity = (name: string, ...observations: string[]) => ({ name, entityType: "thing", observations });
const relation = (from: string, to: string, relationType = "knows") => ({ from, to, relationType });
const code = (expected: string) => ({ code: expected });

describe("the graph of a space", () => {
  test("is contexts: each entity has its own, with its history", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const graph = (operation: string, input: Json) => who.call(operation, { ...input, space: "team-a" });
    await graph("create_entities", { entities: [entity("Ann Lee/x", "one"), entity("ann lee/x", "two")] });
    await graph("create_relations", { relations: [relation("Ann Lee/x", "ann lee/x"), relation("a", "b")] });
    await graph("add_observations", { observations: [{ entityName: "Ann Lee/x", contents: ["three"] }] });
    const { contexts } = (await who.call("context_list", { prefix: "team-a/memory/graph/" })) as { contexts: Json[] };
    expect(contexts.map(({ id, version, title }) => [String(id).replace(/~\w+$/, "~"), version, title])).toEqual([
      ["team-a/memory/graph/entities/Ann-Lee-x~", 2, "Ann Lee/x"],
      ["team-a/memory/graph/entities/ann-lee-x~", 1, "ann lee/x"],
      ["team-a/memory/graph/relations/4", 1, "Relations of a knowledge graph, part 4"],
      ["team-a/memory/graph/relations/c", 1, "Relations of a knowledge graph, part c"],
    ]);
    expect(await graph("read_graph", {})).toMatchObject({
      entities: [entity("Ann Lee/x", "one", "three"), entity("ann lee/x", "two")],
      relations: [relation("Ann Lee/x", "ann lee/x"), relation("a", "b")],
    });
    expect(await who.call("read_graph")).toMatchObject({ entities: [], relations: [] });
    checkUsage(core);
  });

  test("keeps the order in which entities and relations were made, also in one call", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const names = Array.from({ length: 40 }, (_, at) => `n${(at * 7) % 40}`);
    await who.call("create_entities", { entities: names.map((name) => entity(name)) });
    await who.call("create_relations", { relations: names.map((name) => relation(name, "n0")) });
    await who.call("delete_entities", { entityNames: ["n7"] });
    await who.call("create_entities", { entities: [entity("n7")] });
    const after = [...names.filter((name) => name !== "n7"), "n7"];
    const { entities, relations } = (await who.call("read_graph")) as { entities: Json[]; relations: Json[] };
    expect(entities.map(({ name }) => String(name))).toEqual(after);
    expect(relations.map(({ from }) => String(from))).toEqual(after.slice(0, -1));
  });

  test("loses an entity with the relations that start or end at it, however many, in one command", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const hub = Array.from({ length: 300 }, (_, at) => relation(`e${at}`, "hub"));
    await who.call("create_entities", { entities: [entity("hub"), entity("e1")] });
    await who.call("create_relations", { relations: [...hub, relation("hub", "e1"), relation("e1", "e2")] });
    const before = core.log.position().seq;
    await who.call("delete_entities", { entityNames: ["hub"] });
    expect(core.log.position().seq - before).toBe(17);
    const operations = core.store.reader.all("SELECT DISTINCT operation, log_time FROM changes WHERE seq > ?", before);
    expect(operations).toHaveLength(1);
    expect(await who.call("read_graph")).toMatchObject({ entities: [entity("e1")], relations: [relation("e1", "e2")] });
  });

  test("may have more relations than one command writes; some of all are not taken away", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const names = Array.from({ length: 900 }, (_, at) => `n${at}`);
    const between = (type: string) => names.map((name) => relation(name, "hub", type.repeat(1900)));
    for (const type of "abc") await who.call("create_relations", { relations: between(type) });
    expect(
      await who.call("create_relations", { relations: names.map((name) => relation(name, "hub", "d")) }),
    ).toMatchObject({
      relations: { length: 900 },
    });
    const some = names.map((name) => relation(name, "hub", "d"));
    await expect(who.call("delete_relations", { relations: some })).rejects.toMatchObject(code("too_large"));
    await who.call("delete_relations", { relations: [relation("n5", "hub", "d")] });
    await who.call("create_entities", { entities: [entity("hub")] });
    const { relations } = (await who.call("open_nodes", { names: ["hub"] })) as { relations: unknown[] };
    expect(relations).toHaveLength(3599);
    await who.call("delete_entities", { entityNames: ["hub"] });
    expect(await who.call("read_graph")).toMatchObject({ relations: [] });
    checkUsage(core);
  });

  test("changes as a whole or not at all", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    await who.call("create_entities", { entities: [entity("there")] });
    const missing = [
      { entityName: "there", contents: ["x"] },
      { entityName: "missing", contents: ["y"] },
    ];
    await expect(who.call("add_observations", { observations: missing })).rejects.toMatchObject({
      ...{ code: "not_found", message: "Entity with name missing not found" },
    });
    const many = Array.from({ length: 49 }, (_, at) => entity(`n${at}`));
    await expect(who.call("create_entities", { entities: many })).rejects.toMatchObject(code("invalid_input"));
    const large = Array.from({ length: 48 }, (_, at) => entity(`n${at}`, "x".repeat(100_000)));
    await expect(who.call("create_entities", { entities: large })).rejects.toMatchObject(code("too_large"));
    expect(await who.call("read_graph")).toMatchObject({ entities: [entity("there")] });
  });

  test("is of those who may read and write its space", async () => {
    await using core = start();
    const reader = new Someone(core, user("rob", { role: "reader", spaces: ["team-a"] }));
    const other = new Someone(core, user("zoe", { role: "member", spaces: ["team-z"] }));
    const space = "team-a";
    await new Someone(core, ann).call("create_entities", { entities: [entity("x")], space });
    expect(await reader.call("open_nodes", { names: ["x"], space })).toMatchObject({ entities: [entity("x")] });
    for (const [who, operation, input] of [
      [reader, "create_entities", { entities: [entity("y")], space }],
      [reader, "graph_import", { entities: [entity("y")], space }],
      [other, "read_graph", { space }],
      [other, "open_nodes", { names: ["x"], space }],
      [other, "create_relations", { relations: [relation("x", "y")], space }],
      [new Someone(core, ann), "create_entities", { entities: [entity("x")], space: "fleet" }],
      [new Someone(core, ann), "graph_import", { entities: [entity("x")], space: "_own" }],
    ] as const)
      await expect(who.call(operation, input)).rejects.toMatchObject(code("forbidden"));
  });

  test("has no secrets, and finds what was removed by the same words", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    await who.call("create_entities", { entities: [entity("key", `it is ${SECRET}`, "other")] });
    const stored = JSON.stringify(core.store.reader.all("SELECT CAST(content AS TEXT) AS text, title FROM versions"));
    expect(stored).not.toContain(SECRET);
    expect(stored).toContain("[scrubbed:");
    await who.call("delete_observations", { deletions: [{ entityName: "key", observations: [`it is ${SECRET}`] }] });
    expect(await who.call("read_graph")).toMatchObject({ entities: [entity("key", "other")] });
  });

  test("is found by search", async () => {
    await using found = new Searched({}, [memoryFeature, graphFeature]);
    const given = { entities: [entity("Ada Lovelace", "wrote the first program")], space: "team-a" };
    await found.core.call("create_entities", given, ann);
    const [hit] = await found.search("lovelace program", {}, ann);
    expect(hit).toMatchObject({ kind: "context", id: expect.stringContaining("/memory/graph/entities/Ada-Lovelace~") });
  });

  test("does not write over what is no part of it", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    await who.call("create_entities", { entities: [entity("x")] });
    const { contexts } = (await who.call("context_list", { prefix: "default/memory/graph/" })) as { contexts: Json[] };
    const id = String(contexts[0]?.["id"]);
    await who.call("context_put", { id, content: "a note" });
    expect(await who.call("read_graph")).toMatchObject({ entities: [] });
    await expect(who.call("create_entities", { entities: [entity("x")] })).rejects.toMatchObject(code("id_taken"));
    expect(await who.call("context_get", { id })).toMatchObject({ content: "a note" });
    // An entity of another name: there would be two of it.
    await who.call("create_entities", { entities: [entity("y", "true")] });
    await who.call("context_put", { id, content: { type: "entity", ...entity("y", "forged") } });
    const graph = { entities: [entity("y", "true")], relations: [relation("x", "y")] };
    await who.call("create_relations", { relations: graph.relations });
    expect(await who.call("read_graph")).toMatchObject(graph);
    await expect(who.call("create_entities", { entities: [entity("x")] })).rejects.toMatchObject(code("id_taken"));
    const listed = (await who.call("context_list", { prefix: "default/memory/graph/relations/" })) as {
      contexts: Json[];
    };
    const shard = String(listed.contexts[0]?.["id"]);
    await who.call("context_patch", { id: shard, format: "edit", patch: [{ op: "append", text: "a note\n" }] });
    expect(await who.call("read_graph")).toMatchObject(graph);
    for (const operation of ["create_relations", "delete_relations"]) {
      const relations = operation === "create_relations" ? [relation("x", "z")] : graph.relations;
      await expect(who.call(operation, { relations })).rejects.toMatchObject(code("id_taken"));
    }
    expect((await who.call("context_get", { id: shard }))["content"]).toEndWith("a note\n");
  });

  test("is not read beyond the bound of one call", async () => {
    const content = JSON.stringify(entity("x"));
    let pages = 0;
    const ask = async () => {
      pages += 1;
      const one = { id: `s/memory/graph/entities/${pages}`, etag: "1-a", created_at: "2026-01-01T00:00:00Z", content };
      return { contexts: [one], ...(pages < 50 ? { cursor: "more" } : {}) };
    };
    const reading = readPart(ask, "s", "all", { most: 10 * content.length });
    await expect(reading).rejects.toMatchObject({ code: "too_large", details: { limit: 10 * content.length } });
    expect(pages).toBe(11);
  });

  test("loses nothing of writers at the same time", async () => {
    await using core = start();
    const writers = Array.from({ length: 12 }, (_, at) => new Someone(core, user(`w${at}`)));
    const [one = new Someone(core, ann)] = writers;
    await one.call("create_entities", { entities: [entity("all")] });
    await Promise.all(
      writers.map(async (who, at) => {
        await who.call("add_observations", { observations: [{ entityName: "all", contents: [`o${at}`] }] });
        await who.call("create_relations", { relations: [relation("all", `e${at}`)] });
      }),
    );
    const { entities, relations } = (await one.call("read_graph")) as {
      entities: { observations: string[] }[];
      relations: unknown[];
    };
    expect(entities[0]?.observations.toSorted()).toEqual(writers.map((_, at) => `o${at}`).sort());
    expect(relations).toHaveLength(12);
  });

  test("takes a repeated call with its key as the same one", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const call = () => who.call("create_entities", { entities: [entity("x", "one")], idempotency_key: "key-1" });
    expect(await call()).toMatchObject({ entities: [entity("x", "one")] });
    await who.call("add_observations", { observations: [{ entityName: "x", contents: ["two"] }] });
    await call();
    expect(await who.call("read_graph")).toMatchObject({ entities: [entity("x", "one", "two")] });
  });
});

describe("memory.jsonl", () => {
  test("is read line by line, and each bad line is named", () => {
    const text = [
      '\uFEFF{"type":"entity","name":"a","entityType":"t","observations":["1"]}',
      "",
      '{"type":"entity","name":"a","entityType":"t","observations":["1","2"]}\r',
      '{"type":"relation","from":"a","to":"b","relationType":"r","more":1}',
      '{"type":"relation","from":"a","to":"b","relationType":"r"}',
      "not json",
      '{"type":"node","name":"x"}',
      '{"type":"entity","name":"x","observations":[]}',
      "[1]",
      '{"type":"entity","name":"\\ud800","entityType":"t","observations":[]}',
    ].join("\n");
    const { bad, ...graph } = parseGraphFile(text);
    expect(graph).toEqual({
      entities: [{ name: "a", entityType: "t", observations: ["1", "2"] }],
      relations: [{ from: "a", to: "b", relationType: "r" }],
      ...{ badLines: 5, repeated: 2 },
    });
    expect(bad.map(({ line }) => line)).toEqual([6, 7, 8, 9, 10]);
    expect(bad.map(({ problem }) => problem)).toEqual([
      expect.stringContaining("not JSON"),
      expect.stringContaining("neither"),
      expect.stringContaining("entityType"),
      expect.stringContaining("neither"),
      expect.stringContaining("name: must be well-formed Unicode"),
    ]);
  });

  test("is imported in parts, can be imported again, and comes back as it was", async () => {
    await using core = start();
    const names = Array.from({ length: 130 }, (_, at) => `n${at}`);
    const graph = {
      entities: names.map((name) => entity(name, `of ${name}`)),
      relations: names.map((name) => relation(name, "n0")),
    };
    const ask = (operation: string, input: Json) => core.call(operation, input, localAdmin);
    const none = { created: 0, extended: 0, related: 0, unchanged: 0 };
    expect(await importGraph(ask, graph, { dryRun: true })).toEqual({ ...none, created: 130, related: 130 });
    expect(await ask("read_graph", {})).toMatchObject({ entities: [] });
    const progress: number[] = [];
    const report = await importGraph(ask, graph, { onProgress: (done) => progress.push(done) });
    expect(report).toEqual({ ...none, created: 130, related: 130 });
    expect(progress).toEqual([48, 96, 130, 260]);
    expect(await importGraph(ask, graph)).toEqual({ ...none, unchanged: 260 });
    const more = { entities: [entity("n5", "of n5", "more", SECRET)], relations: [] };
    expect(await importGraph(ask, more)).toMatchObject({ extended: 1, scrubbed: [{ count: 1 }] });
    const { entities, relations } = (await ask("read_graph", {})) as typeof graph;
    expect(parseGraphFile(graphFile({ entities, relations }))).toMatchObject({ entities, relations, badLines: 0 });
  });

  test("that was cut off is finished by importing it again", async () => {
    await using core = start();
    const graph = { entities: Array.from({ length: 100 }, (_, at) => entity(`n${at}`)), relations: [] };
    let calls = 0;
    const failing = (operation: string, input: Json) => {
      calls += 1;
      if (calls === 2) throw new Fault("unavailable", "gone");
      return core.call(operation, input, localAdmin);
    };
    await expect(importGraph(failing, graph)).rejects.toMatchObject(code("unavailable"));
    const { entities } = (await core.call("read_graph", {}, localAdmin)) as { entities: unknown[] };
    expect(entities).toHaveLength(48);
    expect(await importGraph(failing, graph)).toMatchObject({ created: 52, unchanged: 48 });
  });
});
