// Rules about writes (replication.md 31): each acknowledged one is present once at its position, versions count by one,
// conditions held, and the order is that of real time.

import type { Findings, Row, Run } from "./history.ts";
import { tagOf } from "./history.ts";
import type { Reference } from "./reference.ts";
import { groupBy, sweep } from "./sweep.ts";

export function judgeWrites(run: Run, reference: Reference, findings: Findings): void {
  const puts = run.rows.filter(({ operation }) => operation === "put");
  const acknowledged = puts.filter(isAcknowledged);
  const kept = acknowledged.filter(({ position }) => !reference.isLost(position));
  if (run.mayLose !== true) {
    for (const row of acknowledged)
      if (reference.isLost(row.position))
        findings.add("lost", "an acknowledged write lies in a history that was left", row);
  }
  seqsAreUnique(acknowledged, findings);
  areThereOnce(puts, kept, run, reference, findings);
  versionsCount(kept, puts, reference, findings);
  conditionsHeld(kept, puts, run, reference, findings);
  orderIsRealTime(kept, puts, reference, findings);
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

/**
 * Compared with what the nodes kept: acknowledged writes once at their position, unknown ones at most once, failed ones
 * never.
 */
function areThereOnce(
  puts: readonly Row[],
  kept: readonly Acknowledged[],
  run: Run,
  reference: Reference,
  findings: Findings,
): void {
  const seen = groupBy(reference.changes, ({ key, hash }) => `${key} ${hash}`);
  for (const row of kept) {
    if (row.position.seq <= reference.floor) continue;
    const there = reference.at(row.position.seq);
    if (there?.key === row.key && there.version === row.version && there.hash === row.hash) continue;
    const others = there === undefined ? [] : [there];
    findings.add("lost", "an acknowledged write is not at its position", row, ...others);
  }
  for (const row of puts) {
    const changes = seen.get(`${row.key} ${row.hash}`) ?? [];
    if (changes.length > 1) findings.add("once", "a write was done more than once", row, ...changes);
    else if (changes.length === 1 && row.outcome === "fail")
      findings.add("failed", "a write that was refused was done", row, ...changes);
  }
  const asked = new Set(puts.map(({ key, hash }) => `${key} ${hash}`));
  const keys = new Set(puts.map(({ key }) => key));
  if (run.rows.length === 0) return;
  for (const change of reference.changes)
    if (keys.has(change.key) && !asked.has(`${change.key} ${change.hash}`))
      findings.add("unasked", "a change that nobody asked for", change);
}

function versionsCount(
  kept: readonly Acknowledged[],
  puts: readonly Row[],
  reference: Reference,
  findings: Findings,
): void {
  // An id that is not a context has no versions.
  const ofContexts = reference.changes.filter(({ version }) => version > 0);
  for (const [, changes] of groupBy(ofContexts, ({ key }) => key)) {
    for (const [at, change] of changes.entries()) {
      const before = changes[at - 1];
      if (before !== undefined && change.version !== before.version + 1)
        findings.add("versions", "versions do not count by one in the order of positions", before, change);
    }
  }
  const unknown = groupBy(
    puts.filter(({ outcome }) => outcome === "unknown"),
    ({ key }) => key,
  );
  for (const [key, rows] of groupBy(kept, (row) => row.key)) {
    let missing = unknown.get(key)?.length ?? 0;
    const inOrder = [...rows].sort((one, other) => one.position.seq - other.position.seq);
    for (const [at, row] of inOrder.entries()) {
      const before = inOrder[at - 1];
      missing -= row.version - 1 - (before?.version ?? 0);
      if (before !== undefined && row.version <= before.version)
        findings.add("versions", "a later position has no later version", before, row);
      else if (missing < 0 && reference.floor === 0)
        findings.add(
          "versions",
          "a version is missing that no unknown write can have made",
          ...(before ? [before] : []),
          row,
        );
    }
  }
}

function conditionsHeld(
  kept: readonly Acknowledged[],
  puts: readonly Row[],
  run: Run,
  reference: Reference,
  findings: Findings,
): void {
  for (const row of kept) {
    if (row.condition === undefined) continue;
    if (row.condition === "new") {
      if (row.version !== 1) findings.add("condition", "a write that wanted no version before it has one", row);
      continue;
    }
    const wanted = tagOf(row.condition);
    const before = reference.version(row.key, row.version - 1);
    if (wanted.version !== row.version - 1 || (before !== undefined && before.hash !== wanted.hash))
      findings.add("condition", "a write was done whose condition did not hold", row, ...(before ? [before] : []));
  }
  // The write that caused a refusal may be in the history that was left behind.
  if (run.mayLose === true) return;
  const byContent = new Map(puts.map((row) => [`${row.key} ${row.hash}`, row]));
  const writerOf = (change: { key: string; hash: string } | undefined) =>
    change === undefined ? undefined : byContent.get(`${change.key} ${change.hash}`);
  for (const row of puts) {
    if (row.outcome !== "fail" || row.code !== "version_mismatch" || row.condition === undefined) continue;
    const wanted = row.condition === "new" ? { version: 0, hash: "" } : tagOf(row.condition);
    const current = reference.version(row.key, wanted.version);
    const next = writerOf(reference.version(row.key, wanted.version + 1));
    const began = wanted.version === 0 ? Number.NEGATIVE_INFINITY : (writerOf(current)?.completeMs ?? Number.NaN);
    const wasThere = wanted.version === 0 || current?.hash === wanted.hash;
    const acknowledged = wanted.version === 0 || writerOf(current)?.outcome === "ok";
    if (reference.floor > 0 || !wasThere || !acknowledged) continue;
    if (began < row.invokeMs && (next === undefined || next.invokeMs > row.completeMs))
      findings.add("condition", "a write was refused although its condition held", row, ...(next ? [next] : []));
  }
}

/** A completed before B was invoked: seq(A) < seq(B). Writes of unknown outcome count as B where they were done. */
function orderIsRealTime(
  kept: readonly Acknowledged[],
  puts: readonly Row[],
  reference: Reference,
  findings: Findings,
): void {
  const seqOf = new Map<Row, number>(kept.map((row) => [row, row.position.seq]));
  const unknown = new Map(
    puts.filter(({ outcome }) => outcome === "unknown").map((row) => [`${row.key} ${row.hash}`, row]),
  );
  for (const change of reference.changes) {
    const row = unknown.get(`${change.key} ${change.hash}`);
    if (row !== undefined) seqOf.set(row, change.seq);
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
