// Compares two JSON values and returns a JSON patch (RFC 6902): linear in their size, not minimal for moved array
// items.

import { formatPointer } from "./json-pointer.ts";
import { isJsonObject, type JsonObject, jsonEqual } from "./json-value.ts";

export type PatchStep = { op: "add" | "replace"; path: string; value: unknown } | { op: "remove"; path: string };

/** Above this many steps the whole document is replaced instead. */
const MAX_STEPS = 1000;

/** Returns the steps that turn `from` into `to`, at most MAX_STEPS. */
export function diffJson(from: unknown, to: unknown): PatchStep[] {
  const steps: PatchStep[] = [];
  return compare(from, to, [], steps) ? steps : [{ op: "replace", path: "", value: to }];
}

/** Adds the steps for one place. Returns false when there are too many. */
function compare(from: unknown, to: unknown, path: string[], steps: PatchStep[]): boolean {
  if (steps.length > MAX_STEPS) return false;
  if (isJsonObject(from) && isJsonObject(to)) return compareObjects(from, to, path, steps);
  if (Array.isArray(from) && Array.isArray(to)) return compareArrays(from, to, path, steps);
  if (!jsonEqual(from, to)) steps.push({ op: "replace", path: formatPointer(path), value: to });
  return steps.length <= MAX_STEPS;
}

function compareObjects(from: JsonObject, to: JsonObject, path: string[], steps: PatchStep[]): boolean {
  for (const key of Object.keys(from)) {
    if (!Object.hasOwn(to, key)) steps.push({ op: "remove", path: formatPointer([...path, key]) });
  }
  for (const [key, value] of Object.entries(to)) {
    const here = [...path, key];
    if (!Object.hasOwn(from, key)) steps.push({ op: "add", path: formatPointer(here), value });
    else if (!compare(from[key], value, here, steps)) return false;
  }
  return steps.length <= MAX_STEPS;
}

/** Leaves equal items at both ends alone; between them, items are compared by index, then removed or added. */
function compareArrays(from: unknown[], to: unknown[], path: string[], steps: PatchStep[]): boolean {
  let start = 0;
  while (start < from.length && start < to.length && jsonEqual(from[start], to[start])) start++;
  let end = 0;
  while (
    end < from.length - start &&
    end < to.length - start &&
    jsonEqual(from[from.length - 1 - end], to[to.length - 1 - end])
  )
    end++;
  const shared = Math.min(from.length, to.length) - end;
  for (let at = start; at < shared; at++) if (!compare(from[at], to[at], [...path, String(at)], steps)) return false;
  for (let at = from.length - end - 1; at >= Math.max(shared, start); at--) {
    steps.push({ op: "remove", path: formatPointer([...path, String(at)]) });
    if (steps.length > MAX_STEPS) return false;
  }
  for (let at = Math.max(shared, start); at < to.length - end; at++) {
    steps.push({ op: "add", path: formatPointer([...path, String(at)]), value: to[at] });
    if (steps.length > MAX_STEPS) return false;
  }
  return true;
}
