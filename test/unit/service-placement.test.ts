// The rules of placement under random faults, in simulated time: never two running copies, fences that grow, and a
// service that is there again once the faults are over. What no guard can end is refused by the resource.

import { expect, test } from "bun:test";
import { decide, type World } from "../../src/features/service/decide.ts";
import { planOf } from "../../src/features/service/plan.ts";
import type { ServiceRow } from "../../src/features/service/rows.ts";
import { newRow, type Step, takeSaid, takeStep, waits } from "../../src/features/service/transition.ts";
import { PlacedWorld, type Played } from "../kit/placed-world.ts";
import { randomFrom } from "../kit/random-from.ts";

const WORLDS = Number(process.env["WORLDS"] ?? 25);
const FAULTS = 40;

/** Returns a function for a random number from 0 to 1. */
function numbers(seed: number): () => number {
  const random = randomFrom(seed);
  return () => random(1_000_000) / 1_000_000;
}

/** Does one random thing. */
function fault(world: PlacedWorld, random: () => number): void {
  const member = world.members[Math.floor(random() * 3)] as Played;
  const kinds: (() => void)[] = [
    () => {
      member.isFrozen = !member.isKilled && !member.isFrozen;
    },
    () => (member.isKilled ? world.restart(member) : world.kill(member)),
    () => {
      member.isCut = !member.isCut;
    },
    () => {
      member.isDrained = random() < 0.3;
    },
    () => world.lead(Math.floor(random() * 3)),
    () => world.ask("move", random() < 0.5 ? member.node : ""),
    () => world.ask("restart", ""),
    () => {
      // Its program ends by itself.
      for (const program of member.programs) program.deadlineMs = 0;
    },
  ];
  kinds[Math.floor(random() * kinds.length)]?.();
}

function heal(world: PlacedWorld): void {
  for (const member of world.members) {
    if (member.isKilled) world.restart(member);
    member.isFrozen = false;
    member.isCut = false;
    member.isDrained = false;
  }
  world.lead(1);
}

test("random faults: at most one copy runs at any time, no write of an older one comes after, and it comes back", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  let starts = 0;
  for (let at = 0; at < WORLDS; at += 1) {
    const random = numbers(seed + at);
    const world = new PlacedWorld(random, { failback: random() < 0.5 ? "never" : "stable:3" });
    for (let each = 0; each < FAULTS; each += 1) {
      fault(world, random);
      await world.pass(200 + random() * 6000);
      if (world.mostRunning > 1 || world.resource.refused > 0) break;
    }
    const found = { seed: seed + at, most: Math.max(1, world.mostRunning), refused: world.resource.refused };
    expect(found).toEqual({ seed: seed + at, most: 1, refused: 0 });
    heal(world);
    await world.pass(20_000);
    world.ask("move", "");
    await world.pass(100_000);
    expect({ seed: seed + at, state: world.row?.state, node: world.row?.node }).toEqual({
      ...{ seed: seed + at, state: "ready", node: "n0" },
    });
    expect(world.running().map(({ fence }) => fence)).toEqual([world.row?.fence_seq ?? 0]);
    starts += world.seq;
  }
  // The faults did something.
  expect(starts).toBeGreaterThan(WORLDS * FAULTS);
}, 120_000);

test("guard and node stopped together: two run, as is said, and the resource refuses the older fence", async () => {
  const world = new PlacedWorld(numbers(7));
  await world.pass(10_000);
  const [primary] = world.members as [Played];
  expect(primary.programs).toHaveLength(1);
  world.lead(1);
  primary.isPaused = true;
  primary.isFrozen = true;
  await world.pass(30_000);
  expect(world.row).toMatchObject({ state: "ready", node: "n1" });
  expect(world.mostRunning).toBe(2);
  expect(world.resource.refused).toBeGreaterThan(100);
  expect(world.resource.newest).toBe(world.row?.fence_seq ?? 0);
  primary.isPaused = false;
  primary.isFrozen = false;
  await world.pass(5000);
  expect(world.running()).toHaveLength(1);
});

const AT = { seq: 50, timeMs: 1000, n: 1 };
const step = (row: ServiceRow | undefined, to: Step["to"], more: Partial<Step> = {}): Step => ({
  ...{
    name: "web",
    copy: "",
    revision: row?.revision ?? 0,
    term: 3,
    to,
    space: "ops",
    node: "n1",
    boot: "b",
    next: "",
  },
  ...{ program: "p", attempts: 2, backoff_ms: 1000, lease_ms: 5000, reason: "r", ...more },
});
const held = (): ServiceRow => takeStep(undefined, step(undefined, "starting"), AT)?.row as ServiceRow;

test("stale steps are refused: another revision, an earlier term, a start of what is held", () => {
  const row = held();
  expect(row).toMatchObject({ state: "starting", node: "n1", fence_seq: 50, revision: 1, term: 3 });
  expect(takeStep(row, step(row, "stopping", { revision: 0 }), AT)).toBeUndefined();
  expect(takeStep(row, step(row, "stopping", { revision: 2 }), AT)).toBeUndefined();
  expect(takeStep(row, step(row, "stopping", { term: 2 }), AT)).toBeUndefined();
  expect(takeStep(row, step(row, "starting", { node: "n2" }), AT)).toBeUndefined();
  expect(takeStep(row, step(row, "gone"), AT)).toBeUndefined();
  expect(takeStep(undefined, step(undefined, "stopping"), AT)).toBeUndefined();
  const stopping = takeStep(row, step(row, "stopping"), AT)?.row as ServiceRow;
  expect(takeStep(stopping, step(stopping, "stopping"), AT)).toBeUndefined();
  expect(takeStep(stopping, step(stopping, "idle"), AT)).toMatchObject({ outcome: "stopped", row: { state: "idle" } });
});

test("a new history counts terms anew: steps of its first leaders are taken", () => {
  const row = { ...held(), term: 20 };
  expect(takeStep(row, step(row, "idle", { term: 2 }), AT)).toBeUndefined();
  const anew = takeStep(row, step(row, "idle", { term: 2 }), { ...AT, n: 2 })?.row as ServiceRow;
  expect(anew).toMatchObject({ state: "idle", term: 2 });
  expect(takeStep(anew, step(anew, "starting", { term: 2 }), { ...AT, n: 2 })?.row).toMatchObject({ n: 2, term: 2 });
});

test("where a copy is sent on purpose it is tried again", () => {
  const row = { ...held(), tried: '["n2","n3"]' };
  expect(takeStep(row, step(row, "stopping", { next: "n2" }), AT)?.row).toMatchObject({ next: "n2", tried: '["n3"]' });
  expect(takeStep(row, step(row, "stopping"), AT)?.row).toMatchObject({ tried: '["n2","n3"]' });
});

test("what is said of another start counts for nothing", () => {
  const row = held();
  const said = { name: "web", copy: "", n: 1, seq: 50, what: "ready", reason: "" } as const;
  expect(takeSaid(row, { ...said, seq: 49 }, AT)).toBeUndefined();
  expect(takeSaid(row, { ...said, n: 2 }, AT)).toBeUndefined();
  const ready = takeSaid(row, said, { ...AT, timeMs: 2000 })?.row as ServiceRow;
  expect(ready).toMatchObject({ state: "ready", ready_at: 2000, ready_node: "n1" });
  expect(takeSaid(ready, said, AT)).toBeUndefined();
  const ended = takeSaid(ready, { ...said, what: "failed" }, { ...AT, timeMs: 3000 });
  expect(ended).toMatchObject({ outcome: "down", row: { state: "idle", failures: 1, not_before: 4000, tried: "[]" } });
  expect(takeSaid(ended?.row, { ...said, what: "ended" }, AT)).toBeUndefined();
});

test("attempts on one member, then the next; what was ready for a minute begins anew", () => {
  const failed = { name: "web", copy: "", n: 1, seq: 50, what: "failed", reason: "" } as const;
  const first = takeSaid(held(), failed, AT)?.row as ServiceRow;
  expect(first).toMatchObject({ failures: 1, tried: "[]" });
  const again = takeStep(first, step(first, "starting"), { ...AT, seq: 60 })?.row as ServiceRow;
  const second = takeSaid(again, { ...failed, seq: 60 }, AT)?.row as ServiceRow;
  expect(second).toMatchObject({ failures: 0, tried: '["n1"]', not_before: AT.timeMs + 2000 });
  const round = takeStep(second, step(second, "starting"), { ...AT, seq: 70 })?.row as ServiceRow;
  expect(round.tried).toBe("[]");
  const ready: ServiceRow = { ...again, state: "ready", ready_at: 1000 };
  expect(takeSaid(ready, { ...failed, seq: 60 }, { ...AT, timeMs: 61_000 })?.row).toMatchObject({ failures: 1 });
  expect(takeSaid(ready, { ...failed, seq: 60 }, { ...AT, timeMs: 60_999 })?.row).toMatchObject({ failures: 0 });
});

/** Plays a service whose starts all fail at once, and returns when each change of its row came, in ms. */
function failing(members: number, { attempts, backoff }: { attempts: number; backoff: number }, hours: number) {
  const template = new PlacedWorld(numbers(1)).world();
  const [service] = template.services as [World["services"][number]];
  const names = Array.from({ length: members }, (_, at) => `n${at}`);
  const value = { ...service.value, primary: names[0], backups: names.slice(1), attempts, backoff };
  const [node] = template.nodes as [World["nodes"][number]];
  const nodes = names.map((name) => ({ ...node, node: name, name }));
  const changes: number[] = [];
  const starts: string[] = [];
  let row: ServiceRow | undefined;
  for (let timeMs = 0; timeMs < hours * 3_600_000; timeMs += 500) {
    const world = {
      ...template,
      timeMs,
      nodes,
      services: [{ name: "web", value, sinceMs: 0 }],
      rows: row ? [row] : [],
    };
    const next = decide(world)[0]?.step;
    const made = next && takeStep(row, next, { seq: changes.length + 1, timeMs, n: 1 });
    if (made?.row === undefined) continue;
    starts.push(made.row.node);
    const said = { name: "web", copy: "", n: 1, seq: made.row.fence_seq, what: "failed", reason: "exit 1" } as const;
    row = takeSaid(made.row, said, { seq: changes.length + 2, timeMs, n: 1 })?.row;
    changes.push(timeMs, timeMs);
  }
  return { changes, starts, row: row as ServiceRow };
}

test("a service that fails on all members writes less and less: in the second hour at most 24 changes", () => {
  for (const [members, attempts, backoff] of [
    [1, 1, 0],
    [3, 3, 2],
    [3, 20, 0],
    [8, 1, 0],
  ] as const) {
    const { changes, starts } = failing(members, { attempts, backoff }, 2);
    const second = changes.filter((timeMs) => timeMs >= 3_600_000).length;
    const first = changes.length - second;
    expect({ members, attempts, second: second <= 24, first: first <= 2 * members * (attempts + 10) + 24 }).toEqual({
      ...{ members, attempts, second: true, first: true },
    });
    // All members have their attempts, in order, before one of them gets more, and it is tried for ever.
    expect(new Set(starts.slice(0, members * attempts)).size).toBe(members);
    expect(second).toBeGreaterThan(10);
  }
});

test("other members take it at once in the first round; a changed declaration and an operator start it at once", () => {
  const { changes, row } = failing(3, { attempts: 1, backoff: 60 }, 0.01);
  expect(changes).toEqual([0, 0, 500, 500, 1000, 1000]);
  const later = failing(3, { attempts: 1, backoff: 2 }, 1).row;
  expect(later.rounds).toBeGreaterThan(2);
  const start = { node: "n1", program: later.program };
  const timeMs = later.not_before - 1;
  expect(["n0", "n1", "n2"].map((node) => waits(later, { ...start, node }, timeMs))).toEqual([true, true, true]);
  expect(waits(later, start, later.not_before)).toBe(false);
  expect(waits(later, { ...start, program: "another" }, timeMs)).toBe(false);
  const changed = step(later, "starting", { program: "another", term: later.term });
  expect(takeStep(later, changed, AT)?.row).toMatchObject({ rounds: 0, failures: 0, tried: "[]" });
  expect(waits({ ...row, tried: "[]", rounds: 0 }, { node: "n1", program: row.program }, 0)).toBe(row.node === "n1");
});

test("at HH:MM it goes back once that time has come, and not for a time before it was ready", () => {
  const world = new PlacedWorld(numbers(1), { failback: "at:03:30" });
  const day = Date.parse("2026-11-30T00:00:00Z");
  const wanted = decide({ ...world.world(), rows: [] })[0]?.step as Step;
  const started = takeStep(undefined, { ...wanted, node: "n1" }, AT)?.row as ServiceRow;
  const decided = (readyAt: string, now: string, tried = "[]") => {
    const ready_at = day + Date.parse(`1970-01-01T${readyAt}Z`);
    const row: ServiceRow = { ...started, state: "ready", ready_at, ready_node: "n1", tried };
    const timeMs = day + Date.parse(`1970-01-01T${now}Z`);
    return decide({ ...world.world(), timeMs, rows: [row] })[0]?.step?.to;
  };
  expect(decided("01:00:00", "03:29:59")).toBeUndefined();
  expect(decided("01:00:00", "03:30:00")).toBe("stopping");
  expect(decided("01:00:00", "03:39:59")).toBe("stopping");
  expect(decided("01:00:00", "03:40:00")).toBeUndefined();
  expect(decided("03:31:00", "03:32:00")).toBeUndefined();
  // All attempts there failed: it is left alone for half an hour.
  expect(decided("03:05:00", "03:34:59", '["n0"]')).toBeUndefined();
  expect(decided("03:05:00", "03:35:00", '["n0"]')).toBe("stopping");
});

test("a plan follows the same decisions, and changes nothing", () => {
  const world = new PlacedWorld(numbers(1));
  const row = newRow({ name: "web", copy: "", space: "ops" }, AT);
  const plan = planOf({ ...world.world(), rows: [row] });
  expect(plan).toMatchObject([{ now: "runs nowhere", steps: ["start on n0"], why: "is ready" }]);
  expect(row.state).toBe("idle");
  const none = planOf({ ...world.world(), rows: [], nodes: [] });
  expect(none).toMatchObject([{ steps: [], why: expect.stringContaining("no member can run it: n0:") }]);
});
