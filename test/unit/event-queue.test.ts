// What the queue of one subscription says of itself and to its target: attempts, counts, notices, spans, and how long
// it waits for whom.

import { expect, test } from "bun:test";
import type { Outcome } from "../../src/features/event/subscription/delivery.ts";
import type { Span } from "../../src/observe/trace/tracer.ts";
import { quiet } from "../kit/outbox-world.ts";

const delivered: Outcome = { result: "delivered", detail: "" };
const down: Outcome = { result: "failed", status: 502, detail: "down" };

type Quiet = ReturnType<typeof quiet>;

/** Runs an outbox while `act` does; all events are of the space of the subscriptions. */
async function running(all: Quiet, act: (until: (isDone: () => boolean, forMs: number) => Promise<void>) => unknown) {
  const { world, outbox } = all;
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  try {
    await act((isDone, forMs) => world.clock.runUntil(isDone, world.clock.now + forMs));
  } finally {
    ends.abort();
    await done;
  }
}

function append({ world }: Quiet, count: number): void {
  const before = world.events.length;
  world.append(count);
  for (const [at, event] of world.events.entries()) if (at >= before) world.events[at] = { ...event, space: "a" };
}

test("the client of a callback is waited for in silence, and looked for every two seconds", async () => {
  const all = quiet([{}], () => delivered);
  await running(all, async (until) => {
    all.setMay("waiting");
    append(all, 2);
    await until(() => false, 60_000);
    expect([all.sent, all.world.problems, all.notices]).toEqual([[], [], []]);
    all.setMay("yes");
    const before = all.world.clock.now;
    await until(() => all.sent.length === 2, 60_000);
    expect(all.world.clock.now - before).toBeLessThanOrEqual(2000);
    expect(all.records.flat().filter(({ stop }) => stop !== undefined)).toEqual([]);
  });
});

test("rights that are refused once more end the subscription after ten seconds, and the target hears of it", async () => {
  const all = quiet([{}], () => delivered);
  await running(all, async (until) => {
    all.setMay("no");
    append(all, 1);
    await until(() => all.notices.length > 0, 60_000);
    expect(all.notices).toEqual([{ at: 10_000, id: "s0", notice: { type: "terminated" } }]);
    await until(() => all.records.length > 0, 5000);
    expect(all.records.flat()).toMatchObject([{ stop: "revoked", cursor: 0 }]);
    expect(all.world.problems[0]).toBe("nothing is sent: its owner may not read the space");
  });
});

test("a refusal between times that are not known begins again", async () => {
  // no, unknown, no, yes: at no time two refusals in a row.
  const all = quiet([{}], () => delivered);
  await running(all, async (until) => {
    all.setMay("no");
    append(all, 1);
    await until(() => all.world.problems.length === 1, 5000);
    for (const may of ["unknown", "no", "yes"] as const) {
      all.setMay(may);
      const before = all.world.problems.length;
      await until(() => all.world.problems.length > before || all.sent.length > 0, 60_000);
    }
    await until(() => all.sent.length > 0, 60_000);
    expect(all.notices).toEqual([]);
    expect(all.world.problems).toContain("nothing is sent: none of the devices of its owner is seen");
  });
});

test("the target hears from where it goes on when retention removed events", async () => {
  const all = quiet([{}, { until: 3, cursor: 1 }], () => delivered);
  append(all, 10);
  all.world.floor = 7;
  await running(all, async (until) => {
    await until(() => all.records.flat().some(({ stop }) => stop === "done"), 5000);
    await until(() => all.sent.length === 3, 5000);
  });
  // A replay ends with its range, also where that is gone.
  expect(all.notices).toEqual([
    { at: 0, id: "s0", notice: { type: "gap", cursor: "e-7" } },
    { at: 0, id: "s1", notice: { type: "gap", cursor: "e-3" } },
  ]);
  expect(all.sent.map(([id, offset]) => `${id} ${offset}`)).toEqual(["s0 8", "s0 9", "s0 10"]);
  const missed = (id: string) =>
    all.records.flat().reduce((sum, { subscription, missed: more = 0 }) => sum + (subscription === id ? more : 0), 0);
  expect([missed("s0"), missed("s1")]).toEqual([7, 2]);
});

test("the newest twenty attempts are remembered, with what came of them", async () => {
  let count = 0;
  const all = quiet([{}], () =>
    ++count === 24 ? down : count === 23 ? { result: "failed", detail: "cut" } : delivered,
  );
  append(all, 23);
  await running(all, async (until) => {
    await until(() => all.outbox.queue("s0")?.at === 23, 600_000);
    const { attempts = [], counts } = all.outbox.queue("s0") ?? {};
    expect(attempts.map(({ offset, attempt }) => `${offset}.${attempt}`)).toEqual([
      ...Array.from({ length: 17 }, (_, at) => `${at + 6}.1`),
      ...["23.1", "23.2", "23.3"],
    ]);
    expect(attempts.slice(-3).map(({ result, status, detail }) => [result, status, detail])).toEqual([
      ["failed", 0, "cut"],
      ["failed", 502, "down"],
      ["delivered", 0, ""],
    ]);
    expect(counts).toMatchObject({ delivered: 23, failed: 2, dead: 0 });
  });
});

test("a target counts as failing from its third attempt on, and as well with the first success", async () => {
  let count = 0;
  const seen: string[][] = [];
  const all = quiet([{ policy: "standard" }], () => (++count < 4 ? down : delivered), undefined, {
    onProblems: (problems) => void seen.push([...problems.values()]),
  });
  append(all, 1);
  await running(all, async (until) => {
    await until(() => count === 2, 3_600_000);
    await until(() => false, 1000);
    expect(seen.flat()).toEqual([]);
    await until(() => count === 4, 86_400_000);
    await until(() => seen.at(-1)?.length === 0, 60_000);
  });
  expect(seen.filter((each) => each.length > 0)).toEqual([["3 attempts failed, the last one with: down"]]);
  const failing = all.records.flat().flatMap((each) => each.failing ?? []);
  expect(failing.map(({ attempts, status, detail }) => [attempts, status, detail])).toEqual([
    [1, 502, "down"],
    [2, 502, "down"],
    [3, 502, "down"],
  ]);
});

test("what waits together counts whole: sent, given up, left out, and removed meanwhile", async () => {
  const refused: Outcome = { result: "refused", detail: "no" };
  for (const end of ["sent", "given up", "removed"] as const) {
    const rule = { everyMs: 30_000, perHour: 9, shown: 3 };
    const all = quiet([{}], (_id, offset) => (offset === 2 && end === "given up" ? refused : delivered), rule);
    await running(all, async (until) => {
      append(all, 1);
      await until(() => all.sent.length === 1, 5000);
      append(all, 5);
      await until(() => all.world.clock.now > 10_000, 20_000);
      if (end === "removed") {
        append(all, 4);
        all.world.floor = 9;
      }
      await until(() => all.outbox.queue("s0")?.at === (end === "removed" ? 10 : 6), 600_000);
      const { counts } = all.outbox.queue("s0") ?? {};
      if (end === "sent") expect(counts).toMatchObject({ delivered: 4, limited: 2, dead: 0 });
      if (end === "given up") expect(counts).toMatchObject({ delivered: 1, limited: 0, dead: 5 });
      // 2 to 6 were read before; 7 to 9 are gone, 10 is counted with the rest.
      if (end === "removed") expect(counts).toMatchObject({ delivered: 4, limited: 3 });
      await until(() => all.records.flat().at(-1)?.cursor === all.world.events.length, 5000);
      // The queue goes on where it is.
      const before = all.sent.length;
      append(all, 1);
      await until(() => all.sent.length > before, 60_000);
      expect(all.sent.slice(before).map(([, offset]) => offset)).toEqual([all.world.events.length]);
    });
    const rows = all.records.flat();
    expect(rows.reduce((sum, { missed = 0 }) => sum + missed, 0)).toBe(end === "removed" ? 3 : 0);
    expect(rows.flatMap(({ dead = [] }) => dead).map(({ offset, status }) => [offset, status])).toEqual(
      end === "given up" ? [2, 3, 4, 5, 6].map((offset) => [offset, 0]) : [],
    );
  }
});

test("what waits together does not go back for what is dropped or of another space meanwhile", async () => {
  const rules = [{ id: "r", match: { conditions: [{ field: "type", operator: "eq" as const, value: "even" }] } }];
  const all = quiet([{ rules }], () => delivered, { everyMs: 30_000, perHour: 9, shown: 3 });
  await running(all, async (until) => {
    append(all, 1);
    await until(() => all.sent.length === 1, 5000);
    append(all, 2); // the third event is "odd"
    await until(() => all.outbox.queue("s0")?.at === 3, 60_000);
    expect(all.outbox.queue("s0")?.counts).toMatchObject({ delivered: 2, dropped: 1 });
  });
  expect(all.sent.map(([, offset]) => offset)).toEqual([1, 2]);
});

test("the first event of a replay waits for nothing, and a clock that is set back holds it up for one interval", async () => {
  let back = 0;
  const nowMs: () => number = () => all.world.clock.now - back;
  const all: Quiet = quiet([{ until: 7, rate: 10 }], () => delivered, undefined, { nowMs });
  append(all, 7);
  await running(all, async (until) => {
    await until(() => all.sent.length === 3, 5000);
    expect(all.deliveries.map(({ at }) => at)).toEqual([0, 100, 200]);
    back = 3_600_000;
    await until(() => all.sent.length === 7, 60_000);
    expect(all.deliveries.at(-1)?.at).toBeLessThanOrEqual(800);
  });
});

test("what is refused alone is one dead letter, and nothing was left out", async () => {
  const all = quiet([{}], (_id, offset) =>
    offset === 1 ? { result: "refused", status: 400, detail: "no" } : delivered,
  );
  append(all, 2);
  await running(all, async (until) => {
    await until(() => all.outbox.queue("s0")?.at === 2, 600_000);
    expect(all.outbox.queue("s0")?.counts).toMatchObject({ dead: 1, delivered: 1, limited: 0 });
  });
});

test("a rate with a burst below one lets one event through", async () => {
  const match = { conditions: [{ field: "type", operator: "ne" as const, value: "" }] };
  const all = quiet([{ rules: [{ id: "r", match, rate: { per_second: 0.01, burst: 0 } }] }], () => delivered);
  append(all, 5);
  await running(all, async (until) => {
    await until(() => all.outbox.queue("s0")?.at === 5, 5000);
    expect(all.outbox.queue("s0")?.counts).toMatchObject({ delivered: 1, limited: 4 });
  });
});

test("each attempt is a span, whose place goes to the target, and which ends with the attempt", async () => {
  const spans: { attempt: number; ended: [object, string | undefined][] }[] = [];
  const beginSpan = (_: unknown, _delivery: unknown, attempt: number): Span => {
    const one = { attempt, ended: [] as [object, string | undefined][] };
    spans.push(one);
    return {
      context: { traceId: "0".repeat(31) + String(attempt), spanId: "1".repeat(16), isSampled: true },
      end: (attributes: object, error?: string) => void one.ended.push([attributes, error]),
    } as unknown as Span;
  };
  let count = 0;
  const all = quiet(
    [{ policy: "standard" }],
    (_id, _offset, signal) => {
      if (++count === 1) return down;
      if (count === 2) return delivered;
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    undefined,
    { beginSpan },
  );
  await running(all, async (until) => {
    append(all, 2);
    await until(() => count === 3, 3_600_000);
  });
  expect(all.deliveries.map(({ delivery }) => delivery.trace?.traceId.at(-1))).toEqual(["1", "2", "1"]);
  expect(spans.map(({ attempt, ended }) => [attempt, ...ended])).toEqual([
    [1, [{ "cairn.delivery.result": "failed", "http.response.status_code": 502, "error.type": "failed" }, "failed"]],
    [2, [{ "cairn.delivery.result": "delivered" }, undefined]],
    [1, [{ "error.type": "cancelled" }, undefined]],
  ]);
});
