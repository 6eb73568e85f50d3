// The checker (replication.md 31): a whole run against every rule, in n log n. Versions identify writes. The rules are
// in write-rules, read-rules, right-rules, member-rules and end-rules.

import { judgeEnds, judgeFeeds } from "./end-rules.ts";
import { type Finding, Findings, type Run } from "./history.ts";
import { judgeMembers, longestOutage } from "./member-rules.ts";
import { judgeRaft } from "./raft-events.ts";
import { judgeReads } from "./read-rules.ts";
import { Reference } from "./reference.ts";
import { judgeRights } from "./right-rules.ts";
import { judgeWrites } from "./write-rules.ts";

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
  const count = (outcome: string, operation: string) =>
    run.rows.filter((row) => row.outcome === outcome && row.operation === operation).length;
  const looked = [
    `${count("ok", "put")} writes, ${count("unknown", "put")} unknown, ${count("fail", "put")} refused`,
    `${count("ok", "get")} reads, ${run.rows.length} rows`,
    `${run.feeds.length} feeds of ${run.feeds.reduce((sum, { changes }) => sum + changes.length, 0)} changes`,
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
  judgeWrites(run, reference, findings);
  judgeReads(run, reference, findings);
  judgeRights(run, findings);
  judgeMembers(run, findings);
  judgeRaft(run, findings);
  judgeFeeds(run, reference, findings);
  return findings;
}
