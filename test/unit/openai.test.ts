// The preset `openai`: search and fetch as OpenAI's contract has them, by real clients of both revisions, under the
// rights of the caller.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { openaiFeature } from "../../src/features/openai/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { URLS } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { callerWith } from "../kit/core.ts";
import { connect, ERAS } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";
import { Searched } from "../kit/search.ts";

const BASE = "https://cairn.tail1234.ts.net";

let urls: readonly string[] = [BASE, "http://other"];
let searched: Searched;
let server: McpServer;
let session: string;
let message: string;
let ann: Caller;

beforeAll(async () => {
  const node = new Services().provide(URLS, () => urls);
  const feature: Feature = { ...openaiFeature, operations: () => openaiFeature.operations?.(node) ?? [] };
  searched = new Searched({}, [feature]);
  const caller = (login: string, spaces: string[]) =>
    callerWith({ id: `n${login}`, login: `${login}@x`, grants: [{ role: "member", spaces }] });
  ann = caller("ann", ["team", "other"]);
  const tools = (space: string, names: string[]) => ({ role: "reader", spaces: [space], tools: names });
  const grants = [tools("team", ["openai_*", "context_get"]), tools("other", ["context_get"])];
  const eve = callerWith({ id: "neve", login: "eve@x", grants });
  const callers = { ann, bob: caller("bob", ["team"]), eve };
  server = startMcpServer(searched.core, { features: [contextFeature, sessionFeature, feature], callers });
  const { call } = searched.core;
  const more = { title: "Release plan", tags: ["release", "plan"], content: "ship the zeppelin on Friday" };
  await call("context_put", { id: "team/plan for ü?", ...more }, ann);
  await call("context_put", { id: "other/secret", content: "the zeppelin is late" }, ann);
  await call("context_put", { id: "team/data", content: { zeppelin: [1, 2] } }, ann);
  ({ session } = (await call("session_create", { space: "team", purpose: "work" }, ann)) as { session: string });
  ({ message } = (await call("message_post", { session, text: "who has the zeppelin?" }, ann)) as { message: string });
  const hidden = { session, text: "the zeppelin is mine", visibility: "private", to: [] };
  await call("message_post", hidden, ann);
});

afterAll(async () => {
  await server.stop();
  await searched[Symbol.asyncDispose]();
});

type Result = { id: string; title: string; url: string };

describe.each(ERAS)("%s client", (era) => {
  async function ask(who: string, name: string, given: Record<string, unknown>) {
    await searched.index.reach(searched.core.log.position().seq, 5000, AbortSignal.timeout(5000));
    await using one = await connect(`${server.url}/openai`, era, who);
    // A client checks structured content against the schema of the tool.
    await one.client.listTools();
    return await one.client.callTool({ name, arguments: given });
  }
  const results = async (who: string, query: string) => {
    const { structuredContent } = await ask(who, "search", { query });
    return (structuredContent as { results: Result[] }).results;
  };

  test("the two tools are read-only, take one text each and say how their answers look", async () => {
    await using one = await connect(`${server.url}/openai`, era, "ann");
    const { tools } = await one.client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(["fetch", "search"]);
    expect(tools.map(({ inputSchema: { properties, required } }) => [Object.keys(properties ?? {}), required])).toEqual(
      [
        [["id"], ["id"]],
        [["query"], ["query"]],
      ],
    );
    expect(tools.map(({ outputSchema }) => Object.keys(outputSchema?.properties ?? {}))).toEqual([
      ["id", "title", "text", "url", "metadata"],
      ["results"],
    ]);
    for (const { annotations } of tools)
      expect(annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false });
    expect(one.client.getInstructions()).toContain("search finds by words");
  });

  test("search returns ids, titles and URLs, as structured content and as the same JSON in one text", async () => {
    const { structuredContent, content } = await ask("ann", "search", { query: "zeppelin" });
    const found = structuredContent as { results: Result[] };
    expect(Object.keys(found)).toEqual(["results"]);
    expect(content).toEqual([{ type: "text", text: JSON.stringify(structuredContent) }]);
    for (const one of found.results) expect(Object.keys(one)).toEqual(["id", "title", "url"]);
    expect(found.results).toContainEqual({
      ...{ id: "team/plan for ü?", title: "Release plan" },
      url: `${BASE}/ui/contexts/team/plan%20for%20%C3%BC%3F`,
    });
    expect(found.results).toContainEqual({
      ...{ id: "team/data", title: "team/data", url: `${BASE}/ui/contexts/team/data` },
    });
    expect(found.results).toContainEqual({
      ...{ id: `message:///${session}/${message}`, title: `Message of user:ann@x in ${session}` },
      url: `${BASE}/ui/sessions/${session}#${message}`,
    });
    expect(await results("ann", "nothingofthatkind")).toEqual([]);
  });

  test("fetch returns the text of each result with its metadata", async () => {
    for (const { id, title, url } of await results("ann", "zeppelin")) {
      const { structuredContent, content } = await ask("ann", "fetch", { id });
      expect(content).toEqual([{ type: "text", text: JSON.stringify(structuredContent) }]);
      expect(Object.keys(structuredContent as object)).toEqual(["id", "title", "text", "url", "metadata"]);
      expect(structuredContent).toMatchObject({ id, title, url, text: expect.stringContaining("zeppelin") });
    }
    const { structuredContent } = await ask("ann", "fetch", { id: "team/plan for ü?" });
    expect(structuredContent).toMatchObject({
      text: "ship the zeppelin on Friday",
      metadata: {
        ...{ kind: "context", space: "team", version: "1", author: "user:ann@x", tags: "release, plan" },
        updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    });
    const json = await ask("ann", "fetch", { id: "team/data" });
    expect(json.structuredContent).toMatchObject({ text: '{"zeppelin":[1,2]}' });
  });

  test("a long document comes in parts, and metadata.next leads through all of it", async () => {
    const whole = "0123456789".repeat(15_000);
    const id = `team/long/${era}?`;
    await searched.core.call("context_put", { id, content: whole }, ann);
    let text = "";
    let parts = 0;
    for (let next: string | undefined = id; next !== undefined; parts += 1) {
      const { structuredContent, content } = await ask("ann", "fetch", { id: next });
      expect(content).toEqual([{ type: "text", text: JSON.stringify(structuredContent) }]);
      const part = structuredContent as { text: string; metadata: { next?: string; total_chars: string } };
      expect(part.metadata.total_chars).toBe("150000");
      text += part.text;
      next = part.metadata.next;
    }
    expect([parts, text === whole]).toEqual([3, true]);
  });

  test("what one may not read is not found by words and not by its id", async () => {
    const found = await results("bob", "zeppelin");
    expect(found.map(({ id }) => id).sort()).toEqual(
      [`message:///${session}/${message}`, "team/data", "team/plan for ü?"].sort(),
    );
    for (const id of ["other/secret", "cairn:///other%2Fsecret", "cairn:///other%2Fsecret?chars=1-"]) {
      const refused = await ask("bob", "fetch", { id });
      expect([id, refused.isError, JSON.stringify(refused.content)]).toEqual([
        id,
        true,
        expect.stringContaining("other"),
      ]);
      expect(JSON.stringify(refused)).not.toContain("late");
    }
    const mine = await results("ann", "mine");
    expect(mine).toHaveLength(1);
    expect(await results("bob", "mine")).toEqual([]);
    const refused = await ask("bob", "fetch", { id: mine[0]?.id });
    expect([refused.isError, JSON.stringify(refused.content)]).toEqual([true, expect.stringContaining("no message")]);
  });

  test("fetch is a tool of the space of what it fetches", async () => {
    expect((await ask("eve", "fetch", { id: "team/data" })).isError).not.toBe(true);
    const refused = await ask("eve", "fetch", { id: "other/secret" });
    expect([refused.isError, JSON.stringify(refused.content)]).toEqual([
      true,
      expect.stringContaining("may not use fetch in space"),
    ]);
  });

  test("an id that is none is refused in words", async () => {
    for (const id of [
      "team/none",
      "cairn:///",
      "cairn:///%",
      "message:///team/x/m_0",
      "\u0000",
      "cairn:///a?chars=9-1",
    ]) {
      const refused = await ask("ann", "fetch", { id });
      expect([id, refused.isError, refused.structuredContent]).toEqual([id, true, undefined]);
    }
  });

  test("a node that has no address yet names what it found by a URI", async () => {
    urls = [];
    try {
      const found = await results("ann", "zeppelin");
      expect(found.map(({ url }) => url)).toContain("cairn:///team%2Fplan%20for%20%C3%BC%3F");
      expect(found.map(({ url }) => url)).toContain(`message:///${session}/${message}`);
    } finally {
      urls = [BASE];
    }
  });
});
