// The outbox against a plain model: random answers of targets, changes of leader, records that fail or whose outcome is
// unknown, and owners whose rights end. Every event arrives at least once, in order, or is a dead letter.

import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Outcome } from "../../src/features/event/subscription/delivery.ts";
import { waitUntil } from "../../src/features/event/subscription/policy.ts";
import { type Kept, quiet, World } from "../kit/outbox-world.ts";

type Step = "append" | "wait" | "change" | "revoke";

test("every event arrives at least once and in order, over any failures and changes of leader", async () => {
  const step = fc.constantFrom<Step>("append", "append", "wait", "wait", "change", "revoke");
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 3, maxLength: 12 }), async (seed, steps) => {
      const plain = [{}, { policy: "standard" }, { space: "b", policy: "mcp" }, {}] as const;
      const rule = { everyMs: 30_000, perHour: 4, shown: 3 };
      const world = new World(seed, [...plain, { until: 25, rate: 20 }, { policy: "standard" }], { s5: rule });
      await world.change();
      for (const each of steps) {
        if (each === "append") world.append(1 + Math.floor(world.random() * 40));
        else if (each === "change") await world.change();
        else if (each === "revoke") world.revoked.set("s3", world.clock.now);
        else await world.clock.runUntil(() => false, world.clock.now + world.random() * 5000);
      }
      world.troubles = false;
      await world.change();
      await world.clock.runUntil(() => world.isDone(), world.clock.now + 10 * 86_400_000);
      await world.end();
      expect(world.isDone()).toBe(true);
      if (world.revoked.has("s3") && world.events.some((event) => event.space === "a" && event.offset > 0)) {
        const { state, cursor } = world.kept.get("s3") as Kept;
        expect(state === "paused" || cursor === world.events.length).toBe(true);
      }
      const replay = world.kept.get("s4") as Kept;
      expect(replay.state).toBe(world.events.length < 25 ? "active" : "paused");
      expect((world.seen.get("s4") ?? []).filter(({ offset }) => offset > 25)).toEqual([]);
      world.check();
    }),
    { numRuns: 150 },
  );
}, 60_000);

const delivered: Outcome = { result: "delivered", detail: "" };

test("a target that is down holds up no other one", async () => {
  const down: Outcome = { result: "failed", detail: "down" };
  const { world, sent, outbox } = quiet([{ policy: "standard" }, {}], (id) => (id === "s0" ? down : delivered));
  world.append(200);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 3_600_000);
  ends.abort();
  await done;
  const wanted = world.events.filter(({ space }) => space === "a").map(({ offset }) => offset);
  expect(sent.filter(([id]) => id === "s1").map(([, offset]) => offset)).toEqual(wanted);
  expect(sent.filter(([id]) => id === "s0")).toEqual(Array(4).fill(["s0", wanted[0]]));
  expect(world.problems.at(0)).toBe("3 attempts failed, the last one with: down");
  expect(outbox.queue("s0")).toBeUndefined();
});

test("a replay sends its range at its rate, and is done", async () => {
  const rules = [{ id: "r", match: { conditions: [{ field: "type", operator: "eq" as const, value: "odd" }] } }];
  const all = quiet(
    [
      { cursor: 3, until: 33, rate: 10 },
      { cursor: 3, until: 33, rate: 1, rules },
    ],
    () => delivered,
  );
  const { world, records, outbox, sent } = all;
  world.append(100);
  for (const [at, event] of world.events.entries()) world.events[at] = { ...event, space: "a" };
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  const stops = (id: string) => records.flat().some((each) => each.subscription === id && each.stop === "done");
  await world.clock.runUntil(() => stops("s0"), 60_000);
  expect(sent.filter(([id]) => id === "s0").map(([, offset]) => offset)).toEqual(
    Array.from({ length: 30 }, (_, n) => n + 4),
  );
  expect(world.clock.now).toBeGreaterThanOrEqual(2900);
  expect(world.clock.now).toBeLessThan(6000);
  // What its rules leave out takes no time of it.
  await world.clock.runUntil(() => stops("s1"), 60_000);
  expect(sent.filter(([id]) => id === "s1").map(([, offset]) => offset)).toEqual([
    6, 9, 12, 15, 18, 21, 24, 27, 30, 33,
  ]);
  expect(world.clock.now).toBeGreaterThanOrEqual(9000);
  expect(world.clock.now).toBeLessThan(12_000);
  ends.abort();
  await done;
});

test("records are grouped, at most one a second while events flow", async () => {
  const { world, records, outbox } = quiet(Array(20).fill({}), () => delivered);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  for (let second = 0; second < 10; second++) {
    world.append(10);
    await world.clock.runUntil(() => false, world.clock.now + 1000);
  }
  await world.clock.runUntil(() => false, world.clock.now + 3000);
  ends.abort();
  await done;
  expect(records.length).toBeLessThanOrEqual(15);
  expect(
    new Set(
      records
        .flat()
        .filter(({ cursor }) => cursor === 100)
        .map(({ subscription }) => subscription),
    ).size,
  ).toBe(20);
});

test("what a target refuses or ends, what is above a rate, and what retention removed", async () => {
  const rules = [
    {
      id: "r",
      match: { conditions: [{ field: "type", operator: "eq" as const, value: "odd" }] },
      rate: { per_second: 1, burst: 2 },
    },
  ];
  const refused: Outcome = { result: "refused", status: 413, detail: "large" };
  const gone: Outcome = { result: "ended", status: 410, detail: "" };
  const all = quiet([{ policy: "mcp" }, {}, { rules }], (id, offset) =>
    id === "s0" && offset > 25 ? refused : id === "s1" && offset > 30 ? gone : delivered,
  );
  const { world, records, outbox, sent } = all;
  world.append(40);
  for (const [at, event] of world.events.entries()) world.events[at] = { ...event, space: "a" };
  world.floor = 20;
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 5000);
  const counts = outbox.queue("s2")?.counts;
  ends.abort();
  await done;
  const of = (id: string) => records.flat().filter(({ subscription }) => subscription === id);
  expect(of("s0").flatMap(({ dead = [] }) => dead.map(({ offset }) => offset))).toEqual(
    Array.from({ length: 15 }, (_, at) => 26 + at),
  );
  expect(of("s0")[0]).toMatchObject({ missed: 20 });
  expect(of("s1").at(-1)).toMatchObject({ stop: "ended", cursor: 30 });
  expect(sent.filter(([id]) => id === "s2").map(([, offset]) => offset)).toEqual([21, 24]);
  expect(counts).toMatchObject({ delivered: 2, limited: 5, dropped: 13 });
});

test("rights that are not known are waited for, and those that ended end the subscription", async () => {
  const { world, sent, outbox, setMay, records } = quiet([{}], () => delivered);
  setMay("unknown");
  world.append(5);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 100_000);
  expect(sent).toEqual([]);
  expect(world.problems[0]).toContain("none of the devices of its owner is seen");
  setMay("yes");
  await world.clock.runUntil(() => false, world.clock.now + 60_000);
  expect(sent.length).toBeGreaterThan(0);
  const before = sent.length;
  setMay("no");
  world.append(5);
  await world.clock.runUntil(() => false, world.clock.now + 60_000);
  ends.abort();
  await done;
  expect(sent.length).toBe(before);
  expect(records.flat().at(-1)).toMatchObject({ stop: "revoked" });
});

test("rights are judged once more before a subscription ends, and nothing is sent meanwhile", async () => {
  const { world, sent, outbox, setMay, records } = quiet([{}], () => delivered);
  setMay("no");
  world.append(5);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 8000);
  expect([sent, records]).toEqual([[], []]);
  setMay("yes");
  await world.clock.runUntil(() => false, world.clock.now + 5000);
  ends.abort();
  await done;
  expect(sent.length).toBeGreaterThan(0);
  expect(records.flat().filter(({ stop }) => stop !== undefined)).toEqual([]);
});

test("what a target skips counts as dropped, and is not tried again", async () => {
  const skipped: Outcome = { result: "skipped", detail: "not for it" };
  const { world, sent, outbox, records } = quiet([{}], (_id, offset) => (offset === 1 ? skipped : delivered));
  world.append(2);
  for (const [at, event] of world.events.entries()) world.events[at] = { ...event, space: "a" };
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => outbox.queue("s0")?.at === 2 && records.length > 0, 5000);
  expect(outbox.queue("s0")?.counts).toMatchObject({ dropped: 1, delivered: 1, failed: 0, dead: 0 });
  ends.abort();
  await done;
  expect(sent).toEqual([
    ["s0", 1],
    ["s0", 2],
  ]);
  expect(records.flat().at(-1)).toMatchObject({ cursor: 2 });
});

test("a new leader goes on with the attempts and the wait of the one before", async () => {
  const down: Outcome = { result: "failed", detail: "down" };
  const failing = { offset: 1, attempts: 3, nextAtMs: 60_000 };
  const { world, records, outbox } = quiet([{ policy: "standard", failing }], () => down);
  world.events.push({
    offset: 1,
    space: "a",
    record: { id: "1", source: "x", type: "t", time: "" },
    sender: { caller: "", tags: [], node: "" },
  });
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => records.length > 0, 120_000);
  ends.abort();
  await done;
  expect(records[0]?.[0]?.failing).toMatchObject({ attempts: 4, next_at: 60_000 + 2 * 3_600_000 });
});

test("a dead letter that is sent again goes once, as the rules are now, and says how that ended", async () => {
  const refused: Outcome = { result: "refused", status: 400, detail: "no" };
  const { world, records, sent, outbox } = quiet([{ rules: [] }], (_, offset) => (offset === 2 ? refused : delivered));
  world.append(3);
  world.again = world.events.slice(0, 2);
  world.events.splice(0);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => records.length > 0, 5000);
  world.again = [];
  await world.clock.runUntil(() => false, world.clock.now + 5000);
  ends.abort();
  await done;
  expect(sent).toEqual([
    ["s0", 1],
    ["s0", 2],
  ]);
  expect(records.flat().flatMap(({ again = [] }) => again.map(({ offset, delivered: is }) => [offset, is]))).toEqual([
    [1, true],
    [2, false],
  ]);
});

test("a dead letter is held back by no rate, and one that a rule cannot judge stays", async () => {
  const rules = [
    {
      id: "odd",
      match: { conditions: [{ field: "type", operator: "eq" as const, value: "odd" }], cel: "event.data.x" },
    },
    { id: "all", match: { cel: 'event.type == "even"' }, rate: { per_second: 0.001, burst: 1 } },
  ];
  const { world, records, sent, outbox } = quiet([{ rules }], () => delivered);
  world.append(6);
  world.again = world.events.splice(0);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => records.length > 0, 5000);
  world.again = [];
  await world.clock.runUntil(() => false, world.clock.now + 5000);
  ends.abort();
  await done;
  expect(sent.map(([, offset]) => offset)).toEqual([1, 2, 4, 5]);
  const again = records.flat().flatMap(({ again: all = [] }) => all);
  expect(again.filter(({ delivered: is }) => !is).map(({ offset }) => offset)).toEqual([3, 6]);
  expect(again.find(({ offset }) => offset === 3)?.detail).toBe("the rule odd failed: No such key: data");
});

test("a dead letter that is sent again goes once while that is not recorded, and again once it is marked again", async () => {
  const recorded = Promise.withResolvers<void>();
  const { world, records, sent, outbox } = quiet([{}], () => delivered);
  world.recorded = recorded.promise;
  world.append(1);
  world.again = world.events.splice(0);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 5000);
  expect(sent).toEqual([["s0", 1]]);
  const [letter] = world.again;
  world.again = [];
  recorded.resolve();
  await world.clock.runUntil(() => false, world.clock.now + 5000);
  if (letter !== undefined) world.again = [letter];
  await world.clock.runUntil(() => sent.length > 1, world.clock.now + 5000);
  ends.abort();
  await done;
  expect(sent).toEqual([
    ["s0", 1],
    ["s0", 1],
  ]);
  expect(records.flat().filter(({ stop }) => stop !== undefined)).toEqual([]);
});

test("no dead letter is sent again that no rule wants now, or whose owner may not read the space", async () => {
  const rules = [{ id: "odd", match: { conditions: [{ field: "type", operator: "eq" as const, value: "odd" }] } }];
  const { world, records, sent, outbox, setMay } = quiet([{ rules }], () => delivered);
  world.append(3);
  const [even, , odd] = world.events.splice(0);
  if (even === undefined || odd === undefined) throw new Error("no events");
  world.again = [even];
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => records.length > 0, 5000);
  expect(records.flat()[0]?.again).toMatchObject([{ offset: 1, delivered: true }]);
  setMay("no");
  world.again = [odd];
  await world.clock.runUntil(() => world.kept.get("s0")?.state === "paused", world.clock.now + 60_000);
  ends.abort();
  await done;
  expect(sent).toEqual([]);
  expect(records.flat().at(-1)).toMatchObject({ stop: "revoked" });
});

test("a target that ends when a dead letter is sent again gets no other one, and no event", async () => {
  const gone: Outcome = { result: "ended", status: 410, detail: "" };
  const { world, records, sent, outbox } = quiet([{}], () => gone);
  world.append(9);
  world.again = world.events.slice(0, 2);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 5000);
  ends.abort();
  await done;
  expect(sent).toEqual([["s0", 1]]);
  expect(records.flat()).toMatchObject([{ stop: "ended", again: [{ offset: 1, delivered: false }] }]);
});

test("an attempt that a change of its subscription breaks off counts for nothing", async () => {
  const broken = (signal: AbortSignal) =>
    new Promise<Outcome>((resolve) => {
      signal.addEventListener("abort", () => resolve({ result: "failed", detail: "broken off" }));
    });
  for (const isAgain of [true, false]) {
    let attempts = 0;
    const { world, records, sent, outbox } = quiet([{}], (_id, _offset, signal) =>
      ++attempts === 1 ? broken(signal) : delivered,
    );
    world.append(1);
    for (const [at, event] of world.events.entries()) world.events[at] = { ...event, space: "a" };
    if (isAgain) world.again = world.events.splice(0);
    const ends = new AbortController();
    const done = outbox.run(ends.signal);
    await world.clock.runUntil(() => sent.length > 0, 5000);
    world.kept.set("s0", { ...(world.kept.get("s0") as Kept), revision: 2 });
    await world.clock.runUntil(() => records.length > 0, world.clock.now + 30_000);
    world.again = [];
    ends.abort();
    await done;
    expect(sent).toEqual([
      ["s0", 1],
      ["s0", 1],
    ]);
    expect(records.flat().map(({ failing, again = [] }) => [failing, again.map((each) => each.delivered)])).toEqual([
      [undefined, isAgain ? [true] : []],
    ]);
  }
});

test("the tags of a sender are known before its first event is judged", async () => {
  const other = { conditions: [{ field: "type", operator: "eq" as const, value: "other" }] };
  const byTags = { id: "r", from: { tags: ["tag:ci"] } };
  for (const rules of [[byTags], [{ id: "none", match: other }, byTags]]) {
    const { world, sent, outbox } = quiet([{ rules }], () => delivered);
    world.append(5);
    const ends = new AbortController();
    const done = outbox.run(ends.signal);
    await world.clock.runUntil(() => false, 3000);
    ends.abort();
    await done;
    expect(sent.map(([, offset]) => offset)).toEqual(
      world.events.filter(({ space }) => space === "a").map(({ offset }) => offset),
    );
  }
});

test("the last rule that failed is shown, also after events that all rules could judge", async () => {
  const odd = { conditions: [{ field: "type", operator: "eq" as const, value: "odd" }], cel: "event.data.x" };
  const { world, outbox } = quiet([{ rules: [{ id: "odd", match: odd }] }], () => delivered);
  world.append(5);
  for (const [at, event] of world.events.entries()) world.events[at] = { ...event, space: "a" };
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => outbox.queue("s0")?.at === 5, 5000);
  expect(outbox.queue("s0")).toMatchObject({
    counts: { rule_problems: 1, dropped: 5 },
    lastRuleProblem: { rule: "odd" },
  });
  ends.abort();
  await done;
});

test("a time that a leader with another clock recorded makes no wait longer than those of the policies", () => {
  expect(waitUntil("standard", 5000, 2000)).toBe(3000);
  expect(waitUntil("standard", 5000, 6000)).toBe(0);
  expect(waitUntil("standard", 20 * 86_400_000, 0)).toBe(1.1 * 86_400_000);
  expect(waitUntil("notify", 20 * 86_400_000, 0)).toBe(330_000);
});

test("a look at the rights that fails ends nothing: the queue begins again where it was", async () => {
  const { world, sent, outbox, setMay } = quiet([{}], () => delivered);
  setMay("fails");
  world.append(5);
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  await world.clock.runUntil(() => false, 5000);
  expect(sent).toEqual([]);
  expect(world.problems[0]).toContain("the tailnet is busy");
  setMay("yes");
  await world.clock.runUntil(() => false, world.clock.now + 5000);
  ends.abort();
  await done;
  expect(sent.map(([, offset]) => offset)).toEqual(
    world.events.filter(({ space }) => space === "a").map(({ offset }) => offset),
  );
});
