// What becomes of the row of a copy by a step of the leader, or by what its member says. Pure, and used by apply, by
// the plan, and by the property test. A copy gets another holder only from `idle`.

import { isHeld, MAX_REASON, type ServiceRow } from "./rows.ts";

/** A copy that was ready for so long, in ms, has not failed in a row with what was before. */
export const STABLE_MS = 60_000;
const MAX_BACKOFF_MS = 60_000;
/** The same once the starts on all members have failed: a service that never comes up writes little. */
const MAX_ROUND_BACKOFF_MS = 300_000;
const MIN_ROUND_BACKOFF_MS = 1_000;

/** What a step does; `gone` removes the row. */
export const STEPS = ["starting", "stopping", "idle", "stay", "gone"] as const;

/** What the leader decides about a copy. It names the revision that it changes; 0: there is no row. */
export interface Step {
  name: string;
  copy: string;
  revision: number;
  term: number;
  /** starting: `node` gets it. stopping: its member is to end it. idle: its lease is over. stay: nothing is asked. */
  to: (typeof STEPS)[number];
  space: string;
  node: string;
  boot: string;
  /** stopping: where it goes then; "": as declared. */
  next: string;
  program: string;
  attempts: number;
  backoff_ms: number;
  lease_ms: number;
  reason: string;
}

/** What a member says of a start. */
export interface Said {
  name: string;
  copy: string;
  n: number;
  seq: number;
  /** ended: nothing of it runs any more. failed: it ended although it was not asked to. */
  what: "ready" | "ended" | "failed";
  reason: string;
}

/** The change in which something happens. */
export interface At {
  seq: number;
  timeMs: number;
  /** Number of the epoch. */
  n: number;
}

/** What became of a row; `row` undefined: it is gone. */
export interface Made {
  before: ServiceRow;
  row: ServiceRow | undefined;
  outcome: string;
}

/** Returns an idle row that has never been anything else. */
export function newRow({ name, copy, space }: Pick<ServiceRow, "name" | "copy" | "space">, at: At): ServiceRow {
  return {
    ...{ name, copy, space, state: "idle", node: "", boot: "", n: 0, fence_seq: 0, term: 0, revision: 0, program: "" },
    ...{ attempts: 0, backoff_ms: 0, lease_ms: 0, since: at.timeMs, ready_at: 0, ready_node: "", failures: 0 },
    ...{ not_before: 0, rounds: 0, tried: "[]", next: "", pin: "", asked: "", reason: "", seq: at.seq },
  };
}

/**
 * Takes a step. Returns undefined where it is stale: made for another revision, or by a leader of an earlier term. A
 * new history counts terms anew, so that those of a start in an earlier one say nothing.
 */
export function takeStep(found: ServiceRow | undefined, step: Step, at: At): Made | undefined {
  if ((found?.revision ?? 0) !== step.revision) return undefined;
  if (found !== undefined && found.n === at.n && found.term > step.term) return undefined;
  const before = found ?? newRow(step, at);
  const { to, term } = step;
  const shared = { term, revision: before.revision + 1, since: at.timeMs, seq: at.seq, reason: cut(step.reason) };
  if (to === "starting") {
    if (isHeld(before)) return undefined;
    const { node, boot, program, attempts, backoff_ms, lease_ms, space } = step;
    const isChanged = program !== before.program;
    // Where all were tried, a new round begins.
    const isNewRound = !isChanged && listOf(before.tried).includes(node);
    const row: ServiceRow = {
      ...{ ...before, ...shared, state: "starting", node, boot, program, attempts, backoff_ms, lease_ms, space },
      ...{ n: at.n, fence_seq: at.seq, ready_at: 0, next: "", asked: "" },
      failures: node === before.node && !isChanged ? before.failures : 0,
      rounds: isChanged ? 0 : before.rounds + (isNewRound ? 1 : 0),
      tried: isChanged || isNewRound ? "[]" : before.tried,
    };
    return { before: row, row, outcome: "starting" };
  }
  if (found === undefined) return undefined;
  if (to === "stopping") {
    if (before.state !== "starting" && before.state !== "ready") return undefined;
    return {
      before,
      row: { ...before, ...shared, state: "stopping", next: step.next, asked: "", tried: without(before, step.next) },
      outcome: "stopping",
    };
  }
  if (to === "stay") return { before, row: { ...before, ...shared, since: before.since, asked: "" }, outcome: "kept" };
  if (to === "idle") return isHeld(before) ? ended(before, { ...shared, failed: true }, at) : undefined;
  return isHeld(before) ? undefined : { before, row: undefined, outcome: "removed" };
}

/** Takes what a member says of a start; undefined where that start is over, or it is known already. */
export function takeSaid(before: ServiceRow | undefined, said: Said, at: At): Made | undefined {
  if (before === undefined || !isHeld(before) || before.n !== said.n || before.fence_seq !== said.seq) return undefined;
  const { term } = before;
  const shared = { term, revision: before.revision + 1, since: at.timeMs, seq: at.seq, reason: cut(said.reason) };
  if (said.what !== "ready") return ended(before, { ...shared, failed: said.what === "failed" }, at);
  if (before.state !== "starting") return undefined;
  const isMoved = before.ready_node !== "" && before.ready_node !== before.node;
  const row: ServiceRow = { ...before, ...shared, state: "ready", ready_at: at.timeMs, ready_node: before.node };
  return { before, row, outcome: isMoved ? "moved" : "ready" };
}

/** What ended while it was being stopped has not failed, whatever became of it. */
function ended(
  before: ServiceRow,
  { failed, ...shared }: { failed: boolean } & Pick<ServiceRow, "term" | "revision" | "since" | "seq" | "reason">,
  at: At,
): Made {
  const row: ServiceRow = { ...before, ...shared, state: "idle", ready_at: 0, not_before: 0 };
  if (!failed || before.state === "stopping") return { before, row, outcome: "stopped" };
  const wasStable = before.ready_at > 0 && at.timeMs - before.ready_at >= STABLE_MS;
  const failures = (wasStable ? 0 : before.failures) + 1;
  const tried = wasStable ? [] : listOf(before.tried);
  const isLast = failures >= before.attempts;
  const rounds = wasStable ? 0 : before.rounds;
  const kept: ServiceRow = {
    ...{ ...row, rounds },
    failures: isLast ? 0 : failures,
    tried: JSON.stringify(isLast && !tried.includes(before.node) ? [...tried, before.node] : tried),
    not_before: at.timeMs + backoffOf({ ...before, rounds }, failures),
  };
  return { before, row: kept, outcome: before.state === "ready" ? "down" : "failed" };
}

/** Returns the pause after a number of failures on one member, in ms. */
function backoffOf(
  { backoff_ms, rounds, attempts }: Pick<ServiceRow, "backoff_ms" | "rounds" | "attempts">,
  failures: number,
): number {
  let delayMs = rounds === 0 ? backoff_ms : Math.max(backoff_ms, MIN_ROUND_BACKOFF_MS);
  const longest = Math.max(backoff_ms, rounds === 0 ? MAX_BACKOFF_MS : MAX_ROUND_BACKOFF_MS);
  for (let left = rounds * attempts + failures; left > 1 && delayMs < longest; left -= 1)
    delayMs = Math.min(longest, 2 * delayMs);
  return delayMs;
}

/**
 * Reports whether a copy that runs nowhere is to wait before it starts on a member. Another member than the one on
 * which it failed takes it at once, but not in later rounds; each one does where the declaration has changed.
 */
export function waits(row: ServiceRow, start: { node: string; program: string }, timeMs: number): boolean {
  if (row.not_before <= timeMs || row.program !== start.program) return false;
  return row.node === start.node || row.rounds > 0 || listOf(row.tried).includes(start.node);
}

/** Where a copy is sent on purpose it is tried again. */
function without({ tried }: ServiceRow, node: string): string {
  return JSON.stringify(listOf(tried).filter((each) => each !== node));
}

/** Returns the members on which all attempts failed. */
export function listOf(text: string): string[] {
  return JSON.parse(text) as string[];
}

function cut(text: string): string {
  return text.slice(0, MAX_REASON);
}
