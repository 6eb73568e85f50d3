// Metrics of subscriptions, as the log has them on every full member.

import { levelOf } from "../../../log/level.ts";
import type { Metrics } from "../../../observe/metrics.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { eventHead } from "../rows.ts";
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
    const { tail } = eventHead(reader);
    return Math.min(tail, reader.get<{ cursor: number | null }>(sql)?.cursor ?? tail);
  };
  single("cairn_event_delivery_lag_events", "Events that the slowest active subscription has not done with.", () => {
    return eventHead(reader).tail - slowest();
  });
  single("cairn_event_delivery_lag_seconds", "Age of the oldest of them.", () => {
    const sql = "SELECT log_time FROM events WHERE offset > ? ORDER BY offset LIMIT 1";
    const oldest = reader.get<{ log_time: number }>(sql, slowest());
    return oldest === undefined ? 0 : Math.max(0, nowMs() - oldest.log_time) / 1000;
  });
}
