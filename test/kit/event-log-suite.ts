// The contract of `EventLog`: what every log of events promises, over whichever opens one.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { EventLog } from "../../src/features/event/event-log.ts";
import { EventFeed } from "../../src/features/event/feed.ts";
import { HOPS } from "../../src/features/event/hops.ts";
import type { EventItem } from "../../src/features/event/item.ts";
import type { MacroSteps } from "../../src/operation/define.ts";
import { eventually } from "./eventually.ts";
import { faultOf } from "./refusal.ts";

/** An open log, empty at first. */
export interface OpenedEventLog extends AsyncDisposable {
  log: EventLog;
  fleetId: string;
  /** The steps of a call of a user. */
  as(user: string): Pick<MacroSteps, "ask">;
  /** Removes old events so that so many are kept, as retention does. */
  keep(count: number): Promise<void>;
  /** Lets time go on, so that the next event is ordered later. */
  pass(): Promise<void>;
  /** The node stops. */
  stop(): void;
}

/** How logs of one kind are opened. */
export interface EventLogKind {
  name: string;
  before?: () => Promise<void>;
  after?: () => Promise<void>;
  open(): Promise<OpenedEventLog>;
}

const MAX_DATA = 400_000;

/** Returns an event as a command carries it. */
export function item(id: string, more: Partial<EventItem> = {}): EventItem {
  return { id, source: "ci", type: "build.done", extensions: {}, kind: "json", data: '{"ok":true}', ...more };
}

const items = (count: number, more: Partial<EventItem> = {}) =>
  Array.from({ length: count }, (_, at) => item(`${at + 1}`, more));
const offsets = (rows: readonly { offset: number }[]) => rows.map(({ offset }) => offset);
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, at) => first + at);

/** Declares the tests. */
export function eventLogSuite({ name, before, after, open }: EventLogKind): void {
  describe(`the log of events: ${name}`, () => {
    let opened: OpenedEventLog;
    let log: EventLog;
    beforeAll(async () => before?.());
    afterAll(async () => after?.());
    beforeEach(async () => {
      opened = await open();
      log = opened.log;
    });
    afterEach(() => opened[Symbol.asyncDispose]());

    const append = (user: string, list: readonly EventItem[], space = "team-a") =>
      log.append(opened.as(user), space, list);
    const cursor = (offset: number) => `${log.name()}-e${offset}`;
    /** Waits until this node knows of so many events. */
    const reach = (tail: number) => eventually(`the head is at ${tail}`, () => log.head().tail === tail || undefined);

    test("events get the next offsets, in their order, and one outcome each", async () => {
      expect(log.head()).toMatchObject({ tail: 0, floor: 0 });
      const first = await append("ann", items(3));
      const durability = log.durability();
      expect(first).toEqual({ epoch: log.name(), offsets: [1, 2, 3], duplicates: [], looped: [], durability });
      expect((await append("bob", items(2))).offsets).toEqual([4, 5]);
      await reach(5);
      expect(log.head().floor).toBe(0);
      expect(log.head().bytes).toBeGreaterThan(0);
      const rows = await log.after(0, 100);
      expect(rows.map(({ caller, source, id }) => [caller, source, id])).toEqual([
        ...["1", "2", "3"].map((id) => ["user:ann@x", "user:ann@x/ci", id]),
        ...["1", "2"].map((id) => ["user:bob@x", "user:bob@x/ci", id]),
      ]);
    });

    test("what a sender sent is read as it was sent", async () => {
      const all: EventItem[] = [
        item("json", {
          subject: "a/ö 😀",
          time: "2026-11-29T16:31:00+01:00",
          data: '{"n":12345678901234567890,"e":1e400}',
        }),
        item("text", { kind: "text", data: "line\u2028\n\ttext", datacontenttype: "text/plain; charset=utf-8" }),
        item("bytes", { kind: "base64", data: "AAEC/w==", extensions: { b: true, a: "x y", n: -3 } }),
        item("none", { kind: "none", data: "" }),
      ];
      await append("ann", all, "Team~B:2");
      await reach(4);
      const rows = await log.after(0, 10);
      for (const [at, sent] of all.entries()) {
        const { id, type, subject = "", time = "", datacontenttype = "", kind, data } = sent;
        const content_type = datacontenttype;
        expect(rows[at]).toMatchObject({
          space: "Team~B:2",
          id,
          type,
          subject,
          time,
          content_type,
          kind,
          data,
        });
        expect(rows[at]?.log_time).toBeGreaterThan(1_600_000_000_000);
      }
      expect(JSON.parse(rows[2]?.attributes ?? "")).toEqual({ a: "x y", b: true, n: -3 });
      expect(rows[0]?.size).toBe(Buffer.byteLength(`jsoncibuild.donea/ö 😀2026-11-29T16:31:00+01:00${all[0]?.data}`));
    });

    test("the same sender, source and id is one event, also within a call", async () => {
      await append("ann", items(2));
      const again = await append("ann", [item("3"), item("2"), item("3"), item("4")]);
      expect(again).toMatchObject({ offsets: [3, 2, 3, 4], duplicates: [1, 2], looped: [] });
      const others = [
        await append("bob", [item("2")]),
        await append("ann", [item("2", { source: "other" })]),
        await append("ann", [item("2")], "team-b"),
      ];
      expect(others.map(({ offsets: [at], duplicates }) => [at, ...duplicates])).toEqual([[5], [6], [2, 0]]);
      await reach(6);
    });

    test("an event that this fleet has passed on before is not appended", async () => {
      const looped = item("2", { extensions: { [HOPS]: `other,${opened.fleetId}` } });
      expect(await append("ann", [item("1"), looped, item("3")])).toMatchObject({ offsets: [1, 0, 2], looped: [1] });
      await reach(2);
    });

    test("events of senders that send at once are each kept once, in the order of their sender", async () => {
      const users = ["ann", "bob", "eve"];
      const calls = users.flatMap((user) =>
        upTo(4).map((call) =>
          append(
            user,
            items(20).map((each) => ({ ...each, id: `${call}-${each.id}` })),
          ),
        ),
      );
      const given = (await Promise.all(calls)).flatMap((done) => done.offsets);
      expect(given.toSorted((one, other) => one - other)).toEqual(upTo(240));
      await reach(240);
      const rows = await log.after(0, 256);
      expect(offsets(rows)).toEqual(upTo(240));
      for (const user of users)
        for (const call of upTo(4)) {
          const ids = rows.filter(({ caller, id }) => caller === `user:${user}@x` && id.startsWith(`${call}-`));
          expect(ids.map(({ id }) => id)).toEqual(items(20).map(({ id }) => `${call}-${id}`));
        }
    });

    test("steps go up and down, no further than they may, and end with a megabyte", async () => {
      await append("ann", items(300));
      await reach(300);
      expect(offsets(await log.after(0, 256))).toEqual(upTo(256));
      expect(offsets(await log.after(256, 256))).toEqual(upTo(300, 257));
      expect(await log.after(300, 256)).toEqual([]);
      expect(offsets(await log.before(4, 10))).toEqual([3, 2, 1]);
      expect(offsets(await log.before(Number.MAX_SAFE_INTEGER, 2))).toEqual([300, 299]);
      expect(await log.before(1, 2)).toEqual([]);
      const data = JSON.stringify("x".repeat(MAX_DATA));
      for (const id of ["a", "b", "c", "d", "e"]) await append("ann", [item(id, { data })]);
      await reach(305);
      expect(offsets(await log.after(300, 256))).toEqual([301, 302, 303]);
      expect(offsets(await log.before(306, 256))).toEqual([305, 304, 303]);
    });

    test("one event is found by its offset, and the newest by its source and id", async () => {
      await append("ann", [item("1", { data: "1" }), item("2")]);
      await reach(2);
      expect(await log.at(2)).toMatchObject({ offset: 2, id: "2" });
      expect([await log.at(3), await log.at(0)]).toEqual([undefined, undefined]);
      expect(await log.find("user:ann@x/ci", "1")).toMatchObject({ offset: 1, data: "1" });
      expect(await log.find("user:bob@x/ci", "1")).toBeUndefined();
      expect(await log.find("user:ann@x/ci", "3")).toBeUndefined();
    });

    test("who counts gets outlines of a range, the newest first", async () => {
      await append("ann", items(10));
      await append("bob", [item("11", { type: "other", subject: "s" })], "team-b");
      await reach(11);
      expect(offsets(await log.outlines({ after: 3, upTo: 9 }, 4))).toEqual([9, 8, 7, 6]);
      expect(offsets(await log.outlines({ after: 3, upTo: 5 }, 10))).toEqual([5, 4]);
      const [newest] = await log.outlines({ after: 0, upTo: 11 }, 1);
      const { log_time, size, ...rest } = newest ?? { log_time: 0, size: 0 };
      expect(rest).toEqual({
        ...{ offset: 11, space: "team-b", caller: "user:bob@x", agent: "", source: "user:bob@x/ci" },
        ...{ type: "other", subject: "s" },
      });
      expect([log_time > 0, size > 0]).toEqual([true, true]);
      const types = [
        { type: "build.done", space: "team-a" },
        { type: "other", space: "team-b" },
      ];
      expect(await log.types(0)).toEqual(types);
      expect(await log.types(10)).toEqual(types.slice(1));
    });

    test("a time is a place in the log", async () => {
      await append("ann", items(2));
      await opened.pass();
      await append("ann", [item("3"), item("4")]);
      await reach(4);
      const times = (await log.after(0, 10)).map(({ log_time }) => log_time);
      const [first = 0, , third = 0] = times;
      expect(third).toBeGreaterThan(first);
      expect(await log.offsetBefore(0)).toBe(0);
      expect(await log.offsetBefore(third)).toBe(2);
      expect(await log.offsetBefore(third + 3_600_000)).toBe(4);
      expect(await log.orderedAfter(2, 4)).toBe(third);
      expect([await log.orderedAfter(2, 2), await log.orderedAfter(4, 10)]).toEqual([undefined, undefined]);
    });

    test("a cursor is of this log, and of a place that it has", async () => {
      await append("ann", items(3));
      await reach(3);
      expect([0, 1, 3].map((at) => log.judge(cursor(at)))).toEqual([0, 1, 3]);
      const ahead = faultOf(() => log.judge(cursor(4)));
      expect([ahead.code, ahead.details?.["newest"]]).toEqual(["invalid_input", cursor(3)]);
      const other = faultOf(() => log.judge("0123456789-e1"));
      expect([other.code, other.details?.["oldest"]]).toEqual(["history_forked", cursor(0)]);
      for (const text of ["", "oldest", `${log.name()}-e-1`, `${log.name()}-1`, `${cursor(1)}x`])
        expect(faultOf(() => log.judge(text)).code).toBe("invalid_input");
    });

    test("retention removes the oldest, and no offset is used again", async () => {
      for (const part of upTo(4)) await append("ann", [item(`a${part}`), item(`b${part}`)]);
      await reach(8);
      const { bytes } = log.head();
      const feed = new EventFeed(log);
      const close = feed.onNews(() => {});
      feed.judge(1);
      await opened.keep(3);
      await eventually("the floor has moved", () => log.head().floor > 0 || undefined);
      const isRefused = () => {
        try {
          return feed.judge(1) ?? false;
        } catch (error) {
          return (error as { code?: string }).code === "below_floor";
        }
      };
      await eventually("a reader of what is gone is refused", isRefused);
      close();
      const { floor, tail, bytes: left } = log.head();
      expect([tail, floor >= 4, floor <= 5, left < bytes]).toEqual([8, true, true, true]);
      expect(offsets(await log.after(0, 10))).toEqual(upTo(8, floor + 1));
      expect(offsets(await log.before(100, 10))).toEqual(upTo(8, floor + 1).toReversed());
      expect([await log.at(1), await log.find("user:ann@x/ci", "a1")]).toEqual([undefined, undefined]);
      expect(await log.offsetBefore(0)).toBe(floor);
      expect(log.judge(cursor(floor))).toBe(floor);
      const below = faultOf(() => log.judge(cursor(1)));
      expect([below.code, below.details?.["oldest"]]).toEqual(["below_floor", cursor(floor)]);
      expect((await append("ann", [item("c")])).offsets).toEqual([9]);
    });

    test("whoever waits is woken by an event, and told when the node stops", async () => {
      const feed = new EventFeed(log);
      const never = new AbortController().signal;
      const waits = feed.wait(0, never, never);
      await append("ann", [item("1")]);
      await waits;
      await feed.wait(1, never, AbortSignal.abort());
      const abort = new AbortController();
      const aborted = feed.wait(1, abort.signal, never).catch((error: unknown) => error);
      abort.abort(new Error("the caller is gone"));
      expect(await aborted).toEqual(new Error("the caller is gone"));
      const ended = feed.wait(1, never, never).catch((error: { code?: string }) => error.code);
      opened.stop();
      expect([await ended, log.isOver]).toEqual(["unavailable", true]);
    });
  });
}
