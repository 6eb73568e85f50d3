// How new the state of an edge is (replication.md 28). Times are readings of a clock that counts sleep. A moment is
// proven if it is certain that the cached state was the fleet's state then.

import type { SleepClock } from "../lib/sleep-clock.ts";

/** An edge is fresh if the last feed answer that it applied was requested within this time, in ms. */
export const FRESH_MS = 2000;

/** A proven moment as it is stored: wall time, and a reading of the clock that counts sleep with that clock's name. */
export interface StoredMoment {
  proven_wall: number;
  proven_clock: number;
  clock: string;
}

/** What the feed has proven. */
export class Freshness {
  readonly #clock: SleepClock;
  readonly #wallMs: () => number;
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #provenMs = Number.NEGATIVE_INFINITY;
  /** The same by the answers to this process alone. */
  #provenHereMs = Number.NEGATIVE_INFINITY;

  constructor(clock: SleepClock, wallMs: () => number) {
    this.#clock = clock;
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** What readings of the clock count from: the name of this boot; "" where there is none. */
  get since(): string {
    return this.#clock.since;
  }

  /** The moment up to which the last feed answer was complete. */
  get lastAnswerMs(): number {
    return this.#lastAnswerMs;
  }

  /** The newest proven moment of what the feed brought. */
  get provenMs(): number {
    return this.#provenMs;
  }

  /**
   * Records that all changes up to `asOfMs` were applied, as known to an upstream whose state was `upstreamAgeMs` old.
   */
  recordAnswer(asOfMs: number, upstreamAgeMs: number): void {
    this.#lastAnswerMs = Math.max(this.#lastAnswerMs, asOfMs);
    this.#provenHereMs = Math.max(this.#provenHereMs, asOfMs - upstreamAgeMs);
    this.#provenMs = Math.max(this.#provenMs, this.#provenHereMs);
  }

  /** Takes over what an earlier run had proven. */
  resume(provenMs: number): void {
    this.#provenMs = Math.max(this.#provenMs, provenMs);
  }

  /** Forgets everything that was proven. */
  reset(): void {
    this.#lastAnswerMs = Number.NEGATIVE_INFINITY;
    this.#provenMs = Number.NEGATIVE_INFINITY;
    this.#provenHereMs = Number.NEGATIVE_INFINITY;
  }

  /** Reports whether the edge is fresh. It is not while nothing is proven: there would be no age to declare. */
  isFresh(): boolean {
    if (!Number.isFinite(this.#provenMs)) return false;
    return this.nowMs() - this.#lastAnswerMs + this.#clock.stepMs <= FRESH_MS;
  }

  /** Reports whether the feed has brought everything that the fleet had at a reading of the clock in this process. */
  isProvenSince(ms: number): boolean {
    return this.#provenHereMs - this.#clock.stepMs >= ms;
  }

  /** Returns the age in ms of state that is proven for a moment. Never too small; infinite if unknown. */
  ageOf(provenMs: number): number {
    return Math.max(0, this.nowMs() - provenMs) + this.#clock.stepMs;
  }

  /** Returns a proven moment in the form in which it is stored. */
  toStored(provenMs: number): StoredMoment {
    const ageMs = this.ageOf(provenMs);
    const known = Number.isFinite(ageMs);
    return {
      proven_wall: known ? Math.floor(this.#wallMs() - ageMs) : 0,
      proven_clock: known ? Math.floor(provenMs) : 0,
      clock: known ? this.#clock.since : "",
    };
  }

  /**
   * Returns a stored moment of this or an earlier run; -Infinity if a wall clock that was set back leaves it unknown.
   */
  fromStored(moment: StoredMoment): number {
    if (moment.clock !== "" && moment.clock === this.#clock.since) return Math.min(moment.proven_clock, this.nowMs());
    const ageMs = this.#wallMs() - moment.proven_wall;
    return ageMs < 0 ? Number.NEGATIVE_INFINITY : this.nowMs() - ageMs;
  }
}
