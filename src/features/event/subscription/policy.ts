// When an event that a target did not take is tried again, and when it becomes a dead letter.

import { backoffMs } from "../../../lib/retry.ts";
import type { Outcome } from "./delivery.ts";
import type { PolicyName } from "./policy-names.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits between attempts, in ms; undefined: for ever. */
const WAITS: Readonly<Record<PolicyName, readonly number[] | undefined>> = {
  // Those of Standard Webhooks: three days and three hours in all.
  standard: [...[5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]],
  // Of people, who want to know soon once their service is back, and after a day no more: 5 minutes at most.
  notify: [5 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, ...Array<number>(288).fill(5 * MINUTE)],
  mcp: [30 * SECOND, 2 * MINUTE, 10 * MINUTE],
  peer: undefined,
};
/** Attempts at an event that a target refuses as such: what is wrong with the event seldom changes. */
const REFUSED_ATTEMPTS: Readonly<Record<PolicyName, number>> = { standard: 3, notify: 3, mcp: 1, peer: 3 };
const PEER_WAIT = { firstMs: SECOND, lastMs: 30 * SECOND, jitter: 0.5 };
/** Share of a wait that is random, so that targets which fail together are not tried together. */
const JITTER = 0.2;
/** Longest wait that a target may ask for; who tells people does not get longer than its policy waits. */
export const MAX_RETRY_AFTER_MS = HOUR;
const ASKED: Readonly<Record<PolicyName, number>> = {
  ...{ standard: MAX_RETRY_AFTER_MS, mcp: MAX_RETRY_AFTER_MS, peer: MAX_RETRY_AFTER_MS, notify: 5 * MINUTE },
};

/**
 * Returns how long to wait after that many attempts at an event, in ms; undefined: the event is given up. `random` is
 * for tests.
 */
export function waitAfter(
  policy: PolicyName,
  attempts: number,
  outcome: Extract<Outcome, { result: "failed" | "refused" }>,
  random: () => number = Math.random,
): number | undefined {
  if (outcome.result === "refused" && attempts >= REFUSED_ATTEMPTS[policy]) return undefined;
  const waits = WAITS[policy];
  const plain = waits === undefined ? backoffMs(attempts, { ...PEER_WAIT, random }) : waits[attempts - 1];
  if (plain === undefined) return undefined;
  const spread = waits === undefined ? plain : plain * (1 - JITTER / 2 + JITTER * random());
  const asked = outcome.result === "failed" ? (outcome.retryAfterMs ?? 0) : 0;
  return Math.max(spread, Math.min(asked, ASKED[policy]));
}

/**
 * Returns how long to wait until a recorded time, in ms. It is by the clock of the leader that recorded it: where that
 * was ahead, or the policy is another one by now, the wait is still no longer than the longest of its policy.
 */
export function waitUntil(policy: PolicyName, atMs: number, nowMs: number): number {
  const longest = Math.max(...(WAITS[policy] ?? [PEER_WAIT.lastMs])) * (1 + JITTER / 2);
  return Math.min(Math.max(0, atMs - nowMs), Math.max(longest, ASKED[policy]));
}
