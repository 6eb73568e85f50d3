// Fetching what is not kept: one fetch for each key at a time, and the rules of when its answer may be kept (replication.md 28).

import { Fault } from "../lib/fault.ts";
import { FRESH_MS } from "./freshness.ts";

/** An answer of the upstream. */
export interface Filled {
  output: Readonly<Record<string, unknown>>;
  /** Position of the answer, and its seq. */
  position: string;
  seq: number;
  /** When the fetch was sent, on the clock that counts sleep: the answer is no older. */
  sentMs: number;
  /** A moment whose state the answer surely has; -Infinity while none is proved. */
  provenMs: number;
}

export interface Wanted {
  key: string;
  /** The answer must be at least this new. */
  minSeq: number;
  signal: AbortSignal;
  /** Asks the upstream on behalf of the caller that is first. */
  ask: (signal: AbortSignal) => Promise<Filled>;
}

export interface FillsOptions {
  nowMs: () => number;
  /** Seq up to which the feed was processed. */
  feedSeq: () => number;
  /** Keeps an answer, or that there is none. */
  keep: (key: string, found: Filled) => void;
  keepAbsent: (key: string, fault: Fault, asked: { seq: number; sentMs: number }) => void;
}

interface Flight {
  startMs: number;
  /** Position of the feed when it was sent. */
  startSeq: number;
  /** A change or a write of the key came meanwhile: its answer serves those who wait and is not kept. */
  spoilt: boolean;
  waiting: number;
  stop: AbortController;
  ended: Promise<{ found: Filled } | { fault: unknown }>;
}

interface Guard {
  /** Writes by this node that are on their way. */
  writing: number;
  /** The feed must pass this seq first. */
  until: number;
}

const MAX_GUARDS = 10_000;
const MAX_JOINS = 3;

/** Faults that say of a document that there is none. */
export function saysAbsent(error: unknown): error is Fault {
  return error instanceof Fault && (error.code === "not_found" || error.code === "deleted" || error.code === "purged");
}

/** The fetches of an edge. */
export class Fills {
  readonly #options: FillsOptions;
  readonly #flights = new Map<string, Flight>();
  /** By key; `*` for writes that may touch any. */
  readonly #guards = new Map<string, Guard>();
  /** Below this seq nothing is kept: there were more guards than are remembered. */
  #guardAll = 0;

  constructor(options: FillsOptions) {
    this.#options = options;
  }

  /** The document, by the fetch that is on its way where that is new enough. Rejects with what the upstream refused this caller. */
  async fetch(wanted: Wanted): Promise<Filled> {
    const arrivedMs = this.#options.nowMs();
    for (let tries = 0; tries < MAX_JOINS; tries += 1) {
      wanted.signal.throwIfAborted();
      const known = this.#flights.get(wanted.key);
      const flight = known ?? this.#start(wanted);
      const end = await join(flight, wanted.signal);
      const own = known === undefined;
      const newEnough = flight.startMs >= arrivedMs - FRESH_MS;
      if ("found" in end) {
        if (own || (newEnough && end.found.seq >= wanted.minSeq)) return end.found;
        continue;
      }
      // What another caller was refused for says nothing of this one, but that there is no such document does.
      if (own || (saysAbsent(end.fault) && newEnough && flight.startSeq >= wanted.minSeq)) throw end.fault;
    }
    return wanted.ask(wanted.signal);
  }

  /** What these keys hold changed. */
  changed(keys: Iterable<string>): void {
    for (const key of keys) {
      const flight = this.#flights.get(key);
      if (flight !== undefined) flight.spoilt = true;
    }
  }

  /** The feed is at `seq`: what only waited for that may be kept again. */
  passed(seq: number): void {
    for (const [name, guard] of this.#guards) if (guard.writing === 0 && guard.until <= seq) this.#guards.delete(name);
    if (this.#guardAll <= seq) this.#guardAll = 0;
  }

  /** No fetch that is on its way may be kept. */
  spoilAll(): void {
    for (const flight of this.#flights.values()) flight.spoilt = true;
  }

  /** A write by this node to a key, or with `*` to any, is on its way; call the answered function with its seq, or without where none is known. */
  guard(name: string): (seq?: number) => void {
    const guard = this.#guards.get(name) ?? { writing: 0, until: 0 };
    guard.writing += 1;
    this.#guards.set(name, guard);
    if (this.#guards.size > MAX_GUARDS) this.#forgetGuards();
    return (seq = 0) => {
      guard.writing -= 1;
      guard.until = Math.max(guard.until, seq);
      if (this.#guards.get(name) !== guard) this.#guardAll = Math.max(this.#guardAll, seq);
    };
  }

  /** Whether an answer may not be kept or given because of a write by this node that the feed has not passed. */
  isGuarded(key: string): boolean {
    if (this.#guards.size === 0 && this.#guardAll === 0) return false;
    const feedSeq = this.#options.feedSeq();
    const holds = (guard: Guard | undefined) => guard !== undefined && (guard.writing > 0 || guard.until > feedSeq);
    return this.#guardAll > feedSeq || holds(this.#guards.get(key)) || holds(this.#guards.get("*"));
  }

  #forgetGuards(): void {
    for (const [name, { writing, until }] of this.#guards) {
      if (writing > 0) continue;
      this.#guardAll = Math.max(this.#guardAll, until);
      this.#guards.delete(name);
    }
  }

  #start(wanted: Wanted): Flight {
    const { nowMs, feedSeq } = this.#options;
    const stop = new AbortController();
    const flight: Flight = {
      startMs: nowMs(),
      startSeq: feedSeq(),
      spoilt: this.isGuarded(wanted.key),
      waiting: 0,
      stop,
      ended: Promise.resolve({ fault: undefined }),
    };
    flight.ended = this.#run(wanted, flight);
    this.#flights.set(wanted.key, flight);
    return flight;
  }

  async #run(wanted: Wanted, flight: Flight): Promise<{ found: Filled } | { fault: unknown }> {
    const { keep, keepAbsent } = this.#options;
    try {
      const found = await wanted.ask(flight.stop.signal);
      // Older than the feed: a change that it does not hold may have been processed before the fetch began.
      if (!this.#isSpoilt(wanted.key, flight) && found.seq >= flight.startSeq) keep(wanted.key, found);
      return { found };
    } catch (fault) {
      if (saysAbsent(fault) && !this.#isSpoilt(wanted.key, flight))
        keepAbsent(wanted.key, fault, { seq: flight.startSeq, sentMs: flight.startMs });
      return { fault };
    } finally {
      if (this.#flights.get(wanted.key) === flight) this.#flights.delete(wanted.key);
    }
  }

  #isSpoilt(key: string, flight: Flight): boolean {
    return flight.spoilt || this.isGuarded(key);
  }
}

/** Waits for a fetch as long as the caller does; the last who leaves ends it. */
async function join(flight: Flight, signal: AbortSignal): Promise<{ found: Filled } | { fault: unknown }> {
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  flight.waiting += 1;
  try {
    return await Promise.race([flight.ended, left.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
    flight.waiting -= 1;
    if (flight.waiting === 0) flight.stop.abort();
  }
}
