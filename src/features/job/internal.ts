// The internal writes of jobs, which the leader proposes for many jobs at once: claims for members, what became of
// attempts, claims that are over, and schedules that fire.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { write } from "../../operation/define.ts";
import { expiring, MAX_EXPIRED } from "../../operation/expiring.ts";
import { epochNumber } from "../../operation/fence.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { begin, claim, end, endAttempt, enqueue, forget, keepCheckpoint, promote, requireClaim } from "./queue.ts";
import { changeOfJob, headOf, JOB_LEVEL, type JobRow, jobId, PLACE } from "./rows.ts";
import { newJob, rowOf } from "./start.ts";

/** Most jobs of one command. */
export const MAX_AT_ONCE = 32;
/** Output that is kept with the job, in characters; what is longer is a blob, and this its end. */
export const MAX_OUTPUT = 64 * 1024;

const dispatched = z.object({ id: jobId, worker: z.string().max(200), boot: z.string().min(1).max(64) });
const claimKey = { id: jobId, n: z.number().int(), seq: z.number().int() };
const ownClaim = z.object(claimKey);
const access = { verb: "admin", spaces: ["fleet"] } as const;
const shared = { v: 1, level: JOB_LEVEL, internal: true, apart: true, access } as const;

/** Runs a step for each, leaves out those whose claim is over, and numbers the changes. */
function each<T>(items: readonly T[], first: number, step: (item: T, seq: number) => Changed | undefined): Changed[] {
  const changes: Changed[] = [];
  for (const item of items) {
    try {
      const change = step(item, first + changes.length);
      if (change !== undefined) changes.push(change);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }
  return changes;
}

/** Gives ready jobs to members. One that is not ready any more is left out. */
export const jobDispatch = write({
  ...shared,
  name: "job_dispatch",
  title: "Dispatch jobs",
  description: "Gives ready jobs to nodes that run them.",
  input: z.object({ jobs: z.array(dispatched).max(MAX_AT_ONCE) }),
  output: z.object({ claimed: z.number().int() }),
  work: ({ jobs }) => 80 * WRITE_ROW + 8 * jobs.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { jobs }: { jobs: z.output<typeof dispatched>[] }, stamp) {
    promote(tx, stamp.timeMs);
    const changes = each(jobs, stamp.seq, ({ id, worker, boot }, seq) => {
      const job = headOf(tx, id);
      if (job?.place !== PLACE.ready || job.runs !== "member") return undefined;
      return claim(tx, job, { worker, agent: "", boot }, { seq, timeMs: stamp.timeMs }).change;
    });
    return { output: { claimed: changes.length }, changes };
  },
});

const ending = z.object({
  outcome: z.enum(["succeeded", "failed", "final"]),
  error: z.string().max(2000),
  result: z.string().max(MAX_OUTPUT),
  output: z.string().max(MAX_OUTPUT),
  output_bytes: z.number().int().min(0),
  output_sha256: z.string().max(64),
});
/** Schema of what a worker says of one attempt. */
export const attemptReport = z.object({
  ...claimKey,
  running: z.boolean(),
  checkpoint: z.string().max(MAX_OUTPUT).optional(),
  ending: ending.optional(),
});
/** Null, where there is none: the log has no member without a value. */
const note = attemptReport.extend({
  checkpoint: attemptReport.shape.checkpoint.unwrap().nullable(),
  ending: ending.nullable(),
});
/** What is noted of one attempt. */
export type Note = z.output<typeof note>;

/** Notes what became of attempts: they run, have a checkpoint, have ended. Those whose claim is over are left out. */
export const jobNote = write({
  ...shared,
  name: "job_note",
  title: "Note attempts",
  description: "Notes that attempts at jobs run, what they keep for the next one, and how they ended.",
  input: z.object({ notes: z.array(note).max(MAX_AT_ONCE) }),
  maxInputBytes: 16 * 1024 * 1024,
  output: z.object({ noted: z.number().int() }),
  work: ({ notes }) => 16 * notes.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { notes }, { seq: first, timeMs }) {
    const changes: Changed[] = [];
    for (const { id, n, seq, running, checkpoint, ending: ended } of notes) {
      const claimed = () => {
        try {
          return requireClaim(tx, { name: id, n, seq });
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          return undefined;
        }
      };
      const at = () => ({ seq: first + changes.length, timeMs });
      let job: JobRow | undefined = claimed();
      if (job !== undefined && running && job.state === "claimed") changes.push(begin(tx, job, at()));
      job = claimed();
      if (job !== undefined && checkpoint !== null && checkpoint !== job.checkpoint)
        changes.push(keepCheckpoint(tx, job, checkpoint, at().seq));
      job = claimed();
      if (job !== undefined && ended !== null) changes.push(endAttempt(tx, job, ended, at()).change);
    }
    return { output: { noted: changes.length }, changes };
  },
});

/** Ends claims whose worker was not heard in time: another attempt follows, or the job is dead. */
export const jobExpire = write({
  ...shared,
  name: "job_expire",
  title: "End claims of jobs",
  description: "Ends attempts whose worker was not heard in time.",
  input: z.object({ claims: z.array(ownClaim).max(MAX_AT_ONCE) }),
  output: z.object({ expired: z.number().int() }),
  work: ({ claims }) => 10 * claims.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { claims }: { claims: z.output<typeof ownClaim>[] }, stamp) {
    const changes = each(claims, stamp.seq, ({ id, n, seq }, at) => {
      const job = requireClaim(tx, { name: id, n, seq });
      const error = `attempt ${job.attempt} was lost: nothing was heard of its worker for ${job.ttl_ms / 1000} s`;
      const lost = { outcome: "failed" as const, error, result: "", output: "", output_bytes: 0, output_sha256: "" };
      return endAttempt(tx, job, lost, { seq: at, timeMs: stamp.timeMs }).change;
    });
    return { output: { expired: changes.length }, changes };
  },
});

/** A row of `job_schedules`. */
export interface ScheduleRow {
  name: string;
  last_at: number;
  seq: number;
}

/** Returns the last instant of a schedule. */
export function scheduleRow(reader: Reader, name: string): ScheduleRow | undefined {
  return reader.get<ScheduleRow>("SELECT * FROM job_schedules WHERE name = ?", name);
}

/** Returns all rows of schedules. */
export function scheduleRows(reader: Reader): ScheduleRow[] {
  return reader.all<ScheduleRow>("SELECT * FROM job_schedules ORDER BY name");
}

/** Fires an instant of a schedule, or passes it over: in one command, so that no instant is fired twice. */
export const jobFire = write({
  ...shared,
  name: "job_fire",
  title: "Fire a schedule",
  description: "Starts the job of a schedule for one instant.",
  input: z.object({
    name: z.string().regex(DECLARED_NAME),
    space: z.string().max(64),
    /** The instant in ms; 0: the schedule is not declared any more. */
    at: z.number().int().min(0),
    /** Null: the instant is passed over. */
    job: newJob.nullable(),
  }),
  output: z.object({ id: z.string().optional() }),
  work: () => 12 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { name, space, at, job }, stamp) {
    const target = `${space}/schedules/${name}`;
    const changed = (outcome: string): Changed => ({
      ...{ target, version: 0, contentHash: "", outcome },
      state: stateHash([name, at]),
    });
    const before = scheduleRow(tx, name);
    if (at === 0) {
      if (before === undefined) return { output: {}, changes: [] };
      tx.run("DELETE FROM job_schedules WHERE name = ?", name);
      return { output: {}, changes: [changed("removed")] };
    }
    if (before !== undefined && before.last_at >= at) return { output: {}, changes: [] };
    note_(tx, { name, last_at: at, seq: stamp.seq });
    if (job === null) return { output: {}, changes: [changed("passed")] };
    const made = { timeMs: stamp.timeMs, n: epochNumber(tx), caller: "node", agent: "", schedule: name };
    const row = rowOf(job, { ...made, seq: stamp.seq + 1 });
    try {
      return { output: { id: row.id }, changes: [changed("fired"), enqueue(tx, row)] };
    } catch (error) {
      // The instant is over whatever became of it: else a full queue would be asked again each second.
      if (!(error instanceof Fault)) throw error;
      return { output: {}, changes: [changed("refused")] };
    }
  },
});

function note_(tx: Writer, { name, last_at, seq }: ScheduleRow): void {
  tx.run("INSERT OR REPLACE INTO job_schedules (name, last_at, seq) VALUES (?,?,?)", name, last_at, seq);
}

/** Ended jobs whose time is over. */
export const endedJobs = expiring({
  name: "job_forget",
  level: JOB_LEVEL,
  title: "Forget ended jobs",
  due: (reader) =>
    reader.get<{ expires_at: number }>("SELECT expires_at FROM jobs WHERE place = 4 ORDER BY expires_at LIMIT 1")
      ?.expires_at,
  expire(tx, { timeMs }) {
    const rows = tx.all<{ id: string; bytes: number }>(
      "SELECT id, bytes FROM jobs WHERE place = 4 AND expires_at <= ? ORDER BY expires_at, n, number LIMIT +?",
      timeMs,
      MAX_EXPIRED,
    );
    for (const row of rows) forget(tx, row);
    return { removed: rows.length, changes: [] };
  },
});

/** In apply: asks the worker of a job to stop, or ends one that has none. */
export function cancel(tx: Writer, job: JobRow, at: { seq: number; timeMs: number }): Changed | undefined {
  if (job.place === PLACE.ended) return undefined;
  if (job.place !== PLACE.active) return end(tx, job, "cancelled", at).change;
  if (job.cancel === 1) return undefined;
  tx.run("UPDATE jobs SET cancel = 1, seq = ? WHERE id = ?", at.seq, job.id);
  return changeOfJob({ ...job, cancel: 1, seq: at.seq }, "cancelling");
}
