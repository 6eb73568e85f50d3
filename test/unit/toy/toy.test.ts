// Adding a feature is its folder and one line: a feature that no room of the product knows is found on every surface,
// in the digest, in a fork, at an edge and in the docs, by its manifest alone.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generatedFiles } from "../../../scripts/generate.ts";
import { featureCommands } from "../../../src/cli/feature-commands.ts";
import { loadSettings } from "../../../src/config/load.ts";
import { readSecrets } from "../../../src/config/secrets.ts";
import { contextFeature } from "../../../src/features/context/index.ts";
import { FEATURES, MIGRATIONS } from "../../../src/features/index.ts";
import { digestOf } from "../../../src/log/digest.ts";
import { forkHistory } from "../../../src/log/new-epoch.ts";
import { type NodeEvent, type RunningNode, startNode } from "../../../src/node/index.ts";
import {
  cleanCopyOf,
  clearedByFork,
  conditionsOf,
  digestTablesOf,
  eventTypesOf,
  migrationsOf,
  settingTablesOf,
} from "../../../src/operation/derive.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE } from "../../../src/peer/frames.ts";
import { LoopbackTailnet, type UpParams } from "../../../src/tailnet/index.ts";
import { granted, startCore } from "../../kit/core.ts";
import { startEdgePair } from "../../kit/edge.ts";
import { eventually } from "../../kit/eventually.ts";
import { connect, ERAS, textOf, until } from "../../kit/mcp-client.ts";
import { temporaryFolder } from "../../kit/temporary.ts";
import { counterFeature, type Traces } from "./feature.tsx";

const traces: Traces = { jobs: [], leads: 0 };
const toy = counterFeature(MIGRATIONS.length + 1, traces);
const features = [...FEATURES, toy];
const caller = granted({ role: "member", spaces: ["*"] });

/** Lets a test call the peer port as the Go half would. */
class ReachableTailnet extends LoopbackTailnet {
  params: UpParams | undefined;
  override async up(params: UpParams): Promise<void> {
    await super.up(params);
    this.params = params;
  }
}

describe("on a node", () => {
  let node: RunningNode;
  let url = "";
  let tailnet: ReachableTailnet | undefined;

  const call = async (name: string, input: unknown): Promise<Record<string, unknown>> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/operations/${name}`, { method: "POST", headers, body: JSON.stringify(input) });
    const position = response.headers.get("cairn-position");
    return { position, ...((await response.json()) as Record<string, unknown>) };
  };

  beforeAll(async () => {
    const data = temporaryFolder();
    const env = { TMPDIR: temporaryFolder() };
    const events: NodeEvent[] = [];
    node = await startNode({
      loaded: loadSettings({ tables: settingTablesOf(features), flags: { data, "counter.start": "3" }, env }),
      secrets: readSecrets(env),
      env,
      report: (event) => events.push(event),
      loopbackPort: 0,
      engine: "direct",
      tailnet: async (log) => {
        tailnet = new ReachableTailnet(log);
        return tailnet;
      },
      features,
    });
    url = await eventually("the node to serve", () =>
      events.flatMap((event) => (event.event === "ready" ? [event.localUrl ?? ""] : [])).at(0),
    );
  });

  afterAll(async () => {
    await node.stop("the tests are over");
    expect([...new Set(traces.jobs)]).toEqual(["start 3", "stop"]);
  });

  test("REST: its route, OPTIONS, 405, and the description of both", async () => {
    expect(await call("counter_add", { id: "a/rest", by: 2 })).toMatchObject({ count: 2, created: true });
    expect(await (await fetch(`${url}/counters/a/rest`)).json()).toMatchObject({ id: "a/rest", count: 2 });
    expect((await fetch(`${url}/counters/a/rest`, { method: "OPTIONS" })).headers.get("allow")).toBe(
      "GET, HEAD, OPTIONS",
    );
    expect((await fetch(`${url}/counters/a/rest`, { method: "PUT", body: "x" })).status).toBe(405);
    const described = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, unknown> };
    expect(described.paths["/counters/{id}"]).toMatchObject({ get: { operationId: "getCounter" } });
    expect(Object.keys(described.paths)).toContain("/operations/counter_add");
  });

  test("what it changes is in the feed, and only for those who may read its space", async () => {
    const before = await call("counter_add", { id: "a/feed", by: 1 });
    await call("counter_add", { id: "a/feed", by: 1 });
    const waited = await call("context_wait", { since: before["position"], prefix: "a/", timeout_seconds: 5 });
    expect(waited["changes"]).toMatchObject([{ operation: "counter_add", target: "a/feed", outcome: "updated" }]);
  });

  test.each(ERAS)("MCP, %s: tools, resources and their subscriptions", async (era) => {
    const connected = await connect(`${url}/mcp`, era);
    const { client, updated } = connected;
    try {
      const tools = (await client.listTools()).tools.map(({ name }) => name);
      expect(tools).toEqual(expect.arrayContaining(["counter_add", "counter_get", "counter_list"]));
      const id = `a/${era}`;
      const added = await client.callTool({ name: "counter_add", arguments: { id, by: 1 } });
      expect(textOf(added)).toMatchObject({ id, count: 1 });
      const { contents } = await client.readResource({ uri: `counter:///${id}` });
      expect(contents).toMatchObject([{ mimeType: "text/plain", text: "1" }]);
      await connected.watch([`counter:///${id}`]);
      await call("counter_add", { id, by: 4 });
      await until(
        () => updated.includes(`counter:///${id}`),
        () => updated,
      );
    } finally {
      await client.close();
    }
  });

  test("pages: its own, and its link in the bar of every page", async () => {
    await call("counter_add", { id: "a/page", by: 7 });
    const page = await (await fetch(`${url}/ui/counters`)).text();
    expect(page).toContain("<li>a/page: 7</li>");
    expect(await (await fetch(`${url}/`)).text()).toContain('href="/ui/counters"');
  });

  test("the command line: its command, which is one call", async () => {
    const command = featureCommands(features).find(({ words }) => words[0] === "counter");
    await command?.run({ args: ["a/cli"], options: { by: "5", url, json: true }, env: {} });
    expect(await call("counter_get", { id: "a/cli" })).toMatchObject({ count: 5 });
  });

  test("its condition is raised under its own title and hint", async () => {
    const status = (await call("node_status", {})) as { conditions: unknown[] };
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ code: "counter_high", title: "High counter", hint: "Begin a new counter." }),
    );
  });

  test("its duty runs where the node leads, its job where it serves, its peer path for peers", async () => {
    expect(traces.leads).toBe(1);
    expect(traces.jobs).toEqual(["start 3"]);
    const { target = "", ingressSecret = "" } = tailnet?.params ?? {};
    const wire = { v: 1, id: "nPEER", kind: "user", node: "peer", login: "a@example.com", userId: "7", tags: [] };
    const answer = await fetch("http://cairn/peer/counter-total", {
      method: "POST",
      unix: target.replace("ingress.sock", "peer.sock"),
      headers: {
        "content-type": FRAME_TYPE,
        "cairn-internal-secret": ingressSecret,
        "cairn-internal-scheme": "http",
        "cairn-internal-caller": JSON.stringify({ ...wire, own: false, grants: "" }),
      },
      body: encodeFrame({}),
    });
    expect(decodeFrame(new Uint8Array(await answer.arrayBuffer()))).toMatchObject({
      value: { total: expect.any(Number) },
    });
  });
});

test("its tables: in the digest, cleared by a fork, and not in a copy for another member", async () => {
  await using core = startCore({ features: [contextFeature, toy] });
  const tables = digestTablesOf(features);
  const digest = () => digestOf(core.store.reader, tables);
  const empty = digest();
  await core.call("counter_add", { id: "a/x", by: 1 }, caller);
  const one = digest();
  expect(one).not.toBe(empty);
  core.store.transaction((tx) => tx.run("UPDATE counters SET count = 2"));
  expect(digest()).not.toBe(one);
  core.store.transaction((tx) => tx.run("INSERT INTO counter_notes (text) VALUES ('mine')"));
  const noted = digest();
  core.store.transaction((tx) => cleanCopyOf(features)(tx));
  expect(digest()).toBe(noted);
  expect(core.store.reader.get("SELECT * FROM counter_notes")).toBeUndefined();
  forkHistory(core.store, clearedByFork(features));
  expect(core.store.reader.get("SELECT COUNT(*) AS n FROM counters")).toEqual({ n: 0 });
});

test("at an edge its read is answered from the cache until a change of its target", async () => {
  const pair = startEdgePair({ features: [toy] });
  try {
    await pair.upstream.call("counter_add", { id: "a/x", by: 1 }, caller);
    await pair.poll();
    const read = () => pair.invoke("counter_get", { id: "a/x" }, caller);
    expect(await read()).toMatchObject({ output: { count: 1 }, cache: { state: "miss" } });
    expect(await read()).toMatchObject({ output: { count: 1 }, cache: { state: "hit" } });
    await pair.upstream.call("counter_add", { id: "a/y", by: 1 }, caller);
    await pair.poll();
    expect(await read()).toMatchObject({ output: { count: 1 }, cache: { state: "hit" } });
    await pair.upstream.call("counter_add", { id: "a/x", by: 1 }, caller);
    await pair.poll();
    expect(await read()).toMatchObject({ output: { count: 2 }, cache: { state: "miss" } });
  } finally {
    await pair.close();
  }
});

test("the generated pages of the docs tell of it", () => {
  const pages = generatedFiles(features);
  const here = (page: string, text: string) => expect(pages.get(`docs/${page}.md`)).toContain(text);
  here("operations", "### counter_add");
  here("events", "`cairn.counter.added`");
  here("routes", "`GET /counters/{id}`");
  here("tables", "| `counters` | counter | replicated |");
  here("settings", "`--counter-start`");
  here("commands", "`cairn counter add ID`");
  here("commands", "`counter_high`");
  expect([...generatedFiles().values()].join("\n")).not.toContain("counter_add");
});

test("two features may not take the same migration, condition or event type", () => {
  const twin = { ...toy, name: "twin" };
  expect(() => migrationsOf([...features, twin])).toThrow("should have the id");
  expect(() => conditionsOf([...features, twin])).toThrow("same code");
  expect(() => eventTypesOf([...features, twin])).toThrow("declared twice");
});
