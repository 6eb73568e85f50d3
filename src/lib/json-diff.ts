// Compares two JSON values and returns a JSON patch (RFC 6902): linear in their size, not minimal for moved array
// items. Large values are compared in slices, between which other work gets a turn.

import { setImmediate as nextTurn } from "node:timers/promises";
import { formatPointer } from "./json-pointer.ts";
import { isJsonObject, type JsonObject, jsonEqual } from "./json-value.ts";

export type PatchStep = { op: "add" | "replace"; path: string; value: unknown } | { op: "remove"; path: string };

/** Above this many steps the whole document is replaced instead. */
const MAX_STEPS = 1000;
/** Values compared before other work gets a turn. */
const SLICE = 16_384;

/** Returns the steps that turn `from` into `to`, at most MAX_STEPS. Rejects with the reason once `signal` aborts. */
export async function diffJson(from: unknown, to: unknown, signal?: AbortSignal): Promise<PatchStep[]> {
  const comparison = new Comparison();
  const running = comparison.compare(from, to, []);
  // The values were parsed in this turn.
  await nextTurn();
  for (let next = running.next(); ; next = running.next()) {
    if (next.done === true) return next.value ? comparison.steps : [{ op: "replace", path: "", value: to }];
    await nextTurn();
    signal?.throwIfAborted();
  }
}

/** Yields at the end of each slice, and returns its result. */
type InSlices<T> = Generator<void, T, void>;

class Comparison {
  readonly steps: PatchStep[] = [];
  #compared = 0;

  /** Adds the steps for one place. Returns false when there are too many. */
  *compare(from: unknown, to: unknown, path: string[]): InSlices<boolean> {
    const { steps } = this;
    if (steps.length > MAX_STEPS) return false;
    if (isJsonObject(from) && isJsonObject(to)) return yield* this.#objects(from, to, path);
    if (Array.isArray(from) && Array.isArray(to)) return yield* this.#arrays(from, to, path);
    if (!(yield* this.#equal(from, to))) steps.push({ op: "replace", path: formatPointer(path), value: to });
    return steps.length <= MAX_STEPS;
  }

  *#objects(from: JsonObject, to: JsonObject, path: string[]): InSlices<boolean> {
    const { steps } = this;
    for (const key of Object.keys(from)) {
      if (this.#isSliceOver()) yield;
      if (!Object.hasOwn(to, key)) steps.push({ op: "remove", path: formatPointer([...path, key]) });
      if (steps.length > MAX_STEPS) return false;
    }
    for (const [key, value] of Object.entries(to)) {
      const here = [...path, key];
      if (!Object.hasOwn(from, key)) steps.push({ op: "add", path: formatPointer(here), value });
      else if (!(yield* this.compare(from[key], value, here))) return false;
      if (steps.length > MAX_STEPS) return false;
    }
    return true;
  }

  /** Leaves equal items at both ends alone; between them, items are compared by index, then removed or added. */
  *#arrays(from: unknown[], to: unknown[], path: string[]): InSlices<boolean> {
    const { steps } = this;
    const shorter = Math.min(from.length, to.length);
    let start = 0;
    while (start < shorter && (yield* this.#equal(from[start], to[start]))) start++;
    let end = 0;
    while (end < shorter - start && (yield* this.#equal(from.at(-1 - end), to.at(-1 - end)))) end++;
    const shared = shorter - end;
    for (let at = start; at < shared; at++)
      if (!(yield* this.compare(from[at], to[at], [...path, String(at)]))) return false;
    for (let at = from.length - end - 1; at >= shared; at--) {
      steps.push({ op: "remove", path: formatPointer([...path, String(at)]) });
      if (steps.length > MAX_STEPS) return false;
    }
    for (let at = shared; at < to.length - end; at++) {
      steps.push({ op: "add", path: formatPointer([...path, String(at)]), value: to[at] });
      if (steps.length > MAX_STEPS) return false;
    }
    return true;
  }

  /** Reports whether two values are the same JSON, as `jsonEqual` does. */
  *#equal(one: unknown, other: unknown): InSlices<boolean> {
    if (this.#isSliceOver()) yield;
    if (Array.isArray(one) && Array.isArray(other)) {
      if (one.length !== other.length) return false;
      for (let at = 0; at < one.length; at++) if (!(yield* this.#equal(one[at], other[at]))) return false;
      return true;
    }
    if (!isJsonObject(one) || !isJsonObject(other)) return jsonEqual(one, other);
    const keys = Object.keys(one);
    if (keys.length !== Object.keys(other).length) return false;
    for (const key of keys) if (!Object.hasOwn(other, key) || !(yield* this.#equal(one[key], other[key]))) return false;
    return true;
  }

  #isSliceOver(): boolean {
    this.#compared += 1;
    return this.#compared % SLICE === 0;
  }
}
