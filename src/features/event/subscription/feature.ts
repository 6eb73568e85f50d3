// The manifest of subscriptions (docs/features.md 4): events are sent to targets, at least once and in order.

import type { Operation } from "../../../operation/define.ts";
import type { Feature } from "../../../operation/feature.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { callbackEnd, callbackGrant, callbacksExpiring } from "../mcp/callback/writes.ts";
import { eventClassify } from "../stats/classify-operation.ts";
import { statsRoutes } from "../stats/rest.ts";
import { eventStats } from "../stats/stats-operation.ts";
import { eventTopology } from "../stats/topology-operation.ts";
import began from "./began.sql" with { type: "text" };
import { CALLBACK_KEYS, CallbackKeys } from "./callback-keys.ts";
import callbacks from "./callbacks.sql" with { type: "text" };
import { subscriptionCommands } from "./commands.ts";
import { subscriptionConditions } from "./conditions.ts";
import { deadLetterList, deadLetterPurge, deadLetterRedrive } from "./dead-operations.ts";
import { declareForwards } from "./forward-to.ts";
import { subscriptionMetrics } from "./metrics.ts";
import { oneCommands } from "./one-commands.ts";
import { OUTBOX, openOutbox } from "./open-outbox.ts";
import { outboxRecord } from "./outbox-record.ts";
import { subscriptionGet, subscriptionList } from "./read-operations.ts";
import replay from "./replay.sql" with { type: "text" };
import { replayCommand } from "./replay-command.ts";
import { replayOperations } from "./replay-operations.ts";
import { SUBSCRIPTION_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import {
  subscriptionChangeWrite,
  subscriptionCreate,
  subscriptionEnd,
  subscriptionPause,
  subscriptionResume,
} from "./subscription-operations.ts";
import { eventTargetList, eventTargetRemove, eventTargetSet } from "./target-operations.ts";
import { eventTargetTest } from "./target-test.ts";
import { tasOperations } from "./tas/operations.ts";
import { tasRoutes } from "./tas/rest.ts";
import { subscriptionTest } from "./try-operation.ts";
import { subscriptionProblem } from "./verify.ts";

/** Returns every operation on targets, subscriptions and dead letters, the internal one included. */
export function subscriptionOperations(node: Services): readonly Operation[] {
  return [
    ...[eventTargetSet, eventTargetRemove, eventTargetList, eventTargetTest(node), ...tasOperations(node)],
    ...[subscriptionCreate, subscriptionChangeWrite, subscriptionPause, subscriptionResume],
    ...[subscriptionList, subscriptionGet(node), subscriptionTest(node), ...replayOperations(node)],
    ...[eventStats(node), eventTopology(node), eventClassify(node)],
    ...[deadLetterList, deadLetterRedrive, deadLetterPurge, subscriptionEnd, outboxRecord],
  ];
}

const TABLES = [
  { name: "event_targets", order: "name" },
  { name: "subscriptions", order: "id" },
  { name: "subscription_failing", order: "subscription" },
  { name: "event_callbacks", order: "subscription" },
  { name: "dead_letters", order: "subscription, offset" },
] as const;

/** The manifest. */
export const subscriptionFeature: Feature = {
  name: "subscription",
  migrations: [
    { id: 21, level: SUBSCRIPTION_LEVEL, sql: schema },
    { id: 22, level: SUBSCRIPTION_LEVEL, sql: replay },
    { id: 24, level: SUBSCRIPTION_LEVEL, sql: callbacks },
    { id: 25, level: SUBSCRIPTION_LEVEL, sql: began },
  ],
  tables: TABLES.map(({ name, order }) => ({
    name,
    scope: "replicated",
    fork: "keep",
    sql: `SELECT * FROM ${name} ORDER BY ${order}`,
  })),
  operations: subscriptionOperations,
  rest: [...statsRoutes, ...tasRoutes],
  commands: [replayCommand, ...subscriptionCommands, ...oneCommands],
  conditions: subscriptionConditions,
  events: {
    "cairn.target.changed": {
      when: "an admin declared or removed a target of events",
      subject: "the target, as fleet/event-targets/NAME",
      operations: [eventTargetSet.name, eventTargetRemove.name],
    },
    "cairn.subscription.changed": {
      when: "a subscription was created, changed, paused, resumed or ended",
      subject: "the subscription",
      operations: [
        ...[subscriptionCreate.name, subscriptionChangeWrite.name, subscriptionPause.name, subscriptionResume.name],
        ...[subscriptionEnd.name, callbackGrant.name, callbackEnd.name, callbacksExpiring.write.name],
      ],
    },
  },
  open: (node) => {
    node.provide(CALLBACK_KEYS, new CallbackKeys(node.get(NODE).nowMs));
    node.provide(OUTBOX, openOutbox(node));
  },
  metrics: subscriptionMetrics,
  verify: subscriptionProblem,
  duties: (node) => [(lead) => node.get(OUTBOX).lead(lead), (lead) => void declareForwards(node, lead)],
};
