// What becomes of jobs, in apply: they are queued, claimed, tried again, and end. Each step is a few look-ups by index,
// however long the queue is. Only log time and rows decide here; when a claim is over, the leader says (claims.ts).

import { Fault } from "../../lib/fault.ts";
import type { Changed } from "../../log/log.ts";
import { epochNumber, type Fence, forgetGrant, noteGrant } from "../../operation/fence.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { changeOfJob, HEAD, type JobHead, type JobRow, type JobState, PLACE } from "./rows.ts";

/** Bounds of the rows. */
export const MAX_OPEN = 100_000;
export const MAX_OPEN_OF_CALLER = 50_000;
export const MAX_OPEN_BYTES = 512 * 1024 * 1024;
export const MAX_OPEN_BYTES_OF_CALLER = 128 * 1024 * 1024;
/** Jobs that have a worker at one time. */
export const MAX_ACTIVE = 2000;
/** Ended jobs that are kept, and their bytes: the first to expire go. */
export const MAX_ENDED = 20_000;
export const MAX_ENDED_BYTES = 256 * 1024 * 1024;
/** What a job counts beside its texts. */
const ROW_BYTES = 1024;
/** Longest time between two attempts. */
const MAX_BACKOFF_MS = 86_400_000;
/** Jobs whose time has come that one command moves. */
const MAX_PROMOTED = 64;
/** Ended jobs that one end removes, to stay below the bounds. */
const MAX_EVICTED = 8;

/** When, and as which change. */
export interface At {
  seq: number;
  timeMs: number;
}

/** Adds a job to the queue. Throws Fault `quota_exceeded`. */
export function enqueue(tx: Writer, job: JobRow): Changed {
  refuseMore(tx, job);
  const columns = Object.keys(job);
  tx.run(
    `INSERT INTO jobs (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(",")})`,
    ...(Object.values(job) as (string | number)[]),
  );
  count(tx, "open", "", 1, job.bytes);
  count(tx, "caller", job.caller, 1, job.bytes);
  settleKey(tx, job);
  return changeOfJob(job, job.schedule === "" ? "queued" : "scheduled");
}

/** Returns what a job counts for. */
export function bytesOf({
  input,
  checkpoint,
  result,
  output,
  error,
}: Pick<JobRow, "input" | "checkpoint" | "result" | "output" | "error">): number {
  return ROW_BYTES + [input, checkpoint, result, output, error].reduce((sum, text) => sum + 2 * text.length, 0);
}

/** Moves jobs whose time has come into the queue, a bounded number, the earliest first. */
export function promote(tx: Writer, timeMs: number): void {
  const sql = `SELECT ${HEAD} FROM jobs WHERE place = 0 AND run_at <= ? ORDER BY run_at, n, number LIMIT +?`;
  for (const job of tx.all<JobHead>(sql, timeMs, MAX_PROMOTED)) move(tx, job, PLACE.ready);
}

/** Returns when the next job that waits for its time is due. */
export function nextDue(reader: Reader): number | undefined {
  return reader.get<{ run_at: number }>("SELECT run_at FROM jobs WHERE place = 0 ORDER BY run_at LIMIT 1")?.run_at;
}

/** Which ready jobs: an action may have had a program, or gets one, so some of its jobs are run by nodes, some not. */
export interface ReadyOf {
  runs: JobHead["runs"];
  space: string;
  action: string;
}

/** Returns the first ready job of an action. */
export function firstReady(reader: Reader, of: ReadyOf): JobHead | undefined {
  return readyJobs(reader, of, 1)[0];
}

/** Returns the first ready jobs of an action. */
export function readyJobs(reader: Reader, { runs, space, action }: ReadyOf, limit: number): JobHead[] {
  return reader.all<JobHead>(
    `SELECT ${HEAD} FROM jobs WHERE place = 1 AND runs = ? AND space = ? AND action = ? ` +
      "ORDER BY priority DESC, run_at, n, number LIMIT +?",
    ...[runs, space, action, limit],
  );
}

/** Returns the actions with ready jobs that members run, by one look-up of the index for each action. */
export function readyActions(reader: Reader): { space: string; action: string }[] {
  const found: { space: string; action: string }[] = [];
  for (let [space, action] = ["", ""]; ; ) {
    const next = reader.get<{ space: string; action: string }>(
      "SELECT space, action FROM jobs WHERE place = 1 AND runs = 'member' AND (space, action) > (?, ?) " +
        "ORDER BY space, action LIMIT 1",
      ...[space, action],
    );
    if (next === undefined) return found;
    ({ space, action } = next);
    found.push({ space, action });
  }
}

/** Compares two ready jobs: the one that is to be done first comes first. */
export function byOrder(one: JobHead, other: JobHead): number {
  return other.priority - one.priority || one.run_at - other.run_at || one.n - other.n || one.number - other.number;
}

/** Who claims. */
export interface Claimant {
  worker: string;
  agent: string;
  /** The process of a member; "": it is no member's. */
  boot: string;
}

/** Gives a ready job to a worker: an attempt begins. Throws Fault `quota_exceeded`. */
export function claim(
  tx: Writer,
  job: JobHead,
  { worker, agent, boot }: Claimant,
  at: At,
): { job: JobHead; change: Changed } {
  const active = tx.get<{ count: number }>("SELECT COUNT(*) AS count FROM jobs WHERE place = 3")?.count ?? 0;
  refuseAt(active, MAX_ACTIVE, "jobs have a worker");
  const claimed: JobHead = {
    ...job,
    ...{ state: "claimed", place: PLACE.active, attempt: job.attempt + 1, changed_at: at.timeMs, seq: at.seq },
    ...{ worker, worker_agent: agent, boot, claim_n: epochNumber(tx), claim_seq: at.seq, cancel: 0 },
  };
  tx.run(
    "UPDATE jobs SET state = ?, place = ?, attempt = ?, changed_at = ?, worker = ?, worker_agent = ?, boot = ?, " +
      "claim_n = ?, claim_seq = ?, cancel = 0, seq = ? WHERE id = ?",
    ...[claimed.state, claimed.place, claimed.attempt, at.timeMs, worker, agent, boot, claimed.claim_n, at.seq],
    ...[at.seq, job.id],
  );
  noteGrant(tx, { name: job.id, n: claimed.claim_n, seq: at.seq });
  return { job: claimed, change: changeOfJob(claimed, "claimed") };
}

/** Notes that the attempt runs. */
export function begin(tx: Writer, job: JobHead, at: At): Changed {
  const running: JobHead = { ...job, state: "running", changed_at: at.timeMs, seq: at.seq };
  tx.run("UPDATE jobs SET state = 'running', changed_at = ?, seq = ? WHERE id = ?", at.timeMs, at.seq, job.id);
  return changeOfJob(running, "started");
}

/** What an attempt came to. */
export interface Ending {
  /** final: it failed, and another attempt is of no use. */
  outcome: "succeeded" | "failed" | "final";
  error: string;
  result: string;
  output: string;
  output_bytes: number;
  output_sha256: string;
}

/** Ends an attempt: the job ends, or gets another one. */
export function endAttempt(tx: Writer, job: JobRow, ending: Ending, at: At): { state: JobState; change: Changed } {
  const { outcome, error, result, output, output_bytes, output_sha256 } = ending;
  const texts = { error, result, output, input: job.input, checkpoint: job.checkpoint };
  const kept = { ...texts, output_bytes, output_sha256, bytes: bytesOf(texts) };
  tx.run(
    "UPDATE jobs SET error = ?, result = ?, output = ?, output_bytes = ?, output_sha256 = ? WHERE id = ?",
    ...[error, result, output, output_bytes, output_sha256, job.id],
  );
  const ended: JobRow = { ...job, ...kept };
  recount(tx, job, ended.bytes);
  if (outcome === "succeeded") return end(tx, ended, "succeeded", at);
  if (job.cancel === 1) return end(tx, ended, "cancelled", at);
  if (outcome === "final") return end(tx, ended, "failed", at);
  if (job.attempt >= job.attempts) return end(tx, ended, "dead", at);
  return { state: "queued", change: again(tx, ended, at) };
}

/** Puts a job back for another attempt, after its backoff. */
function again(tx: Writer, job: JobRow, at: At): Changed {
  // Doubled with each attempt. There are at most 20 of them.
  let delayMs = job.backoff_ms;
  for (let attempt = 1; attempt < job.attempt; attempt += 1) delayMs = Math.min(MAX_BACKOFF_MS, 2 * delayMs);
  return requeue(tx, job, { ...at, runAt: at.timeMs + delayMs, attempt: job.attempt, outcome: "retried" });
}

/** Queues a job that has a worker or has ended. */
export function requeue(
  tx: Writer,
  job: JobHead,
  { seq, timeMs, runAt, attempt, outcome }: At & { runAt: number; attempt: number; outcome: string },
): Changed {
  const place = runAt > timeMs ? PLACE.delayed : PLACE.ready;
  const queued: JobHead = {
    ...job,
    ...{ state: "queued", place, run_at: runAt, attempt, changed_at: timeMs, claim_n: 0, claim_seq: 0, cancel: 0, seq },
  };
  tx.run(
    "UPDATE jobs SET state = 'queued', place = ?, run_at = ?, attempt = ?, changed_at = ?, claim_n = 0, claim_seq = 0, " +
      "cancel = 0, expires_at = 0, seq = ? WHERE id = ?",
    ...[place, runAt, attempt, timeMs, seq, job.id],
  );
  forgetGrant(tx, job.id);
  settleKey(tx, job);
  return changeOfJob(queued, outcome);
}

/** Ends a job for good. */
export function end(tx: Writer, job: JobHead, state: JobState, at: At): { state: JobState; change: Changed } {
  const ended: JobHead = {
    ...job,
    state,
    place: PLACE.ended,
    changed_at: at.timeMs,
    claim_n: 0,
    claim_seq: 0,
    cancel: 0,
    seq: at.seq,
  };
  tx.run(
    "UPDATE jobs SET state = ?, place = 4, changed_at = ?, claim_n = 0, claim_seq = 0, cancel = 0, expires_at = ?, seq = ? " +
      "WHERE id = ?",
    ...[state, at.timeMs, at.timeMs + job.keep_ms, at.seq, job.id],
  );
  forgetGrant(tx, job.id);
  count(tx, "open", "", -1, -job.bytes);
  count(tx, "caller", job.caller, -1, -job.bytes);
  count(tx, "ended", "", 1, job.bytes);
  settleKey(tx, job);
  evict(tx);
  return { state, change: changeOfJob(ended, state) };
}

/** Counts an ended job among the open ones again. Throws Fault `quota_exceeded`. */
export function reopen(tx: Writer, job: JobHead): void {
  refuseMore(tx, job);
  count(tx, "ended", "", -1, -job.bytes);
  count(tx, "open", "", 1, job.bytes);
  count(tx, "caller", job.caller, 1, job.bytes);
}

/** Removes an ended job. */
export function forget(tx: Writer, { id, bytes }: Pick<JobHead, "id" | "bytes">): void {
  tx.run("DELETE FROM jobs WHERE id = ?", id);
  count(tx, "ended", "", -1, -bytes);
}

/** Keeps a checkpoint. */
export function keepCheckpoint(tx: Writer, job: JobRow, checkpoint: string, seq: number): Changed {
  const bytes = bytesOf({ ...job, checkpoint });
  recount(tx, job, bytes);
  tx.run("UPDATE jobs SET checkpoint = ?, seq = ? WHERE id = ?", checkpoint, seq, job.id);
  return changeOfJob({ ...job, seq }, "checkpoint");
}

/** Returns the job of a claim. Throws Fault `lease_lost` for one that is over: a late worker's word does not count. */
export function requireClaim(reader: Reader, fence: Fence): JobRow {
  const job = reader.get<JobRow>("SELECT * FROM jobs WHERE id = ?", fence.name);
  if (job !== undefined && job.place === PLACE.active && job.claim_n === fence.n && job.claim_seq === fence.seq)
    return job;
  const now = job === undefined ? "the job is not kept any more" : `the job is ${job.state} now`;
  throw new Fault("lease_lost", `The claim ${fence.name}@${fence.n}-${fence.seq} is over: ${now}`, {
    hint: "Stop what you do for it. Another attempt may have begun; nothing more of this one is taken.",
    ...(job === undefined ? {} : { details: { state: job.state } }),
  });
}

function move(tx: Writer, job: JobHead, place: number): void {
  tx.run("UPDATE jobs SET place = ? WHERE id = ?", place, job.id);
  settleKey(tx, job);
}

/** Of the jobs with one key at most one is ready or has a worker: the first by order. */
function settleKey(tx: Writer, { space, concurrency_key: key }: Pick<JobHead, "space" | "concurrency_key">): void {
  if (key === "") return;
  const at = (place: number) =>
    tx.get<JobHead>(
      `SELECT ${HEAD} FROM jobs WHERE space = ? AND concurrency_key = ? AND concurrency_key <> '' AND place = ? ` +
        "ORDER BY priority DESC, run_at, n, number LIMIT 1",
      ...[space, key, place],
    );
  const isBusy = at(PLACE.active) !== undefined;
  const ready = tx.all<JobHead>(
    `SELECT ${HEAD} FROM jobs WHERE space = ? AND concurrency_key = ? AND concurrency_key <> '' AND place = 1 ` +
      "ORDER BY priority DESC, run_at, n, number LIMIT 2",
    ...[space, key],
  );
  const blocked = at(PLACE.blocked);
  const [first] = [...ready, ...(blocked === undefined ? [] : [blocked])].sort(byOrder);
  for (const each of ready)
    if (isBusy || each.id !== first?.id) tx.run("UPDATE jobs SET place = 2 WHERE id = ?", each.id);
  if (!isBusy && first !== undefined) tx.run("UPDATE jobs SET place = 1 WHERE id = ?", first.id);
}

function recount(tx: Writer, job: JobHead, bytes: number): void {
  tx.run("UPDATE jobs SET bytes = ? WHERE id = ?", bytes, job.id);
  count(tx, "open", "", 0, bytes - job.bytes);
  count(tx, "caller", job.caller, 0, bytes - job.bytes);
}

type Kind = "open" | "caller" | "ended";

function count(tx: Writer, kind: Kind, name: string, jobs: number, bytes: number): void {
  tx.run(
    "INSERT INTO job_usage (kind, name, jobs, bytes) VALUES (?,?,?,?) " +
      "ON CONFLICT (kind, name) DO UPDATE SET jobs = jobs + excluded.jobs, bytes = bytes + excluded.bytes",
    ...[kind, name, jobs, bytes],
  );
  tx.run("DELETE FROM job_usage WHERE kind = ? AND name = ? AND jobs = 0 AND bytes = 0", kind, name);
}

/** Returns what is counted. */
export function used(reader: Reader, kind: Kind, name: string): { jobs: number; bytes: number } {
  const sql = "SELECT jobs, bytes FROM job_usage WHERE kind = ? AND name = ?";
  return reader.get<{ jobs: number; bytes: number }>(sql, kind, name) ?? { jobs: 0, bytes: 0 };
}

function refuseMore(reader: Reader, { caller, bytes }: Pick<JobHead, "caller" | "bytes">): void {
  const [all, own] = [used(reader, "open", ""), used(reader, "caller", caller)];
  refuseAt(all.jobs, MAX_OPEN, "jobs have not ended in this fleet");
  refuseAt(own.jobs, MAX_OPEN_OF_CALLER, `jobs of ${caller} have not ended`);
  refuseAt(all.bytes + bytes, MAX_OPEN_BYTES, "bytes of jobs are kept that have not ended");
  refuseAt(own.bytes + bytes, MAX_OPEN_BYTES_OF_CALLER, `bytes of jobs of ${caller} are kept that have not ended`);
}

function refuseAt(found: number, limit: number, what: string): void {
  if (found < limit) return;
  throw new Fault("quota_exceeded", `${found} ${what}; the limit is ${limit}`, {
    hint: "Wait until some have ended, or cancel some: job_list shows them.",
    details: { limit },
  });
}

/** Removes those that expire first while too many ended ones are kept. */
function evict(tx: Writer): void {
  for (let removed = 0; removed < MAX_EVICTED; removed += 1) {
    const { jobs, bytes } = used(tx, "ended", "");
    if (jobs <= MAX_ENDED && bytes <= MAX_ENDED_BYTES) return;
    const sql = "SELECT id, bytes FROM jobs WHERE place = 4 ORDER BY expires_at, n, number LIMIT 1";
    const oldest = tx.get<{ id: string; bytes: number }>(sql);
    if (oldest === undefined) return;
    forget(tx, oldest);
  }
}
