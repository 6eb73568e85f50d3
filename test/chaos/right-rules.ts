// Rules about rights (replication.md 31): what a caller may do is never refused as forbidden, and what it may not do is
// never done, whichever node it asked.

import { type Findings, isWrite, type Run } from "./history.ts";
import type { Writers } from "./writers.ts";

export function judgeRights(run: Run, writers: Writers, findings: Findings): void {
  for (const row of run.rows) {
    const mayNot = row.rights === "read" && isWrite(row);
    if (mayNot && (row.outcome === "ok" || writers.changeOf(row) !== undefined))
      findings.add("rights", "a caller that may only read has written", row);
    if (!mayNot && row.code === "forbidden") findings.add("rights", "a caller was refused what it may do", row);
  }
}
