// Fetches what is not cached: one fetch per key at a time, and the rules for when its result may be cached
// (replication.md 28).

import { Fault } from "../lib/fault.ts";
import { FRESH_MS } from "./freshness.ts";

/** A result from the upstream. */
export interface Fetched {
  output: Readonly<Record<string, unknown>>;
  /** Position of the answer, and its seq. */
  position: string;
  seq: number;
  /** When the fetch was sent, on the clock that counts sleep: the result is no older. */
  sentMs: number;
  /** A moment for which the result is proven; -Infinity if none is. */
  provenMs: number;
}

/** A fetch on behalf of one caller. */
export interface FetchRequest {
  key: string;
  /** Whom `send` asks as: what is not for all, or is not there, is said to them alone. */
  who: string;
  /** The result must be at least this new. */
  minSeq: number;
  signal: AbortSignal;
  /** Asks the upstream as this caller. */
  send: (signal: AbortSignal) => Promise<Fetched>;
}

export interface FetchesOptions {
  nowMs: () => number;
  /** Returns the seq up to which the feed was applied. */
  feedSeq: () => number;
  /** Reports whether a result is for all callers that may read the space. */
  isForAll: (key: string, found: Fetched) => boolean;
  /** Caches a result. */
  store: (key: string, found: Fetched) => void;
  /** Caches that there is no such document for those who asked. */
  storeNotFound: (key: string, fault: Fault, asked: { who: string; seq: number; sentMs: number }) => void;
}

type Ended = { found: Fetched } | { error: unknown };

/** A fetch that has been sent. */
interface Flight {
  who: string;
  startMs: number;
  /** Seq of the feed when it was sent. */
  startSeq: number;
  /** The key was changed or written since then: the result serves those who wait, and is not cached. */
  uncacheable: boolean;
  waiting: number;
  stop: AbortController;
  ended: Promise<Ended>;
}

/** Writes of this node to a key that the feed has not brought yet: until then the key is neither served nor cached. */
interface Guard {
  pendingWrites: number;
  /** Seq that the feed must reach. */
  untilSeq: number;
}

const MAX_GUARDS = 10_000;
/** Attempts to share a fetch before a caller fetches for itself. */
const MAX_JOINS = 3;
/** Key of the guard for writes that may touch any key. */
export const ANY_KEY = "*";

/** Reports whether an error says that there is no such document. */
export function isNotFound(error: unknown): error is Fault {
  return error instanceof Fault && (error.code === "not_found" || error.code === "deleted" || error.code === "purged");
}

/** The fetches of an edge. */
export class Fetches {
  readonly #options: FetchesOptions;
  readonly #flights = new Map<string, Flight>();
  readonly #guards = new Map<string, Guard>();
  /** All keys are guarded until this seq: guards beyond MAX_GUARDS were merged into it. */
  #allGuardedUntilSeq = 0;

  constructor(options: FetchesOptions) {
    this.#options = options;
  }

  /**
   * Returns the document, from a fetch that was already sent if that is new enough. Rejects with the upstream's error.
   */
  async fetch(request: FetchRequest): Promise<Fetched> {
    const arrivedMs = this.#options.nowMs();
    for (let attempts = 0; attempts < MAX_JOINS; attempts += 1) {
      request.signal.throwIfAborted();
      const shared = this.#flights.get(request.key);
      const flight = shared ?? this.#start(request);
      const end = await waitFor(flight, request.signal);
      const isOwn = shared === undefined;
      const isRecent = flight.startMs >= arrivedMs - FRESH_MS;
      const isSame = flight.who === request.who;
      if ("found" in end) {
        const isShared = isSame || this.#options.isForAll(request.key, end.found);
        if (isOwn || (isShared && isRecent && end.found.seq >= request.minSeq)) return end.found;
        continue;
      }
      // Another caller's refusal says nothing about this one, nor that there is no document which that caller may read.
      if (isOwn || (isSame && isNotFound(end.error) && isRecent && flight.startSeq >= request.minSeq)) throw end.error;
    }
    return request.send(request.signal);
  }

  /** Excludes the running fetches of changed keys from the cache. */
  markUncacheable(keys: Iterable<string>): void {
    for (const key of keys) {
      const flight = this.#flights.get(key);
      if (flight !== undefined) flight.uncacheable = true;
    }
  }

  /** Excludes all running fetches from the cache. */
  markAllUncacheable(): void {
    for (const flight of this.#flights.values()) flight.uncacheable = true;
  }

  /** Releases the guards that only waited for the feed to reach `seq`. */
  advanceTo(seq: number): void {
    for (const [key, guard] of this.#guards)
      if (guard.pendingWrites === 0 && guard.untilSeq <= seq) this.#guards.delete(key);
    if (this.#allGuardedUntilSeq <= seq) this.#allGuardedUntilSeq = 0;
  }

  /**
   * Guards a key, or ANY_KEY, during a write of this node. Call the returned function at the end of the write, with its
   * seq if that is known.
   */
  guard(key: string): (seq?: number) => void {
    const guard = this.#guards.get(key) ?? { pendingWrites: 0, untilSeq: 0 };
    guard.pendingWrites += 1;
    this.#guards.set(key, guard);
    if (this.#guards.size > MAX_GUARDS) this.#mergeGuards();
    return (seq = 0) => {
      guard.pendingWrites -= 1;
      guard.untilSeq = Math.max(guard.untilSeq, seq);
      if (this.#guards.get(key) !== guard) this.#guardAllUntil(seq);
    };
  }

  /**
   * Reports whether a key may be neither served nor cached, because the feed has not brought a write of this node yet.
   */
  isGuarded(key: string): boolean {
    if (this.#guards.size === 0 && this.#allGuardedUntilSeq === 0) return false;
    const feedSeq = this.#options.feedSeq();
    const holds = (guard: Guard | undefined) =>
      guard !== undefined && (guard.pendingWrites > 0 || guard.untilSeq > feedSeq);
    return this.#allGuardedUntilSeq > feedSeq || holds(this.#guards.get(key)) || holds(this.#guards.get(ANY_KEY));
  }

  /** Merges the guards of finished writes into one guard for all keys. */
  #mergeGuards(): void {
    for (const [key, { pendingWrites, untilSeq }] of this.#guards) {
      if (pendingWrites > 0) continue;
      this.#guardAllUntil(untilSeq);
      this.#guards.delete(key);
    }
  }

  #guardAllUntil(seq: number): void {
    this.#allGuardedUntilSeq = Math.max(this.#allGuardedUntilSeq, seq);
  }

  #start(request: FetchRequest): Flight {
    const { nowMs, feedSeq } = this.#options;
    const flight: Flight = {
      who: request.who,
      startMs: nowMs(),
      startSeq: feedSeq(),
      uncacheable: this.isGuarded(request.key),
      waiting: 0,
      stop: new AbortController(),
      ended: Promise.resolve({ error: undefined }),
    };
    flight.ended = this.#run(request, flight);
    this.#flights.set(request.key, flight);
    return flight;
  }

  async #run({ key, send }: FetchRequest, flight: Flight): Promise<Ended> {
    const { store, storeNotFound } = this.#options;
    try {
      const found = await send(flight.stop.signal);
      // If it is older than the feed, a change that it lacks may have been applied before the fetch began.
      if (this.#isCacheable(key, flight) && found.seq >= flight.startSeq) store(key, found);
      return { found };
    } catch (error) {
      if (isNotFound(error) && this.#isCacheable(key, flight))
        storeNotFound(key, error, { who: flight.who, seq: flight.startSeq, sentMs: flight.startMs });
      return { error };
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    }
  }

  #isCacheable(key: string, flight: Flight): boolean {
    return !flight.uncacheable && !this.isGuarded(key);
  }
}

/** Waits for the end of a fetch or the caller's abort. The fetch is aborted when no caller waits for it any more. */
async function waitFor(flight: Flight, signal: AbortSignal): Promise<Ended> {
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
