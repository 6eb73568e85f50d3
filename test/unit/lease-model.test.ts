// Leases against a plain model: random callers, times, releases, forces and changes of leader. Every answer is the
// model's, and at no moment two holders may count on the same lease.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fault } from "../../src/lib/fault.ts";
import { type Leases, startLeases } from "../kit/leases.ts";

const NAMES = ["team/a", "team/b", "c"] as const;
const CALLERS = ["ann", "bob", "cyd"] as const;

interface Claim {
  name: string;
  who: string;
  fence: string;
  ttlMs: number;
  /** Of a claim in line: until when its place is kept. */
  untilMs: number;
  /** Of a grant: when its term began, as the leader knows it. */
  beganMs: number;
  /** Until when its holder counts on it. */
  countsMs: number;
}

type Step =
  | { kind: "acquire"; who: string; name: string; ttl: number; wait: number }
  | { kind: "again" | "renew" | "release" | "wait"; who: string; claim: number; wait: number }
  | { kind: "force"; name: string }
  | { kind: "pass"; seconds: number }
  | { kind: "lead" };

const who = fc.constantFrom(...CALLERS);
const name = fc.constantFrom(...NAMES);
const wait = fc.constantFrom(0, 20, 60);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("acquire" as const),
      who,
      name,
      ttl: fc.constantFrom(5, 10, 30),
      wait,
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constantFrom("again" as const, "renew" as const, "release" as const, "wait" as const),
      who,
      claim: fc.nat(30),
      wait,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("force" as const), name }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), seconds: fc.constantFrom(1, 3, 5, 12, 40) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "lead" as const }) },
);

/** The rules of leases in memory, apart from fences, which it takes from the answers. */
class Model {
  nowMs = 0;
  /** Every claim ever made, whether it lives or not. */
  readonly made: Claim[] = [];
  readonly held = new Map<string, Claim>();
  readonly line = new Map<string, Claim[]>();

  find(step: { who: string; claim: number }): Claim | undefined {
    return this.made[step.claim % Math.max(1, this.made.length)];
  }

  waiting(claim: Claim): boolean {
    return this.line.get(claim.name)?.includes(claim) === true;
  }

  /** What an acquire that is done forgets. */
  forget(): void {
    for (const [of, claims] of this.line)
      this.line.set(
        of,
        claims.filter(({ untilMs }) => untilMs > this.nowMs),
      );
  }

  end(of: string): void {
    const claims = (this.line.get(of) ?? []).filter(({ untilMs }) => untilMs > this.nowMs);
    const next = claims.shift();
    this.line.set(of, claims);
    this.held.delete(of);
    if (next === undefined) return;
    next.beganMs = this.nowMs;
    this.held.set(of, next);
  }

  /** Expires what is over. What was in line gets its term from now on. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (const [of, { beganMs, ttlMs }] of [...this.held]) if (this.nowMs - beganMs >= ttlMs) this.end(of);
  }
}

const codeOf = async (done: Promise<Record<string, unknown>>) =>
  done.catch((error: unknown) => {
    if (error instanceof Fault) return error.code;
    throw error;
  });

/** At most one holder counts on a lease at any moment. */
function checkCounts(model: Model): void {
  for (const of of NAMES) {
    const counting = model.made.filter((claim) => claim.name === of && claim.countsMs > model.nowMs);
    const holders = new Set(counting.map(({ fence }) => fence));
    expect(holders.size, `${of}: ${[...holders].join()}`).toBeLessThanOrEqual(1);
  }
}

function counted(claim: Claim, nowMs: number, answer: unknown): void {
  claim.countsMs = nowMs + Number((answer as Record<string, unknown>)["safe_seconds"]) * 1000;
}

async function acquire(leases: Leases, model: Model, step: Step & { kind: "acquire" }): Promise<void> {
  const { nowMs } = model;
  const input = { name: step.name, ttl_seconds: step.ttl, wait_seconds: step.wait, for: "work" };
  const answer = await codeOf(leases.call(step.who, "lease_acquire", input));
  const holder = model.held.get(step.name);
  if (holder !== undefined && step.wait === 0) {
    expect(answer).toBe("lease_held");
    return;
  }
  model.forget();
  const line = model.line.get(step.name) ?? [];
  expect(answer).toMatchObject({ granted: holder === undefined, place: holder === undefined ? 0 : line.length + 1 });
  const { fence } = answer as { fence: string };
  const claim: Claim = {
    ...{ name: step.name, who: step.who, fence, ttlMs: step.ttl * 1000 },
    ...{ untilMs: nowMs + step.wait * 1000, beganMs: nowMs, countsMs: 0 },
  };
  for (const earlier of model.made.filter((one) => one.name === step.name))
    expect(seqOf(fence)).toBeGreaterThan(seqOf(earlier.fence));
  model.made.push(claim);
  if (holder === undefined) {
    model.held.set(step.name, claim);
    counted(claim, nowMs, answer);
  } else model.line.set(step.name, [...line, claim]);
}

async function again(leases: Leases, model: Model, step: Step & { wait: number; who: string; claim: number }) {
  const claim = model.find(step);
  if (claim === undefined) return;
  const input = { name: claim.name, fence: claim.fence, wait_seconds: step.wait };
  const answer = await codeOf(leases.call(step.who, "lease_acquire", input));
  const isHeld = model.held.get(claim.name) === claim;
  const isWaiting = model.waiting(claim) && claim.untilMs > model.nowMs;
  if (claim.who !== step.who || (!isHeld && !isWaiting)) {
    expect(answer).toBe("lease_lost");
    return;
  }
  model.forget();
  if (isHeld) {
    claim.beganMs = model.nowMs;
    counted(claim, model.nowMs, answer);
  } else claim.untilMs = model.nowMs + step.wait * 1000;
  expect(answer).toMatchObject({ granted: isHeld, fence: claim.fence });
}

async function renew(leases: Leases, model: Model, step: { who: string; claim: number }): Promise<void> {
  const claim = model.find(step);
  if (claim === undefined) return;
  const answer = await codeOf(leases.call(step.who, "lease_renew", { name: claim.name, fence: claim.fence }));
  if (model.held.get(claim.name) !== claim || claim.who !== step.who) {
    expect(answer).toBe("lease_lost");
    return;
  }
  claim.beganMs = model.nowMs;
  expect(answer).toMatchObject({ fence: claim.fence, waiting: model.line.get(claim.name)?.length ?? 0 });
  counted(claim, model.nowMs, answer);
}

async function release(leases: Leases, model: Model, step: { who: string; claim: number }): Promise<void> {
  const claim = model.find(step);
  if (claim === undefined) return;
  const answer = await codeOf(leases.call(step.who, "lease_release", { name: claim.name, fence: claim.fence }));
  const isHeld = model.held.get(claim.name) === claim;
  if (!isHeld && !model.waiting(claim)) expect(answer).toEqual({ released: false });
  else if (claim.who !== step.who) expect(answer).toBe("lease_lost");
  else {
    expect(answer).toMatchObject({ released: true });
    claim.countsMs = 0;
    if (isHeld) model.end(claim.name);
    else model.line.set(claim.name, model.line.get(claim.name)?.filter((one) => one !== claim) ?? []);
  }
}

async function see(leases: Leases, model: Model, step: { who: string; claim: number }): Promise<void> {
  const claim = model.find(step);
  if (claim === undefined) return;
  const { name: of, fence } = claim;
  const answer = await leases.call(step.who, "lease_wait", { name: of, fence, timeout_seconds: 0 });
  const state = model.held.get(of) === claim ? "granted" : model.waiting(claim) ? "waiting" : "gone";
  expect(answer).toMatchObject({ state });
}

/** Compares the whole state: holders, lines, and which fences writes may carry. */
async function checkState(leases: Leases, model: Model): Promise<void> {
  const { leases: listed } = (await leases.call("", "lease_list", {})) as { leases: Record<string, unknown>[] };
  expect(listed).toEqual(
    [...model.held.values()]
      .sort((one, other) => (one.name < other.name ? -1 : 1))
      .map((claim) =>
        expect.objectContaining({
          name: claim.name,
          fence: claim.fence,
          held_by: { caller: `user:${claim.who}@x` },
          waiting: model.line.get(claim.name)?.length ?? 0,
        }),
      ),
  );
  for (const of of NAMES) {
    const granted = model.made.filter((claim) => claim.name === of && !model.waiting(claim));
    const newest = leases.core.store.reader.get<{ seq: number }>("SELECT seq FROM fences WHERE name = ?", of);
    const held = model.held.get(of);
    if (held !== undefined) expect(newest?.seq).toBe(seqOf(held.fence));
    else if (newest !== undefined) expect(granted.map(({ fence }) => seqOf(fence))).toContain(newest.seq);
  }
}

const seqOf = (fence: string) => Number(fence.split("-").at(-1));

async function run(leases: Leases, model: Model, step: Step): Promise<void> {
  switch (step.kind) {
    case "acquire":
      return acquire(leases, model, step);
    case "again":
      return again(leases, model, step);
    case "renew":
      return renew(leases, model, step);
    case "release":
      return release(leases, model, step);
    case "wait":
      return see(leases, model, step);
    case "force": {
      const answer = await leases.call("", "lease_force", { name: step.name });
      const held = model.held.get(step.name);
      expect(answer).toMatchObject({ forced: held !== undefined });
      // Its holder is cut off from the resource by the fence alone, so it may go on counting.
      if (held !== undefined) held.countsMs = 0;
      model.end(step.name);
      return;
    }
    case "pass":
      model.pass(step.seconds * 1000);
      return leases.pass(step.seconds * 1000);
    case "lead":
      leases.lead();
      for (const claim of model.held.values()) claim.beganMs = model.nowMs;
  }
}

test("every answer is that of the model, and no two holders count on one lease", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 10, maxLength: 60 }), async (steps) => {
      await using leases = startLeases();
      const model = new Model();
      for (const step of steps) {
        await run(leases, model, step);
        checkCounts(model);
        await checkState(leases, model);
      }
      expect(leases.core.unexpected).toEqual([]);
      expect(leases.core.fatal).toEqual([]);
    }),
    { numRuns: 60 },
  );
}, 60_000);
