// A fleet for the outbox without a store: random troubles, changes of leader, and time that the test moves.

import { expect } from "bun:test";
import type { Delivery, GroupRule, Notice, Outcome } from "../../src/features/event/subscription/delivery.ts";
import { Outbox } from "../../src/features/event/subscription/outbox.ts";
import type { OutboxOptions } from "../../src/features/event/subscription/outbox-options.ts";
import type { Records } from "../../src/features/event/subscription/recorder.ts";
import type { QueuedEvent, RunningSubscription } from "../../src/features/event/subscription/running.ts";
import { randomFrom } from "./random-from.ts";

/** Time that goes on only when nothing else is to be done. */
export class Clock {
  now = 0;
  /** Requests that are on their way: time waits for them. */
  busy = 0;
  #timers: { at: number; go: () => void }[] = [];

  readonly pause = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const stop = () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
        reject(signal?.reason);
      };
      const go = () => {
        // One signal outlasts many waits.
        signal?.removeEventListener("abort", stop);
        resolve();
      };
      const timer = { at: this.now + ms, go };
      this.#timers.push(timer);
      signal?.addEventListener("abort", stop);
    });

  async runUntil(isDone: () => boolean, untilMs: number): Promise<void> {
    while (!isDone() && this.now < untilMs) {
      for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (this.busy > 0) continue;
      const next = this.#timers.toSorted((one, other) => one.at - other.at)[0];
      if (next === undefined) continue;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.now = Math.max(this.now, next.at);
      next.go();
    }
  }
}

/** A subscription as it is recorded. */
export interface Kept extends RunningSubscription {
  state: "active" | "paused";
  dead: number[];
  missed: number;
}

/** A fleet: what is recorded, and what targets saw. */
export class World {
  readonly clock = new Clock();
  readonly random: () => number;
  readonly events: QueuedEvent[] = [];
  readonly kept = new Map<string, Kept>();
  readonly seen = new Map<string, { offset: number; term: number; at: number }[]>();
  /** Every event of which an attempt began, in that order. */
  readonly #tried = new Map<string, Set<number>>();
  readonly revoked = new Map<string, number>();
  readonly problems: string[] = [];
  /** Dead letters that are to be sent again. */
  again: QueuedEvent[] = [];
  /** What a record waits for, in a quiet world. */
  recorded = Promise.resolve();
  floor = 0;
  term = 0;
  troubles = true;
  #lead: { ends: AbortController; done: Promise<void> } | undefined;
  #news = new Set<() => void>();
  /** Of the subscriptions whose targets take events together. */
  readonly #groups: Readonly<Record<string, GroupRule>>;

  constructor(
    seed: number,
    subscriptions: readonly Partial<RunningSubscription>[],
    groups: Readonly<Record<string, GroupRule>> = {},
  ) {
    this.#groups = groups;
    const draw = randomFrom(seed);
    this.random = () => draw(1_000_000) / 1_000_000;
    for (const [at, changes] of subscriptions.entries()) {
      const id = `s${at}`;
      const plain = {
        id,
        revision: 1,
        space: "a",
        rules: [],
        policy: "peer",
        cursor: 0,
        until: 0,
        rate: 0,
        began: 1,
        changedMs: 0,
        state: "active",
        dead: [],
        missed: 0,
      } as const;
      this.kept.set(id, { ...plain, dead: [], ...changes });
      this.seen.set(id, []);
      this.#tried.set(id, new Set());
    }
  }

  onNews(listener: () => void): () => void {
    this.#news.add(listener);
    return () => this.#news.delete(listener);
  }

  append(count: number): void {
    for (let added = 0; added < count; added++) {
      const offset = this.events.length + 1;
      const record = {
        id: `e${offset}`,
        source: "x",
        type: offset % 3 === 0 ? "odd" : "even",
        time: "2026-11-29T12:00:00Z",
      };
      const sender = { caller: "user:x", tags: [], node: "n" };
      this.events.push({ offset, space: this.random() < 0.7 ? "a" : "b", record, sender });
    }
    for (const listener of this.#news) listener();
  }

  /** The leader changes: what the old one had on its way ends as a crash would end it. */
  async change(): Promise<void> {
    this.#lead?.ends.abort(new Error("no longer the leader"));
    await this.#lead?.done;
    const term = ++this.term;
    const ends = new AbortController();
    this.#lead = { ends, done: this.#outbox(term).run(ends.signal) };
  }

  async end(): Promise<void> {
    this.#lead?.ends.abort(new Error("the end"));
    await this.#lead?.done;
  }

  #outbox(term: number): Outbox {
    return new Outbox({
      subscriptions: () =>
        [...this.kept.values()].filter(({ state }) => state === "active").map((each) => ({ ...each })),
      eventsAfter: (offset, max) => this.events.slice(Math.max(offset, this.floor)).slice(0, max),
      withTags: async (sender) => sender,
      withAgain: () => [],
      again: () => [],
      floor: () => this.floor,
      cursorOf: (offset) => `e-${offset}`,
      onNews: (listener) => this.onNews(listener),
      targetOf: ({ id }) => {
        const group = this.#groups[id];
        const send = (delivery: Delivery, signal: AbortSignal) => this.#send(id, delivery, term, signal);
        return { send, ...(group === undefined ? {} : { group }) };
      },
      ownerMay: async ({ id }) => {
        if (this.revoked.has(id)) return "no";
        return this.troubles && this.random() < 0.02 ? "unknown" : "yes";
      },
      record: (records) => this.#record(records, term),
      onProblems: (problems) => this.problems.push(...problems.values()),
      nowMs: () => this.clock.now,
      pause: this.clock.pause,
      random: this.random,
    });
  }

  async #send(id: string, { offset, others = [] }: Delivery, term: number, signal: AbortSignal): Promise<Outcome> {
    if (this.revoked.has(id)) throw new Error(`${id} was sent ${offset} after its owner lost its rights`);
    const offsets = [offset, ...others.map((record) => Number(record.id.slice(1)))];
    for (const each of offsets) this.#tried.get(id)?.add(each);
    const draw = this.troubles ? this.random() : 1;
    if (draw < 0.3) await this.clock.pause(this.random() * 500, signal);
    if (draw < 0.1) return { result: "failed", detail: "down" };
    if (draw < 0.13) return { result: "refused", status: 400, detail: "bad" };
    this.seen.get(id)?.push(...offsets.map((each) => ({ offset: each, term, at: this.clock.now })));
    // Taken, and its answer lost.
    if (draw < 0.17) return { result: "failed", detail: "cut" };
    return { result: "delivered", detail: "" };
  }

  async #record(records: Records, term: number): Promise<void> {
    const draw = this.troubles ? this.random() : 1;
    if (draw < 0.1) throw new Error("not written");
    await new Promise((resolve) => setImmediate(resolve));
    if (term !== this.term || this.#lead?.ends.signal.aborted !== false) throw new Error("another node leads");
    for (const { subscription, cursor, failing, dead = [], missed = 0, stop } of records) {
      const row = this.kept.get(subscription) as Kept;
      if (cursor < row.cursor) continue;
      const isNew = (offset: number) => offset > row.cursor && !row.dead.includes(offset);
      const now = failing === undefined ? undefined : { ...failing, nextAtMs: failing.next_at };
      this.kept.set(subscription, {
        ...row,
        cursor,
        failing: now,
        dead: [...row.dead, ...dead.map(({ offset }) => offset).filter(isNew)],
        missed: row.missed + missed,
        ...(stop === undefined ? {} : { state: "paused", revision: row.revision + 1 }),
      });
    }
    // Written, and the answer lost.
    if (draw < 0.15) throw new Error("outcome unknown");
  }

  /** Whether everything is done with and recorded. */
  isDone(): boolean {
    return [...this.kept.values()].every(({ cursor, state }) => state === "paused" || cursor === this.events.length);
  }

  check(): void {
    for (const [id, seen] of this.seen) {
      const isGrouped = this.#groups[id] !== undefined;
      const { space, dead, cursor, state } = this.kept.get(id) as Kept;
      const wanted = this.events
        .filter((event) => event.space === space && event.offset > 0)
        .map(({ offset }) => offset);
      const reached = state === "paused" ? wanted.filter((offset) => offset <= cursor) : wanted;
      const first = [...new Set(seen.map(({ offset }) => offset))];
      // One that a leader gave up may arrive by the next one, where no record says that: tried it was in its place.
      const tried = [...(this.#tried.get(id) ?? [])];
      expect(tried).toEqual(tried.toSorted((one, other) => one - other));
      // Nothing was skipped: what was not seen is a dead letter. Those of a group may be counted alone.
      if (!isGrouped) expect(reached.filter((offset) => !first.includes(offset) && !dead.includes(offset))).toEqual([]);
      expect(dead).toEqual(dead.toSorted((one, other) => one - other));
      if (!isGrouped) this.#checkRepeats(seen);
    }
  }

  /** Within one term an event is repeated only in its place: before any later one was sent. */
  #checkRepeats(seen: readonly { offset: number; term: number }[]): void {
    for (const [at, { offset, term }] of seen.entries()) {
      const before = seen[at - 1];
      if (before?.term === term) expect(offset).toBeGreaterThanOrEqual(before.offset);
    }
  }
}

/**
 * A world in which each target answers as `answer` says, without other troubles. Of what is recorded, only that a
 * subscription stops has an effect. `more`: what else the outbox gets.
 */
export function quiet(
  subscriptions: readonly Partial<RunningSubscription>[],
  answer: (id: string, offset: number, signal: AbortSignal) => Outcome | Promise<Outcome>,
  group?: GroupRule,
  more: Partial<OutboxOptions> = {},
) {
  const world = new World(1, subscriptions);
  world.troubles = false;
  const records: Records[] = [];
  const sent: [string, number][] = [];
  const deliveries: { at: number; delivery: Delivery }[] = [];
  const notices: { at: number; id: string; notice: Notice }[] = [];
  let mayRead: "yes" | "no" | "unknown" | "waiting" | "fails" = "yes";
  const outbox = new Outbox({
    subscriptions: () => [...world.kept.values()].filter(({ state }) => state === "active"),
    eventsAfter: (offset, max) => world.events.slice(Math.max(offset, world.floor)).slice(0, max),
    withTags: async (sender) => ({ ...sender, tags: ["tag:ci"] }),
    withAgain: () => (world.again.length > 0 ? ["s0"] : []),
    again: () => world.again,
    floor: () => world.floor,
    cursorOf: (offset) => `e-${offset}`,
    onNews: (listener) => world.onNews(listener),
    targetOf: ({ id }) => ({
      ...(group === undefined ? {} : { group }),
      notice: async (notice) => void notices.push({ at: world.clock.now, id, notice }),
      send: async (delivery, signal) => {
        const { offset } = delivery;
        sent.push([id, offset]);
        deliveries.push({ at: world.clock.now, delivery });
        return await answer(id, offset, signal);
      },
    }),
    ownerMay: async () => {
      if (mayRead === "fails") throw new Error("the tailnet is busy");
      return mayRead;
    },
    record: async (batch) => {
      records.push(batch);
      for (const { subscription, stop } of batch) {
        const row = world.kept.get(subscription) as Kept;
        if (stop !== undefined) world.kept.set(subscription, { ...row, state: "paused" });
      }
      await world.recorded;
    },
    onProblems: (problems) => world.problems.push(...problems.values()),
    nowMs: () => world.clock.now,
    pause: world.clock.pause,
    random: () => 0.5,
    ...more,
  });
  return { world, records, sent, deliveries, notices, outbox, setMay: (may: typeof mayRead) => (mayRead = may) };
}
