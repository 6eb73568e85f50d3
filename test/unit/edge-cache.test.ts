// The cache of an edge behind the gate (architecture.md 9, replication.md 28): what is kept, what lets go of it, what
// is served stale, and to whom. Clock and link are the test's.

import { afterEach, describe, expect, test } from "bun:test";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { Tools } from "../../src/mcp/tools.ts";
import { createWeb } from "../../src/web/index.ts";
import { granted, localAdmin } from "../kit/core.ts";
import { type EdgePair, type EdgePairOptions, startEdgePair } from "../kit/edge.ts";
import { inTime } from "../kit/in-time.ts";
import { connect, until } from "../kit/mcp-client.ts";
import { startMcpServer } from "../kit/mcp-server.ts";

const member = granted({ role: "member", spaces: ["*"] });

const open = new Set<EdgePair>();
afterEach(async () => {
  for (const pair of open) await pair.close();
  open.clear();
});

async function startPair(options?: EdgePairOptions): Promise<EdgePair> {
  const pair = startEdgePair(options);
  open.add(pair);
  await pair.poll();
  return pair;
}

const put = (pair: EdgePair, id: string, content: string) => pair.upstream.call("context_put", { id, content });
const read = (pair: EdgePair, id: string, more: Record<string, unknown> = {}, caller = member) =>
  pair.invoke("context_get", { id, ...more }, caller);
const stateOf = async (answer: ReturnType<typeof read>) => (await answer).cache?.state;

function cutLink(pair: EdgePair): void {
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
}

describe("a document", () => {
  test("is fetched once, then kept, until a change of it comes; other changes do not matter", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    const first = await read(pair, "a/x");
    expect(first).toMatchObject({ output: { content: "one", version: 1 }, cache: { state: "miss" } });
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "one" }, cache: { state: "hit" } });
    expect(pair.asked).toEqual(["context_get a/x"]);
    await put(pair, "a/y", "other");
    await pair.poll();
    expect(await read(pair, "a/x")).toMatchObject({
      cache: { state: "hit" },
      position: pair.upstream.invoker.position(),
    });
    await put(pair, "a/x", "two");
    await pair.poll();
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "two" }, cache: { state: "miss" } });
    expect(pair.edge.report()).toMatchObject({ hits: 2, misses: 2, entries: 1, fresh: true });
  });

  test("is kept as text and given as value; versions and positions of the past are not kept", async () => {
    const pair = await startPair();
    await pair.upstream.call("context_put", {
      id: "a/j",
      content: { big: 12345678901234567890n.toString(), list: [1] },
    });
    await pair.poll();
    await read(pair, "a/j", { format: "text" });
    expect(await read(pair, "a/j")).toMatchObject({ output: { content: { list: [1] } }, cache: { state: "hit" } });
    const text = await read(pair, "a/j", { format: "text" });
    expect(text.output["content"]).toBe(`{"big":"12345678901234567890","list":[1]}`);
    expect((await read(pair, "a/j", { version: 1 })).cache).toBeUndefined();
    expect((await pair.invoke("context_metadata", { id: "a/j" }, member)).cache).toBeUndefined();
    expect((await read(pair, "a/j", { consistency: "leader" })).cache).toBeUndefined();
  });

  test("that is not there is believed for five seconds, or until a change", async () => {
    const pair = await startPair();
    await expect(read(pair, "a/none")).rejects.toMatchObject({ code: "not_found" });
    await expect(read(pair, "a/none")).rejects.toMatchObject({ code: "not_found" });
    expect(pair.asked).toHaveLength(1);
    await put(pair, "a/none", "now");
    await pair.poll();
    expect((await read(pair, "a/none")).output["content"]).toBe("now");
    await pair.upstream.call("context_delete", { id: "a/none" });
    await pair.poll();
    await expect(read(pair, "a/none")).rejects.toMatchObject({ code: "deleted" });
    const before = pair.asked.length;
    for (let second = 0; second < 4; second += 1) {
      pair.clock.add(1000);
      await pair.poll();
      await expect(read(pair, "a/none")).rejects.toMatchObject({ code: "deleted" });
    }
    expect(pair.asked).toHaveLength(before);
    pair.clock.add(1001);
    await pair.poll();
    await expect(read(pair, "a/none")).rejects.toMatchObject({ code: "deleted" });
    expect(pair.asked).toHaveLength(before + 1);
  });

  test("that changes while it is fetched is answered and not kept", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    const late = Promise.withResolvers<void>();
    pair.setLink(async (path, deliver) => {
      const answer = await deliver();
      if (path === "forward") await late.promise;
      return answer;
    });
    const filling = read(pair, "a/x");
    await Bun.sleep(1);
    await put(pair, "a/x", "two");
    await pair.poll();
    late.resolve();
    expect((await filling).output["content"]).toBe("one");
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "two" }, cache: { state: "miss" } });
  });

  test("is fetched once for all who ask at the same time; who leaves does not end it for the others", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    const gate = Promise.withResolvers<void>();
    pair.setLink(async (_path, deliver) => {
      await gate.promise;
      return deliver();
    });
    const gone = new AbortController();
    const first = pair.core.invoker.invoke({
      operation: "context_get",
      input: { id: "a/x" },
      caller: member,
      signal: gone.signal,
    });
    const others = [1, 2, 3].map(() => read(pair, "a/x"));
    await Bun.sleep(1);
    gone.abort();
    await expect(first).rejects.toMatchObject({ code: "cancelled" });
    gate.resolve();
    for (const other of others) expect((await other).output["content"]).toBe("one");
    expect(pair.asked).toHaveLength(1);
  });

  test("larger than the memory is not kept, and the oldest make room", async () => {
    const pair = await startPair({ settings: { maxBytes: 64 * 1024 } });
    for (const name of ["1", "2", "3"]) await put(pair, `a/${name}`, "x".repeat(30 * 1024));
    await put(pair, "a/huge", "y".repeat(70 * 1024));
    await pair.poll();
    for (const name of ["1", "2", "3", "huge"]) await read(pair, `a/${name}`);
    expect(await stateOf(read(pair, "a/3"))).toBe("hit");
    expect(await stateOf(read(pair, "a/huge"))).toBe("miss");
    expect(await stateOf(read(pair, "a/1"))).toBe("miss");
    expect(pair.edge.report().evictions).toBeGreaterThan(0);
    expect(pair.edge.report().bytes).toBeLessThanOrEqual(64 * 1024);
  });
});

describe("freshness", () => {
  test("ends two seconds after the last pong; then the upstream is asked, and says that it is the same", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    await read(pair, "a/x");
    pair.clock.add(2000);
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "hit", ageSeconds: 2 } });
    pair.clock.add(1);
    pair.setUpstreamAge(500);
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "revalidated", ageSeconds: 0.5 } });
    expect(await read(pair, "a/x", { consistency: "any" })).toMatchObject({ cache: { state: "revalidated" } });
  });

  test("of a fetched document is what the node says that read it, plus the way", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    pair.clock.add(1500);
    pair.setUpstreamAge(300);
    pair.setLink(async (_path, deliver) => {
      const answer = await deliver();
      pair.clock.add(400);
      return answer;
    });
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "miss", ageSeconds: 0.7 } });
    pair.clock.add(50);
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "hit", ageSeconds: 0.75 } });
  });

  test("of a space with mode never comes from the new upstream too, which must reach what was served before", async () => {
    const pair = await startPair();
    await pair.upstream.call("space_configure", { space: "a", edge: "never" });
    await put(pair, "a/x", "one");
    await pair.poll();
    const { position } = await read(pair, "a/x");
    // The feed has proved the old upstream a moment ago; the new one is cut off from its leader for three minutes.
    pair.setUpstreamAge(180_000);
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "miss", ageSeconds: 180 } });
    expect(pair.inputs.at(-1)).toMatchObject({ min_position: position });
    pair.forgetAge();
    expect((await read(pair, "a/x")).cache).toEqual({ state: "miss" });
    expect((await pair.core.http("/contexts/a/x", {}, member)).headers.get("age")).toBeNull();
  });

  test("of what is never kept is the upstream's as well", async () => {
    const pair = await startPair();
    await pair.poll();
    pair.setUpstreamAge(180_000);
    const list = await pair.invoke("context_list", { prefix: "a/" }, member);
    expect([list.cache, list.ageSeconds]).toEqual([undefined, 180]);
  });

  test("counts the upstream's own age, and what was held is not age", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    pair.clock.add(20_000);
    pair.setUpstreamAge(7000);
    await pair.poll();
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "miss", ageSeconds: 7 } });
    pair.clock.add(500);
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "hit", ageSeconds: 7.5 } });
    const sentMs = pair.clock.nowMs();
    pair.clock.add(1200);
    const answer = await pair.pull();
    pair.edge.state.apply({ ...answer, heldMs: 1000, ageMs: 0 }, { sentMs, tookMs: 1200, from: "nCENTRAL" });
    expect(await read(pair, "a/x")).toMatchObject({ cache: { state: "hit", ageSeconds: 0.2 } });
  });

  test("a shown position that the feed has not reached goes upstream", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    await read(pair, "a/x");
    await put(pair, "a/x", "two");
    const shown = { min_position: pair.upstream.invoker.position() };
    expect(await read(pair, "a/x", shown)).toMatchObject({ output: { content: "two" } });
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "two" } });
  });

  test("a write by this edge is read at once, before the feed has brought it", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    await read(pair, "a/x");
    const other = granted({ role: "member", spaces: ["*"] });
    await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
    expect(await read(pair, "a/x", { consistency: "any" }, other)).toMatchObject({ output: { content: "mine" } });
    expect(await stateOf(read(pair, "a/x"))).toBe("miss");
    await pair.poll();
    await read(pair, "a/x");
    expect(await read(pair, "a/x")).toMatchObject({ output: { content: "mine" }, cache: { state: "hit" } });
  });
});

describe("without an upstream", () => {
  test("only spaces with mode stale are answered, with their age, and not for ever", async () => {
    const pair = await startPair({ settings: { maxStaleMs: 30_000 } });
    await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
    for (const id of ["run/x", "a/x"]) await put(pair, id, "kept");
    await pair.poll();
    for (const id of ["run/x", "a/x"]) await read(pair, id);
    cutLink(pair);
    pair.clock.add(10_000);
    expect(await read(pair, "run/x")).toMatchObject({
      output: { content: "kept" },
      cache: { state: "stale", ageSeconds: 10 },
    });
    expect(await stateOf(read(pair, "run/x", { consistency: "any" }))).toBe("stale");
    await expect(read(pair, "a/x")).rejects.toMatchObject({ code: "unavailable" });
    await expect(read(pair, "a/x", { consistency: "any" })).rejects.toMatchObject({ code: "unavailable" });
    await expect(read(pair, "run/x", { consistency: "leader" })).rejects.toMatchObject({ code: "unavailable" });
    await expect(pair.invoke("context_put", { id: "run/x", content: "no" }, member)).rejects.toMatchObject({
      code: "unavailable",
    });
    pair.clock.add(20_001);
    await expect(read(pair, "run/x")).rejects.toMatchObject({ code: "unavailable" });
  });

  test("never below a shown position", async () => {
    const pair = await startPair();
    await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
    await put(pair, "run/x", "one");
    await pair.poll();
    await read(pair, "run/x");
    await put(pair, "run/x", "two");
    const shown = { min_position: pair.upstream.invoker.position() };
    cutLink(pair);
    pair.clock.add(5000);
    await expect(read(pair, "run/x", shown)).rejects.toMatchObject({ code: "unavailable" });
    expect(await stateOf(read(pair, "run/x"))).toBe("stale");
  });

  test("a start keeps what may be stale and nothing else, with its age; a changed text is not given", async () => {
    const pair = startEdgePair();
    await pair.poll();
    await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
    for (const id of ["run/x", "run/y", "a/x"]) await put(pair, id, "kept");
    await pair.poll();
    for (const id of ["run/x", "run/y", "a/x"]) await read(pair, id);
    await pair.edge.stop();
    pair.edge.state.log.writePosition((tx) => {
      tx.run("UPDATE cached SET output = replace(output, '\"kept\"', '\"bent\"') WHERE id = 'context_get run/y'");
    });
    pair.clock.add(4000);
    const again = startEdgePair({ folder: pair.folder, clock: pair.clock, upstream: pair.upstream });
    open.add(again);
    cutLink(again);
    expect(await read(again, "run/x")).toMatchObject({
      output: { content: "kept" },
      cache: { state: "stale", ageSeconds: 4 },
    });
    await expect(read(again, "run/y")).rejects.toMatchObject({ code: "unavailable" });
    await expect(read(again, "a/x")).rejects.toMatchObject({ code: "unavailable" });
    await put(again, "run/x", "newer");
    again.setLink((_path, deliver) => deliver());
    await again.poll();
    expect(await read(again, "run/x")).toMatchObject({ output: { content: "newer" }, cache: { state: "miss" } });
  });

  test("changes that were missed make all that is kept unsure, not worthless", async () => {
    const pair = await startPair();
    await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
    for (const id of ["run/x", "a/x"]) await put(pair, id, "one");
    await pair.poll();
    for (const id of ["run/x", "a/x"]) await read(pair, id);
    pair.edge.state.markGap();
    await pair.poll();
    expect(await stateOf(read(pair, "a/x"))).toBe("revalidated");
    expect(await stateOf(read(pair, "a/x"))).toBe("hit");
    pair.edge.state.markGap();
    await pair.poll();
    cutLink(pair);
    pair.clock.add(3000);
    expect(await stateOf(read(pair, "run/x"))).toBe("stale");
  });
});

test("without a full node for a while, a list is refused at once, and the page shows all else", async () => {
  const pair = await startPair();
  pair.edge.start();
  await until(
    () => !pair.edge.client.isDisconnected(),
    () => "away",
  );
  cutLink(pair);
  await until(
    () => pair.edge.client.isDisconnected(),
    () => "not away",
    10_000,
  );
  pair.clock.add(6000);
  // What nobody answers would be waited for long.
  pair.setLink((path) => (path === "feed" ? Promise.reject(new Error("cut")) : new Promise(() => {})));
  const list = inTime(1_000, pair.invoke("context_list", {}, member));
  await expect(list).rejects.toMatchObject({ code: "unavailable", details: { retryAfterSeconds: 5 } });
  const web = createWeb({
    invoker: pair.core.invoker,
    features: FEATURES,
    version: "0",
    secureUrl: () => undefined,
    nowMs: Date.now,
    onUnexpected: String,
  });
  const page = await web.fetch(new Request("http://cairn/"), member, "http");
  expect([page?.status, await page?.text()]).toEqual([200, expect.stringContaining("This edge reaches no full node")]);
});

test("over MCP an answer tells its state and age beside its position", async () => {
  const pair = await startPair();
  await put(pair, "a/x", "one");
  await pair.poll();
  const tools = new Tools(pair.core.invoker);
  const run = () =>
    tools.run({ caller: member, client: "", signal: AbortSignal.timeout(5000) }, "context_get", { id: "a/x" });
  expect(await run()).toMatchObject({ cache: { state: "miss", age_seconds: 0 }, content: "one" });
  pair.clock.add(900);
  expect(await run()).toMatchObject({ cache: { state: "hit", age_seconds: 1 } });
});

describe("rights", () => {
  test("each caller is judged before anything that is kept, also for whether it exists", async () => {
    const pair = await startPair();
    await put(pair, "secret/x", "hidden");
    await pair.poll();
    await read(pair, "secret/x");
    const stranger = granted({ role: "member", spaces: ["team-a"] });
    await expect(read(pair, "secret/x", {}, stranger)).rejects.toMatchObject({ code: "forbidden" });
    await expect(read(pair, "secret/none", {}, stranger)).rejects.toMatchObject({ code: "forbidden" });
    await expect(read(pair, "secret/none")).rejects.toMatchObject({ code: "not_found" });
    await expect(read(pair, "secret/none", {}, stranger)).rejects.toMatchObject({ code: "forbidden" });
    expect(await stateOf(read(pair, "secret/x"))).toBe("hit");
  });

  test("spaces that the member is not enrolled for are neither followed, kept nor answered", async () => {
    const pair = await startPair({ enrolled: ["team-*"] });
    await put(pair, "team-a/x", "ours");
    await put(pair, "other/x", "theirs");
    await pair.poll();
    expect((await read(pair, "team-a/x")).output["content"]).toBe("ours");
    await expect(read(pair, "other/x", {}, localAdmin)).rejects.toMatchObject({ code: "forbidden" });
    const wait = pair.invoke("context_wait", { prefix: "other/", timeout_seconds: 60 }, localAdmin);
    await expect(wait).rejects.toMatchObject({ code: "forbidden", message: expect.stringContaining("not enrolled") });
    const changes = await pair.invoke(
      "context_wait",
      { since: `${pair.edge.log.position().epoch}-0`, timeout_seconds: 0 },
      member,
    );
    expect(changes.output["changes"]).toMatchObject([{ target: "team-a/x" }]);
    pair.enrol(["other"]);
    await pair.poll();
    await expect(read(pair, "team-a/x")).rejects.toMatchObject({ code: "forbidden" });
    expect((await read(pair, "other/x")).output["content"]).toBe("theirs");
  });

  test("a client is not subscribed to what never comes", async () => {
    const pair = await startPair({ enrolled: ["team-*"] });
    await using server = startMcpServer(pair.core, { callers: { default: member } });
    await using legacy = await connect(server.url, "legacy");
    await expect(legacy.watch(["cairn:///other/x"])).rejects.toThrow("not enrolled");
    await using modern = await connect(server.url, "modern");
    const listening = await modern.client.listen({ resourceSubscriptions: ["cairn:///other/x", "cairn:///team-a/x"] });
    expect(listening.honoredFilter.resourceSubscriptions).toEqual(["cairn:///team-a/x"]);
    await legacy.watch(["cairn:///team-a/x"]);
    await put(pair, "team-a/x", "ours");
    await pair.poll();
    for (const { updated } of [legacy, modern])
      await until(
        () => updated.includes("cairn:///team-a/x"),
        () => updated,
      );
  });

  test("mode never keeps nothing; a setting that changes takes hold with the feed", async () => {
    const pair = await startPair();
    await put(pair, "a/x", "one");
    await pair.poll();
    await read(pair, "a/x");
    await pair.upstream.call("space_configure", { space: "a", edge: "stale" });
    await pair.poll();
    expect(pair.edge.report().stale_spaces).toEqual(["a"]);
    await pair.upstream.call("space_configure", { space: "a", edge: "never" });
    await pair.poll();
    expect(pair.edge.report().stale_spaces).toEqual([]);
    expect(pair.edge.report().entries).toBe(0);
    expect(await stateOf(read(pair, "a/x"))).toBe("miss");
    expect(await stateOf(read(pair, "a/x"))).toBe("miss");
    expect(pair.edge.report()).toMatchObject({ entries: 0, disk_bytes: 0 });
  });
});
