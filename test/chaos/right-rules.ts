// Rules about rights (replication.md 31): what a caller may do is never refused as forbidden, and what it may not do is
// never done, whichever node it asked.

import type { Findings, Run } from "./history.ts";

export function judgeRights(run: Run, findings: Findings): void {
  const done = new Set(run.ends.flatMap(({ changes }) => changes.map(({ key, hash }) => `${key} ${hash}`)));
  for (const row of run.rows) {
    const mayNot = row.rights === "read" && row.operation === "put";
    if (mayNot && (row.outcome === "ok" || done.has(`${row.key} ${row.hash}`)))
      findings.add("rights", "a caller that may only read has written", row);
    if (!mayNot && row.code === "forbidden") findings.add("rights", "a caller was refused what it may do", row);
  }
}
