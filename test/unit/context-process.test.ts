// context_process: what each task makes of a document, and that all of it is in the document.

import { expect, test } from "bun:test";
import { CHAT_MODEL, ChatModel } from "../../src/features/context/chat-model.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { summaryOf } from "../../src/features/context/process.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { ModelEndpoint } from "../../src/operation/model-endpoint.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { callerWith, startCore } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { OPENAI_KEY, type OpenAiFault, TestOpenAi } from "../kit/openai.ts";

const TEXT = `# Plan

The parser reads tokens.   The weather was nice.


## Parser

The parser of tokens is fast, and the parser keeps tokens.

\`\`\`
parser parser parser tokens
\`\`\`
`;

test("a document as an outline, a summary and a compact form", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "team/plan", content: TEXT, content_type: "text/markdown" });
  const made = async (task?: string, more = {}) =>
    core.call("context_process", { id: "team/plan", ...(task === undefined ? {} : { task }), ...more });
  const outline = await made("outline");
  expect(outline).toMatchObject({ task: "outline", by: "extraction", version: 1, whole: true });
  expect(
    String(outline["text"])
      .split("\n")
      .map((line) => line.replace(/ \(\d+\)$/, "")),
  ).toEqual(["- Plan", "  - Parser"]);
  const summary = await made(undefined, { max_chars: 100 });
  expect([summary["task"], summary["text"]]).toEqual([
    "summary",
    "The parser reads tokens.\nThe parser of tokens is fast, and the parser keeps tokens.",
  ]);
  const compact = await made("compact");
  expect(compact["text"]).toBe(TEXT.replace("\n\n\n", "\n\n").trim());
  expect(await made("compact", { max_chars: 100 })).toMatchObject({ whole: false });
  await core.call("context_put", {
    id: "team/data",
    content: '{ "a b": [1.50, "x  \\" y"] }',
    content_type: "application/json",
  });
  const data = await core.call("context_process", { id: "team/data", task: "compact" });
  expect(data["text"]).toBe('{"a b":[1.50,"x  \\" y"]}');
});

test("it is as readable as the document", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "team/plan", content: TEXT });
  const other = callerWith({ grants: [{ role: "member", spaces: ["other"] }] });
  await expect(core.call("context_process", { id: "team/plan" }, other)).rejects.toMatchObject({ code: "forbidden" });
  await expect(core.call("context_process", { id: "team/none" })).rejects.toMatchObject({ code: "not_found" });
});

test("a text that is made to take long takes linear time", () => {
  const timeOf = (text: string) => {
    const start = performance.now();
    summaryOf(text, 1000);
    return performance.now() - start;
  };
  for (const part of ["```\n", "~~~\n```\n", " ", ". ", "a.", "\n", "~~~ "]) {
    expect([part, timeOf(part.repeat(200_000 / part.length)) < 2000]).toEqual([part, true]);
  }
});

/** Sends as a node does, without its egress. */
const direct: Outbound = (url, init) => fetch(url, { ...init, redirect: "manual", keepalive: false });

/** A core whose node shortens by a model of a server. */
function withModel(server: TestOpenAi) {
  const problems: string[] = [];
  const onState = (problem: string) => problems.push(problem);
  const endpoint = new ModelEndpoint({
    ...{ url: server.url, key: OPENAI_KEY, outbound: direct, nowMs: Date.now, onState },
  });
  // The store has its tables already.
  const { migrations: _, ...others } = contextFeature;
  const feature: Feature = {
    ...others,
    operations: (node) => contextFeature.operations?.(node.provide(CHAT_MODEL, new ChatModel(endpoint, "chat"))) ?? [],
  };
  return { core: startCore({ features: [feature] }), problems };
}

test("a configured model makes the short form, of the text that the caller may read, within its bounds", async () => {
  await using server = new TestOpenAi();
  const { core } = withModel(server);
  await using _ = core;
  await core.call("context_put", { id: "team/plan", content: TEXT, content_type: "text/markdown" });
  await core.call("context_put", { id: "other/plan", content: "of others" });
  const made = await core.call("context_process", { id: "team/plan", max_chars: 200 });
  expect(made).toMatchObject({ by: "model", model: `chat at ${server.host}`, text: "A summary.", whole: true });
  expect(made).not.toHaveProperty("fallback");
  const [{ path, authorization, body } = { path: "", authorization: "", body: {} }] = server.seen;
  expect([path, authorization]).toEqual(["/v1/chat/completions", `Bearer ${OPENAI_KEY}`]);
  expect(body).toMatchObject({
    model: "chat",
    max_tokens: 1100,
    messages: [
      { role: "system", content: expect.stringContaining("200 characters") },
      { role: "user", content: TEXT },
    ],
  });
  const other = callerWith({ grants: [{ role: "member", spaces: ["other"] }] });
  await expect(core.call("context_process", { id: "team/plan" }, other)).rejects.toMatchObject({ code: "forbidden" });
  const byExtraction = await core.call("context_process", { id: "team/plan", by: "extraction" });
  expect(byExtraction).toMatchObject({ by: "extraction" });
  expect(byExtraction).not.toHaveProperty("fallback");
  expect(server.seen).toHaveLength(1);
  server.says = () => "long ".repeat(1000);
  const cut = await core.call("context_process", { id: "team/plan", task: "compact", max_chars: 50 });
  expect([String(cut["text"]).length, cut["whole"]]).toEqual([50, false]);
  await core.call("context_put", { id: "team/long", content: "x".repeat(300_000), content_type: "text/plain" });
  const long = await core.call("context_process", { id: "team/long", task: "outline", max_chars: 20_000 });
  const sent = server.seen.at(-1)?.body["messages"] as { content: string }[];
  expect([long["whole"], sent[1]?.content.length]).toEqual([false, 100_000]);
});

test("without a model, or where it fails, it is made by extraction, and the answer says why", async () => {
  await using plain = startCore();
  await plain.call("context_put", { id: "team/plan", content: TEXT, content_type: "text/markdown" });
  const wanted = await plain.call("context_process", { id: "team/plan", by: "model" });
  expect(wanted).toMatchObject({ by: "extraction", fallback: expect.stringContaining("process.chat_url") });
  await using server = new TestOpenAi();
  const { core, problems } = withModel(server);
  await using _ = core;
  await core.call("context_put", { id: "team/plan", content: TEXT, content_type: "text/markdown" });
  const faults: OpenAiFault[] = ["400", "401", "500", "429", "null", "huge", "redirect", "not-json"];
  for (const fault of faults) {
    server.fault = fault;
    const made = await core.call("context_process", { id: "team/plan" });
    expect(made).toMatchObject({ by: "extraction", fallback: expect.stringContaining("failed") });
    expect(made["text"]).toContain("parser");
    expect(JSON.stringify(made)).not.toContain(OPENAI_KEY);
  }
  expect(problems.length).toBeGreaterThan(0);
  expect(server.seen.length).toBeLessThan(faults.length);
});

test("an empty text is no short form, and only so many are made at a time", async () => {
  await using server = new TestOpenAi();
  const { core } = withModel(server);
  await using _ = core;
  await core.call("context_put", { id: "team/plan", content: TEXT, content_type: "text/markdown" });
  server.says = () => "  \n";
  expect(await core.call("context_process", { id: "team/plan" })).toMatchObject({ by: "extraction" });
  server.fault = "silent";
  const stop = new AbortController();
  const call = {
    operation: "context_process",
    input: { id: "team/plan" },
    caller: callerWith({ kind: "local", id: "local", login: "" }),
  };
  const waiting = Array.from({ length: 4 }, () =>
    core.invoker.invoke({ ...call, signal: stop.signal }).catch(() => {}),
  );
  await eventually("four requests", () => server.seen.length === 5);
  const fifth = await core.call("context_process", { id: "team/plan" });
  expect(fifth).toMatchObject({ by: "extraction", fallback: expect.stringContaining("at a time") });
  stop.abort(new Error("gone"));
  await Promise.all(waiting);
  server.fault = undefined;
  server.says = () => "fine";
  expect(await core.call("context_process", { id: "team/plan" })).toMatchObject({ by: "model", text: "fine" });
});
