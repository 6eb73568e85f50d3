// Searches at a node that runs: the command line, HTTP, the page in a browser, a kill while it indexes.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { localHttp } from "../kit/agent.ts";
import { callAt } from "../kit/call-at.ts";
import { Browser, chromium } from "../kit/chromium.ts";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";
import { spawnNode } from "../kit/node.ts";

const PICTURES = join(dirname(dirname(import.meta.dir)), "build", "screenshots");

let node: DevNode;

beforeAll(async () => {
  node = await startDevNode();
  mkdirSync(PICTURES, { recursive: true });
}, 300_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
}, 60_000);

interface Hit {
  kind: string;
  id?: string;
  session?: string;
  preview: string;
}

const call = (operation: string, input: Record<string, unknown>) => callAt(node.url, operation, input);

/** Searches over HTTP until what was written can be found; `kind`: until something of that kind is. */
const found = (query: string, kind?: string) =>
  eventually(`${query} is found`, async () => {
    const response = await fetch(`${node.url}/search?${new URLSearchParams({ q: query })}`);
    const { hits = [] } = (await response.json()) as { hits?: Hit[] };
    return hits.some((hit) => kind === undefined || hit.kind === kind) ? hits : undefined;
  });

test("what was written is found over HTTP and on the command line, in text that no attacker shapes", async () => {
  await call("context_put", {
    id: "team-a/plan",
    title: "Release plan",
    content: "The grammar goes first. <script>alert(1)</script> \u202ereversed",
    content_type: "text/plain",
    tags: ["release"],
  });
  const { session } = await call("session_create", { purpose: "Release", space: "team-a" });
  await call("message_post", { session, text: "Who takes the grammar of the parser?" });
  expect(await found("grammar parser", "message")).toMatchObject([{ session }]);
  expect(await found("grammar first")).toMatchObject([{ id: "team-a/plan" }]);
  const { code, out } = await node.cairn(["search", "relaese", "--space", "team-a", "--url", node.url]);
  expect(code).toBe(0);
  expect(out).toContain("team-a/plan  Release plan\n");
  expect(out).toContain("(release for relaese)");
  expect(out).not.toContain("\u202e");
  const refused = await fetch(`${node.url}/search?q=%2A`);
  expect([refused.status, (await refused.json()) as unknown]).toEqual([
    400,
    expect.objectContaining({ hint: expect.stringContaining("Search for a word") }),
  ]);
}, 120_000);

test("pages of hits go on over HTTP, on the page and on the command line", async () => {
  for (let at = 0; at < 25; at += 1) await call("context_put", { id: `walnut/${at}`, content: `walnut number ${at}` });
  const put = await fetch(`${node.url}/contexts/walnut/last`, {
    ...{ method: "PUT", body: "walnut", headers: { "content-type": "text/plain" } },
  });
  const position = put.headers.get("cairn-position") ?? "";
  const seen = new Set<string | undefined>();
  const read = async (more: Record<string, string>) => {
    const query = new URLSearchParams({ q: "walnut", limit: "10", ...more });
    const response = await fetch(`${node.url}/search?${query}`, {
      headers: { "cairn-min-position": position },
    });
    const page = (await response.json()) as { hits: Hit[]; cursor?: string };
    expect([response.status, page]).toEqual([200, expect.objectContaining({ by: "words" })]);
    for (const { id } of page.hits) seen.add(id);
    return page;
  };
  let page = await read({});
  for (; page.cursor !== undefined; page = await read({ cursor: page.cursor })) expect(page.hits).toHaveLength(10);
  expect([seen.size, page.hits.length]).toEqual([26, 6]);
  const shown = async (address: string) => (await fetch(`${node.url}${address}`)).text();
  const first = await shown("/ui/search?q=walnut");
  const [, next = ""] = /<a href="([^"]*cursor=[^"]*)">More</.exec(first) ?? [];
  const second = await shown(next.replaceAll("&amp;", "&"));
  const linksOf = (html: string) => new Set(html.match(/\/ui\/contexts\/walnut\/\w+/g));
  expect([linksOf(first).size, linksOf(second).size]).toEqual([20, 6]);
  expect(linksOf(first).isDisjointFrom(linksOf(second))).toBe(true);
  const { out } = await node.cairn(["search", "walnut", "--url", node.url]);
  const [, cursor = ""] = /--cursor (\S+)/.exec(out) ?? [];
  const rest = await node.cairn(["search", "walnut", "--url", node.url, "--cursor", cursor, "--json"]);
  expect((JSON.parse(rest.out) as { hits: Hit[] }).hits).toHaveLength(6);
}, 120_000);

test.skipIf(chromium === undefined)(
  "the page shows hits with what matches marked [needs chromium]",
  async () => {
    await using browser = await Browser.start();
    const page = await browser.page({ width: 1280, height: 900 });
    await page.goto(`${node.url}/ui/search?q=grammar`);
    const text = await page.evaluate("document.body.innerText");
    expect(text).toContain("Release plan");
    expect(await page.evaluate("[...document.querySelectorAll('mark')].map((mark) => mark.innerText)")).toEqual([
      "grammar",
      "grammar",
    ]);
    expect(await page.evaluate("document.querySelectorAll('main script').length")).toBe(0);
    await page.screenshot(join(PICTURES, "search-desk.png"));
    await page.close();
  },
  120_000,
);

test("an index that a kill cut off goes on, and misses nothing", async () => {
  await using first = await spawnNode({});
  const { socket } = await first.ready();
  const write = async (at: string, n: number) => {
    const init = { method: "PUT", body: `topaz number${n}n`, headers: { "content-type": "text/plain" } };
    expect((await localHttp(at, `/contexts/a/n${n}`, init)).status).toBe(201);
  };
  for (let n = 0; n < 60; n += 1) await write(socket, n);
  first.kill("SIGKILL");
  await first.exited();
  await using second = await spawnNode({ dataDir: first.dataDir });
  const { socket: again } = await second.ready();
  await write(again, 60);
  for (const n of [0, 30, 59, 60]) {
    await eventually(`number ${n} is found`, async () => {
      const { body } = await localHttp(again, `/search?q=number${n}n`);
      return (body["hits"] as Hit[] | undefined)?.length === 1;
    });
  }
  expect(second.stderr).not.toContain("search index");
}, 120_000);
