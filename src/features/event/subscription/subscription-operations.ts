// subscription_create, _change, _pause, _resume, _end. Whoever creates, changes or resumes a subscription owns it from
// then on: it acts with the rights of that caller, so no other one can make it do what only its owner may.

import { z } from "zod";
import { spaceAmong, spaceOf } from "../../../access/space.ts";
import { canonicalJson } from "../../../lib/canonical-json.ts";
import { Fault } from "../../../lib/fault.ts";
import { WRITE_ROW } from "../../../lib/work.ts";
import type { Changed } from "../../../log/log.ts";
import { type ApplyStamp, type EventPlace, write } from "../../../operation/define.ts";
import type { Reader, Writer } from "../../../store/store.ts";
import { cursorArgument } from "../arguments.ts";
import { headFor, offsetFor, placeIn } from "../moves/limits.ts";
import { rules } from "../rules/index.ts";
import {
  ofItsSpace,
  presentSubscription,
  shownOf,
  shownSubscription,
  subscriptionChange,
  subscriptionId,
  targetName,
} from "./arguments.ts";
import {
  type PauseReason,
  SUBSCRIPTION_LEVEL,
  type SubscriptionRow,
  stateOf,
  subscriptionRow,
  targetRow,
} from "./rows.ts";
import { contextTarget, type OutwardTarget } from "./targets/declared.ts";

/** Most subscriptions of a fleet, and of one owner. */
const MAX_SUBSCRIPTIONS = 500;
const MAX_OWNED = 100;
const EXAMPLE_ID = "team-a/alerts";
const CONTEXT = { kind: "context", mode: "append", id: "team-a/failed-builds" } as const;
const RULES = [
  { id: "failed", match: { conditions: [{ field: "type", operator: "eq" as const, value: "build.failed" }] } },
];
const MAX_INPUT = 262_144;

const WRITES = { verb: "write", spaces: ofItsSpace } as const;

const what = {
  target: targetName.optional().describe("A declared target that is open to the space."),
  context: contextTarget.optional().describe("Or a document of this fleet, written as you."),
  rules: rules.optional(),
};
const since = cursorArgument
  .optional()
  .describe("Where it begins: now (default), oldest, or a cursor of events, which sends again what lies after it.");

/** The cursor at which a replay is done, and its rate; arguments of several operations. */
export const untilCursor = cursorArgument
  .optional()
  .describe("A replay: it is done, and paused, at this cursor; now: at the newest event there is.");
export const replayRate = z
  .number()
  .int()
  .min(1)
  .max(1000)
  .optional()
  .describe("Of a replay: most events that are sent in a second (default 10).");
export const DEFAULT_REPLAY_RATE = 10;

interface Placed {
  target: string;
  config: string;
}

/** Returns where a subscription sends to. Faults: `invalid_input`. */
function placeOf({ target, context }: { target?: string | undefined; context?: unknown }): Placed | undefined {
  if (target !== undefined && context !== undefined)
    throw new Fault("invalid_input", "A subscription has a target or a context, not both", { hint: "Leave one out." });
  if (target !== undefined) return { target, config: "" };
  return context === undefined ? undefined : { target: "", config: canonicalJson(context) };
}

/** Returns where a new subscription sends to. Faults: `invalid_input`. */
export function requiredPlaceOf(where: Parameters<typeof placeOf>[0]): Placed {
  const place = placeOf(where);
  if (place !== undefined) return place;
  throw new Fault("invalid_input", "A subscription needs a target or a context", {
    hint: "Give target, the name of a declared one, or context with the document to write.",
  });
}

/** Creates a subscription. */
export const subscriptionCreate = write({
  name: "subscription_create",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Subscribe to events",
  search: "forward events, webhook, notify me, on event",
  description:
    "Sends the events of one space, as its rules choose and change them, to a declared target or into a document: at least once, in order, from the leader, with retries and dead letters. It acts with your rights, judged at each event.",
  input: z.object({ id: subscriptionId, ...what, since, until: untilCursor, rate: replayRate }),
  example: { id: EXAMPLE_ID, context: CONTEXT, rules: RULES },
  samples: { target: "ops", since: "oldest", until: "now", rate: 10 },
  maxInputBytes: MAX_INPUT,
  output: shownSubscription,
  access: WRITES,
  target: "id",
  prepare: ({ id, rules: list = [], since: from = "now", until, rate, ...where }, limits) => {
    const place = requiredPlaceOf(where);
    const range = until === undefined ? {} : { until, rate: rate ?? DEFAULT_REPLAY_RATE };
    return { id, since: from, rules: canonicalJson(list), ...range, ...place, ...placeIn(limits) };
  },
  asked: ({ place: _, ...rest }) => rest,
  apply(tx, command, stamp) {
    const { id, target, config, rules: list } = command;
    refuseNew(tx, { id, target }, stamp.caller);
    const { caller, seq, timeMs } = stamp;
    const row: SubscriptionRow = {
      ...{ id, space: spaceOf(id), target, config, rules: list, caller, state: "active", reason: "" },
      ...{
        cursor: beginning(tx, command.since, command.place),
        missed: 0,
        seq,
        created_at: timeMs,
        changed_at: timeMs,
      },
      ...{
        until: command.until === undefined ? 0 : beginning(tx, command.until, command.place),
        rate: command.rate ?? 0,
        began: seq,
      },
    };
    refuseEmpty(row, command.until);
    insert(tx, row);
    return { output: shownOf(tx, row), changes: [changeOf(row, "created")] };
  },
});

/** Changes what a subscription does. */
export const subscriptionChangeWrite = write({
  name: "subscription_change",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Change a subscription",
  description: "Changes target, document or rules of a subscription from the next event on. You own it from then on.",
  input: z.object({ id: subscriptionId, ...what }),
  example: { id: EXAMPLE_ID, rules: RULES },
  samples: { target: "ops", context: CONTEXT },
  maxInputBytes: MAX_INPUT,
  output: shownSubscription,
  access: WRITES,
  target: "id",
  prepare: ({ id, rules: list, ...where }) => {
    const place = placeOf(where);
    return { id, ...place, ...(list === undefined ? {} : { rules: canonicalJson(list) }) };
  },
  apply(tx, command, stamp) {
    const { id, ...changes } = command;
    const before = presentSubscription(tx, id);
    if (changes.target !== undefined) refuseTarget(tx, changes.target, before.space);
    return owned(tx, { ...before, ...changes }, stamp, "updated");
  },
});

/** Pauses a subscription. */
export const subscriptionPause = write({
  name: "subscription_pause",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Pause a subscription",
  description: "Stops sending. The subscription keeps its place; retention may remove events meanwhile.",
  input: z.object({ id: subscriptionId }),
  example: { id: EXAMPLE_ID },
  output: shownSubscription,
  access: WRITES,
  hints: { idempotent: true },
  target: "id",
  prepare: (input) => input,
  apply(tx, { id }, { seq, timeMs }) {
    const before = presentSubscription(tx, id);
    if (before.state === "paused") return { output: shownOf(tx, before), changes: [] };
    return { ...stopped(tx, before, "asked", seq, timeMs) };
  },
});

/** Resumes a subscription. */
export const subscriptionResume = write({
  name: "subscription_resume",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "Resume a subscription",
  description: "Goes on where the subscription stopped, or from another place. You own it from then on.",
  input: z.object({ id: subscriptionId, since: since.describe("Where it goes on; left out: where it stopped.") }),
  example: { id: EXAMPLE_ID },
  samples: { since: "now" },
  output: shownSubscription,
  access: WRITES,
  target: "id",
  prepare: (input, limits) => ({ ...input, ...placeIn(limits) }),
  asked: ({ place: _, ...rest }) => rest,
  apply(tx, { id, since: from, place: log }, stamp) {
    const before = presentSubscription(tx, id);
    const place = from === undefined ? {} : { cursor: beginning(tx, from, log), began: stamp.seq };
    tx.run("DELETE FROM subscription_failing WHERE subscription = ?", id);
    return owned(tx, { ...before, ...place, state: "active", reason: "" }, stamp, "resumed");
  },
});

/** Ends a subscription. */
export const subscriptionEnd = write({
  name: "subscription_end",
  v: 1,
  level: SUBSCRIPTION_LEVEL,
  isTool: false,
  title: "End a subscription",
  description: "Removes a subscription and its dead letters for good.",
  input: z.object({ id: subscriptionId }),
  example: { id: EXAMPLE_ID },
  output: z.object({ ended: z.boolean() }),
  access: WRITES,
  hints: { idempotent: true, destructive: true },
  target: "id",
  // As many dead letters as there may be.
  work: () => 20 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { id }) {
    if (subscriptionRow(tx, id) === undefined) return { output: { ended: false }, changes: [] };
    return { output: { ended: true }, changes: [removed(tx, id)] };
  },
});

/** Removes a subscription with all that it has, and returns the change. */
export function removed(tx: Writer, id: string): Changed {
  tx.run("DELETE FROM subscriptions WHERE id = ?", id);
  tx.run("DELETE FROM subscription_failing WHERE subscription = ?", id);
  tx.run("DELETE FROM dead_letters WHERE subscription = ?", id);
  tx.run("DELETE FROM event_callbacks WHERE subscription = ?", id);
  return subscriptionChange(id, "ended");
}

/** Pauses a subscription, for a reason that is shown. */
export function stopped(tx: Writer, before: SubscriptionRow, reason: PauseReason, seq: number, timeMs: number) {
  const row: SubscriptionRow = { ...before, state: "paused", reason, seq, changed_at: timeMs };
  insert(tx, row);
  return { output: shownOf(tx, row), changes: [changeOf(row, "paused")] };
}

function owned(tx: Writer, changed: SubscriptionRow, { caller, seq, timeMs }: ApplyStamp, outcome: string) {
  const row = { ...changed, caller, seq, changed_at: timeMs };
  insert(tx, row);
  return { output: shownOf(tx, row), changes: [changeOf(row, outcome)] };
}

/** Writes a subscription. */
export function insert(tx: Writer, row: SubscriptionRow): void {
  tx.run(
    "INSERT OR REPLACE INTO subscriptions (id, space, target, config, rules, caller, state, reason, cursor, missed, seq, created_at, changed_at, until, rate, began) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    ...[row.id, row.space, row.target, row.config, row.rules, row.caller, row.state, row.reason],
    ...[row.cursor, row.missed, row.seq, row.created_at, row.changed_at, row.until, row.rate, row.began],
  );
}

/** Returns the change that made a subscription what it is. */
export function changeOf(row: SubscriptionRow, outcome: string) {
  return subscriptionChange(row.id, outcome, stateOf(row));
}

function refuseEmpty({ cursor, until }: SubscriptionRow, asked: string | undefined): void {
  if (asked === undefined || until > cursor) return;
  throw new Fault("invalid_input", "The range of the replay has no events", {
    hint: "Give since, a cursor before until.",
    details: { field: "until" },
  });
}

function beginning(tx: Writer, from: string, place: EventPlace | undefined): number {
  const { tail, floor } = headFor(tx, place);
  if (from === "now") return tail;
  return from === "oldest" ? floor : offsetFor(tx, place, from);
}

/**
 * Throws the Fault that a new subscription of this caller gets: of its id, its target ("": a document), or their
 * number.
 */
export function refuseNew(reader: Reader, { id, target }: { id: string; target: string }, caller: string): void {
  if (subscriptionRow(reader, id) !== undefined)
    throw new Fault("id_taken", `There is a subscription ${JSON.stringify(id)} already`, {
      hint: "Take another name, or change that one with subscription_change.",
    });
  refuseTarget(reader, target, spaceOf(id));
  refuseCount(reader, caller);
}

/** A target that is not open to the space looks as one that is not there. */
function refuseTarget(tx: Reader, name: string, space: string): void {
  const row = name === "" ? undefined : targetRow(tx, name);
  if (row !== undefined && (JSON.parse(row.config) as OutwardTarget).kind === "callback") throw noTarget(name);
  if (name === "" || (row !== undefined && spaceAmong(JSON.parse(row.spaces) as string[], space))) return;
  throw new Fault("not_found", `There is no target ${JSON.stringify(name)} for the space ${JSON.stringify(space)}`, {
    hint: "An admin declares targets with event_target_set, and the spaces that may use them.",
  });
}

/** Throws Fault `quota_exceeded` where a caller, or the fleet, has as many subscriptions as it may. */
export function refuseCount(tx: Reader, caller: string): void {
  const count = (sql: string, ...values: string[]) => tx.get<{ n: number }>(sql, ...values)?.n ?? 0;
  const all = count("SELECT COUNT(*) AS n FROM subscriptions");
  const own = count("SELECT COUNT(*) AS n FROM subscriptions WHERE caller = ?", caller);
  if (all < MAX_SUBSCRIPTIONS && own < MAX_OWNED) return;
  throw new Fault(
    "quota_exceeded",
    all < MAX_SUBSCRIPTIONS
      ? `You own ${own} subscriptions, as many as you may`
      : `The fleet has ${all} subscriptions, as many as it may`,
    {
      hint: "End one that is no longer needed with subscription_end.",
    },
  );
}

function noTarget(name: string): Fault {
  return new Fault(
    "invalid_input",
    `${JSON.stringify(name)} has no address of its own: clients of MCP Events name one`,
    {
      hint: "They use it by events/subscribe; take a target of another kind here.",
      details: { field: "target" },
    },
  );
}
