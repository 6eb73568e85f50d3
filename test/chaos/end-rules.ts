// Rules about feeds and about the final state of the nodes (replication.md 31): each feed is the order without gaps,
// each subscription notifies of the last change, and all full members are equal.

import { type End, type Feed, type Findings, isDeletion, type Run, type SeenChange, type Wakes } from "./history.ts";
import type { Reference } from "./reference.ts";
import type { Writers } from "./writers.ts";

export function judgeFeeds(run: Run, reference: Reference, writers: Writers, findings: Findings): void {
  for (const feed of run.feeds) judgeFeed(feed, reference, findings);
  for (const wakes of run.wakes ?? []) judgeWakes(wakes, reference, writers, findings);
}

/** Several changes may be notified of together, so only the last one of each context must have a notification. */
function judgeWakes(
  { follower, keys, sinceMs, untilMs, wakes }: Wakes,
  reference: Reference,
  writers: Writers,
  findings: Findings,
): void {
  const last = new Map(wakes.map(({ key, atMs }) => [key, atMs]));
  for (const key of keys) {
    const isWithin = (change: SeenChange) => {
      const row = writers.rowOf(change);
      return row?.outcome === "ok" && row.invokeMs > sinceMs && row.completeMs < untilMs;
    };
    const change = reference.of(key).findLast(isWithin);
    const row = writers.rowOf(change);
    if (row !== undefined && (last.get(key) ?? 0) < row.invokeMs)
      findings.add("feed", `${follower}: no notification of the last change of ${key}`, row);
  }
}

/** Reports whether a follower sees the changes of a context. */
export function follows({ id, prefix }: Pick<Feed, "id" | "prefix">, key: string): boolean {
  return id === undefined ? key.startsWith(prefix) : key === id;
}

function judgeFeed(feed: Feed, reference: Reference, findings: Findings): void {
  const name = `follower ${feed.follower}`;
  let last = feed.since.seq;
  for (const change of feed.changes) {
    if (change.seq <= last) findings.add("feed", `${name}: a change came again or out of order`, change);
    last = change.seq;
    if (change.seq <= reference.floor || reference.isLost(change)) continue;
    const there = reference.at(change.seq);
    if (there?.key !== change.key || there.version !== change.version || !sameContent(there, change))
      findings.add("feed", `${name}: a change that is not in the order`, change, ...(there ? [there] : []));
  }
  const got = new Set(feed.changes.map(({ seq }) => seq));
  const from = Math.max(feed.since.seq, reference.floor);
  for (const change of reference.changes) {
    if (change.seq <= from || change.seq > feed.until.seq || !follows(feed, change.key)) continue;
    if (!got.has(change.seq))
      findings.add("feed", `${name}: a change is missing between ${feed.since.seq} and ${feed.until.seq}`, change);
  }
}

/** A feed shows no hash for deletions, and for nothing else. */
function sameContent(there: SeenChange, seen: SeenChange): boolean {
  return seen.hash === "" ? isDeletion(there) || there.version === 0 : there.hash === seen.hash;
}

export function judgeEnds(run: Run, findings: Findings): void {
  const [first, ...others] = run.ends;
  if (first === undefined) {
    findings.add("ends", "no full node was looked at in the end, so nothing was compared");
    return;
  }
  for (const end of run.ends) hasNoGaps(end, findings);
  for (const other of others) {
    if (first.seq === other.seq && first.hash === other.hash && first.digest === other.digest) continue;
    const said = [first, other].map(
      (end) => `${end.node} ${end.seq} ${end.hash.slice(0, 12)} ${end.digest.slice(0, 12)}`,
    );
    const differing = firstDifference(first, other);
    findings.add("ends", `two full nodes differ: ${said.join(" and ")}`, ...differing);
  }
}

function hasNoGaps(end: End, findings: Findings): void {
  let last = end.floor;
  for (const change of [...end.changes].sort((one, other) => one.seq - other.seq)) {
    if (change.seq !== last + 1) findings.add("ends", `${end.node} has no change ${last + 1}`, change);
    last = change.seq;
  }
  if (last !== end.seq) findings.add("ends", `${end.node} says it has ${end.seq} changes and its last one is ${last}`);
}

function firstDifference(one: End, other: End) {
  const changes = new Map(other.changes.map((change) => [change.seq, change]));
  for (const change of one.changes) {
    const there = changes.get(change.seq);
    if (change.seq > other.floor && (there?.key !== change.key || there.hash !== change.hash))
      return there === undefined ? [change] : [change, there];
  }
  return [];
}
