// The list of tools: how much of a model's context it takes, how its tools are found by clients that load them on
// demand, and the preset with the few for daily work.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tokensOf } from "../../scripts/page-presets.ts";
import { FEATURES } from "../../src/features/index.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { connect, ERAS } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

const CORE = [
  "context_delete",
  "context_get",
  "context_grep",
  "context_history",
  "context_list",
  "context_patch",
  "context_put",
  "context_wait",
  "prime",
];
let core: Core;
let server: McpServer;

beforeAll(async () => {
  core = startCore();
  const grants = [{ role: "member", spaces: ["team"] }];
  server = startMcpServer(core, { callers: { team: callerWith({ id: "nTEAM", login: "t@x", grants }) } });
  await core.call("context_put", { id: "team/x", content: "text" });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

const open = (era: (typeof ERAS)[number], preset = "") => connect(`${server.url}${preset}`, era, "team");

describe.each(ERAS)("%s client", (era) => {
  test("the list of the core preset has at most 3,500 tokens, the whole one at most 5,500", async () => {
    await using few = await open(era, "?preset=core");
    await using all = await open(era);
    const tokens = async (one: typeof few) => tokensOf((await one.client.listTools()).tools);
    expect(await tokens(few)).toBeLessThanOrEqual(3500);
    expect(await tokens(all)).toBeLessThanOrEqual(5500);
  });

  test("what all tools take is said once, to every connection", async () => {
    for (const preset of ["", "?preset=core", "?preset=read-only"]) {
      await using one = await open(era, preset);
      const said = one.client.getInstructions() ?? "";
      expect(said.length).toBeLessThanOrEqual(1500);
      for (const argument of ["min_position", "consistency", "idempotency_key"]) expect(said).toContain(argument);
      const listed = JSON.stringify((await one.client.listTools()).tools.map(({ inputSchema }) => inputSchema));
      for (const argument of ["min_position", "consistency", "idempotency_key"]) expect(listed).not.toContain(argument);
    }
    // They are taken, though no tool lists them.
    await using one = await open(era);
    const input = { id: "team/x", consistency: "any", min_position: core.invoker.position() };
    expect((await one.client.callTool({ name: "context_get", arguments: input })).isError).not.toBe(true);
  });

  test("tools are found by the words that people use", async () => {
    await using one = await open(era, "?preset=core");
    const { tools } = await one.client.listTools();
    const found = (word: string) =>
      tools
        .filter(({ title, description, _meta }) =>
          [title, description, _meta?.["anthropic/searchHint"]].join(" ").toLowerCase().includes(word),
        )
        .map(({ name }) => name);
    expect(found("remember")).toContain("context_put");
    expect(found("forget")).toEqual(["context_delete"]);
    for (const word of ["search", "grep"]) expect(found(word)).toContain("context_grep");
    for (const name of ["prime", "context_get", "context_list", "context_put"]) {
      for (const word of ["memor", "note", "handoff"])
        expect([name, word, found(word)]).toContainEqual(expect.arrayContaining([name]));
    }
    for (const { name, title = "", _meta } of tools) {
      expect([name, title]).toEqual([name, expect.stringMatching(/^[A-Z][^\n]{3,60}$/)]);
      expect([name, _meta?.["anthropic/searchHint"]]).toEqual([name, expect.stringMatching(/^[a-z][^\n]{5,100}$/)]);
    }
    const always = tools.filter(({ _meta }) => _meta?.["anthropic/alwaysLoad"] === true).map(({ name }) => name);
    expect(always).toEqual(["context_get", "context_put", "prime"]);
  });

  test("a client that puts long results away is asked to show a part of a document whole", async () => {
    await using one = await open(era);
    const { tools } = await one.client.listTools();
    const sizes = tools.map(({ name, _meta }) => [name, _meta?.["anthropic/maxResultSizeChars"]]);
    expect(sizes.filter(([, size]) => size !== undefined)).toEqual([["context_get", 180_000]]);
    // Each line end is two characters in JSON, and a document of 60,000 is sent in one part.
    await core.call("context_put", { id: "team/long", content: "\n".repeat(60_000) });
    const { content } = await one.client.callTool({ name: "context_get", arguments: { id: "team/long" } });
    const [{ text = "" } = {}] = content as { text?: string }[];
    expect(text).toContain(JSON.stringify("\n".repeat(60_000)));
    expect(text.length).toBeLessThanOrEqual(180_000);
  });

  test("the core preset offers these tools and no others, with the caller's own rights", async () => {
    await using one = await open(era, "?preset=core");
    expect((await one.client.listTools()).tools.map(({ name }) => name)).toEqual(CORE);
    const written = await one.client.callTool({ name: "context_put", arguments: { id: "team/y", content: "y" } });
    expect(written.structuredContent).toMatchObject({ version: expect.any(Number) });
    const other = await one.client.callTool({ name: "context_put", arguments: { id: "other/y", content: "y" } });
    expect(other.isError).toBe(true);
    const refused = one.client.callTool({ name: "context_many", arguments: { writes: [] } });
    await expect(refused).rejects.toThrow("Unknown tool: context_many");
    await using all = await open(era);
    expect((await all.client.listTools()).tools.map(({ name }) => name)).toContain("context_many");
    const many = { writes: [{ operation: "context_delete", id: "team/y" }] };
    expect((await all.client.callTool({ name: "context_many", arguments: many })).isError).not.toBe(true);
  });
});

test("every tool of every operation says by which words it is found", () => {
  const operations = operationsOf(FEATURES, new Services());
  const tools = operations.filter(
    ({ access, isTool, ...operation }) =>
      access.verb !== "admin" && isTool !== false && (operation.kind !== "write" || operation.internal !== true),
  );
  for (const { name, search } of tools)
    expect([name, search]).toEqual([name, expect.stringMatching(/^[a-z][^\n]{5,100}$/)]);
  expect(new Set(tools.map(({ search }) => search)).size).toBe(tools.length);
});

test("a session of the core preset is none of the caller's other connections", async () => {
  await using few = await open("legacy", "?preset=core");
  const headers = {
    "content-type": "application/json",
    "x-test-caller": "team",
    "mcp-session-id": few.transport.sessionId ?? "",
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 9, method: "tools/list" });
  expect((await fetch(server.url, { method: "POST", headers, body })).status).toBe(404);
  expect((await fetch(`${server.url}?preset=core`, { method: "POST", headers, body })).status).toBe(200);
});

test("what is no preset is refused with those that are", async () => {
  for (const query of ["?preset=cores", "?preset=core&preset=core", "?preset=core&x=1", "?core"]) {
    const refused = await fetch(`${server.url}${query}`, { method: "POST", body: "{}" });
    expect([query, refused.status]).toEqual([query, 400]);
    expect(await refused.text()).toContain("/mcp?preset=core");
  }
});
