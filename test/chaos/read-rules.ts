// Rules about reads (replication.md 31): leader reads are linearizable, session reads never go back, every response is
// what was written and the state of its position, and no response of an edge is older than it states.

import { type Findings, isDeletion, isWrite, OTHER_CONTENT, type Place, type Row, type Run } from "./history.ts";
import type { Reference } from "./reference.ts";
import { groupBy, sweep } from "./sweep.ts";
import type { Writers } from "./writers.ts";

type Placed = Row & { position: Place };

export function judgeReads(run: Run, reference: Reference, writers: Writers, findings: Findings): void {
  const isKept = (row: Row): row is Placed =>
    row.outcome === "ok" && row.position !== undefined && !reference.isLost(row.position);
  const kept = run.rows.filter(isKept);
  const reads = kept.filter((row) => !isWrite(row));
  const writes = kept.filter(isWrite);
  isTheBodyOfItsTag(run, findings);
  oneContentPerVersion(kept, findings);
  readsWhatWasWritten(reads, reference, writers, findings);
  leaderReadsAreNew(kept, writes, reads, findings);
  sessionsNeverGoBack(run, kept, reference, findings);
  answersTheStateOfItsPosition(reads, reference, findings);
  isNotInABatch(reads, writers, findings);
  isNoOlderThanItSays(writes, reads, findings);
}

/** Reads of the newest version. */
function isOfHead({ operation }: Row): boolean {
  return operation === "get" || operation === "metadata";
}

const BODIES: readonly Row["operation"][] = ["get", "version", "at"];

/** Also of histories that were left: an ETag names its content whatever became of the version. */
function isTheBodyOfItsTag(run: Run, findings: Findings): void {
  for (const row of run.rows) {
    if (row.outcome !== "ok" || row.absent !== undefined) continue;
    if (row.unchanged === true) {
      if (row.known !== `${row.version}-${row.hash}`)
        findings.add("body", "a read said that nothing changed, and names another ETag than it was shown", row);
    } else if (BODIES.includes(row.operation) && row.version > 0 && row.body !== row.hash)
      findings.add("body", "a read answered another body than the one that its ETag names", row);
    if (isWrite(row) && row.code === OTHER_CONTENT)
      findings.add("body", "a write answered an ETag that names another content than the one sent", row);
  }
}

/** Version n of a context has one content, on every node. */
function oneContentPerVersion(kept: readonly Row[], findings: Findings): void {
  const seen = new Map<string, Row>();
  for (const row of kept) {
    if (row.version === 0) continue;
    const name = `${row.key} ${row.version}`;
    const other = seen.get(name);
    if (other === undefined) seen.set(name, row);
    else if (other.hash !== row.hash) findings.add("one-content", "one version with two contents", other, row);
  }
}

function readsWhatWasWritten(
  reads: readonly Placed[],
  reference: Reference,
  writers: Writers,
  findings: Findings,
): void {
  for (const row of reads) {
    for (const { key, version, hash } of [row, ...(row.listed ?? [])]) {
      if (version === 0) continue;
      const change = reference.version(key, version);
      const writer = writers.rowOf(change);
      if (change === undefined ? reference.floor === 0 : change.hash !== hash)
        findings.add("unwritten", "a read answered what is in no history", row, ...(change ? [change] : []));
      else if (writer !== undefined && writer.invokeMs > row.completeMs)
        findings.add("unwritten", "a read answered what was written only later", row, writer);
    }
  }
}

/**
 * At least the newest version that was acknowledged, or read by any client, before the read began; and the newest
 * position.
 */
function leaderReadsAreNew(
  kept: readonly Placed[],
  writes: readonly Placed[],
  reads: readonly Placed[],
  findings: Findings,
): void {
  const leaderReads = reads.filter(({ consistency }) => consistency === "leader");
  const newestOf = new Map<string, Row>();
  sweep(
    kept,
    leaderReads,
    (row) => {
      if (row.version > (newestOf.get(row.key)?.version ?? 0)) newestOf.set(row.key, row);
    },
    (row) => {
      const newest = newestOf.get(row.key);
      if (newest !== undefined && isOfHead(row) && row.version < newest.version)
        findings.add("leader", "a leader read missed what was known before it began", newest, row);
    },
  );
  let head: Row | undefined;
  sweep(
    writes,
    leaderReads,
    (row) => {
      if ((row.position?.seq ?? 0) > (head?.position?.seq ?? 0)) head = row;
    },
    (row) => {
      if (head !== undefined && (row.position?.seq ?? 0) < (head.position?.seq ?? 0))
        findings.add("leader", "a leader read answered at a position before an acknowledged write", head, row);
    },
  );
}

/**
 * Never behind the presented position, which must be in the same history; and never behind what the same client saw
 * before.
 */
function sessionsNeverGoBack(run: Run, kept: readonly Placed[], reference: Reference, findings: Findings): void {
  for (const row of run.rows) {
    const { shown, position } = row;
    if (row.outcome !== "ok" || isWrite(row) || shown === undefined || position === undefined) continue;
    if (shown.epoch !== position.epoch && reference.isLost(shown) && !reference.isLost(position))
      findings.add("forked", "a position of a history that was left was taken for one of this", row);
    else if (shown.seq > position.seq && shown.epoch === position.epoch)
      findings.add("session", "a read answered before the position that it was shown", row);
  }
  for (const [, rows] of groupBy(kept, ({ process }) => process)) {
    let newest: Placed | undefined;
    const versions = new Map<string, Row>();
    for (const row of rows.toSorted((one, other) => one.invokeMs - other.invokeMs)) {
      const isSession = isWrite(row) || row.consistency !== "any";
      if (row.consistency === "session") {
        if (newest !== undefined && row.position.seq < newest.position.seq)
          findings.add("session", "a client went back to an earlier position", newest, row);
        const seen = versions.get(row.key);
        if (seen !== undefined && isOfHead(row) && row.version < seen.version)
          findings.add("session", "a client went back to an earlier version", seen, row);
      }
      if (!isSession) continue;
      if (newest === undefined || row.position.seq > newest.position.seq) newest = row;
      if (row.version > (versions.get(row.key)?.version ?? -1)) versions.set(row.key, row);
    }
  }
}

/**
 * A full member returns exactly the state at the position that it names; an edge nothing newer, or a client that
 * presents this position elsewhere would go back.
 */
function answersTheStateOfItsPosition(reads: readonly Placed[], reference: Reference, findings: Findings): void {
  for (const row of reads) {
    if (row.position.seq <= reference.floor) continue;
    const isState = row.operation === "list" || row.operation === "history" ? isListed : isVersion;
    if (isState(row, reference)) continue;
    const change = reference.newest(row.key, row.position.seq);
    findings.add("state", "an answer is not the state of its position", row, ...(change ? [change] : []));
  }
}

function isVersion(row: Placed, reference: Reference): boolean {
  const { key, position, version } = row;
  if (row.operation === "version")
    return row.named === version && (reference.version(key, version)?.seq ?? 0) <= position.seq;
  if (row.operation === "at") {
    const at = row.at === undefined || reference.isLost(row.at) ? undefined : row.at.seq;
    return at === undefined || at <= reference.floor || reference.newest(key, at)?.version === version;
  }
  const change = reference.newest(key, position.seq);
  const there = change?.version ?? (reference.floor === 0 ? 0 : version);
  if (row.cached === true) return there >= version;
  // The metadata of a deleted context is there, its document is not.
  return there === version && (row.operation === "metadata" || change === undefined || !isDeletion(change));
}

/** A page of a list has every living context of its range; a history every version, the newest first. */
function isListed(row: Placed, reference: Reference): boolean {
  const { key, listed = [], limit = 0, position } = row;
  if (reference.floor > 0) return true;
  const wanted = row.operation === "list" ? living(row, reference) : versionsOf(key, position.seq, limit, reference);
  // Versions beyond the limits of the history are removed, from the oldest on.
  const isCut = row.operation === "history" && (listed.at(-1)?.version ?? 0) > 1 && listed.length < limit;
  if (!isCut && listed.length !== wanted.length) return false;
  return listed.every((entry, at) => {
    const there = wanted[at];
    return there?.key === entry.key && there.version === entry.version && there.hash === entry.hash;
  });
}

function living({ key: prefix, after = "", listed = [], more, position }: Placed, reference: Reference) {
  const last = more === true ? listed.at(-1)?.key : undefined;
  return reference
    .keys(prefix)
    .filter((key) => key > after && (last === undefined || key <= last))
    .flatMap((key) => reference.newest(key, position.seq) ?? [])
    .filter((change) => change.version > 0 && !isDeletion(change));
}

function versionsOf(key: string, seq: number, limit: number, reference: Reference) {
  const count = reference.countUpTo(key, seq);
  return reference
    .of(key)
    .slice(Math.max(0, count - limit), count)
    .toReversed();
}

/** All parts of a batch become visible at once. */
function isNotInABatch(reads: readonly Placed[], writers: Writers, findings: Findings): void {
  const inner = new Map<number, Row>();
  for (const [, parts] of writers.batches)
    for (const row of parts.slice(0, -1)) {
      const change = writers.changeOf(row);
      if (change !== undefined) inner.set(change.seq, row);
    }
  for (const row of reads) {
    const part = inner.get(row.position.seq);
    if (part !== undefined) findings.add("batch", "a read answered at a position within a batch", row, part);
  }
}

/** What is not from a cache has the state of its position, so that must not be older either. */
function isNoOlderThanItSays(writes: readonly Placed[], reads: readonly Placed[], findings: Findings): void {
  const newestOf = new Map<string, Row>();
  let head: Placed | undefined;
  sweep(
    writes,
    reads.filter(({ ageMs }) => ageMs !== undefined),
    (row) => {
      if (row.version > (newestOf.get(row.key)?.version ?? 0)) newestOf.set(row.key, row);
      if (row.position !== undefined && row.position.seq > (head?.position.seq ?? 0)) head = row as Placed;
    },
    (row) => {
      const newest = newestOf.get(row.key);
      if (newest !== undefined && isOfHead(row) && row.version < newest.version)
        findings.add("age", "an answer is older than it says", newest, row);
      else if (head !== undefined && row.cached !== true && (row.position?.seq ?? 0) < head.position.seq)
        findings.add("age", "an answer is of an older position than it says", head, row);
    },
    (row) => row.invokeMs - (row.ageMs ?? 0),
  );
}
