// What events leave in the table of changes, how its followers skip that, and how the audit holds events against it.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { offsetOf } from "../../src/features/event/cursor.ts";
import { Changes } from "../../src/log/changes.ts";
import { type Events, startEvents } from "../kit/events.ts";
import { faultOf } from "../kit/refusal.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ type: "n", id: `${from + index}`, data: from + index }));

describe("the changes of events", () => {
  test("are in the audit, and neither wake nor reach followers of changes", async () => {
    const { changes } = events.core.log;
    let woken = 0;
    const stop = changes.onApplied(() => {
      woken += 1;
    });
    const cursor = changes.cursor();
    await events.publishMany("ann", numbered(3));
    const waiting = events.core.call("context_wait", { timeout_seconds: 1 });
    await events.publish("ann", { type: "t" });
    expect(cursor.next(10)).toEqual([]);
    expect(await waiting).toMatchObject({ changes: [], timed_out: true });
    expect(woken).toBe(0);
    await events.core.call("context_put", { id: "team-a/x", content: "y" });
    await Bun.sleep(0);
    expect(woken).toBe(1);
    expect(cursor.next(10).map(({ target }) => target)).toEqual(["team-a/x"]);
    stop();
    const { rows } = await events.core.call("audit_query", {});
    expect((rows as { operation: string }[]).map(({ operation }) => operation)).toEqual([
      ...["context_put", "event_append", "event_append"],
    ]);
  });

  test("are skipped by followers that read the table, in bounded steps", async () => {
    await events.core.call("context_put", { id: "a", content: "1" });
    for (let count = 0; count < 20; count += 1) await events.publish("ann", { type: "t" });
    await events.core.call("context_put", { id: "b", content: "1" });
    const fresh = new Changes(events.core.store.reader, events.core.log.position(), new Set(["event_append"]));
    const cursor = fresh.cursor(0);
    expect(cursor.next(1).map(({ target }) => target)).toEqual(["a"]);
    expect(cursor.next(5).map(({ target }) => target)).toEqual(["b"]);
    expect(cursor.isBehind()).toBe(false);
  });
});

test("a cursor of an earlier history is good up to the last event before the fork", async () => {
  for (const round of [0, 1]) await events.publishMany("ann", numbered(3, 3 * round));
  const { store } = events.core;
  const epoch = (await events.list()).oldest.split("-")[0] ?? "";
  const fork = store.reader.get<{ seq: number }>("SELECT seq FROM event_segments WHERE last = 3")?.seq ?? 0;
  const sql = "INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (2, 'fedcba9876', ?, ?, ?)";
  store.transaction((tx) => tx.run(sql, epoch, fork, new Uint8Array(32)));
  for (const offset of [0, 2, 3]) expect(offsetOf(store.reader, `${epoch}-e${offset}`)).toBe(offset);
  expect(faultOf(() => offsetOf(store.reader, `${epoch}-e4`))).toMatchObject({
    code: "history_forked",
    details: { oldest: "fedcba9876-e0" },
  });
  expect(offsetOf(store.reader, "fedcba9876-e4")).toBe(4);
});

describe("audit_verify", () => {
  const verify = () => events.core.call("audit_verify", {});
  const tamper = (sql: string) => events.core.store.transaction((tx) => tx.run(sql));

  test("holds events against their chain and their changes, also behind a floor", async () => {
    for (const round of [0, 1, 2]) await events.publishMany("ann", numbered(3, 3 * round));
    expect(await verify()).toMatchObject({ ok: true });
    events.limits.events.keepCount = 5;
    await events.retain();
    expect((await events.list()).events).toHaveLength(6);
    expect(await verify()).toMatchObject({ ok: true });
  });

  test.each([
    ["a changed text", "UPDATE events SET data = '9' WHERE offset = 5", "do not match their hash"],
    ["another caller", "UPDATE events SET caller = 'user:eve@x' WHERE offset = 5", "do not match their hash"],
    ["a missing event", "DELETE FROM events WHERE offset = 5", "do not match their hash"],
    ["a missing segment", "DELETE FROM event_segments WHERE last = 6", "do not follow those before them"],
    ["another hash", "UPDATE event_segments SET hash = 'x' WHERE last = 6", "do not match their hash"],
    ["a cut tail", "DELETE FROM event_segments WHERE last = 9", "are missing"],
  ])("finds %s", async (_what, sql, problem) => {
    for (const round of [0, 1, 2]) await events.publishMany("ann", numbered(3, 3 * round));
    tamper(sql);
    expect(JSON.stringify(await verify())).toContain(problem);
  });
});
