// Rules about leases (replication.md 29): no two holders count on one lease at the same time, the fences of a name grow
// with its grants, and no write is done with a fence that is older than a grant before it.

import type { FencedWrite, Findings, Hold, Run } from "./history.ts";

/** Judges what clients held and wrote under leases. */
export function judgeLeases({ holds = [], fenced = [] }: Run, findings: Findings): void {
  for (const [name, all] of Map.groupBy(holds, (hold) => hold.name)) {
    judgeHolds(all, findings);
    const writes = fenced.filter((write) => write.name === name);
    judgeFenced(all, writes, findings);
  }
}

/** Neighbours in the order of grants are compared: each began before the next one did, and must have ended then. */
function judgeHolds(all: readonly Hold[], findings: Findings): void {
  const inOrder = all.toSorted((one, other) => one.fromMs - other.fromMs);
  let last: Hold | undefined;
  for (const hold of inOrder) {
    if (last !== undefined && last.untilMs > hold.fromMs)
      findings.add("two-holders", `${describe(last)} and ${describe(hold)} count on it at one time`);
    if (last !== undefined && last.fence >= hold.fence)
      findings.add("fences", `${describe(hold)} was granted after ${describe(last)}, and its fence is not greater`);
    if (last === undefined || hold.untilMs > last.untilMs) last = hold;
  }
}

/** A grant without a wait is at the seq of its fence: a write with an older fence must be before it. */
function judgeFenced(holds: readonly Hold[], writes: readonly FencedWrite[], findings: Findings): void {
  const grants = holds.filter(({ waited }) => !waited).map(({ fence }) => fence);
  for (const { name, fence, seq } of writes) {
    const newer = grants.find((grant) => grant > fence && grant < seq);
    if (newer !== undefined)
      findings.add("fenced", `a write at ${seq} with the fence ${name}@${fence}, after the grant ${name}@${newer}`);
  }
}

function describe({ name, fence, process, fromMs, untilMs }: Hold): string {
  return `${process} with ${name}@${fence} (${fromMs.toFixed(0)}–${untilMs.toFixed(0)} ms)`;
}
