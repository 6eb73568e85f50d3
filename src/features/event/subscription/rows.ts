// The rows of targets, subscriptions and dead letters, and how they are read.

import { levelOf } from "../../../log/level.ts";
import type { Reader } from "../../../store/store.ts";
import type { LogHead } from "../event-log.ts";
import { EVENT_LEVEL, type EventRow } from "../rows.ts";
import type { Rule } from "../rules/index.ts";
import type { PolicyName } from "./policy-names.ts";
import type { RunningSubscription } from "./running.ts";
import type { TargetConfig } from "./targets/declared.ts";

/** The fleet level from which on there are subscriptions. */
export const SUBSCRIPTION_LEVEL = EVENT_LEVEL;

/** A row of `event_targets`. */
export interface TargetRow {
  name: string;
  config: string;
  policy: PolicyName;
  spaces: string;
  caller: string;
  seq: number;
  changed_at: number;
}

/** Why a subscription is paused. */
export type PauseReason = "" | "asked" | "revoked" | "ended" | "dead_letters" | "done";

/** A row of `subscriptions`. */
export interface SubscriptionRow {
  id: string;
  space: string;
  target: string;
  config: string;
  rules: string;
  caller: string;
  state: "active" | "paused";
  reason: PauseReason;
  cursor: number;
  missed: number;
  seq: number;
  created_at: number;
  changed_at: number;
  /** The offset at which it ends; 0: none. */
  until: number;
  /** Most events a second; 0: no limit of its own. */
  rate: number;
  /** The change that said where it begins. */
  began: number;
}

/** A row of `subscription_failing`. */
export interface FailingRow {
  subscription: string;
  offset: number;
  attempts: number;
  next_at: number;
  status: number;
  detail: string;
}

/** A row of `dead_letters`. */
export interface DeadRow {
  subscription: string;
  offset: number;
  again: number;
  attempts: number;
  status: number;
  detail: string;
  at: number;
  bytes: number;
  event: string;
}

/** Returns the target of a name. */
export function targetRow(reader: Reader, name: string): TargetRow | undefined {
  return reader.get<TargetRow>("SELECT * FROM event_targets WHERE name = ?", name);
}

/** Returns the subscription of an id. */
export function subscriptionRow(reader: Reader, id: string): SubscriptionRow | undefined {
  return reader.get<SubscriptionRow>("SELECT * FROM subscriptions WHERE id = ?", id);
}

/** Returns the offset of the last event that a subscription is to send: the newest, or of a replay its end. */
export function endOf({ tail }: LogHead, { until }: Pick<SubscriptionRow, "until">): number {
  return until === 0 ? tail : Math.min(until, tail);
}

/** Returns what is recorded of the event that fails now. */
export function failingRow(reader: Reader, id: string): FailingRow | undefined {
  return reader.get<FailingRow>("SELECT * FROM subscription_failing WHERE subscription = ?", id);
}

/** Returns the active subscriptions as the outbox runs them; none below the level of subscriptions. */
export function runningSubscriptions(reader: Reader): RunningSubscription[] {
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return [];
  return reader
    .all<RunningRow>(
      "SELECT s.id, s.space, s.cursor, s.seq, s.until, s.rate, s.began, s.changed_at, t.policy, t.seq AS target_seq FROM subscriptions s LEFT JOIN event_targets t ON t.name = s.target WHERE s.state = 'active' ORDER BY s.id",
    )
    .map((row) => runningOf(reader, row));
}

interface RunningRow
  extends Pick<SubscriptionRow, "id" | "space" | "cursor" | "seq" | "until" | "rate" | "began" | "changed_at"> {
  policy: PolicyName | null;
  target_seq: number | null;
}

function runningOf(
  reader: Reader,
  { id, space, cursor, seq, until, rate, began, changed_at, policy, target_seq }: RunningRow,
): RunningSubscription {
  const failing = failingRow(reader, id);
  return {
    ...{ id, space, cursor, until, rate, began, changedMs: changed_at },
    // A target that was changed is another one: its queue begins again.
    revision: Math.max(seq, target_seq ?? 0),
    policy: policy ?? "standard",
    failing: failing && { offset: failing.offset, attempts: failing.attempts, nextAtMs: failing.next_at },
    // Read where a queue begins, and not at every look.
    get rules() {
      return JSON.parse(subscriptionRow(reader, id)?.rules ?? "[]") as Rule[];
    },
  };
}

/** Returns what a subscription sends to; undefined where the target is gone. */
export function configOf(reader: Reader, { target, config }: SubscriptionRow): TargetConfig | undefined {
  const text = target === "" ? config : targetRow(reader, target)?.config;
  if (text === undefined) return undefined;
  // A callback has both: what was declared, and what its client said.
  const own = target === "" || config === "" ? {} : (JSON.parse(config) as object);
  return { ...(JSON.parse(text) as TargetConfig), ...own };
}

/** Reports whether a subscription sends to an address that its client chose. */
export function isCallback({ target, config }: Pick<SubscriptionRow, "target" | "config">): boolean {
  return target !== "" && config !== "";
}

/** Returns the event of a dead letter. */
export function eventOfDead({ event }: DeadRow): EventRow {
  return JSON.parse(event) as EventRow;
}

/** Returns how many dead letters a subscription has, and their bytes. */
export function deadSum(reader: Reader, id: string): { count: number; bytes: number } {
  const sql = "SELECT COUNT(*) AS count, COALESCE(SUM(bytes), 0) AS bytes FROM dead_letters WHERE subscription = ?";
  return reader.get<{ count: number; bytes: number }>(sql, id) ?? { count: 0, bytes: 0 };
}

/** Returns what a change says of the subscription that it made: all but its place, which moves without changes. */
export function stateOf(row: SubscriptionRow): (string | number)[] {
  const plain = [row.target, row.config, row.rules, row.caller, row.state, row.reason, row.created_at];
  return row.until === 0 ? plain : [...plain, row.until, row.rate];
}
