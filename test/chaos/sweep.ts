// Visits rows in the order of time: for each start, what had completed before. It is the n log n of every rule about
// real time.

import type { Row } from "./history.ts";

/**
 * Calls `judge` for each of `starts` in the order of its time, after `done` was called for each of `ends` that
 * completed strictly before that. `time` returns when a start began; by default its invocation.
 */
export function sweep(
  ends: readonly Row[],
  starts: readonly Row[],
  done: (row: Row) => void,
  judge: (row: Row) => void,
  time: (row: Row) => number = (row) => row.invokeMs,
): void {
  const byEnd = [...ends].sort((one, other) => one.completeMs - other.completeMs);
  const byStart = starts.map((row) => ({ row, at: time(row) })).sort((one, other) => one.at - other.at);
  let next = 0;
  for (const { row, at } of byStart) {
    for (let ended = byEnd[next]; ended !== undefined && ended.completeMs < at; ended = byEnd[next]) {
      done(ended);
      next += 1;
    }
    judge(row);
  }
}

/** Groups rows by a name. */
export function groupBy<T>(rows: readonly T[], nameOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const name = nameOf(row);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  }
  return groups;
}
