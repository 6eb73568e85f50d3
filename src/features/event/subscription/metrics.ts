// Metrics of subscriptions, as the log has them on every full member.

import { levelOf } from "../../../log/level.ts";
import type { Metrics } from "../../../observe/metrics.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { EVENT_LOG } from "../event-log.ts";
import { SUBSCRIPTION_LEVEL } from "./rows.ts";

/** Registers them. */
export function subscriptionMetrics(metrics: Metrics, node: Services): void {
  const { store, nowMs } = node.get(NODE);
  const { reader } = store;
  const has = () => levelOf(reader) >= SUBSCRIPTION_LEVEL;
  const single = (name: string, help: string, read: () => number): void =>
    metrics.gauge(name, help, [], () => (has() ? [[[], read()]] : []));
  metrics.gauge("cairn_event_subscriptions", "Subscriptions by state.", ["state"], () => {
    if (!has()) return [];
    const sql = "SELECT state, COUNT(*) AS count FROM subscriptions GROUP BY state ORDER BY state";
    return reader.all<{ state: string; count: number }>(sql).map(({ state, count }) => [[state], count] as const);
  });
  const countOf = (table: string) =>
    reader.get<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)?.count ?? 0;
  single("cairn_event_subscriptions_failing", "Subscriptions whose target does not take an event now.", () =>
    countOf("subscription_failing"),
  );
  single("cairn_event_dead_letters", "Events that targets did not take.", () => countOf("dead_letters"));
  const slowest = () => {
    const sql = "SELECT MIN(cursor) AS cursor FROM subscriptions WHERE state = 'active'";
    const { tail } = node.get(EVENT_LOG).head();
    return Math.min(tail, reader.get<{ cursor: number | null }>(sql)?.cursor ?? tail);
  };
  single("cairn_event_delivery_lag_events", "Events that the slowest active subscription has not done with.", () => {
    return node.get(EVENT_LOG).head().tail - slowest();
  });
  metrics.gauge("cairn_event_delivery_lag_seconds", "Age of the oldest of them.", [], () => {
    if (!has()) return [];
    const log = node.get(EVENT_LOG);
    const oldestMs = log.orderedAfter(slowest(), log.head().tail);
    // A log that has to be asked is not asked for a scrape.
    if (oldestMs instanceof Promise) return [];
    return [[[], oldestMs === undefined ? 0 : Math.max(0, nowMs() - oldestMs) / 1000]];
  });
}
