// Writes of a new leader: they wait until it has applied everything from before its term, because limits are read from
// its state.

import { expect, test } from "bun:test";
import { Duties } from "../../src/log/duties.ts";
import type { Leadership } from "../../src/log/log.ts";
import { CaughtUp } from "../../src/operation/caught-up.ts";
import { startCore } from "../kit/core.ts";
import { logWith } from "../kit/log-with.ts";

const LEADS: Leadership = { leading: true, server: "s1", term: 2 };
const LATE_MS = 60_000;

/** A log whose leadership and duties a test begins and ends. */
function newLeader(core: ReturnType<typeof startCore>) {
  const duties = new Duties();
  const listeners = new Set<(now: Leadership) => void>();
  let now: Leadership = LEADS;
  const log = logWith(core.log, {
    leadership: () => now,
    onLeading: (duty) => duties.on(duty),
    onLeadership: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const lose = () => {
    duties.end();
    now = { ...LEADS, leading: false };
    for (const listener of listeners) listener(now);
  };
  return { log, duties, lose };
}

const never = new AbortController().signal;

test("a write waits until the duties begin, and those after it do not", async () => {
  await using core = startCore();
  const { log, duties } = newLeader(core);
  const caughtUp = new CaughtUp(log);
  let done = 0;
  const waiting = [caughtUp.wait(never, LATE_MS), caughtUp.wait(never, LATE_MS)].map((each) =>
    each?.then(() => {
      done += 1;
    }),
  );
  await Bun.sleep(5);
  expect(done).toBe(0);
  duties.begin(2);
  await Promise.all(waiting);
  expect(done).toBe(2);
  expect(caughtUp.wait(never, LATE_MS)).toBeUndefined();
  duties.end();
  expect(caughtUp.wait(never, LATE_MS)).toBeDefined();
  duties.begin(3);
});

test("it ends with the leadership, with its caller, and after its time", async () => {
  await using core = startCore();
  const { log, lose } = newLeader(core);
  const caughtUp = new CaughtUp(log);
  await caughtUp.wait(never, 1);
  const left = new AbortController();
  const waiting = caughtUp.wait(left.signal, LATE_MS);
  left.abort(new Error("the caller left"));
  await expect(waiting).rejects.toThrow("the caller left");
  const last = caughtUp.wait(never, LATE_MS);
  lose();
  await last;
  expect(caughtUp.wait(never, LATE_MS)).toBeUndefined();
});

test("a put on a new leader is stamped with the limits of the state that it has caught up with", async () => {
  let leader: ReturnType<typeof newLeader> | undefined;
  await using core = startCore();
  let maxVersions = 1;
  const limited = startCore({
    over: core,
    limits: {
      get history() {
        return { maxVersions, maxDays: 0, keepHours: 0, spaces: {} };
      },
    },
    wrapLog: () => {
      leader = newLeader(core);
      return leader.log;
    },
  });
  for (let version = 1; version <= 3; version += 1) await core.call("context_put", { id: "a/x", content: version });
  const written = limited.call("context_put", { id: "a/x", content: 4 });
  await Bun.sleep(5);
  expect(core.log.position().seq).toBe(3);
  maxVersions = 12;
  leader?.duties.begin(2);
  expect(await written).toMatchObject({ version: 4 });
  expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({ versions: 4 });
});
