// Beats that jobs send: the leader remembers each, and keeps few of them in the log.

import type { ProbeShape } from "./declared.ts";
import type { Live } from "./state.ts";

/** Beats of a probe are kept in the log at most this often, in ms. */
const KEEP_MS = 300_000;
/** One that says something else than the log has is kept at once, so often within an hour; others after KEEP_MS. */
const MAX_AT_ONCE = 6;
const HOUR_MS = 3_600_000;

/** A beat. */
export interface Beat {
  atMs: number;
  good: boolean;
  text: string;
}

/** The two clocks of a node, in ms: that of the log's beats, which may be set, and one that only goes on. */
export interface Clocks {
  nowMs: number;
  monotonicMs: number;
}

/** The last beats as the leader remembers them. */
export class Beats {
  /** With when they came by the monotonic clock. */
  readonly #last = new Map<string, { beat: Beat; cameMs: number }>();
  /** When one was kept, and when at once. */
  readonly #keeping = new Map<string, { atMs: number; atOnce: readonly number[] }>();
  /** Since when this node leads; beats before it may be known to an earlier leader alone. */
  #leadsSinceMs = 0;

  /** A term of this node begins. */
  begin({ monotonicMs }: Pick<Clocks, "monotonicMs">): void {
    this.#last.clear();
    this.#keeping.clear();
    this.#leadsSinceMs = monotonicMs;
  }

  /** Forgets all beats but those of these probes. */
  only(names: ReadonlySet<string>): void {
    for (const map of [this.#last, this.#keeping])
      for (const name of map.keys()) if (!names.has(name)) map.delete(name);
  }

  /** Notes a beat. Returns whether it is one to be kept in the log now. `kept`: the one that the log has. */
  add(name: string, beat: Beat, kept: Beat | undefined, monotonicMs: number): boolean {
    this.#last.set(name, { beat, cameMs: monotonicMs });
    const { atOnce } = this.#keepingOf(name);
    const isOld = this.#isOld(name, kept, beat.atMs);
    const isOther = kept === undefined || kept.good !== beat.good;
    const recent = atOnce.filter((at) => monotonicMs - at < HOUR_MS);
    if (!isOld && !(isOther && recent.length < MAX_AT_ONCE)) return false;
    this.#keeping.set(name, { atMs: beat.atMs, atOnce: isOld ? recent : [...recent, monotonicMs] });
    return true;
  }

  /** Returns the last beat where it says something else than the log has, and is to be kept by now. */
  owed(name: string, kept: Beat | undefined, nowMs: number): Beat | undefined {
    const { beat } = this.#last.get(name) ?? {};
    if (beat === undefined || kept?.good === beat.good || !this.#isOld(name, kept, nowMs)) return undefined;
    this.#keeping.set(name, { ...this.#keepingOf(name), atMs: nowMs });
    return beat;
  }

  #keepingOf(name: string): { atMs: number; atOnce: readonly number[] } {
    return this.#keeping.get(name) ?? { atMs: 0, atOnce: [] };
  }

  #isOld(name: string, kept: Beat | undefined, nowMs: number): boolean {
    return nowMs - Math.max(this.#keepingOf(name).atMs, kept?.atMs ?? 0) >= KEEP_MS;
  }

  /**
   * Returns the state that beats make. `sinceMs`: when the probe was declared. Where beats come more often than they
   * are kept, a new leader waits for a whole interval, because it may not know of the last ones.
   */
  stateOf(
    name: string,
    probe: ProbeShape,
    kept: Beat | undefined,
    sinceMs: number,
    { nowMs, monotonicMs }: Clocks,
  ): Live {
    const own = this.#last.get(name);
    const last = own?.beat ?? kept;
    const state = (word: Live["state"], detail: string): Live => {
      return { state: word, cause: word === "down" ? "service" : "", detail, good: 0, bad: 0 };
    };
    if (last !== undefined && !last.good) return state("down", last.text || "the job says that it failed");
    const intervalMs = probe.interval * 1000;
    const ageMs = own === undefined ? nowMs - (last?.atMs ?? sinceMs) : monotonicMs - own.cameMs;
    const isUnsure = own === undefined && intervalMs <= KEEP_MS;
    const countedMs = isUnsure ? Math.min(ageMs, monotonicMs - this.#leadsSinceMs) : ageMs;
    if (countedMs <= intervalMs + probe.grace * 1000)
      return last === undefined ? state("starting", "no beat yet") : state("up", last.text);
    return state("down", last === undefined ? "no beat came" : `no beat since ${new Date(last.atMs).toISOString()}`);
  }
}
