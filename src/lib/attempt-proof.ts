// What a failed attempt proves about a write (replication.md 34). Once a request went out, the write may have been made
// unless the failure proves otherwise; callers with several attempts keep the sum in `Attempts` (operation/).

import { Fault, type FaultCode } from "./fault.ts";
import type { FaultOutcome } from "./fault-facts.ts";

/**
 * - `none_done`: no attempt with this idempotency key was done, this one and all before it.
 * - `not_done`: this attempt was not done; it says nothing of others.
 * - `unknown`: this attempt may have been done.
 */
export type AttemptProof = "none_done" | "not_done" | "unknown";

/**
 * Decided by apply, which would have returned the result of an earlier attempt with the same key: so there was none.
 * `agent_unknown` is decided before the log too, after a look for that result behind a barrier. `invalid_input` is not
 * among them, since a node also refuses with it before the log.
 */
const DECIDED_IN_APPLY: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "not_found",
  "deleted",
  "purged",
  "version_mismatch",
  "patch_failed",
  "key_reused",
  "quota_exceeded",
  "last_voter",
  "data_exists",
  "lease_held",
  "lease_lost",
  "fence_stale",
  "agent_unknown",
  "agent_taken",
  "id_taken",
  "in_use",
]);

/** Refused before a command is proposed, or (`rate_limited`) by apply without keeping the outcome. */
const REFUSED_BEFORE_LOG: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "invalid_input",
  "forbidden",
  "forward_unseen",
  "not_leader",
  "not_a_member",
  "unknown_operation",
  "method_not_allowed",
  "history_forked",
  "below_floor",
  "too_large",
  "unsupported_media_type",
  "misdirected",
  "rate_limited",
  "not_ready",
  "storage_full",
]);

/** Returns what a failure with this code and outcome proves. */
export function proofOf(code: FaultCode, outcome: FaultOutcome | undefined): AttemptProof {
  if (outcome === "not_sent" || outcome === "not_done") return "not_done";
  if (outcome !== undefined) return "unknown";
  if (DECIDED_IN_APPLY.has(code)) return "none_done";
  return REFUSED_BEFORE_LOG.has(code) ? "not_done" : "unknown";
}

/** Returns what an error of an attempt proves; anything but a Fault proves nothing. */
export function proofOfError(error: unknown): AttemptProof {
  return error instanceof Fault ? proofOf(error.code, error.facts.outcome) : "unknown";
}

/** Codes of errors of `fetch` before anything was sent. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "ConnectionRefused",
  "FailedToOpenSocket",
  "ECONNREFUSED",
  "ENOENT",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** Reports whether an error of `fetch` proves that nothing was sent. */
export function wasNeverSent(error: unknown): boolean {
  return error instanceof Error && "code" in error && NEVER_SENT.has(String(error.code));
}
