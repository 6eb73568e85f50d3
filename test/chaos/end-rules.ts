// Rules about feeds and about the final state of the nodes (replication.md 31): each feed is the order without gaps,
// and all full members are equal.

import type { End, Feed, Findings, Run } from "./history.ts";
import type { Reference } from "./reference.ts";

export function judgeFeeds(run: Run, reference: Reference, findings: Findings): void {
  for (const feed of run.feeds) judgeFeed(feed, reference, findings);
}

function judgeFeed(feed: Feed, reference: Reference, findings: Findings): void {
  const name = `follower ${feed.follower}`;
  let last = feed.since.seq;
  for (const change of feed.changes) {
    if (change.seq <= last) findings.add("feed", `${name}: a change came again or out of order`, change);
    last = change.seq;
    if (change.seq <= reference.floor || reference.isLost(change)) continue;
    const there = reference.at(change.seq);
    if (there?.key !== change.key || there.version !== change.version || !sameContent(there.hash, change.hash))
      findings.add("feed", `${name}: a change that is not in the order`, change, ...(there ? [there] : []));
  }
  const got = new Set(feed.changes.map(({ seq }) => seq));
  const from = Math.max(feed.since.seq, reference.floor);
  for (const change of reference.changes) {
    if (change.seq <= from || change.seq > feed.until.seq || !change.key.startsWith(feed.prefix)) continue;
    if (!got.has(change.seq))
      findings.add("feed", `${name}: a change is missing between ${feed.since.seq} and ${feed.until.seq}`, change);
  }
}

/** A feed shows no hash for deletions. */
function sameContent(one: string, other: string): boolean {
  return one === other || other === "";
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
