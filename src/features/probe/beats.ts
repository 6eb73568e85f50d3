// Beats that jobs send: the leader remembers each, and keeps few of them in the log.

import type { ProbeShape } from "./declared.ts";
import type { Live } from "./state.ts";

/** Beats of a probe are kept in the log at most this often, in ms. */
const KEEP_MS = 300_000;

/** A beat. */
export interface Beat {
  atMs: number;
  good: boolean;
  text: string;
}

/** The last beats as the leader remembers them. */
export class Beats {
  readonly #last = new Map<string, Beat>();
  readonly #keptMs = new Map<string, number>();
  /** Since when this node leads; beats before it may be known to an earlier leader alone. */
  #leadsSinceMs = 0;

  /** A term of this node begins. */
  begin(nowMs: number): void {
    this.#last.clear();
    this.#keptMs.clear();
    this.#leadsSinceMs = nowMs;
  }

  /** Forgets all beats but those of these probes. */
  only(names: ReadonlySet<string>): void {
    for (const map of [this.#last, this.#keptMs]) for (const name of map.keys()) if (!names.has(name)) map.delete(name);
  }

  /** Notes a beat. Returns whether it is one to be kept in the log: a change of what beats say always is. */
  add(name: string, beat: Beat, kept: Beat | undefined): boolean {
    const before = this.#last.get(name) ?? kept;
    this.#last.set(name, beat);
    const keptMs = Math.max(this.#keptMs.get(name) ?? 0, kept?.atMs ?? 0);
    const isDue = beat.atMs - keptMs >= KEEP_MS || before === undefined || before.good !== beat.good;
    if (isDue) this.#keptMs.set(name, beat.atMs);
    return isDue;
  }

  /** Returns the last beat, of memory or of the log. */
  last(name: string, kept: Beat | undefined): Beat | undefined {
    const own = this.#last.get(name);
    return own !== undefined && own.atMs >= (kept?.atMs ?? 0) ? own : kept;
  }

  /**
   * Returns the state that beats make. `sinceMs`: when the probe was declared. Where beats come more often than they
   * are kept, a new leader waits for a whole interval, because it may not know of the last ones.
   */
  stateOf(name: string, probe: ProbeShape, kept: Beat | undefined, sinceMs: number, nowMs: number): Live {
    const last = this.last(name, kept);
    const state = (word: Live["state"], detail: string): Live => {
      return { state: word, cause: word === "down" ? "service" : "", detail, good: 0, bad: 0 };
    };
    if (last !== undefined && !last.good) return state("down", last.text || "the job says that it failed");
    const intervalMs = probe.interval * 1000;
    const isOften = intervalMs <= KEEP_MS;
    const fromMs = Math.max(last?.atMs ?? sinceMs, isOften && !this.#last.has(name) ? this.#leadsSinceMs : 0);
    const lateMs = nowMs - fromMs - intervalMs - probe.grace * 1000;
    if (lateMs <= 0) return last === undefined ? state("starting", "no beat yet") : state("up", last.text);
    return state("down", last === undefined ? "no beat came" : `no beat since ${new Date(last.atMs).toISOString()}`);
  }
}
