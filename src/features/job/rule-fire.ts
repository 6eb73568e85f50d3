// job_rule_fire: one firing of a rule and its job, in one command. Apply judges ceiling and cool-down by the log alone,
// and takes each number of a firing once, so nothing starts twice, whoever leads.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { DECLARED_NAME, declaredId } from "../../operation/declared-kind.ts";
import { declaredRow } from "../../operation/declared-rows.ts";
import { write } from "../../operation/define.ts";
import { epochNumber } from "../../operation/fence.ts";
import type { Reader } from "../../store/store.ts";
import { enqueue } from "./queue.ts";
import { JOB_LEVEL, RULE_MARK } from "./rows.ts";
import { RULE } from "./rule.ts";
import { newJob, rowOf } from "./start.ts";

/** A row of `job_rules`. */
export interface RuleRow {
  name: string;
  /** Number of its last firing. */
  firing: number;
  fired_at: number;
  seq: number;
}

/** Returns the row of a rule; undefined: it has not fired. */
export function ruleRow(reader: Reader, name: string): RuleRow | undefined {
  return reader.get<RuleRow>("SELECT * FROM job_rules WHERE name = ?", name);
}

/** Returns all rows of rules. */
export function ruleRows(reader: Reader): RuleRow[] {
  return reader.all<RuleRow>("SELECT * FROM job_rules ORDER BY name");
}

/** Returns the state hash of a rule. */
export function hashOfRule({ name, firing }: Pick<RuleRow, "name" | "firing">): string {
  return stateHash([name, firing]);
}

/** Returns how many jobs of an action have not ended, at most `most`: what is looked at is bounded by that. */
export function openJobs(reader: Reader, { space, action }: { space: string; action: string }, most: number): number {
  const of = (state: string) =>
    reader.all(
      "SELECT number FROM jobs WHERE space = ? AND action = ? AND state = ? LIMIT +?",
      ...[space, action, state, most],
    ).length;
  return Math.min(most, of("queued") + of("claimed") + of("running"));
}

/** Fires a rule, or forgets one that is declared no longer. */
export const jobRuleFire = write({
  name: "job_rule_fire",
  v: 1,
  level: JOB_LEVEL,
  internal: true,
  apart: true,
  access: { verb: "admin", spaces: ["fleet"] },
  title: "Fire a rule",
  description: "Starts the job of a rule whose number is beyond its bound.",
  input: z.object({
    name: z.string().regex(DECLARED_NAME),
    space: z.string().max(64),
    /** The version of the declaration that fires. */
    version: z.number().int().min(0),
    /** The number of the firing; 0: the rule is not declared any more. */
    firing: z.number().int().min(0),
    at_most: z.number().int().min(1),
    cool_down_ms: z.number().int().min(0),
    job: newJob.nullable(),
  }),
  output: z.object({ id: z.string().optional() }),
  work: ({ at_most: most }) => (16 + Math.ceil(most / 8)) * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { name, space, version, firing, at_most: most, cool_down_ms: coolMs, job }, { seq, timeMs }) {
    const none = { output: {}, changes: [] };
    const changed = (outcome: string): Changed => ({
      ...{ target: `${space}/rules/${name}`, version: 0, contentHash: "", outcome },
      state: hashOfRule({ name, firing }),
    });
    const before = ruleRow(tx, name);
    const declared = declaredRow(tx, declaredId(RULE, name))?.version ?? 0;
    if (firing === 0) {
      if (before === undefined || declared > 0) return none;
      tx.run("DELETE FROM job_rules WHERE name = ?", name);
      return { output: {}, changes: [changed("removed")] };
    }
    if (job === null || declared !== version || firing !== (before?.firing ?? 0) + 1) return none;
    if (before !== undefined && timeMs < before.fired_at + coolMs) return none;
    if (openJobs(tx, job, most) >= most) return none;
    const sql = "INSERT OR REPLACE INTO job_rules (name, firing, fired_at, seq) VALUES (?,?,?,?)";
    tx.run(sql, name, firing, timeMs, seq);
    const made = { timeMs, n: epochNumber(tx), caller: "node", agent: "", schedule: `${RULE_MARK}${name}` };
    const row = rowOf(job, { ...made, seq: seq + 1 });
    try {
      return { output: { id: row.id }, changes: [changed("fired"), enqueue(tx, row)] };
    } catch (error) {
      // The firing counts, whatever became of it: else a full queue would be asked again each second.
      if (!(error instanceof Fault)) throw error;
      return { output: {}, changes: [changed("refused")] };
    }
  },
});
