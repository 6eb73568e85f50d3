// The knowledge graph of a node as its users reach it: the command line with its file, MCP over HTTP, and two processes
// that write at once.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { connect } from "../kit/mcp-client.ts";

let node: DevNode;

beforeAll(async () => {
  node = await startDevNode();
}, 60_000);

afterAll(() => node[Symbol.asyncDispose]());

const entity = (name: string, ...observations: string[]) =>
  JSON.stringify({ type: "entity", name, entityType: "person", observations });
const relation = (from: string, to: string) => JSON.stringify({ type: "relation", from, to, relationType: "knows" });
const graph = (words: string) => node.bash(`$CAIRN graph ${words}`);

test("a file is imported, exported and imported again without loss", async () => {
  const file = join(node.home, "memory.jsonl");
  const lines = [
    ...Array.from({ length: 120 }, (_, at) => entity(`n${at}`, `one of ${at}`, "é 💡")),
    ...Array.from({ length: 120 }, (_, at) => relation(`n${at}`, `n${(at * 7) % 120}`)),
  ];
  writeFileSync(file, lines.join("\n"));
  expect(await graph("import memory.jsonl --dry-run --space team-a")).toMatchObject({
    ...{ code: 0, err: "" },
    out: "120 entities new, 0 with more observations, 120 relations new, 0 as they were; nothing was written\n",
  });
  expect(await graph("export --space team-a")).toMatchObject({ code: 0, out: "" });
  expect(await graph("import memory.jsonl --space team-a")).toMatchObject({ code: 0 });
  expect(await graph("import - --space team-a < memory.jsonl")).toMatchObject({
    out: "0 entities new, 0 with more observations, 0 relations new, 240 as they were\n",
  });
  expect(await graph("export --space team-a")).toMatchObject({ code: 0, out: `${lines.join("\n")}\n`, err: "" });
  expect(await graph("export --space team-a --to out.jsonl")).toMatchObject({
    ...{ code: 0, out: "" },
    err: expect.stringContaining("out.jsonl: 120 entities, 120 relations"),
  });
  expect(readFileSync(join(node.home, "out.jsonl"), "utf8")).toBe(`${lines.join("\n")}\n`);
  expect(await graph("export --to out.jsonl")).toMatchObject({ err: expect.stringContaining("exists already") });
  expect(existsSync(join(node.home, "out.jsonl"))).toBe(true);
}, 60_000);

test("bad lines are named, and nothing is imported unless they are left out", async () => {
  const text = [entity("good"), "{", '{"type":"entity","name":1}', relation("good", "x"), "\u00ff"].join("\n");
  writeFileSync(join(node.home, "bad.jsonl"), Buffer.from(text, "latin1"));
  const refused = await graph("import bad.jsonl --space bad");
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(
    /bad\.jsonl has 3 lines that are no entity and no relation: line 2: .*; line 3: name: .*; line 5: /,
  );
  expect(refused.err).toContain("Nothing was imported");
  expect(await graph("export --space bad")).toMatchObject({ out: "" });
  const rest = await graph("import bad.jsonl --space bad --skip-bad");
  expect(rest).toMatchObject({ code: 0, out: expect.stringMatching(/^1 entity new, .*\n3 lines left out:\nline 2: /) });
  expect(await graph("export --space bad")).toMatchObject({ out: `${entity("good")}\n${relation("good", "x")}\n` });
  expect(await graph("import missing.jsonl")).toMatchObject({ code: 2, err: expect.stringContaining("missing.jsonl") });
}, 60_000);

test("two processes and two clients of MCP that write at once lose nothing", async () => {
  const url = `${node.url}/mcp/knowledge-graph`;
  await using one = await connect(url, "modern");
  await using two = await connect(url, "legacy");
  const call = async ({ client }: typeof one, name: string, input: Record<string, unknown>) =>
    await client.callTool({ name, arguments: { ...input, space: "both" } });
  await call(one, "create_entities", { entities: [{ name: "log", entityType: "t", observations: [] }] });
  const add = (contents: string[]) => ({ observations: [{ entityName: "log", contents }] });
  const inProcess = async (name: string) => {
    for (let at = 0; at < 4; at++) {
      const given = JSON.stringify({ ...add([`${name}${at}`]), space: "both" });
      expect(await node.bash(`$CAIRN call add_observations '${given}'`)).toMatchObject({ code: 0 });
    }
  };
  const overMcp = async (client: typeof one, name: string) => {
    for (let at = 0; at < 40; at++) {
      const result = await call(client, "add_observations", add([`${name}${at}`]));
      expect(result.isError ?? false).toBe(false);
    }
  };
  await Promise.all([inProcess("a"), inProcess("b"), overMcp(one, "c"), overMcp(two, "d")]);
  const { structuredContent } = await call(one, "open_nodes", { names: ["log"] });
  const [log] = (structuredContent as { entities: { observations: string[] }[] }).entities;
  const wanted = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}${at}`);
  const all = [...wanted("a", 4), ...wanted("b", 4), ...wanted("c", 40), ...wanted("d", 40)];
  expect(log?.observations.toSorted()).toEqual(all.sort());
}, 120_000);

test("the memory tool is at its own address", async () => {
  await using client = await connect(`${node.url}/mcp/memory-tool`, "modern");
  const run = async (input: Record<string, unknown>) => {
    const { content } = await client.client.callTool({ name: "memory", arguments: input });
    return (content as { text: string }[]).map(({ text }) => text).join("");
  };
  expect(await run({ command: "create", path: "/memories/a.md", file_text: "# A" })).toBe(
    "File created successfully at: /memories/a.md",
  );
  expect(await run({ command: "view", path: "/memories" })).toEndWith("3B\t/memories\n3B\t/memories/a.md");
});
