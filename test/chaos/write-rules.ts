// Rules about writes (replication.md 31): each acknowledged one is present once at its position with its content,
// versions count by one, conditions held, batches are whole, and the order is that of real time.

import { type Findings, isDeletion, isWrite, type Row, type Run, type SeenChange, tagOf } from "./history.ts";
import type { Reference } from "./reference.ts";
import { groupBy, sweep } from "./sweep.ts";
import type { Writers } from "./writers.ts";

export function judgeWrites(run: Run, reference: Reference, writers: Writers, findings: Findings): void {
  const writes = run.rows.filter(isWrite);
  const acknowledged = writes.filter(isAcknowledged);
  const kept = acknowledged.filter(({ position }) => !reference.isLost(position));
  if (run.mayLose !== true) {
    for (const row of acknowledged)
      if (reference.isLost(row.position))
        findings.add("lost", "an acknowledged write lies in a history that was left", row);
  }
  seqsAreUnique(acknowledged, findings);
  areAtTheirPositions(kept, reference, writers, findings);
  areThereOnce(writes, writers, run, findings);
  versionsCount(reference, findings);
  conditionsHeld(kept, reference, findings);
  batchesAreWhole(writers, findings);
  orderIsRealTime(kept, writes, writers, findings);
}

type Acknowledged = Row & { position: NonNullable<Row["position"]> };

function isAcknowledged(row: Row): row is Acknowledged {
  return row.outcome === "ok" && row.position !== undefined;
}

function seqsAreUnique(acknowledged: readonly Acknowledged[], findings: Findings): void {
  const byPlace = new Map<string, Row>();
  for (const row of acknowledged) {
    const place = `${row.position.epoch}-${row.position.seq}`;
    const other = byPlace.get(place);
    if (other !== undefined) findings.add("seq-unique", `two acknowledged writes have position ${place}`, other, row);
    byPlace.set(place, row);
  }
}

/** The response to a deletion over REST names no version. */
function areAtTheirPositions(
  kept: readonly Acknowledged[],
  reference: Reference,
  writers: Writers,
  findings: Findings,
): void {
  for (const row of kept) {
    if (row.position.seq <= reference.floor) continue;
    const there = reference.at(row.position.seq);
    const isThere =
      there?.key === row.key &&
      (there.version === row.version || row.version === 0) &&
      (there.hash === row.hash || row.operation === "delete");
    if (!isThere) {
      const others = there === undefined ? [] : [there];
      findings.add("lost", "an acknowledged write is not at its position", row, ...others);
    } else if (!hasItsContent(row, there, reference, writers))
      findings.add("content", "a write made another content than it asked for", row, there);
  }
}

function hasItsContent(row: Row, there: SeenChange, reference: Reference, writers: Writers): boolean {
  // The text before is not known where something else than a load wrote it.
  const before = reference.version(row.key, there.version - 1);
  if (row.operation === "patch" && before !== undefined && writers.textOf(before) === undefined)
    return writers.rowOf(before) === undefined;
  return writers.makes(row, there);
}

/** Compared with what the nodes kept: no write more than once, refused ones never, and nothing else. */
function areThereOnce(writes: readonly Row[], writers: Writers, run: Run, findings: Findings): void {
  for (const { row, change } of writers.again) {
    const first = writers.changeOf(row);
    findings.add("once", "a write was done more than once", row, ...(first ? [first] : []), change);
  }
  for (const row of writes) {
    const change = row.outcome === "fail" ? writers.changeOf(row) : undefined;
    if (change !== undefined) findings.add("failed", "a write that was refused was done", row, change);
  }
  if (run.rows.length === 0) return;
  for (const change of writers.unasked) findings.add("unasked", "a change that no client asked for", change);
}

function versionsCount(reference: Reference, findings: Findings): void {
  // What is no context has no versions or, as leases and events, no content.
  const ofContexts = reference.changes.filter(({ version, hash }) => version > 0 && hash !== "");
  for (const [, changes] of groupBy(ofContexts, ({ key }) => key)) {
    for (const [at, change] of changes.entries()) {
      const before = changes[at - 1];
      if (before !== undefined && change.version !== before.version + 1)
        findings.add("versions", "versions do not count by one in the order of positions", before, change);
    }
  }
}

function conditionsHeld(kept: readonly Acknowledged[], reference: Reference, findings: Findings): void {
  for (const row of kept) {
    if (row.condition === undefined || row.position.seq <= reference.floor) continue;
    const before = reference.newest(row.key, row.position.seq - 1);
    if (before === undefined && reference.floor > 0) continue;
    if (!holds(row.condition, before))
      findings.add("condition", "a write was done whose condition did not hold", row, ...(before ? [before] : []));
  }
}

/** Reports whether a condition holds in the state after `current`. */
export function holds(condition: string, current: SeenChange | undefined): boolean {
  const living = current === undefined || isDeletion(current) ? undefined : current;
  if (condition === "new") return living === undefined;
  const wanted = tagOf(condition);
  return living !== undefined && wanted.version === living.version && wanted.hash === living.hash;
}

/** All parts at consecutive positions in their order, or none. */
function batchesAreWhole(writers: Writers, findings: Findings): void {
  for (const [, parts] of writers.batches) {
    const made = parts.map((row) => writers.changeOf(row));
    const first = made.find((change) => change !== undefined);
    if (first === undefined) continue;
    const start = first.seq - made.indexOf(first);
    const wrong = parts.find((_, at) => made[at]?.seq !== start + at);
    if (wrong !== undefined) findings.add("batch", "a part of a batch was done and another one was not", wrong, first);
  }
}

/** A completed before B was invoked: seq(A) < seq(B). Writes of unknown outcome count as B where they were done. */
function orderIsRealTime(
  kept: readonly Acknowledged[],
  writes: readonly Row[],
  writers: Writers,
  findings: Findings,
): void {
  const seqOf = new Map<Row, number>(kept.map((row) => [row, row.position.seq]));
  for (const row of writes) {
    const change = row.outcome === "unknown" ? writers.changeOf(row) : undefined;
    if (change !== undefined) seqOf.set(row, change.seq);
  }
  let newest: Row | undefined;
  const seq = (row: Row | undefined) => (row === undefined ? -1 : (seqOf.get(row) ?? -1));
  sweep(
    kept,
    [...seqOf.keys()],
    (row) => {
      if (seq(row) > seq(newest)) newest = row;
    },
    (row) => {
      if (newest !== undefined && seq(row) <= seq(newest))
        findings.add(
          "real-time",
          "a write that began after another had completed has an earlier position",
          newest,
          row,
        );
    },
  );
}
