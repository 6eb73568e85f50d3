// The event log: offsets, duplicates, order, cursors, waits, retention, quotas, rights, and what it keeps of changes.
// Bodies are in event-codecs.test.ts.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Fault } from "../../src/lib/fault.ts";
import { readMeta } from "../../src/log/meta.ts";
import { callerWith, localAdmin } from "../kit/core.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { refusal } from "../kit/refusal.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const offsetIn = (cursor: string) => Number(cursor.split("-e")[1]);
const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ type: "n", id: `${from + index}`, data: from + index }));

describe("an event that is published", () => {
  test("is kept with the verified caller before its source, and is read by cursor, by id and in lists", async () => {
    const said = { space: "team-a", type: "build.done", source: "ci", id: "7", subject: "main", data: { ok: true } };
    const { cursor, ...rest } = await events.publish("ann", { ...said, extensions: { severity: "low", n: 3 } });
    const durability = "replicated; voters=1; sync=always";
    expect(rest).toEqual({ id: "7", duplicate: false, durability } as typeof rest);
    expect(cursor).toMatch(/^[0-9a-f]{10}-e1$/);
    const shown = {
      ...{
        specversion: "1.0",
        id: "7",
        source: "user:ann@x/ci",
        type: "build.done",
        subject: "main",
        data: { ok: true },
      },
      ...{ severity: "low", n: 3, cairncaller: "user:ann@x", cairnspace: "team-a", cairnposition: cursor },
      ...{ time: new Date(events.nowMs()).toISOString(), cairntime: new Date(events.nowMs()).toISOString() },
    };
    expect((await events.list()).events).toEqual([shown]);
    expect(await events.core.call("event_get", { event: cursor })).toEqual({ event: shown });
    expect(await events.core.call("event_get", { id: "7", source: "user:ann@x/ci" })).toEqual({ event: shown });
  });

  test("that this fleet has passed on before is refused, alone or among others", async () => {
    const fleet = readMeta(events.core.store.reader, "fleet_id") ?? "";
    const back = (hops: string) => ({ type: "n", id: hops, extensions: { cairnhops: hops } });
    const refused = await refusal(events.publish("ann", back(`other,${fleet}`)));
    expect([refused.code, refused.details["field"]]).toEqual(["loop_detected", "cairnhops"]);
    const results = await events.publishMany("ann", [back("other"), back(fleet), back(`${fleet}0`), back("another")]);
    expect(results.map(({ error, cursor = "" }) => error?.code ?? offsetIn(cursor))).toEqual([
      1,
      "loop_detected",
      2,
      3,
    ]);
    const body = JSON.stringify({ specversion: "1.0", id: "1", source: "b", type: "n", cairnhops: fleet });
    const headers = { "content-type": "application/cloudevents+json" };
    expect((await events.core.http("/events", { method: "POST", body, headers })).status).toBe(508);
    expect((await events.list()).events).toHaveLength(3);
  });

  test("is among all that are kept, where a list or a wait begins at the oldest", async () => {
    await events.publishMany("ann", numbered(3));
    const ids = async (name: string, input: object) =>
      ((await events.core.call(name, { since: "oldest", ...input })) as { events: { id: string }[] }).events.map(
        ({ id }) => id,
      );
    expect(await ids("event_list", {})).toEqual(["0", "1", "2"]);
    expect(await ids("event_wait", { timeout_seconds: 0 })).toEqual(["0", "1", "2"]);
  });

  test("keeps its own time, text, bytes and the digits of its numbers", async () => {
    const [one, two, three] = [
      { type: "t", time: "2026-01-02T03:04:05.678901+02:00", data: "a ✓", datacontenttype: "text/plain" },
      { type: "t", data_base64: "AAEC", datacontenttype: "application/octet-stream" },
      { type: "t", data: "words" },
    ];
    await events.publishMany("ann", [one, two, three]);
    const body = '{"type":"t","data":{"n":12345678901234567890.5}}';
    await events.core.http("/events", { method: "POST", body, headers: { "content-type": "application/json" } });
    const { events: found } = await events.list();
    expect(found.map(({ time, data, data_base64 }) => ({ time, data, data_base64 })).slice(1)).toEqual([
      { time: new Date(events.nowMs()).toISOString(), data: "words", data_base64: undefined },
      { time: new Date(events.nowMs()).toISOString(), data: undefined, data_base64: "AAEC" },
      { time: "2026-01-02T03:04:05.678901+02:00", data: "a ✓", data_base64: undefined },
    ]);
    const listed = await (await events.core.http("/events?limit=1")).text();
    expect(listed).toContain('"n":12345678901234567890.5');
  });

  test("has an id of its own where none is given, and with a key the same one each time", async () => {
    const one = await events.publish("ann", { type: "t" });
    expect((await events.publish("ann", { type: "t" })).id).not.toBe(one.id);
    const given = (await events.publishMany("ann", Array(600).fill({ type: "t" }))).map(({ id = "" }) => id);
    // In the order of the events, so that the index of ids grows at its end.
    expect([...new Set(given)].sort()).toEqual(given);
    const keyed = { type: "t", idempotency_key: "k" };
    const first = await events.publish("ann", keyed);
    expect(await events.publish("ann", keyed)).toEqual(first);
    const { events: kept } = await events.list();
    expect(kept.map(({ id }) => id).slice(0, 3)).toEqual([first.id, given[599] ?? "", given[598] ?? ""]);
  });
});

describe("a duplicate", () => {
  test("is the first event within the window, of the same caller, source and id", async () => {
    const said = { type: "t", source: "s", id: "1" };
    const first = await events.publish("ann", said);
    events.pass(3_599_000);
    expect(await events.publish("ann", { ...said, data: "other" })).toEqual({ ...first, duplicate: true });
    expect((await events.publish("bob", said)).duplicate).toBe(false);
    expect((await events.publish("ann", { ...said, source: "s2" })).duplicate).toBe(false);
    events.pass(2_000);
    expect(await events.publish("ann", said)).toMatchObject({
      id: "1",
      cursor: expect.stringMatching(/-e4$/),
      duplicate: false,
    });
  });

  test("is found within one call, and makes no change", async () => {
    const found = await events.publishMany("ann", [...numbered(2), ...numbered(2), ...numbered(1, 2)]);
    expect(found.map(({ cursor, duplicate }) => [offsetIn(cursor), duplicate])).toEqual([
      [1, false],
      [2, false],
      [1, true],
      [2, true],
      [3, false],
    ]);
    const before = events.core.log.position().seq;
    await events.publishMany("ann", numbered(2));
    expect(events.core.log.position().seq).toBe(before);
  });
});

describe("many events", () => {
  test("get offsets without gaps in their order, in commands of at most 512 events and one change each", async () => {
    const before = events.core.log.position().seq;
    const found = await events.publishMany("ann", numbered(1000));
    expect(found.map(({ cursor }) => offsetIn(cursor))).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
    const rows = events.core.store.reader.all<{ target: string; version: number; outcome: string }>(
      "SELECT target, version, outcome FROM changes WHERE seq > ? ORDER BY seq",
      before,
    );
    expect(rows).toEqual([
      { target: "default/events", version: 512, outcome: "published" },
      { target: "default/events", version: 488, outcome: "published" },
    ]);
  });

  test("are cut by bytes, and a single larger event is alone in its command", async () => {
    const data = "x".repeat(100 * 1024);
    const before = events.core.log.position().seq;
    await events.publishMany("ann", [...Array(4).fill({ type: "t", data }), { type: "t", data: data.repeat(5) }]);
    const rows = events.core.store.reader.all<{ version: number }>("SELECT version FROM changes WHERE seq > ?", before);
    expect(rows.map(({ version }) => version)).toEqual([2, 2, 1]);
  });

  test("of small calls at the same time share commands", async () => {
    const before = events.core.log.position().seq;
    const calls = numbered(200).map((event) => events.publish("ann", event));
    const offsets = (await Promise.all(calls)).map(({ cursor }) => offsetIn(cursor));
    expect(new Set(offsets).size).toBe(200);
    expect(events.core.log.position().seq - before).toBeLessThan(10);
  });

  test("have one outcome each: what is wrong is named and keeps no other one away", async () => {
    const found = await events.publishMany("ann", [
      { type: "ok" },
      { type: "t", id: "x".repeat(129) },
      { type: "t", time: "yesterday" },
      "text",
      { type: "t", extensions: { "a-b": "c" } },
      { specversion: "1.0", type: "t", source: "s" },
      { type: "ok" },
    ]);
    expect(found.map(({ error, cursor }) => error?.field ?? offsetIn(cursor))).toEqual([
      ...[1, "id", "time", "event", "a-b", "id", 2],
    ]);
    expect(found[1]?.error?.message).toContain("129 characters; 128 are allowed");
  });
});

test("an event larger than the setting is refused with the limit, before the log", async () => {
  const refused = await refusal(events.publish("ann", { type: "t", data: "x".repeat(1024 * 1024) }));
  expect(refused).toMatchObject({ code: "too_large", details: { field: "data", limit: 1024 * 1024 } });
  expect((await events.list()).events).toEqual([]);
});

describe("attributes of Cairn", () => {
  test("are never taken from outside; the hops of peers are kept", async () => {
    const from = { cairncaller: "user:admin@x", cairnposition: "0-e1", cairnspace: "other", cairnhops: "a,b" };
    await events.publishMany("ann", [{ type: "t", specversion: "1.0", id: "1", source: "s", ...from }]);
    const [found] = (await events.list()).events;
    expect(found).toMatchObject({ cairncaller: "user:ann@x", cairnspace: "default", cairnhops: "a,b" });
    expect(found?.cairnposition).toMatch(/-e1$/);
  });
});

describe("rights", () => {
  const onlyA = callerWith({ id: "nA", login: "a@x", grants: [{ role: "member", spaces: ["team-a"] }] });
  const reads = callerWith({ id: "nR", login: "r@x", grants: [{ role: "reader", spaces: ["*"] }] });

  test("are those of the space: another space's events are not there, in any read", async () => {
    const there = await events.publish("ann", { space: "team-b", type: "t", id: "1" });
    await events.publish("ann", { space: "team-a", type: "t" });
    expect((await events.list({}, onlyA)).events.map(({ cairnspace }) => cairnspace)).toEqual(["team-a"]);
    expect((await events.wait({ since: `${there.cursor.split("-")[0]}-e0` }, onlyA)).events).toHaveLength(1);
    expect((await refusal(events.core.call("event_get", { event: there.cursor }, onlyA))).code).toBe("not_found");
    const ask = { id: "1", source: "user:ann@x/self" };
    expect((await refusal(events.core.call("event_get", ask, onlyA))).code).toBe("not_found");
    expect((await refusal(events.list({ space: "team-b" }, onlyA))).code).toBe("forbidden");
  });

  test("to publish need the role member on the space, and admin on a reserved one", async () => {
    for (const operation of ["event_publish", "event_publish_many", "event_append"]) {
      const item = { type: "t", id: "1", source: "s", extensions: {}, kind: "none", data: "" };
      const input = operation === "event_publish" ? { type: "t" } : { events: [item] };
      expect((await refusal(events.core.call(operation, input, reads))).code).toBe("forbidden");
      const reserved = events.core.call(operation, { ...input, space: "fleet" }, sender("ann"));
      expect((await refusal(reserved)).code).toBe("forbidden");
    }
    expect(await events.core.call("event_publish", { space: "fleet", type: "t" }, localAdmin)).toMatchObject({});
  });
});

describe("event_append", () => {
  test.each<[string, object]>([
    ["JSON that is none", { kind: "json", data: "{" }],
    ["no JSON at all", { kind: "json", data: "" }],
    ["JSON that is too deep", { kind: "json", data: `${"[".repeat(65)}${"]".repeat(65)}` }],
    ["a key twice", { kind: "json", data: '{"a":1,"a":2}' }],
    ["half a character", { kind: "text", data: "\ud800", datacontenttype: "text/plain" }],
    ["bytes that are no base64", { kind: "base64", data: "A" }],
    ["data where there are none", { kind: "none", data: "x" }],
  ])("refuses %s as data, and readers go on", async (_what, data) => {
    const item = { id: "1", source: "s", type: "t", extensions: {}, ...data };
    const refused = await refusal(events.core.call("event_append", { events: [item] }, sender("eve")));
    expect([refused.code, refused.message]).toEqual(["invalid_input", expect.stringContaining("events.0.data")]);
    await events.publish("ann", { type: "t", id: "2" });
    expect((await events.list()).events.map(({ id }) => id)).toEqual(["2"]);
  });
});

describe("a wait", () => {
  test("ends with the first event after its cursor, and goes on without a gap", async () => {
    const { cursor } = await events.wait({ timeout_seconds: 0 });
    const waiting = events.wait({ since: cursor });
    await events.publish("ann", { type: "t", id: "1" });
    const first = await waiting;
    expect(first).toMatchObject({ events: [{ id: "1" }], timed_out: false });
    await events.publishMany("ann", numbered(3, 10));
    const next = await events.wait({ since: first.cursor, limit: 2 });
    expect(next.events.map(({ id }) => id)).toEqual(["10", "11"]);
    expect((await events.wait({ since: next.cursor })).events.map(({ id }) => id)).toEqual(["12"]);
  });

  test("gives a sender its own events only if it asks", async () => {
    await events.publish("ann", { type: "t", id: "own" });
    const start = (await events.list()).oldest;
    expect(await events.wait({ since: start, timeout_seconds: 0 }, sender("ann"))).toMatchObject({ timed_out: true });
    expect((await events.wait({ since: start, own: true }, sender("ann"))).events).toHaveLength(1);
    expect((await events.wait({ since: start }, sender("bob"))).events).toHaveLength(1);
  });

  test("chooses by type, source, subject and space, with * at the end for all that begin so", async () => {
    await events.publishMany("ann", [
      { type: "build.done", source: "ci/a", id: "1", subject: "main" },
      { type: "build.failed", source: "ci/b", id: "2" },
      { type: "deploy", source: "cd", id: "3", subject: "main/x" },
    ]);
    const since = (await events.list()).oldest;
    const ids = async (input: Record<string, unknown>) =>
      (await events.wait({ since, timeout_seconds: 0, ...input })).events.map(({ id }) => id).join("");
    expect(await ids({ types: ["build.*"] })).toBe("12");
    expect(await ids({ types: ["build.done", "deploy"] })).toBe("13");
    expect(await ids({ types: ["build."] })).toBe("");
    expect(await ids({ source: "user:ann@x/ci*" })).toBe("12");
    expect(await ids({ source: "user:ann@x/cd" })).toBe("3");
    expect(await ids({ subject: "main*" })).toBe("13");
    expect(await ids({ space: "default" })).toBe("123");
    expect(await ids({ space: "other" })).toBe("");
  });

  test("begins by time: at the events that were ordered then or later", async () => {
    await events.publish("ann", { type: "t", id: "1" });
    events.pass(60_000);
    const time = new Date(events.nowMs()).toISOString();
    await events.publish("ann", { type: "t", id: "2" });
    expect((await events.wait({ time })).events.map(({ id }) => id)).toEqual(["2"]);
    expect((await events.list({ after: time })).events.map(({ id }) => id)).toEqual(["2"]);
    const later = new Date(events.nowMs() + 1).toISOString();
    expect(await events.wait({ time: later, timeout_seconds: 0 })).toMatchObject({ events: [], timed_out: true });
  });

  test("ends when its caller goes away", async () => {
    const gone = new AbortController();
    const input = { timeout_seconds: 300 };
    const call = { operation: "event_wait", input, caller: sender("reader"), signal: gone.signal };
    const waiting = refusal(events.core.invoker.invoke(call));
    gone.abort();
    expect((await waiting).code).toBe("cancelled");
  });
});

test("a wait ends with unavailable when the node stops", async () => {
  const waiting = refusal(events.wait({ timeout_seconds: 300 }));
  await Bun.sleep(10);
  events.core.log.changes.end();
  expect((await waiting).code).toBe("unavailable");
  expect((await refusal(events.wait({ timeout_seconds: 300 }))).code).toBe("unavailable");
});

describe("a cursor", () => {
  test("ahead of the newest event, of another history, or that is none is refused", async () => {
    const { cursor } = await events.publish("ann", { type: "t" });
    const epoch = cursor.split("-")[0];
    const ahead = await refusal(events.wait({ since: `${epoch}-e2` }));
    expect(ahead).toMatchObject({ code: "invalid_input", details: { newest: cursor } });
    expect((await refusal(events.wait({ since: "0123456789-e1" }))).code).toBe("history_forked");
    for (const since of ["7", `${epoch}-e01`, `${epoch}-e-1`])
      expect((await refusal(events.wait({ since }))).code).toBe("invalid_input");
  });

  test("may be a position: the events that were ordered after it", async () => {
    const call = (operation: string, input: object) =>
      events.core.invoker.invoke({ operation, input, caller: localAdmin, signal: new AbortController().signal });
    await call("event_publish", { type: "t", id: "1" });
    const { position } = await call("context_put", { id: "a", content: "b" });
    await call("event_publish", { type: "t", id: "2" });
    expect((await events.wait({ since: position })).events.map(({ id }) => id)).toEqual(["2"]);
    expect((await events.list({ since: position })).events.map(({ id }) => id)).toEqual(["2"]);
    events.pass(24 * 3_600_000);
    await events.retain();
    expect(await refusal(events.wait({ since: position }))).toMatchObject({ code: "below_floor" });
    const { position: later } = await call("context_put", { id: "a", content: "c" });
    expect(await events.wait({ since: later, timeout_seconds: 0 })).toMatchObject({ timed_out: true });
  });

  test("below the floor is 410 with the oldest one to go on from", async () => {
    const all = await events.publishMany("ann", numbered(3));
    events.pass(24 * 3_600_000);
    await events.retain();
    await events.publish("ann", { type: "t", id: "new" });
    const refused = await refusal(events.wait({ since: all[0]?.cursor ?? "" }));
    expect(refused).toMatchObject({ code: "below_floor", details: { oldest: all[2]?.cursor } });
    const on = await events.wait({ since: String(refused.details["oldest"]) });
    expect(on.events.map(({ id }) => id)).toEqual(["new"]);
    const response = await events.core.http(`/events/stream?since=${all[0]?.cursor}`);
    expect(response.status).toBe(410);
  });
});

describe("retention", () => {
  const kept = async () => (await events.list({ limit: 1000 })).events.map(({ id }) => Number(id)).reverse();
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round += 1) await events.publishMany("ann", numbered(10, 10 * round));
  };

  test("by number keeps at least the newest, in whole segments", async () => {
    await events[Symbol.asyncDispose]();
    events = startEvents({ events: { keepCount: 25 } });
    await rounds(10);
    await events.retain();
    expect(await kept()).toEqual(numbered(30, 70).map(({ data }) => data));
  });

  test("by age removes what is older", async () => {
    await rounds(1);
    events.pass(23 * 3_600_000);
    await events.publishMany("ann", numbered(1, 100));
    events.pass(3_600_000);
    await events.retain();
    expect(await kept()).toEqual([100]);
  });

  test("by bytes frees the quotas of callers and spaces with the events", async () => {
    await events[Symbol.asyncDispose]();
    events = startEvents({ events: { keepBytes: 20_000 } });
    for (const who of ["ann", "bob", "ann"]) await events.publish(who, { type: "t", data: "x".repeat(9_000) });
    await events.retain();
    const { reader } = events.core.store;
    const used = reader.all<{ kind: string; name: string; bytes: number }>(
      "SELECT * FROM event_usage ORDER BY kind, name",
    );
    const one = used[0]?.bytes ?? 0;
    expect(one).toBeGreaterThan(9_000);
    expect(used).toEqual([
      { kind: "caller", name: "user:ann@x", bytes: one },
      { kind: "caller", name: "user:bob@x", bytes: one },
      { kind: "space", name: "default", bytes: 2 * one },
    ]);
    expect(reader.get<{ bytes: number }>("SELECT bytes FROM event_head")?.bytes).toBe(2 * one);
  });

  test("removes no more than what is beyond the limits, and proposes nothing where nothing is", async () => {
    await rounds(2);
    const before = events.core.log.digest();
    await events.retain();
    expect(events.core.log.digest()).toEqual(before);
  });
});

describe("a quota", () => {
  test("of a caller is 429 with what to do; others publish on, and retention frees it", async () => {
    await events[Symbol.asyncDispose]();
    events = startEvents({ events: { callerBytes: 20_000 } });
    const large = { type: "t", data: "x".repeat(9_000) };
    await events.publish("ann", large);
    await events.publish("ann", large);
    const refused = await refusal(events.publish("ann", large));
    expect(refused).toMatchObject({
      code: "rate_limited",
      details: { quota: "caller", limit: 20_000, retryAfterSeconds: 60 },
    });
    expect((refused as unknown as Fault).hint).toContain("events.caller_bytes");
    await events.publish("bob", large);
    events.pass(24 * 3_600_000);
    await events.retain();
    await events.publish("ann", large);
    expect((await events.list()).events).toHaveLength(1);
  });

  test("of a space holds for all of its senders together", async () => {
    await events[Symbol.asyncDispose]();
    events = startEvents({ events: { spaceBytes: 20_000 } });
    const large = { space: "team-a", type: "t", data: "x".repeat(9_000) };
    await events.publish("ann", large);
    await events.publish("bob", large);
    expect((await refusal(events.publish("cyd", large))).details["quota"]).toBe("space");
    await events.publish("cyd", { ...large, space: "team-b" });
  });

  test("of requests counts events by their work, with Retry-After", async () => {
    await events[Symbol.asyncDispose]();
    events = startEvents({ requestsPerMinute: 20 });
    let refused: Awaited<ReturnType<typeof refusal>> | undefined;
    for (let call = 0; call < 20 && refused === undefined; call += 1)
      refused = await refusal(events.publishMany("ann", numbered(500, 500 * call))).catch(() => undefined);
    expect(refused).toMatchObject({ code: "rate_limited", details: { retryAfterSeconds: expect.any(Number) } });
    expect((await events.publish("bob", { type: "t" })).duplicate).toBe(false);
  });
});
