// What people are told of what is down: its end only where it was told, no repetition, again while it lasts, also where
// the leader changes in between.

import { describe, expect, test } from "bun:test";
import type { GroupRule } from "../../src/features/event/subscription/delivery.ts";
import { Grouping } from "../../src/features/event/subscription/grouping.ts";
import type { RunningSubscription } from "../../src/features/event/subscription/running.ts";
import { messageOf } from "../../src/features/event/subscription/targets/message.ts";
import { isBehind, Told } from "../../src/features/event/subscription/told.ts";
import { World } from "../kit/outbox-world.ts";
import { randomFrom } from "../kit/random-from.ts";

const RULE: GroupRule = { everyMs: 30_000, perHour: 30, shown: 20 };
const START = Date.parse("2026-12-01T00:00:00Z");

/** An event at a second, of Cairn itself if nothing else is said, or a change of the leader. */
type Step = [second: number, type: string, subject?: string, by?: string];

/** Plays events and changes of the leader, and returns what was sent. The subscription begins behind `before` ones. */
async function play(steps: readonly Step[], seconds: number, rule: GroupRule = RULE, before = 0, end = 0) {
  const world = new World(1, [{ space: "a", began: before, cursor: before, until: end }], { s0: rule });
  world.troubles = false;
  world.clock.now = START;
  const until = (second: number) => {
    const ms = START + 1000 * second;
    return world.clock.runUntil(() => world.clock.now >= ms, ms);
  };
  if (before === 0) await world.change();
  for (const [index, [second, type, subject = "a/probes/web", by = "node"]] of steps.entries()) {
    if (before > 0 && index === before) await world.change();
    await until(second);
    if (type === "leader") {
      await world.change();
      continue;
    }
    world.append(1);
    const at = world.events.length - 1;
    const event = world.events[at] as (typeof world.events)[number];
    const time = new Date(START + 1000 * second).toISOString();
    const data = { position: `ab12-${at + 1}` };
    const sender = { ...event.sender, caller: by };
    world.events[at] = {
      ...event,
      space: "a",
      sender,
      record: { ...event.record, type, subject, time, cairntime: time, data },
    };
  }
  await until(seconds);
  await world.end();
  const sent = (world.seen.get("s0") ?? []).map(({ offset, at }) => {
    const { type, subject } = (world.events[offset - 1] as (typeof world.events)[number]).record;
    return { second: Math.round((at - START) / 1000), type: type.replace("cairn.", ""), subject, offset };
  });
  return { sent, lines: sent.map(({ second, type }) => `${second} ${type}`), world };
}

test("an end is told where what it ends was told, and only once", async () => {
  const { lines } = await play(
    [
      [1, "cairn.probe.up"],
      [10, "cairn.probe.down"],
      [50, "cairn.probe.down"],
      [100, "cairn.probe.up"],
      [200, "cairn.probe.up"],
    ],
    400,
  );
  expect(lines).toEqual(["10 probe.down", "100 probe.up"]);
});

test("subjects and kinds are apart; what begins and ends nothing is always told", async () => {
  const { lines } = await play(
    [
      [1, "cairn.probe.down", "a/probes/one"],
      [100, "cairn.probe.up", "a/probes/two"],
      [200, "cairn.member.up", "a/probes/one"],
      [300, "cairn.job.dead", "a/jobs/1"],
      [400, "cairn.job.dead", "a/jobs/1"],
      [500, "cairn.service.moved", "a/services/web"],
      [600, "cairn.service.down", "a/services/web"],
      [700, "cairn.service.failed", "a/services/web"],
      [800, "cairn.service.moved", "a/services/web"],
      [900, "cairn.service.ready", "a/services/web"],
    ],
    1000,
  );
  expect(lines).toEqual([
    ...["1 probe.down", "300 job.dead", "400 job.dead", "500 service.moved", "600 service.down", "800 service.moved"],
  ]);
});

test("the next leader knows what was told, and a subscription does not tell the end of what was before it", async () => {
  const changed = await play(
    [
      [1, "cairn.probe.down"],
      [20, "leader"],
      [100, "cairn.probe.down"],
      [200, "cairn.probe.up"],
      [300, "leader"],
      [400, "cairn.probe.up"],
    ],
    500,
  );
  expect(changed.lines).toEqual(["1 probe.down", "200 probe.up"]);
  const later = await play(
    [
      [0, "cairn.probe.down"],
      [0, "cairn.probe.up"],
      [0, "cairn.probe.down"],
      [100, "cairn.probe.up"],
      [200, "cairn.probe.down"],
      [300, "cairn.probe.up"],
    ],
    400,
    RULE,
    3,
  );
  expect(later.lines).toEqual(["200 probe.down", "300 probe.up"]);
});

test("what others call down is told as it is, and neither hides nor ends what is down", async () => {
  const { lines } = await play(
    [
      [1, "cairn.probe.down", "a/probes/web", "user:eve@x"],
      [100, "cairn.probe.down"],
      [200, "cairn.probe.up", "a/probes/web", "user:eve@x"],
      [300, "cairn.probe.up"],
    ],
    400,
  );
  expect(lines).toEqual(["1 probe.down", "100 probe.down", "200 probe.up", "300 probe.up"]);
});

test("a replay tells all of its range", async () => {
  const steps: Step[] = [
    [1, "cairn.probe.up"],
    [100, "cairn.probe.down"],
    [200, "cairn.probe.down"],
  ];
  expect((await play(steps, 400, RULE, 0, 3)).lines).toEqual(["1 probe.up", "100 probe.down", "200 probe.down"]);
});

test("what lasts is told again so often, also by the next leader, and no more once it is over", async () => {
  const remind: GroupRule = { ...RULE, remind: { everyMs: 600_000, times: 3 } };
  const lasting = await play([[0, "cairn.probe.down"]], 6000, remind);
  const seconds = lasting.sent.map(({ second }) => second);
  expect(seconds).toHaveLength(4);
  for (const [at, wanted] of [0, 600, 1200, 1800].entries()) {
    expect(seconds[at]).toBeGreaterThanOrEqual(wanted);
    expect(seconds[at]).toBeLessThanOrEqual(wanted + 11);
  }
  const changed = await play(
    [
      [0, "cairn.probe.down"],
      [700, "leader"],
      [1300, "cairn.probe.up"],
    ],
    6000,
    remind,
  );
  expect(changed.lines.map((line) => line.split(" ")[1])).toEqual([
    ...["probe.down", "probe.down", "probe.down", "probe.up"],
  ]);
});

test.each(["node", "user:eve@x"])(
  "the bound of an hour is that of all leaders together, for events of %s",
  async (by) => {
    const bound: GroupRule = { ...RULE, perHour: 5 };
    const steps = Array.from({ length: 95 }, (_, at): Step => [1 + 47 * at, "cairn.probe.down", `a/probes/${at}`, by]);
    const leaders = Array.from({ length: 15 }, (_, at): Step => [40 + 300 * at, "leader"]);
    const all = [...steps, ...leaders].toSorted(([one], [other]) => one - other);
    const seconds = (await play(all, 4600, bound)).sent.map(({ second }) => second);
    const messages = [...new Set(seconds)];
    for (const from of messages) {
      const within = messages.filter((second) => second >= from && second < from + 3590);
      expect({ from, count: within.length <= bound.perHour }).toEqual({ from, count: true });
    }
    // Nor is it less: the sixth goes an hour after the first one.
    expect(messages[5]).toBeLessThanOrEqual((messages[0] ?? 0) + 3605);
  },
);

test("a message of before the subscription was changed, or of an hour ago, holds nothing up", () => {
  const rule: GroupRule = { ...RULE, perHour: 2 };
  const grouping = new Grouping();
  const [hour, now] = [3_600_000, START];
  for (const cameMs of [now - hour, now - 100_000, now - 90_000, now - 60_000]) grouping.recall(rule, cameMs, now);
  // Those of 100 and 90 s ago went as two, 30 s apart; that of 60 s ago waits as they did.
  expect(grouping.isDue(rule, now)).toBe(false);
  expect(grouping.isDue(rule, now - 100_001 + hour)).toBe(false);
  expect(grouping.isDue(rule, now - 100_000 + hour)).toBe(true);
  const event = {
    ...{ offset: 1, space: "a", sender: { caller: "user:x", tags: [], node: "" } },
    record: { id: "1", source: "x", type: "t", time: "", cairntime: new Date(START).toISOString() },
  };
  const behind = (began: number, changedMs: number, caller = "user:x", record: object = {}) =>
    isBehind({ ...event, sender: { ...event.sender, caller }, record: { ...event.record, ...record } }, {
      began,
      changedMs,
    } as RunningSubscription);
  expect([behind(1, START), behind(1, START - 1)]).toEqual([false, true]);
  const own = { data: { position: "ab12-7" } };
  expect([behind(7, START, "node", own), behind(6, START, "node", own)]).toEqual([false, true]);
  expect(behind(6, START, "user:x", own)).toBe(false);
});

test("random downs, ups and leaders: no up without its down, each long down told, no more messages than the bound", async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const draw = randomFrom(seed);
    const isDown = new Map<string, boolean>();
    const steps: Step[] = [];
    for (let second = 1; second < 7200; second += 20 + draw(200)) {
      if (draw(12) === 0) steps.push([second, "leader"]);
      const subject = `a/probes/p${draw(3)}`;
      const next = !(isDown.get(subject) ?? false);
      isDown.set(subject, next);
      steps.push([second, next ? "cairn.probe.down" : "cairn.probe.up", subject]);
    }
    const { sent, world } = await play(steps, 8000);
    const open = new Set<string>();
    for (const { type, subject = "" } of sent) {
      if (type === "probe.down") open.add(subject);
      else expect({ seed, subject, wasOpen: open.delete(subject) }).toEqual({ seed, subject, wasOpen: true });
    }
    const told = new Set(sent.map(({ offset }) => offset));
    expect(world.events.filter(({ offset }) => !told.has(offset)).map(({ offset }) => offset)).toEqual([]);
    const messages = new Set(sent.map(({ second }) => second));
    expect(messages.size).toBeLessThanOrEqual(2 * 30 * 3);
  }
}, 60_000);

test("of more subjects than are remembered an end is told in any case", () => {
  const told = new Told();
  const event = (type: string, subject: string) => ({
    ...{ offset: 1, space: "a", sender: { caller: "node", tags: [], node: "" } },
    record: { id: "1", source: "x", type, subject, time: "2026-12-01T00:00:00Z" },
  });
  const take = (type: string, subject: string) => {
    const one = event(type, subject);
    return told.take(one, { subscription: "s", record: one.record, offset: 1, messageId: "m" }, START);
  };
  expect(take("cairn.probe.up", "a/probes/none")).toBe(false);
  for (let at = 0; at <= 1000; at += 1) expect(take("cairn.probe.down", `a/probes/${at}`)).toBe(true);
  expect(take("cairn.probe.up", "a/probes/0")).toBe(true);
  expect(take("cairn.probe.up", "a/probes/1000")).toBe(true);
});

describe("what people read", () => {
  const of = (type: string, subject: string, more: object = {}) => {
    const time = "2026-12-01T12:03:09.123Z";
    const record = { id: "1", source: "node/cairn", type, subject, time, data: { operation: "x", position: "a-1" } };
    const { title, text } = messageOf({ subscription: "s", record, offset: 1, messageId: "m", ...more }, 2000);
    return [title, text];
  };

  test.each([
    ["cairn.probe.down", "a/probes/web", "probe web: down"],
    ["cairn.member.up", "fleet/health/nABC", "member nABC: up"],
    ["cairn.condition.raised", "fleet/health/nABC/disk_full", "condition nABC/disk_full: raised"],
    ["cairn.service.moved", "ops/services/wiki", "service wiki: moved"],
    ["cairn.job.dead", "ops/jobs/12", "job 12: dead"],
    ["cairn.backup.failed", "fleet/backups/nABC", "backup nABC: failed"],
  ])("%s of %s", (type, subject, title) => {
    expect(of(type, subject)).toEqual([title, `${subject}, 2026-12-01 12:03 UTC`]);
  });

  test("a reminder says since when, and that it is the last one", () => {
    const reminder = { sinceMs: START, isLast: false };
    const [title, text] = of("cairn.probe.down", "a/probes/web", { reminder });
    expect(title).toBe("Still: probe web: down");
    expect(text).toBe("Since 2026-12-01 00:00 UTC.\na/probes/web, 2026-12-01 12:03 UTC");
    expect(of("cairn.probe.down", "a/probes/web", { reminder: { ...reminder, isLast: true } })[1]).toStartWith(
      "Since 2026-12-01 00:00 UTC. This is not told again.",
    );
  });

  test("an event of somebody else is shown as before, and does not look like one of Cairn", () => {
    expect(of("build.done", "main")[0]).toBe("build.done: main");
    const record = { id: "1", source: "user:eve@x/cairn", type: "cairn.probe.down", subject: "a/probes/web", time: "" };
    const { title } = messageOf({ subscription: "s", record, offset: 1, messageId: "m" }, 2000);
    expect(title).toBe("cairn.probe.down: a/probes/web");
  });
});
