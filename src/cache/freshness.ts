// How new what an edge keeps surely is (replication.md 28). Times are readings of a clock that counts sleep; `proven` is a moment at which the fleet's state surely was as it is kept here.

import type { SleepClock } from "../lib/sleep-clock.ts";

/** An edge is fresh while the last pong it processed was sent for within this time, in ms. */
export const FRESH_MS = 2000;

/** A moment as it is written down: by the wall, and on the clock that counts sleep under its name. */
export interface Moment {
  proven_wall: number;
  proven_clock: number;
  clock: string;
}

/** What the feed proved last. */
export class Freshness {
  readonly #clock: SleepClock;
  readonly #wallMs: () => number;
  #pongMs = Number.NEGATIVE_INFINITY;
  #provenMs = Number.NEGATIVE_INFINITY;

  constructor(clock: SleepClock, wallMs: () => number) {
    this.#clock = clock;
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** The moment of the last pong. */
  get pongMs(): number {
    return this.#pongMs;
  }

  /** When everything that the feed brought was surely true. */
  get provenMs(): number {
    return this.#provenMs;
  }

  /** All changes up to `asOfMs` were seen, as an upstream knew them whose own state was `upstreamAgeMs` old. */
  pong(asOfMs: number, upstreamAgeMs: number): void {
    this.#pongMs = Math.max(this.#pongMs, asOfMs);
    this.#provenMs = Math.max(this.#provenMs, asOfMs - upstreamAgeMs);
  }

  /** What a run before had proved. */
  resume(provenMs: number): void {
    this.#provenMs = Math.max(this.#provenMs, provenMs);
  }

  /** Nothing is proved any more. */
  lose(): void {
    this.#pongMs = Number.NEGATIVE_INFINITY;
    this.#provenMs = Number.NEGATIVE_INFINITY;
  }

  /** An upstream that cannot say yet how old its own state is makes nobody fresh: there would be no age to declare. */
  isFresh(): boolean {
    if (!Number.isFinite(this.#provenMs)) return false;
    return this.nowMs() - this.#pongMs + this.#clock.stepMs <= FRESH_MS;
  }

  /** Age in ms of what was surely true at a moment; never too small. Infinite where it is not known. */
  ageOf(provenMs: number): number {
    return Math.max(0, this.nowMs() - provenMs) + this.#clock.stepMs;
  }

  /** A moment to write down. */
  write(provenMs: number): Moment {
    const ageMs = this.ageOf(provenMs);
    const known = Number.isFinite(ageMs);
    return {
      proven_wall: known ? Math.floor(this.#wallMs() - ageMs) : 0,
      proven_clock: known ? Math.floor(provenMs) : 0,
      clock: known ? this.#clock.since : "",
    };
  }

  /** A moment that was written down, by this or an earlier run; -Infinity where a clock that was set back leaves it unknown. */
  read(moment: Moment): number {
    if (moment.clock !== "" && moment.clock === this.#clock.since) return Math.min(moment.proven_clock, this.nowMs());
    const ageMs = this.#wallMs() - moment.proven_wall;
    return ageMs < 0 ? Number.NEGATIVE_INFINITY : this.nowMs() - ageMs;
  }
}
