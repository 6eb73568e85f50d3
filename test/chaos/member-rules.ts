// Rules about members (replication.md 31): each one that the scenario did not take away runs at the end, and did not
// end or set data aside by itself unless it was harmed. And a bound on the time in which no write was possible.

import { type Findings, isWrite, type Row, type Run } from "./history.ts";
import { BY_STATE } from "./window-rules.ts";

export function judgeMembers(run: Run, findings: Findings): void {
  for (const { node, runs, ends, asides, harmed } of run.members ?? []) {
    if (!runs) findings.add("runs", `${node} does not run at the end`);
    if (harmed) continue;
    for (const end of ends) findings.add("unasked-end", `${node} ended by itself: ${end}`);
    for (const aside of asides)
      findings.add("unasked-aside", `${node} set data aside, and nothing harmed it: ${aside}`);
  }
  const outage = longestOutage(run.rows);
  if (run.outageMs !== undefined && outage.ms > run.outageMs)
    findings.add(
      "outage",
      `nobody could write for ${Math.round(outage.ms)} ms, more than ${run.outageMs} ms`,
      ...outage.rows,
    );
}

/**
 * Returns the longest time in which a write waited and none was decided, in ms, with the write that waited and the one
 * that ended the wait. A condition that does not hold is a decision too.
 */
export function longestOutage(rows: readonly Row[]): { ms: number; rows: readonly Row[] } {
  const writes = rows.filter((row) => isWrite(row) && row.rights === undefined);
  const byInvoke = writes.toSorted((one, other) => one.invokeMs - other.invokeMs);
  const byEnd = writes.toSorted((one, other) => one.completeMs - other.completeMs);
  let longest: { ms: number; rows: readonly Row[] } = { ms: 0, rows: [] };
  const waiting = new Set<Row>();
  let next = 0;
  let decidedMs = Number.NEGATIVE_INFINITY;
  for (const row of byEnd) {
    for (let begun = byInvoke[next]; begun !== undefined && begun.invokeMs <= row.completeMs; begun = byInvoke[next]) {
      waiting.add(begun);
      next += 1;
    }
    // A set keeps the order of invocations, so its first is the one that waited longest.
    const [first = row] = waiting;
    const ms = row.completeMs - Math.max(decidedMs, first.invokeMs);
    if (ms > longest.ms) longest = { ms, rows: first === row ? [row] : [first, row] };
    waiting.delete(row);
    if (row.outcome === "ok" || BY_STATE.includes(row.code)) decidedMs = row.completeMs;
  }
  return longest;
}
