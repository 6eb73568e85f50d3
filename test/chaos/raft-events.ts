// Raft's own promises (replication.md 31): at most one leader in each term, and one vote of each member in each term.
// From the lines that each member logs.

import type { Findings } from "./history.ts";

/** A vote that a member stored, for `candidate`, or a term in which it acted as leader. */
export interface RaftEvent {
  kind: "votes" | "leads";
  server: string;
  epoch: string;
  term: number;
  candidate: string;
}

/** As a node logs it, or the driver of test/kit/raft.ts, which has a colon after the message. */
const LINE = /event:? kind=(votes|leads) server=([0-9a-f]+) epoch=([0-9a-z]*) term=(\d+)(?: for=([0-9a-f]+))?/g;

/** Returns the events in the log lines of a node, in their order. */
export function raftEventsOf(lines: string): RaftEvent[] {
  return [...lines.matchAll(LINE)].map(([, kind, server = "", epoch = "", term, candidate = ""]) => ({
    kind: kind === "votes" ? "votes" : "leads",
    server,
    epoch,
    term: Number(term),
    candidate,
  }));
}

export function judgeRaft(events: readonly RaftEvent[], findings: Findings): void {
  const leaders = new Map<string, string>();
  const votes = new Map<string, string>();
  for (const { kind, server, epoch, term, candidate } of events) {
    const [seen, name, chosen] =
      kind === "leads" ? [leaders, `${epoch} ${term}`, server] : [votes, `${server} ${epoch} ${term}`, candidate];
    const other = seen.get(name);
    seen.set(name, chosen);
    if (other === undefined || other === chosen) continue;
    if (kind === "leads") findings.add("two-leaders", `${other} and ${chosen} led in term ${term}`);
    else findings.add("two-votes", `${server} voted for ${other} and for ${chosen} in term ${term}`);
  }
}
