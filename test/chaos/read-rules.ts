// Rules about reads (replication.md 31): leader reads are linearizable, session reads never go back, every response is
// what was written, and no response of an edge is older than it states.

import { type Findings, OTHER_CONTENT, type Place, type Row, type Run } from "./history.ts";
import type { Reference } from "./reference.ts";
import { groupBy, sweep } from "./sweep.ts";

type Placed = Row & { position: Place };

export function judgeReads(run: Run, reference: Reference, findings: Findings): void {
  const isKept = (row: Row): row is Placed =>
    row.outcome === "ok" && row.position !== undefined && !reference.isLost(row.position);
  const kept = run.rows.filter(isKept);
  const reads = kept.filter(({ operation }) => operation === "get");
  const puts = kept.filter(({ operation }) => operation === "put");
  isTheBodyOfItsTag(run, findings);
  oneContentPerVersion(kept, findings);
  readsWhatWasWritten(run, reads, reference, findings);
  leaderReadsAreNew(kept, puts, reads, findings);
  sessionsNeverGoBack(run, kept, reference, findings);
  answersTheStateOfItsPosition(reads, reference, findings);
  isNoOlderThanItSays(puts, reads, findings);
}

/** Also of histories that were left: an ETag names its content whatever became of the version. */
function isTheBodyOfItsTag(run: Run, findings: Findings): void {
  for (const row of run.rows) {
    if (row.outcome !== "ok") continue;
    if (row.operation === "get" && row.version > 0 && row.body !== row.hash)
      findings.add("body", "a read answered another body than the one that its ETag names", row);
    if (row.operation === "put" && row.code === OTHER_CONTENT)
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

function readsWhatWasWritten(run: Run, reads: readonly Placed[], reference: Reference, findings: Findings): void {
  const writers = new Map(
    run.rows.filter(({ operation }) => operation === "put").map((row) => [`${row.key} ${row.hash}`, row]),
  );
  for (const row of reads) {
    if (row.version === 0) continue;
    const change = reference.version(row.key, row.version);
    const writer = writers.get(`${row.key} ${row.hash}`);
    if (change === undefined ? reference.floor === 0 : change.hash !== row.hash)
      findings.add("unwritten", "a read answered what is in no history", row, ...(change ? [change] : []));
    else if (writer !== undefined && writer.invokeMs > row.completeMs)
      findings.add("unwritten", "a read answered what was written only later", row, writer);
  }
}

/**
 * At least the newest version that was acknowledged, or read by any client, before the read began; and the newest
 * position.
 */
function leaderReadsAreNew(
  kept: readonly Placed[],
  puts: readonly Placed[],
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
      if (newest !== undefined && row.version < newest.version)
        findings.add("leader", "a leader read missed what was known before it began", newest, row);
    },
  );
  let head: Row | undefined;
  sweep(
    puts,
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
    if (row.outcome !== "ok" || row.operation !== "get" || shown === undefined || position === undefined) continue;
    if (shown.epoch !== position.epoch && reference.isLost(shown) && !reference.isLost(position))
      findings.add("forked", "a position of a history that was left was taken for one of this", row);
    else if (shown.seq > position.seq && shown.epoch === position.epoch)
      findings.add("session", "a read answered before the position that it was shown", row);
  }
  for (const [, rows] of groupBy(kept, ({ process }) => process)) {
    let newest: Placed | undefined;
    const versions = new Map<string, Row>();
    for (const row of rows.toSorted((one, other) => one.invokeMs - other.invokeMs)) {
      const isSession = row.operation === "put" || row.consistency !== "any";
      if (row.consistency === "session") {
        if (newest !== undefined && row.position.seq < newest.position.seq)
          findings.add("session", "a client went back to an earlier position", newest, row);
        const seen = versions.get(row.key);
        if (seen !== undefined && row.version < seen.version)
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
    const change = reference.newest(row.key, row.position.seq);
    const version = change?.version ?? (reference.floor === 0 ? 0 : row.version);
    if (row.cached === true ? version < row.version : version !== row.version)
      findings.add("state", "an answer is not the state of its position", row, ...(change ? [change] : []));
  }
}

function isNoOlderThanItSays(puts: readonly Placed[], reads: readonly Placed[], findings: Findings): void {
  const newestOf = new Map<string, Row>();
  sweep(
    puts,
    reads.filter(({ ageMs }) => ageMs !== undefined),
    (row) => {
      if (row.version > (newestOf.get(row.key)?.version ?? 0)) newestOf.set(row.key, row);
    },
    (row) => {
      const newest = newestOf.get(row.key);
      if (newest !== undefined && row.version < newest.version)
        findings.add("age", "an answer is older than it says", newest, row);
    },
    (row) => row.invokeMs - (row.ageMs ?? 0),
  );
}
