// Puts the outbox of a node together: events from their feed, subscriptions from the store, owners from the tailnet and
// the gate, targets over the egress, records by commands.

import { LRUCache } from "lru-cache";
import { Fault } from "../../../lib/fault.ts";
import { printableLine } from "../../../lib/printable.ts";
import { levelOf } from "../../../log/level.ts";
import { readMeta } from "../../../log/meta.ts";
import { nodeCommand } from "../../../log/node-command.ts";
import { CONNECTIONS } from "../../../operation/connections.ts";
import { ACCESS, CALL_AS, FIND_CALLERS, HOST, LOG, NODE, TRACER } from "../../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../../operation/services.ts";
import type { Reader } from "../../../store/store.ts";
import { logNameOf } from "../cursor.ts";
import { EVENT_LOG } from "../event-log.ts";
import { EVENT_FEED } from "../feed.ts";
import { EVENT_METER } from "../meter.ts";
import { logPlaces, streamOf } from "../moves/place.ts";
import { CALLBACK_KEYS } from "./callback-keys.ts";
import { subscriptionConditions } from "./conditions.ts";
import type { Target } from "./delivery.ts";
import { beginDelivery } from "./delivery-span.ts";
import { queuedOf, queuedRow, tagsOfFound } from "./events.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxOptions } from "./outbox-options.ts";
import { outboxRecord } from "./outbox-record.ts";
import { Owners } from "./owners.ts";
import type { Records } from "./recorder.ts";
import {
  configOf,
  type DeadRow,
  eventOfDead,
  isCallback,
  runningSubscriptions,
  SUBSCRIPTION_LEVEL,
  type SubscriptionRow,
  subscriptionRow,
} from "./rows.ts";
import { secretsOf } from "./targets/address.ts";
import type { AskAsOwner, TargetParts } from "./targets/parts.ts";
import { makeTarget } from "./targets/target.ts";

/** The outbox of a node. */
export const OUTBOX: ServiceKey<Outbox> = new ServiceKey("the outbox of events");

/** Dead letters that are sent again in one turn. */
const AGAIN = 16;
const MAX_CONDITION = 500;
/** Targets that are kept; more than there can be subscriptions. */
const MAX_MADE = 1000;

/** Returns the outbox of a node, not started. `more` is for tests, in place of real waits and random ones. */
export function openOutbox(node: Services, more: Pick<OutboxOptions, "pause" | "random"> = {}): Outbox {
  const { store, nowMs } = node.get(NODE);
  const { reader } = store;
  const owners = new Owners(node.get(ACCESS), node.get(FIND_CALLERS), nowMs);
  const feed = node.get(EVENT_FEED);
  const raised = raisedOf(node);
  const callbackKeys = node.get(CALLBACK_KEYS);
  const tracer = node.find(TRACER);
  return new Outbox({
    subscriptions: () => {
      tellStopped(reader, raised);
      return runningSubscriptions(reader);
    },
    eventsAfter: async (offset, max) => (await feed.after(offset, max)).map((event) => queuedOf(event)),
    withTags: async (sender, signal) => ({ ...sender, tags: tagsOfFound(await owners.find(sender.caller, signal)) }),
    withAgain: () => withAgain(reader),
    again: (id) => againOf(reader, id),
    cursorOf: (offset) => feed.cursorOf(offset),
    floor: () => feed.log.head().floor,
    onNews: (listener) => feed.onNews(listener),
    targetOf: targetsBy(node, owners),
    ownerMay: async ({ id, space }, signal) => {
      const row = subscriptionRow(reader, id);
      if (row === undefined) return "unknown";
      if (isCallback(row) && callbackKeys.of(id).length === 0) return "waiting";
      return owners.may(row.caller, space, signal);
    },
    record: async (records) => record(node, await withEvents(node, records)),
    onAttempt: ({ id }, result, durationMs) => {
      node.find(EVENT_METER)?.attempted(kindOf(reader, id), result, durationMs / 1000);
    },
    ...(tracer === undefined
      ? {}
      : { beginSpan: ({ id }, delivery, attempt) => beginDelivery(tracer, delivery, kindOf(reader, id), attempt) }),
    onProblems: (problems) => {
      const said = [...problems].map(([id, problem]) => `${id}: ${problem}`);
      if (said.length === 0) raised.clear("subscription_failing");
      else raised.raise("subscription_failing", textOf(said));
    },
    nowMs,
    ...more,
  });
}

/** Returns the kind of the target of a subscription, as metrics and spans name it. */
function kindOf(reader: Reader, id: string): string {
  const row = subscriptionRow(reader, id);
  return (row && configOf(reader, row)?.kind) ?? "none";
}

function textOf(said: readonly string[]): string {
  const text = printableLine(said.join("; "));
  return text.length <= MAX_CONDITION ? text : `${text.slice(0, MAX_CONDITION)}… (${said.length} in all)`;
}

function tellStopped(reader: Reader, raised: Raised): void {
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return;
  const rows = reader.all<{ id: string; reason: string }>(
    "SELECT id, reason FROM subscriptions WHERE state = 'paused' AND reason NOT IN ('asked', 'done') ORDER BY id LIMIT 20",
  );
  if (rows.length === 0) raised.clear("subscription_stopped");
  else raised.raise("subscription_stopped", textOf(rows.map(({ id, reason }) => `${id}: ${WHY[reason] ?? reason}`)));
}

type Raised = ReturnType<typeof raisedOf>;

function raisedOf(node: Services) {
  return node.get(NODE).conditions.of(subscriptionConditions);
}

const WHY: Readonly<Record<string, string>> = {
  revoked: "its owner may no longer read the space",
  ended: "its target answered 410, which asks for no more events",
  dead_letters: "it has as many dead letters as are kept",
};

function withAgain(reader: Reader): string[] {
  if (levelOf(reader) < SUBSCRIPTION_LEVEL) return [];
  const sql = "SELECT DISTINCT subscription FROM dead_letters WHERE again = 1";
  return reader.all<{ subscription: string }>(sql).map(({ subscription }) => subscription);
}

function againOf(reader: Reader, id: string) {
  const epoch = logNameOf(reader);
  return reader
    .all<DeadRow>("SELECT * FROM dead_letters WHERE subscription = ? AND again = 1 ORDER BY offset LIMIT +?", id, AGAIN)
    .map((row) => queuedRow(eventOfDead(row), epoch));
}

/** Returns what targets get of a node. */
export function targetPartsOf(node: Services): TargetParts {
  const { store, nowMs } = node.get(NODE);
  const { outbound, tailnet, env } = node.get(HOST);
  const fleetId = () => readMeta(store.reader, "fleet_id") ?? "";
  const callbackKeys = node.get(CALLBACK_KEYS);
  const connections = node.get(CONNECTIONS);
  return { outbound, tailnet, connections, readSecret: secretsOf(env), callbackKeys, fleetId, nowMs };
}

/** Targets are made once for each revision of a subscription. */
function targetsBy(node: Services, owners: Owners): OutboxOptions["targetOf"] {
  const { store } = node.get(NODE);
  const parts = targetPartsOf(node);
  const made = new LRUCache<string, { revision: number; target: Target }>({ max: MAX_MADE });
  return ({ id, revision }) => {
    const known = made.get(id);
    if (known?.revision === revision) return known.target;
    const row = subscriptionRow(store.reader, id);
    const config = row && configOf(store.reader, row);
    if (row === undefined || config === undefined) return "its target is no longer declared";
    const target = makeTarget(config, parts, askAs(node, owners, row));
    made.set(id, { revision, target });
    return target;
  };
}

/** Calls operations as the owner of a subscription, with the rights that it has now. */
function askAs(node: Services, owners: Owners, row: SubscriptionRow): AskAsOwner {
  return async (operation, input, signal, trace) => {
    const caller = await owners.caller(row.caller, row.space, signal);
    if (caller === undefined) throw new Fault("forbidden", `${row.caller} may not read ${row.space} now`);
    return node.get(CALL_AS)({ operation, input, caller, signal, exact: true, ...(trace && { trace }) });
  };
}

/** A dead letter has its event, which apply finds only in the tables. */
async function withEvents(node: Services, records: Records): Promise<Records> {
  const isElsewhere = streamOf(logPlaces(node.get(NODE).store.reader)) !== undefined;
  if (!isElsewhere) return records;
  const log = node.get(EVENT_LOG);
  const withEvent = async (dead: NonNullable<Records[number]["dead"]>[number]) => {
    const row = await log.at(dead.offset);
    return row === undefined ? dead : { ...dead, event: JSON.stringify(row) };
  };
  return Promise.all(
    records.map(async (each) =>
      each.dead === undefined ? each : { ...each, dead: await Promise.all(each.dead.map(withEvent)) },
    ),
  );
}

async function record(node: Services, records: Records): Promise<void> {
  const command = nodeCommand(outboxRecord, { records });
  await node.get(LOG).propose(command);
}
