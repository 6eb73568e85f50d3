// Models at a node that runs, through its egress: vectors of a service, short forms by a chat model, what is refused,
// and where no key and no text goes. The model in the data folder is the known one or none.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { OPENAI_KEY, TestOpenAi } from "../kit/openai.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let server: TestOpenAi;
let node: TestNode;

const CHAT_KEY = "sk-canary-chat-0816";

beforeAll(async () => {
  server = new TestOpenAi();
  tailnet = await TestTailnet.start();
  node = await startNode({
    ...{ hostname: "first", tailnet, env: { CAIRN_EMBEDDINGS_KEY: OPENAI_KEY, CAIRN_CHAT_KEY: CHAT_KEY } },
    args: [
      ...["--search-embeddings-url", server.url, "--search-embeddings-model", "small"],
      ...[
        "--process-chat-url",
        server.url,
        "--process-chat-model",
        "chat",
        "--search-model-url",
        `${server.url}/model`,
      ],
      ...["--outbound-allow", server.host, "--log-level", "debug"],
    ],
  });
}, 120_000);
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

async function call(operation: string, input: object): Promise<Record<string, unknown>> {
  const { out, err } = await node.cli(["call", operation, "-"], JSON.stringify(input));
  if (out === "") throw new Error(err);
  return JSON.parse(out);
}

interface Answer {
  by: string;
  hits: { id: string; why: { meaning?: number } }[];
  index: { meaning?: { model: string; failed?: true } };
}

const search = async (input: object) => (await call("search", input)) as unknown as Answer;

test("a search finds by meaning, with vectors of the service", async () => {
  const { position } = await call("context_put", {
    id: "team/harbour",
    content: "the vessel left",
    content_type: "text/plain",
  });
  await call("context_put", { id: "team/bakery", content: "flour and a loaf", content_type: "text/plain" });
  const { hits, by, index } = await search({ query: "ship", min_position: position });
  expect([hits.map(({ id }) => id), by]).toEqual([["team/harbour"], "both"]);
  expect(index.meaning?.model).toBe(`small at ${server.host}`);
  expect(server.seen.every(({ authorization }) => authorization === `Bearer ${OPENAI_KEY}`)).toBe(true);
  const shown = await node.cli(["search", "bread", "--by", "meaning"]);
  expect(shown.out).toContain("team/bakery");
  expect(shown.out).toContain("(by meaning)");
  const status = await node.cli(["search", "model"]);
  expect(status.out).toMatch(/installed +no\nvectors from +small at 127\.0\.0\.1:\d+\nrows +2, up to/);
}, 120_000);

test("a chat model makes a short form, and gets its own key", async () => {
  const made = await call("context_process", { id: "team/harbour" });
  expect(made).toMatchObject({ by: "model", text: "A summary.", model: `chat at ${server.host}` });
  expect(server.seen.at(-1)).toMatchObject({ path: "/v1/chat/completions", authorization: `Bearer ${CHAT_KEY}` });
}, 60_000);

test("a service that fails is a condition, and searches by words go on", async () => {
  server.fault = "401";
  await call("context_put", { id: "team/ship", content: "a ship at sea", content_type: "text/plain" });
  const conditions = await eventually("the condition", async () => {
    const { out } = await node.cli(["status", "--json"]);
    return out.includes("search_meaning_failed") ? out : undefined;
  });
  // The service repeats the key in its error.
  expect(conditions).not.toContain(OPENAI_KEY);
  const found = await eventually("the row by words", async () => {
    const answer = await search({ query: "ship sea" });
    return answer.hits.length > 0 ? answer : undefined;
  });
  expect([found.by, found.hits[0]?.id, found.index.meaning?.failed]).toEqual(["words", "team/ship", true]);
  server.fault = undefined;
}, 120_000);

test("no model is installed that is not the known one", async () => {
  const file = join(node.dataDir, "other.onnx");
  writeFileSync(file, "not the model");
  const other = await node.cli(["search", "model", "install", "--from", file]);
  expect([other.code, other.err]).toEqual([2, expect.stringContaining("is not the model all-MiniLM-L6-v2 int8")]);
  const fetched = await node.cli(["search", "model", "install"]);
  expect([fetched.code, fetched.err]).toEqual([3, expect.stringContaining("responded with 4")]);
  const removed = await node.cli(["search", "model", "remove"]);
  expect([removed.code, removed.out]).toEqual([0, expect.stringMatching(/installed +no/)]);
}, 60_000);

test("no key is in a file of the node or in its log", () => {
  const files = readdirSync(node.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(3);
  for (const { parentPath, name } of files) {
    const bytes = readFileSync(join(parentPath, name));
    for (const key of [OPENAI_KEY, CHAT_KEY]) expect([name, bytes.includes(key)]).toEqual([name, false]);
  }
  for (const key of [OPENAI_KEY, CHAT_KEY]) expect(node.stdout + node.stderr).not.toContain(key);
});
