// A property of an edge under any order of fills, changes, pongs, losses and pauses: no answer is older than the age it
// declares, own writes are seen, nobody gets a byte without a right to it, and another history or the end of membership
// leaves nothing behind. Clock, feed and link are moved step by step.

import { expect, test } from "bun:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import type { FeedAnswer } from "../../src/cache/feed-frames.ts";
import { FRESH_MS } from "../../src/cache/freshness.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Answer } from "../../src/operation/answer.ts";
import { granted } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";

const KEYS = ["a/0", "a/1", "run/0", "run/1"] as const;
type Key = (typeof KEYS)[number];

const member = granted({ role: "member", spaces: ["*"] });
const stranger = granted({ role: "member", spaces: ["elsewhere"] });

/** What a key was from a moment on. */
interface Written {
  atMs: number;
  version: number;
  deleted: boolean;
}

/** A call on its way: first it reaches the upstream, then its answer comes back. */
interface OnItsWay {
  serve(): Promise<void>;
  deliver(): void;
  lose(): void;
}

async function startWorld() {
  const pair = startEdgePair({ settings: { maxStaleMs: 20_000 } });
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  const history = new Map<Key, Written[]>(KEYS.map((key) => [key, []]));
  const calls: OnItsWay[] = [];
  const failures: string[] = [];
  const reads = new Set<Promise<void>>();
  /** Version of each key that a writer on the edge was told of. */
  const acknowledged = new Map<Key, number>();
  let cut = false;
  let pong: { sentMs: number; served: { answer: FeedAnswer; heldMs: number } | undefined } | undefined;

  pair.setLink((path, deliver) => {
    if (path === "feed" || cut)
      return Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } }));
    const done = Promise.withResolvers<unknown>();
    let outcome: { value: unknown } | { error: unknown } | undefined;
    const lose = () => done.reject(new Fault("unavailable", "lost", { facts: { outcome: "maybe_sent" } }));
    calls.push({
      serve: async () => {
        if (outcome !== undefined) return;
        outcome = await deliver().then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        );
        note();
      },
      deliver: () => {
        if (outcome === undefined) lose();
        else if ("value" in outcome) done.resolve(outcome.value);
        else done.reject(outcome.error);
      },
      lose,
    });
    return done.promise;
  });

  /** Looks what the upstream has now: the only truth that answers are measured by. */
  function note(): void {
    const rows = pair.upstream.store.reader.all<{ id: Key; version: number; deleted: number }>(
      "SELECT id, version, deleted FROM contexts",
    );
    for (const { id, version, deleted } of rows) {
      const known = history.get(id);
      if (known !== undefined && known.at(-1)?.version !== version)
        known.push({ atMs: pair.clock.nowMs(), version, deleted: deleted !== 0 });
    }
  }

  function judge(key: Key, startMs: number, least: number, answer: Answer): void {
    const nowMs = pair.clock.nowMs();
    const version = Number(answer.output["version"]);
    const ageMs = (answer.cache?.ageSeconds ?? 0) * 1000;
    const due = history.get(key)?.findLast(({ atMs }) => atMs < nowMs - ageMs)?.version ?? 0;
    const said = `${key} version ${version} as ${answer.cache?.state} of age ${ageMs} at ${nowMs}, asked at ${startMs}`;
    if (answer.cache !== undefined && version < due) failures.push(`${said}: ${due} was there before`);
    if (version < least) failures.push(`${said}: this edge had written ${least}`);
    if (answer.cache?.state === "hit" && ageMs > FRESH_MS) failures.push(`${said}: a hit that is not fresh`);
  }

  function judgeAbsent(key: Key, startMs: number): void {
    const from = startMs - FRESH_MS;
    const all = history.get(key) ?? [];
    const before = all.findLast(({ atMs }) => atMs < from);
    const wasAbsent =
      before === undefined || before.deleted || all.some(({ atMs, deleted }) => deleted && atMs >= from);
    if (!wasAbsent) failures.push(`${key} was answered as absent at ${pair.clock.nowMs()}, asked at ${startMs}`);
  }

  async function read(key: Key, consistency: "any" | "session", caller = member): Promise<void> {
    const startMs = pair.clock.nowMs();
    const least = acknowledged.get(key) ?? 0;
    try {
      judge(key, startMs, least, await pair.invoke("context_get", { id: key, consistency }, caller));
      if (caller === stranger) failures.push(`${key} was given to a stranger`);
    } catch (error) {
      const code = error instanceof Fault ? error.code : String(error);
      if (caller === stranger && code !== "forbidden") failures.push(`a stranger was told ${code} of ${key}`);
      else if (code === "not_found" || code === "deleted") judgeAbsent(key, startMs);
      else if (code !== "unavailable" && code !== "not_ready" && code !== "forbidden")
        failures.push(`${key}: ${String(error)}`);
    }
  }

  const keep = (work: Promise<void>): void => {
    reads.add(work);
    void work.finally(() => reads.delete(work));
  };

  const steps = {
    put: async (key: Key) => {
      pair.clock.add(1);
      await pair.upstream.call("context_put", { id: key, content: `text ${pair.clock.nowMs()}` });
      note();
    },
    remove: async (key: Key) => {
      await pair.upstream.call("context_delete", { id: key }).catch(() => {});
      note();
    },
    putHere: async (key: Key) => {
      const write = async () => {
        const { output } = await pair.invoke("context_put", { id: key, content: "here" }, member);
        acknowledged.set(key, Math.max(acknowledged.get(key) ?? 0, Number(output["version"])));
      };
      keep(write().catch(() => {}));
    },
    read: async (key: Key) => keep(read(key, "session")),
    readAny: async (key: Key) => keep(read(key, "any")),
    readAsStranger: async (key: Key) => keep(read(key, "any", stranger)),
    /** A change comes while an answer is on its way back. */
    race: async (key: Key, n: number) => {
      await steps.read(key);
      for (let turn = 0; turn < 4; turn += 1) await nextTurn();
      for (const call of calls) await call.serve();
      await steps.put(key);
      pair.clock.add(n % 5);
      await steps.pollFeed();
      for (const call of calls.splice(0)) call.deliver();
    },
    /** A change comes while a pong is on its way back. */
    raceFeed: async (key: Key, n: number) => {
      await steps.askFeed();
      await steps.serveFeed();
      await steps.put(key);
      pair.clock.add(n % 300);
      await steps.takeFeed();
    },
    /** A read that gets all that it asks for. */
    fill: async (key: Key) => {
      keep(read(key, "session"));
      for (let turn = 0; turn < 4; turn += 1) await nextTurn();
      for (const call of calls.splice(0)) {
        await call.serve();
        call.deliver();
      }
    },
    serve: async (_key: Key, n: number) => calls[n % Math.max(1, calls.length)]?.serve(),
    deliver: async (_key: Key, n: number) => calls.splice(n % Math.max(1, calls.length), 1)[0]?.deliver(),
    lose: async (_key: Key, n: number) => calls.splice(n % Math.max(1, calls.length), 1)[0]?.lose(),
    askFeed: async () => {
      pong = { sentMs: pair.clock.nowMs(), served: undefined };
    },
    serveFeed: async () => {
      if (pong === undefined || cut) return;
      const heldMs = pair.clock.nowMs() - pong.sentMs;
      pong.served = { answer: await pair.pull(), heldMs };
    },
    takeFeed: async () => {
      const taken = pong;
      pong = undefined;
      if (taken?.served === undefined) return;
      const { answer, heldMs } = taken.served;
      pair.edge.state.apply(
        { ...answer, heldMs },
        { sentMs: taken.sentMs, tookMs: pair.clock.nowMs() - taken.sentMs, from: "nCENTRAL" },
      );
    },
    pollFeed: async () => {
      if (pong === undefined && !cut) await pair.poll();
    },
    step: async (_key: Key, n: number) => pair.clock.add(1 + (n % 700)),
    pause: async (_key: Key, n: number) => pair.clock.add(1500 + (n % 9000)),
    cut: async (_key: Key, n: number) => {
      cut = n % 3 === 0;
    },
    miss: async () => {
      pong = undefined;
      pair.edge.state.markGap();
    },
    forget: async () => {
      pong = undefined;
      pair.edge.state.reset();
      if (pair.edge.report().entries !== 0 || pair.edge.report().disk_bytes !== 0)
        failures.push("something was left behind");
      if (pair.edge.report().fresh) failures.push("fresh although nothing is known");
    },
  };

  return {
    failures,
    run: async (name: keyof typeof steps, key: Key, n: number) => {
      await steps[name](key, n);
      // What became ready by this step runs to its next wait.
      for (let turn = 0; turn < 8; turn += 1) await nextTurn();
    },
    end: async () => {
      while (calls.length > 0 || reads.size > 0) {
        for (const call of calls.splice(0)) call.lose();
        await Bun.sleep(1);
      }
      await pair.close();
    },
    counts: () => pair.edge.report(),
  };
}

type World = Awaited<ReturnType<typeof startWorld>>;
type StepName = Parameters<World["run"]>[0];

/** Names by weight: what matters most comes most. */
const STEPS: readonly StepName[] = [
  ...([
    "put",
    "fill",
    "fill",
    "fill",
    "fill",
    "read",
    "read",
    "readAny",
    "serve",
    "serve",
    "deliver",
    "deliver",
    "deliver",
  ] as const),
  ...(["pollFeed", "pollFeed", "pollFeed", "askFeed", "serveFeed", "takeFeed", "step", "step", "pause"] as const),
  ...([
    "putHere",
    "remove",
    "lose",
    "cut",
    "miss",
    "forget",
    "race",
    "race",
    "raceFeed",
    "raceFeed",
    "readAsStranger",
  ] as const),
];

test("no order of events makes an edge answer something older than it says, or to someone who may not", async () => {
  const seen = { hits: 0, stale: 0, revalidated: 0, misses: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.constantFrom(...KEYS), fc.nat(10_000)), {
        minLength: 60,
        maxLength: 120,
      }),
      async (steps) => {
        const world = await startWorld();
        try {
          await world.run("pollFeed", "a/0", 0);
          for (const [name, key, n] of steps) await world.run(name, key, n);
          const { hits, stale, revalidated, misses } = world.counts();
          seen.hits += hits;
          seen.stale += stale;
          seen.revalidated += revalidated;
          seen.misses += misses;
        } finally {
          await world.end();
        }
        expect(world.failures).toEqual([]);
      },
    ),
    { numRuns: 40 },
  );
  // The property says nothing where nothing was answered.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
});
