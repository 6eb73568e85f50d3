// A probe that flaps is said to be down at once, and to be better only when that lasts: each change is an entry of the
// log on every disk, and may be an event that wakes somebody.

import type { StateRow } from "./rows.ts";
import type { Live, ProbeState } from "./state.ts";

/** A place flaps whose runner said it became down or unknown, or so for another cause, as often within `WINDOW_MS`. */
const FALLS = 3;
const WINDOW_MS = 3_600_000;
/** What flaps is said to be better when it has been so for this long, in ms. */
const CALM_MS = 600_000;
/** Longest text of a transition. */
const MAX_DETAIL = 300;

/** The worst has the greatest. */
const RANK: Readonly<Record<ProbeState, number>> = { down: 3, unknown: 2, suspect: 1, starting: 0, up: 0 };

type Words = Pick<Live, "state" | "cause" | "detail">;

/** What is remembered of one probe at one runner. Times are of a monotonic clock. */
interface Place {
  /** Since when its declaration is in force: what was before counts no more. */
  declaredMs: number;
  /** What its runner said last, and since when it says so. */
  said: string;
  sinceMs: number;
  /** When it fell, the last FALLS times. */
  falls: readonly number[];
}

/** The places of a leader's term. */
export class Damping {
  readonly #places = new Map<string, Place>();

  /** A term begins. */
  clear(): void {
    this.#places.clear();
  }

  /** Forgets all places but these. */
  only(places: ReadonlySet<string>): void {
    for (const place of this.#places.keys()) if (!places.has(place)) this.#places.delete(place);
  }

  /** Returns what is to be said of a place of which the log has `row`; undefined: nothing yet. */
  take<T extends Words>(
    place: string,
    said: T,
    row: Pick<StateRow, "state" | "cause"> | undefined,
    { declaredMs, nowMs }: { declaredMs: number; nowMs: number },
  ): T | undefined {
    const known = this.#places.get(place);
    const before = known?.declaredMs === declaredMs ? known : undefined;
    const words = wordsOf(said);
    const isNew = before?.said !== words;
    const fallen = isNew && before !== undefined && isBad(said.state) ? [nowMs] : [];
    const falls = [...(before?.falls ?? []), ...fallen].filter((at) => nowMs - at < WINDOW_MS).slice(-FALLS);
    const sinceMs = isNew ? nowMs : before.sinceMs;
    this.#places.set(place, { declaredMs, said: words, sinceMs, falls });
    if (row === undefined || falls.length < FALLS) return said;
    const isWorse = RANK[said.state] > RANK[row.state];
    if (wordsOf(row) !== words && !isWorse && nowMs - sinceMs < CALM_MS) return undefined;
    if (!isBad(said.state)) return said;
    const detail = `flapping, so up is said after ${CALM_MS / 60_000} minutes without a failure: ${said.detail}`;
    return { ...said, detail: detail.slice(0, MAX_DETAIL) };
  }
}

function isBad(state: ProbeState): boolean {
  return state === "down" || state === "unknown";
}

function wordsOf({ state, cause }: Pick<Words, "state" | "cause">): string {
  return `${state} ${cause}`;
}
