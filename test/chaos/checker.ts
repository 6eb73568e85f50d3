// The checker (replication.md 31): a whole run against every rule, in n log n. Versions identify writes. The rules are
// in write-rules, read-rules, window-rules, right-rules, member-rules and end-rules.

import { judgeEnds, judgeFeeds } from "./end-rules.ts";
import { judgeEvents } from "./event-rules.ts";
import { type Finding, Findings, isWrite, type Run } from "./history.ts";
import { countOfJobs, judgeJobs } from "./job-rules.ts";
import { judgeLeases } from "./lease-rules.ts";
import { judgeMembers, longestOutage } from "./member-rules.ts";
import { judgeRaft } from "./raft-events.ts";
import { judgeReads } from "./read-rules.ts";
import { Reference } from "./reference.ts";
import { judgeRights } from "./right-rules.ts";
import { judgeWindows } from "./window-rules.ts";
import { judgeWrites } from "./write-rules.ts";
import { Writers } from "./writers.ts";

/**
 * Returns what is wrong with a run; nothing for a correct one. At most a few findings of each rule; `summary` has their
 * number.
 */
export function check(run: Run): Finding[] {
  return judge(run).list;
}

/** Returns the same as text: how much was checked, and every finding with its rows. */
export function report(run: Run): { isRight: boolean; text: string } {
  const findings = judge(run);
  const writes = Object.groupBy(run.rows.filter(isWrite), ({ outcome }) => outcome);
  const count = (outcome: keyof typeof writes) => writes[outcome]?.length ?? 0;
  const reads = run.rows.filter((row) => !isWrite(row) && row.outcome === "ok").length;
  const looked = [
    `${count("ok")} writes, ${count("unknown")} unknown, ${count("fail")} refused`,
    `${reads} reads, ${run.rows.length} rows`,
    `${run.feeds.length} feeds of ${run.feeds.reduce((sum, { changes }) => sum + changes.length, 0)} changes`,
    ...(run.holds === undefined ? [] : [`${run.holds.length} holds of leases, ${run.fenced?.length} fenced writes`]),
    ...(run.events === undefined
      ? []
      : [`${run.events.published.length} events, ${run.events.arrivals.length} arrivals`]),
    ...(run.jobs === undefined ? [] : [countOfJobs(run.jobs)]),
    `no write for ${Math.round(longestOutage(run.rows).ms)} ms at most`,
    `${run.raft?.length ?? 0} votes and leaderships`,
    `${run.ends.length} full nodes at ${[...new Set(run.ends.map(({ seq }) => seq))].join(", ")}`,
  ].join("; ");
  const lines = findings.list.flatMap(({ rule, message, rows }) => [
    `${rule} (${findings.counts.get(rule) ?? 0}): ${message}`,
    ...rows.map((row) => `    ${row}`),
  ]);
  return { isRight: lines.length === 0, text: [looked, ...lines].join("\n") };
}

function judge(run: Run): Findings {
  const findings = new Findings();
  const reference = new Reference(run);
  judgeEnds(run, findings);
  const writers = new Writers(run, reference);
  judgeWrites(run, reference, writers, findings);
  judgeReads(run, reference, writers, findings);
  judgeWindows(run, reference, writers, findings);
  judgeRights(run, writers, findings);
  judgeMembers(run, findings);
  judgeRaft(run.raft ?? [], findings);
  judgeLeases(run, findings);
  judgeEvents(run, findings);
  judgeJobs(run, findings);
  judgeFeeds(run, reference, writers, findings);
  return findings;
}
