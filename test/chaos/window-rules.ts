// Rules about responses without a position: a refusal, or a read of what is not there. The state that it describes must
// have been there at some position that the request can have met (replication.md 31).

import { has } from "./documents.ts";
import {
  type Findings,
  isDeletion,
  isWrite,
  OTHER_PART,
  type Row,
  type Run,
  type SeenChange,
  tagOf,
} from "./history.ts";
import type { Reference } from "./reference.ts";
import { sweep } from "./sweep.ts";
import { holds } from "./write-rules.ts";
import type { Writers } from "./writers.ts";

/** Refusals that the state of a context decides. */
export const BY_STATE: readonly string[] = ["version_mismatch", "not_found", "deleted", "patch_failed"];

/** Positions that a request can have met: from `low` to before `high`. */
interface Window {
  low: number;
  high: number;
}

export function judgeWindows(run: Run, reference: Reference, writers: Writers, findings: Findings): void {
  // What caused a refusal may be in the history that was left behind, or not be kept.
  if (run.mayLose === true || reference.floor > 0) return;
  const refused = run.rows.filter(
    (row) => isWrite(row) && row.outcome === "fail" && row.code !== OTHER_PART && BY_STATE.includes(row.code),
  );
  const absent = run.rows.filter(({ outcome, absent }) => outcome === "ok" && absent !== undefined);
  const windows = windowsOf(run, reference, writers, [...refused, ...absent]);
  for (const row of refused) {
    if (!isRight(row, windows, reference, (state) => refuses(row, state, reference, writers)))
      findings.add(
        row.code === "version_mismatch" ? "condition" : "refusal",
        `a write was refused as ${row.code} in no state that is so`,
        row,
        ...near(row, windows, reference),
      );
  }
  for (const row of absent) {
    const isSo = (state: SeenChange | undefined) => isAbsent(row, state, reference);
    const named =
      row.absent === "deleted" && row.operation === "get" ? reference.version(row.key, row.version) : undefined;
    const isThere =
      named === undefined
        ? isRight(row, windows, reference, isSo)
        : isMet(row, named, windows, reference) && isSo(named);
    if (!isThere)
      findings.add(
        row.consistency === "leader" ? "leader" : "absent",
        "a read found nothing although it was there",
        row,
        ...near(row, windows, reference),
      );
  }
}

/**
 * Returns the window of each row: not before what was acknowledged before it was invoked, and before what was invoked
 * only after it was completed. A read that may be older is bound by what it was shown.
 */
function windowsOf(run: Run, reference: Reference, writers: Writers, rows: readonly Row[]): Map<Row, Window> {
  const windows = new Map<Row, Window>();
  const writes = run.rows.filter((row) => isWrite(row) && writers.changeOf(row) !== undefined);
  const seqOf = (row: Row) => writers.changeOf(row)?.seq ?? 0;
  let low = 0;
  sweep(
    writes.filter(({ outcome }) => outcome === "ok"),
    rows,
    (row) => {
      low = Math.max(low, seqOf(row));
    },
    (row) =>
      windows.set(row, { low: isWrite(row) || row.consistency === "leader" ? low : lowOf(row, reference), high: 0 }),
  );
  const byInvoke = writes.toSorted((one, other) => other.invokeMs - one.invokeMs);
  const byEnd = rows.toSorted((one, other) => other.completeMs - one.completeMs);
  let high = Number.POSITIVE_INFINITY;
  let next = 0;
  for (const row of byEnd) {
    for (let later = byInvoke[next]; later !== undefined && later.invokeMs > row.completeMs; later = byInvoke[next]) {
      high = Math.min(high, seqOf(later));
      next += 1;
    }
    const window = windows.get(row);
    if (window !== undefined) window.high = high;
  }
  return windows;
}

function lowOf({ shown }: Row, reference: Reference): number {
  return shown === undefined || reference.isLost(shown) ? 0 : shown.seq;
}

/** Reports whether one of the states that a row can have met is as it says. */
function isRight(
  row: Row,
  windows: ReadonlyMap<Row, Window>,
  reference: Reference,
  isSo: (state: SeenChange | undefined) => boolean,
): boolean {
  const { low, high } = windows.get(row) ?? { low: 0, high: 0 };
  const first = reference.newest(row.key, low);
  if (isSo(first)) return true;
  const changes = reference.of(row.key);
  for (let at = reference.countUpTo(row.key, low); at < changes.length; at++) {
    const change = changes[at];
    if (change === undefined || change.seq >= high) return false;
    if (isSo(change)) return true;
  }
  return false;
}

/** Reports whether a row can have met the state after this change. */
function isMet(row: Row, change: SeenChange, windows: ReadonlyMap<Row, Window>, reference: Reference): boolean {
  const { low, high } = windows.get(row) ?? { low: 0, high: 0 };
  const next = reference.version(row.key, change.version + 1);
  return change.seq < high && (next === undefined || next.seq > low);
}

function near(row: Row, windows: ReadonlyMap<Row, Window>, reference: Reference): SeenChange[] {
  const { low = 0 } = windows.get(row) ?? {};
  const state = reference.newest(row.key, low);
  return state === undefined ? [] : [state];
}

/** Reports whether a write is refused with its code in this state. */
function refuses(row: Row, state: SeenChange | undefined, reference: Reference, writers: Writers): boolean {
  const isGone = state === undefined || isDeletion(state);
  switch (row.code) {
    case "version_mismatch": {
      if (row.condition === undefined || holds(row.condition, state)) return false;
      if (row.current === undefined) return true;
      const { version, hash } = tagOf(row.current);
      return isGone ? version === 0 : state.version === version && state.hash === hash;
    }
    case "not_found":
      if (row.operation === "restore") return state === undefined || (row.named ?? 0) > state.version;
      return row.operation === "delete" ? isGone : state === undefined;
    case "deleted":
      if (row.operation !== "restore") return state !== undefined && isGone;
      return isNamedDeletion(row, reference);
    default: {
      const text = writers.textOf(state);
      return row.needs !== undefined && !isGone && (text === undefined || !has(text, row.needs));
    }
  }
}

function isNamedDeletion({ key, named = 0 }: Row, reference: Reference): boolean {
  const change = reference.version(key, named);
  return change !== undefined && isDeletion(change);
}

/** Reports whether a read finds nothing in this state, as it says. */
function isAbsent(row: Row, state: SeenChange | undefined, reference: Reference): boolean {
  const wasAt = row.operation === "at" && row.at !== undefined ? reference.newest(row.key, row.at.seq) : state;
  if (row.operation === "version") {
    if (row.absent === "not_found") return state === undefined || (row.named ?? 0) > state.version;
    return isNamedDeletion(row, reference) && (row.named ?? 0) <= (state?.version ?? 0);
  }
  if (row.absent === "not_found") return wasAt === undefined;
  return wasAt !== undefined && isDeletion(wasAt) && (row.version === 0 || row.version === wasAt.version);
}
