// callback_grant and callback_end: a subscription to a callback is written, and lives until its time is over or its
// client ends it. Without the leader's proof (verify.ts) nothing is sent for it.

import { z } from "zod";
import { canonicalJson } from "../../../../lib/canonical-json.ts";
import { Fault } from "../../../../lib/fault.ts";
import { timeOf } from "../../../../lib/time-of.ts";
import { WRITE_ROW } from "../../../../lib/work.ts";
import type { Changed } from "../../../../log/log.ts";
import { type ApplyStamp, type EventPlace, write } from "../../../../operation/define.ts";
import { expiring, MAX_EXPIRED } from "../../../../operation/expiring.ts";
import type { Writer } from "../../../../store/store.ts";
import { cursorArgument } from "../../arguments.ts";
import { headFor, offsetFor, placeIn } from "../../moves/limits.ts";
import { SUBSCRIPTION_LEVEL, type SubscriptionRow, subscriptionRow } from "../../subscription/rows.ts";
import { changeOf, insert, refuseCount, removed } from "../../subscription/subscription-operations.ts";
import { ANY_EVENT, refuseTypes } from "../event-type.ts";
import { callbackArguments, callbackId, hostOf, rulesOf, targetFor, ttlArgument, ttlOf } from "./subscription.ts";

const OF_ITS_SPACE = {
  verb: "write",
  spaces: ({ arguments: { space } }: { arguments: { space: string } }) => [space],
} as const;
const EXAMPLE = { name: ANY_EVENT, arguments: { space: "team-a" }, url: "https://example.com/hook" };

/** Writes a subscription, or lets it live on. */
export const callbackGrant = write({
  name: "callback_grant",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Let a subscription to a callback live",
  description:
    "Creates a subscription of MCP Events whose address its client chose, or lets it live on. Nothing is sent before callback_verify has succeeded at the leader. A step of callback_subscribe.",
  input: z.object({
    ...callbackArguments,
    cursor: cursorArgument.optional().describe("Where a new one begins (default: now)."),
    ttl_ms: ttlArgument,
  }),
  example: EXAMPLE,
  samples: { cursor: "1f3a9c0b22-e7", ttl_ms: 600_000 },
  output: z.object({ refresh_before: z.string().describe("It ends then, unless it is asked for again.") }),
  access: OF_ITS_SPACE,
  hints: { idempotent: true },
  prepare: ({ name, arguments: given, url, cursor, ttl_ms }, limits) => {
    refuseTypes(name, given);
    const place = cursor === undefined ? {} : { cursor };
    return { name, arguments: given, url, host: hostOf(url) ?? "", ttlMs: ttlOf(ttl_ms), ...place, ...placeIn(limits) };
  },
  asked: ({ place: _, ...rest }) => rest,
  apply(tx, command, stamp) {
    const { host, ttlMs, cursor, place, ...key } = command;
    const allowed = targetFor(tx, key.arguments.space, host);
    if ("none" in allowed) throw notAllowed(allowed.none, key.arguments.space, host);
    const id = callbackId(stamp.caller, key);
    const before = subscriptionRow(tx, id);
    const row = {
      ...(before ?? begun(tx, { id, space: key.arguments.space, cursor, place }, stamp)),
      target: allowed.target,
    };
    const changes = changed(
      tx,
      before,
      { ...row, config: canonicalJson({ url: key.url, name: key.name }) },
      key,
      stamp,
    );
    const expiresAt = stamp.timeMs + ttlMs;
    tx.run("INSERT OR REPLACE INTO event_callbacks (subscription, expires_at) VALUES (?, ?)", id, expiresAt);
    return { output: { refresh_before: timeOf(expiresAt) }, changes };
  },
});

/** Ends a subscription of the caller. */
export const callbackEnd = write({
  name: "callback_end",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "End a subscription to a callback",
  description: "Ends a subscription of MCP Events that you made, at once: events/unsubscribe.",
  input: z.object(callbackArguments),
  example: EXAMPLE,
  output: z.object({ ended: z.boolean() }),
  access: OF_ITS_SPACE,
  hints: { idempotent: true, destructive: true },
  // As many dead letters as there may be.
  work: () => 20 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, key, { caller }) {
    const id = callbackId(caller, key);
    if (subscriptionRow(tx, id) === undefined) return { output: { ended: false }, changes: [] };
    return { output: { ended: true }, changes: [removed(tx, id)] };
  },
});

/** Subscriptions whose client did not ask again. */
export const callbacksExpiring = expiring({
  name: "callback_expire",
  level: SUBSCRIPTION_LEVEL,
  title: "End subscriptions to callbacks whose time is over",
  due: (reader) =>
    reader.get<{ at: number | null }>("SELECT MIN(expires_at) AS at FROM event_callbacks")?.at ?? undefined,
  expire(tx, { timeMs }) {
    const sql =
      "SELECT subscription FROM event_callbacks WHERE expires_at <= ? ORDER BY expires_at, subscription LIMIT +?";
    const over = tx.all<{ subscription: string }>(sql, timeMs, MAX_EXPIRED);
    return { removed: over.length, changes: over.map(({ subscription }) => removed(tx, subscription)) };
  },
});

function begun(
  tx: Writer,
  {
    id,
    space,
    cursor,
    place,
  }: { id: string; space: string; cursor: string | undefined; place?: EventPlace | undefined },
  { caller, seq, timeMs }: ApplyStamp,
): SubscriptionRow {
  refuseCount(tx, caller);
  const at = placeOf(tx, cursor, place);
  return {
    ...{ id, space, target: "", config: "", rules: "", caller, state: "active", reason: "" },
    ...{ cursor: at, missed: 0, seq, created_at: timeMs, changed_at: timeMs, until: 0, rate: 0, began: seq },
  };
}

/** Retention may have passed the cursor since it was found. */
function placeOf(tx: Writer, cursor: string | undefined, place: EventPlace | undefined): number {
  const { tail, floor } = headFor(tx, place);
  try {
    return cursor === undefined ? tail : offsetFor(tx, place, cursor);
  } catch (error) {
    if (error instanceof Fault && error.code === "below_floor") return floor;
    throw error;
  }
}

/** A subscription that goes on as it was is not written, so its queue goes on too. */
function changed(
  tx: Writer,
  before: SubscriptionRow | undefined,
  row: SubscriptionRow,
  key: Parameters<typeof rulesOf>[0],
  { caller, agent, seq, timeMs }: ApplyStamp,
): readonly Changed[] {
  // Whoever paused it goes on deciding.
  const isPaused = before?.state === "paused" && before.reason === "asked";
  const isSame = before?.target === row.target && before.caller === caller;
  if (before !== undefined && isSame && (before.state === "active" || isPaused)) return [];
  if (before?.reason === "dead_letters") tx.run("DELETE FROM dead_letters WHERE subscription = ?", row.id);
  const rules = before?.rules ?? canonicalJson(rulesOf(key, { caller, agent }));
  const state = isPaused ? ({ state: "paused", reason: "asked" } as const) : ({ state: "active", reason: "" } as const);
  const now: SubscriptionRow = { ...row, rules, caller, ...state, seq, changed_at: timeMs };
  insert(tx, now);
  return [changeOf(now, before === undefined ? "created" : "resumed")];
}

/** The refusal of an address that no admin has allowed. */
export function notAllowed(none: string, space: string, host: string): Fault {
  const hint =
    "An admin declares which hosts callbacks may have, and for which spaces: event_target_set, kind callback.";
  return none === "target"
    ? new Fault("not_found", `No events of ${JSON.stringify(space)} are sent to callbacks here`, { hint })
    : new Fault("forbidden", `Events of ${JSON.stringify(space)} are not sent to ${JSON.stringify(host)}`, { hint });
}
