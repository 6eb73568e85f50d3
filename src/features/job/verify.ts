// Compares the rows of jobs, schedules and rules with the changes that made them, for audit_verify.

import { SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import { levelOf } from "../../log/level.ts";
import { stateHash } from "../../log/state-hash.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import { scheduleRows } from "./internal.ts";
import { HEAD, hashOfJob, JOB_LEVEL, type JobHead, targetOfJob } from "./rows.ts";
import { hashOfRule, ruleRows } from "./rule-fire.ts";

/** Rows that are compared without a pause. */
const STEP = 500;

/** Returns the first row that is not as its change made it. */
export const jobProblem: RowsCheck = async (reader, { floor }, { spend, signal }) => {
  if (levelOf(reader) < JOB_LEVEL) return undefined;
  for (let after = ""; ; ) {
    const rows = reader.all<JobHead>(`SELECT ${HEAD} FROM jobs WHERE id > ? ORDER BY id LIMIT +?`, after, STEP);
    spend(SHOW_ROW * rows.length);
    for (const row of rows) {
      if (row.seq <= floor) continue;
      const change = changeAt(reader, row.seq);
      const isOther =
        change === undefined || change.target !== targetOfJob(row.id) || madeOther(change, hashOfJob(row));
      if (isOther) return `the job ${row.id} is not as change ${row.seq} made it`;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < STEP) break;
    after = last.id;
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
  }
  for (const { name, last_at: at, seq } of scheduleRows(reader)) {
    if (seq <= floor) continue;
    const change = changeAt(reader, seq);
    if (change === undefined || madeOther(change, stateHash([name, at])))
      return `the schedule ${name} is not as change ${seq} made it`;
  }
  for (const { seq, ...rule } of ruleRows(reader)) {
    const change = seq <= floor ? undefined : changeAt(reader, seq);
    if (seq > floor && (change === undefined || madeOther(change, hashOfRule(rule))))
      return `the rule ${rule.name} is not as change ${seq} made it`;
  }
  return undefined;
};

function changeAt(reader: Reader, seq: number): ChangeRow | undefined {
  return reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", seq);
}
