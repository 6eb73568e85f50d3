// outbox_record: what the leader's outbox has done, for many subscriptions in one command. A record of a subscription
// that was changed or ended meanwhile changes nothing: its new queue begins from what is recorded.

import { z } from "zod";
import { WRITE_ROW } from "../../../lib/work.ts";
import type { Changed } from "../../../log/log.ts";
import { type ApplyStamp, write } from "../../../operation/define.ts";
import type { Writer } from "../../../store/store.ts";
import { type EventRow, eventAt } from "../rows.ts";
import { subscriptionChange } from "./arguments.ts";
import { deadSum, SUBSCRIPTION_LEVEL, type SubscriptionRow, subscriptionRow } from "./rows.ts";
import { stopped } from "./subscription-operations.ts";

/** Most dead letters of a subscription, and bytes of them: beyond that it is paused, so that nothing is lost. */
export const MAX_DEAD = 1000;
export const MAX_DEAD_BYTES = 16 * 1024 * 1024;
/** What a dead letter counts for beside its event. */
const DEAD_ROW_BYTES = 256;
const MAX_DETAIL = 600;
/** How long a replay that is done is shown, in ms; one with dead letters longer. Removed at once: so many at most. */
const DONE_KEPT_MS = 24 * 3_600_000;
const DONE_AT_ONCE = 8;

const attempt = {
  offset: z.number().int(),
  attempts: z.number().int(),
  status: z.number().int(),
  detail: z.string().max(MAX_DETAIL),
};
/** `event`: the whole event, where the log of events is not in the tables. */
const deadAttempt = { ...attempt, event: z.string().optional() };
const record = z.object({
  subscription: z.string(),
  /** That of the row when its queue began. */
  revision: z.number().int(),
  cursor: z.number().int(),
  missed: z.number().int().optional(),
  failing: z.object({ ...attempt, next_at: z.number().int() }).optional(),
  dead: z.array(z.object(deadAttempt)).optional(),
  again: z.array(z.object({ ...attempt, delivered: z.boolean() })).optional(),
  stop: z.enum(["revoked", "ended", "done"]).optional(),
});
type OneRecord = z.output<typeof record>;

/** Records deliveries. */
export const outboxRecord = write({
  name: "outbox_record",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  internal: true,
  apart: true,
  title: "Record deliveries",
  description: "Records how far subscriptions are, and what their targets did not take.",
  input: z.object({ records: z.array(record) }),
  output: z.object({ recorded: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  work: ({ records }) => records.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { records }, stamp) {
    const changes: Changed[] = [];
    let recorded = 0;
    for (const each of records) {
      const row = subscriptionRow(tx, each.subscription);
      if (row === undefined || row.state !== "active" || row.seq > each.revision) continue;
      recorded += 1;
      changes.push(...applyRecord(tx, row, each, stamp));
      if (each.stop === "done") changes.push(...removeDone(tx, stamp.timeMs - DONE_KEPT_MS));
    }
    return { output: { recorded }, changes: changes.map((change, index) => ({ ...change, version: index })) };
  },
});

function applyRecord(tx: Writer, row: SubscriptionRow, given: OneRecord, stamp: ApplyStamp): readonly Changed[] {
  const cursor = Math.max(row.cursor, given.cursor);
  const dead = (given.dead ?? []).filter(({ offset }) => offset > row.cursor);
  const gone = dead.filter((each) => !keepDead(tx, row.id, each, stamp.timeMs)).length;
  const missed = row.missed + gone + (given.cursor > row.cursor ? (given.missed ?? 0) : 0);
  for (const again of given.again ?? []) settleAgain(tx, row.id, again, stamp.timeMs);
  tx.run("UPDATE subscriptions SET cursor = ?, missed = ? WHERE id = ?", cursor, missed, row.id);
  tx.run("DELETE FROM subscription_failing WHERE subscription = ?", row.id);
  const { failing } = given;
  if (failing !== undefined && failing.offset > cursor)
    tx.run(
      "INSERT INTO subscription_failing (subscription, offset, attempts, next_at, status, detail) VALUES (?,?,?,?,?,?)",
      ...[row.id, failing.offset, failing.attempts, failing.next_at, failing.status, failing.detail],
    );
  const reason = given.stop ?? (isFull(tx, row.id) ? "dead_letters" : undefined);
  if (reason === undefined) return [];
  return stopped(tx, { ...row, cursor, missed }, reason, stamp.seq, stamp.timeMs).changes;
}

/** Removes replays that were done long ago, when another one is. */
function removeDone(tx: Writer, beforeMs: number): Changed[] {
  const old = tx.all<{ id: string }>(
    "SELECT id FROM subscriptions WHERE reason = 'done' AND changed_at < ? AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE subscription = id) ORDER BY changed_at, id LIMIT +?",
    ...[beforeMs, DONE_AT_ONCE],
  );
  for (const { id } of old) tx.run("DELETE FROM subscriptions WHERE id = ?", id);
  return old.map(({ id }) => subscriptionChange(id, "ended"));
}

function isFull(tx: Writer, id: string): boolean {
  const { count, bytes } = deadSum(tx, id);
  return count >= MAX_DEAD || bytes >= MAX_DEAD_BYTES;
}

/**
 * The letter has the whole event, which retention removes from the log of events. Reports whether there is one: an
 * event may be tried for longer than it is kept.
 */
function keepDead(tx: Writer, id: string, dead: z.output<z.ZodObject<typeof deadAttempt>>, timeMs: number): boolean {
  const event = dead.event === undefined ? eventAt(tx, dead.offset) : (JSON.parse(dead.event) as EventRow);
  if (event === undefined) return false;
  const text = dead.event ?? JSON.stringify(event);
  tx.run(
    "INSERT OR IGNORE INTO dead_letters (subscription, offset, again, attempts, status, detail, at, bytes, event) VALUES (?,?,0,?,?,?,?,?,?)",
    ...[id, dead.offset, dead.attempts, dead.status, dead.detail, timeMs, DEAD_ROW_BYTES + event.size, text],
  );
  return true;
}

function settleAgain(
  tx: Writer,
  id: string,
  { offset, attempts, status, detail, delivered }: NonNullable<OneRecord["again"]>[number],
  timeMs: number,
): void {
  if (delivered) tx.run("DELETE FROM dead_letters WHERE subscription = ? AND offset = ?", id, offset);
  else
    tx.run(
      "UPDATE dead_letters SET again = 0, attempts = attempts + ?, status = ?, detail = ?, at = ? WHERE subscription = ? AND offset = ?",
      ...[attempts, status, detail, timeMs, id, offset],
    );
}
