// The change feed over HTTP in one process: what is delivered, where it resumes, when it ends and with which reason,
// and long polls.

import { describe, expect, spyOn, test } from "bun:test";
import type { Policy } from "../../src/access/policy-file.ts";
import { parseGrants } from "../../src/access/rights.ts";
import { compactChanges } from "../../src/log/compact.ts";
import { DEFAULT_WAIT_SECONDS } from "../../src/operation/define.ts";
import { type Core, callerWith, granted, startCore } from "../kit/core.ts";
import { EventReader } from "../kit/event-reader.ts";
import { eventually } from "../kit/eventually.ts";

const write = (core: Core, id: string, content: unknown = 1) => core.call("context_put", { id, content });

async function open(
  core: Core,
  path: string,
  init: RequestInit = {},
  caller = granted({ role: "reader", spaces: ["*"] }),
) {
  const response = await core.http(path, init, caller);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  return new EventReader(response);
}

/** `cut` when reading fails, as it does when a connection breaks. */
async function failureOf(read: () => Promise<unknown>): Promise<string> {
  try {
    return `read ${await read()}`;
  } catch {
    return "cut";
  }
}

function policyFor(...grants: unknown[]): Policy {
  return { rules: [{ src: ["nALICE"], grants: parseGrants(grants, "the test").grants }], problems: [] };
}

describe("a stream", () => {
  test("says where it begins and when to come back, then each change with its position as id", async () => {
    await using core = startCore();
    await write(core, "team/a");
    const response = await core.http("/changes?feed=sse&prefix=team/");
    expect(response.headers.get("cache-control")).toContain("no-store");
    expect(response.headers.get("content-encoding")).toBeNull();
    const begin = response.headers.get("cairn-position");
    await using stream = new EventReader(response);
    expect(await stream.next()).toEqual({ event: "message", data: "", id: begin ?? "" });
    await write(core, "other/b");
    await write(core, "team/c");
    await core.call("context_delete", { id: "team/c" });
    const first = await stream.next();
    expect(JSON.parse(first?.data ?? "")).toMatchObject({ target: "team/c", version: 1, outcome: "created" });
    expect(first).toMatchObject({ event: "change", id: JSON.parse(first?.data ?? "").position });
    expect(await stream.change()).toMatchObject({ target: "team/c", version: 2, outcome: "deleted" });
  });

  test("of one context shows that context alone, whether it exists yet or not", async () => {
    await using core = startCore();
    await using stream = await open(core, "/contexts/team%2Fplan/stream");
    await write(core, "team/plan2");
    await write(core, "team/plan");
    expect(await stream.change()).toMatchObject({ target: "team/plan", version: 1 });
  });

  test("is what GET /changes answers to a client that accepts event streams", async () => {
    await using core = startCore();
    await using stream = await open(core, "/changes", { headers: { accept: "text/event-stream, */*;q=0.1" } });
    await write(core, "a");
    expect(await stream.change()).toMatchObject({ target: "a" });
  });

  test("resumes behind since, and behind Last-Event-ID where both are given", async () => {
    await using core = startCore();
    const epoch = core.invoker.position().split("-")[0];
    for (let version = 1; version <= 5; version++) await write(core, "a", version);
    await using since = await open(core, `/changes?feed=sse&since=${epoch}-2`);
    expect((await since.change()).version).toBe(3);
    const headers = { "last-event-id": `${epoch}-4` };
    await using both = await open(core, `/changes?feed=sse&since=${epoch}-0`, { headers });
    expect((await both.change()).version).toBe(5);
  });

  test("shows only visible spaces, also of thousands of changes that it skips", async () => {
    await using core = startCore();
    const epoch = core.invoker.position().split("-")[0];
    await Promise.all(Array.from({ length: 1500 }, (_, index) => write(core, `hidden/${index}`)));
    await write(core, "team/a");
    const caller = granted({ role: "reader", spaces: ["team"] });
    await using stream = await open(core, `/changes?feed=sse&since=${epoch}-0`, {}, caller);
    expect(await stream.change()).toMatchObject({ target: "team/a", position: `${epoch}-1501` });
  });

  test("sends a comment when it is quiet, with the place that it has reached meanwhile", async () => {
    await using core = startCore({ streams: { heartbeatMs: 40 } });
    const response = await core.http("/contexts/a/stream");
    await write(core, "b");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!/: heartbeat\nid: \w+-1\n\n/.test(text) || !text.includes(": heartbeat\n\n")) {
      text += new TextDecoder().decode((await reader.read()).value);
    }
    await reader.cancel();
  });

  test("ends with the reason when the right is gone, and nothing is delivered after that", async () => {
    await using core = startCore({ policy: policyFor({ role: "reader", spaces: ["team"] }) });
    const caller = callerWith();
    const paths = ["/contexts/team/a/stream", "/changes?feed=sse", "/changes?feed=sse&prefix=team/"];
    const streams = await Promise.all(paths.map((path) => open(core, path, {}, caller)));
    await write(core, "team/a", "before");
    for (const stream of streams) expect(await stream.change()).toMatchObject({ target: "team/a" });
    core.access.usePolicy(policyFor({ role: "reader", spaces: ["other"] }));
    await write(core, "team/a", "after");
    expect((await streams[0]?.end())?.reason).toBe("forbidden");
    expect((await streams[2]?.end())?.reason).toBe("forbidden");
    await write(core, "other/b");
    expect(await streams[1]?.change()).toMatchObject({ target: "other/b" });
    core.access.usePolicy(undefined);
    core.api.callersChanged();
    expect((await streams[1]?.end())?.reason).toBe("forbidden");
    expect((await core.http(paths[0] ?? "", {}, caller)).status).toBe(403);
    expect(core.invoker.openStreams).toBe(0);
  });

  test("ends when the tailnet says that its caller has changed; the streams of others go on", async () => {
    await using core = startCore();
    const alice = granted({ role: "reader", spaces: ["*"] });
    await using changed = await open(core, "/changes?feed=sse", {}, alice);
    await using other = await open(core, "/changes?feed=sse", {}, { ...alice, id: "nBOB", login: "bob@example.com" });
    core.api.callersChanged(["nALICE"]);
    expect((await changed.end()).reason).toBe("rights_changed");
    await write(core, "a");
    expect(await other.change()).toMatchObject({ target: "a" });
  });

  test("ends with the reason when the node stops, and no new one opens", async () => {
    await using core = startCore();
    await using stream = await open(core, "/changes?feed=sse");
    core.api.close();
    expect((await stream.end()).reason).toBe("stopping");
    expect((await core.http("/changes?feed=sse")).status).toBe(503);
    expect((await core.http("/changes?feed=sse")).headers.get("retry-after")).not.toBeNull();
  });

  test("that no one reads is given up, first with a reason, then cut", async () => {
    await using core = startCore({ streams: { heartbeatMs: 40, stallMs: 80, graceMs: 80 } });
    const streams = [await core.http("/changes?feed=sse"), await core.http("/contexts/a/stream")];
    const begun = streams[1]?.body?.getReader();
    await begun?.read();
    await eventually("the slow readers to be given up", () => core.invoker.openStreams === 0);
    await eventually("the connections to be cut", () => core.api.openStreams === 0);
    expect(await failureOf(() => new Response(streams[0]?.body).text())).toBe("cut");
    expect(await failureOf(async () => void (await begun?.read()))).toBe("cut");
  });

  test("that was told to go and reads on hears why", async () => {
    await using core = startCore({ streams: { heartbeatMs: 40, stallMs: 80, graceMs: 60_000 } });
    const response = await core.http("/changes?feed=sse");
    await eventually("the stream to be given up", () => core.invoker.openStreams === 0);
    await using stream = new EventReader(response);
    expect((await stream.end()).reason).toBe("slow_reader");
  });

  test("counts for its caller until the client goes; above the limit is 429 before anything streams", async () => {
    await using core = startCore({ streamsPerCaller: 2 });
    const caller = granted({ role: "reader", spaces: ["*"] });
    const first = await core.http("/changes?feed=sse", {}, caller);
    await using second = await open(core, "/contexts/a/stream", {}, caller);
    const refused = await core.http("/changes?feed=sse", {}, caller);
    expect([refused.status, refused.headers.get("content-type")]).toEqual([429, "application/problem+json"]);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    expect((await core.http("/changes?feed=longpoll&timeout=0", {}, caller)).status).toBe(429);
    expect((await core.http("/changes?feed=sse")).status).toBe(200);
    await first.body?.cancel();
    expect((await second.next())?.id).toBe(core.invoker.position());
    expect((await core.http("/changes?feed=sse", {}, caller)).status).toBe(200);
  });

  test("is refused with a problem before it begins: floor, other history, ahead, no position, unknown parameters", async () => {
    await using core = startCore();
    for (let version = 1; version <= 4; version++) await write(core, "a", version);
    const epoch = core.invoker.position().split("-")[0] ?? "";
    const forked = epoch.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    const rows: [string, number, string][] = [
      [`/changes?feed=sse&since=${forked}-1`, 410, "history_forked"],
      [`/changes?feed=sse&since=${epoch}-9`, 400, "invalid_input"],
      ["/changes?feed=sse&since=now", 400, "invalid_input"],
      ["/contexts/a/stream?since=-1", 400, "invalid_input"],
      ["/contexts/a/stream?prefix=b", 400, "invalid_input"],
      ["/contexts/a/stream?feed=longpoll", 400, "invalid_input"],
      ["/changes?feed=websocket", 400, "invalid_input"],
      ["/changes?feed=sse&timeout=5", 400, "invalid_input"],
      ["/changes?feed=sse&limit=5", 400, "invalid_input"],
      ["/changes?feed=longpoll&limit=0", 400, "invalid_input"],
      ["/changes?feed=longpoll&limit=101", 400, "invalid_input"],
      ["/changes?feed=longpoll&timeout=301", 400, "invalid_input"],
      ["/changes?feed=longpoll&timeout=soon", 400, "invalid_input"],
      ["/changes?feed=longpoll&timeout=1.0", 400, "invalid_input"],
      ["/changes?feed=longpoll&since=1", 400, "invalid_input"],
    ];
    for (const [path, status, code] of rows) {
      const answer = await core.http(path);
      expect([path, answer.status, await answer.json()]).toEqual([path, status, expect.objectContaining({ code })]);
    }
    expect(core.invoker.openStreams).toBe(0);
  });

  test("below the kept changes is 410 with the floor, for streams and long polls, before anything begins", async () => {
    await using before = startCore();
    for (let version = 1; version <= 5; version++) await write(before, "a", version);
    before.store.transaction((tx) => compactChanges(tx, 3));
    await before.close();
    await using core = startCore({ folder: before.folder });
    for (const path of ["/changes?feed=sse&", "/contexts/a/stream?", "/changes?feed=longpoll&"]) {
      const gone = await core.http(`${path}since=${core.invoker.positionAt(2)}`);
      expect([gone.status, await gone.json()]).toEqual([
        410,
        expect.objectContaining({ code: "below_floor", floor: 3 }),
      ]);
    }
    await using stream = await open(core, `/changes?feed=sse&since=${core.invoker.positionAt(3)}`);
    expect((await stream.change()).version).toBe(4);
  });

  test("HEAD answers its headers and opens none; a caller without the right gets 403 with the grant", async () => {
    await using core = startCore();
    for (const path of ["/changes?feed=sse", "/contexts/a/stream"]) {
      const head = await core.http(path, { method: "HEAD" });
      expect([head.status, head.headers.get("content-type"), head.body]).toEqual([200, "text/event-stream", null]);
      const refused = await core.http(path, {}, callerWith());
      expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('\\"role\\":\\"reader\\"')]);
    }
    expect(core.invoker.openStreams).toBe(0);
  });
});

describe("a long poll", () => {
  test("answers the changes behind since at once, at most limit, and the position to go on from", async () => {
    await using core = startCore();
    const epoch = core.invoker.position().split("-")[0];
    for (let version = 1; version <= 5; version++) await write(core, "a", version);
    let since = `${epoch}-0`;
    const seen: number[] = [];
    for (const expected of [2, 2, 1]) {
      const response = await core.http(`/changes?feed=longpoll&since=${since}&limit=2`);
      const body = (await response.json()) as { changes: { version: number }[]; position: string; timed_out: boolean };
      expect([body.changes.length, body.timed_out]).toEqual([expected, false]);
      expect(response.headers.get("cairn-position")).toBe(body.position);
      seen.push(...body.changes.map(({ version }) => version));
      since = body.position;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  test("wakes with a change, or says that it timed out", async () => {
    await using core = startCore();
    const waiting = core.http("/changes?prefix=a&timeout=20");
    await write(core, "b");
    await write(core, "a");
    expect(await (await waiting).json()).toMatchObject({ changes: [{ target: "a" }], timed_out: false });
    const late = (await (await core.http("/changes?timeout=0")).json()) as object;
    expect(late).toEqual({ changes: [], position: core.invoker.position(), timed_out: true });
  });

  test("waits as long as the operation does where the client does not say, and HEAD does not wait", async () => {
    await using core = startCore();
    using deadline = spyOn(AbortSignal, "timeout");
    expect((await core.http("/changes?feed=longpoll", { method: "HEAD" })).status).toBe(200);
    const waiting = core.http("/changes?feed=longpoll");
    const given = () => deadline.mock.calls.flat();
    await eventually("the poll waits", () => given().includes(DEFAULT_WAIT_SECONDS * 1000), { seen: given });
    await write(core, "a");
    expect(await (await waiting).json()).toMatchObject({ timed_out: false });
  });
});
