// The state of the targets of tas-mcp's interface: each is a declared target with the subscription of the same name,
// whose queue on the leader counts.

import type { Reader } from "../../../../store/store.ts";
import type { Rule } from "../../rules/index.ts";
import type { Outbox } from "../outbox.ts";
import { configOf, failingRow, type SubscriptionRow } from "../rows.ts";
import { shownTarget, type TasConfig } from "./target.ts";

const NS_OF_MS = 1e6;
/** Go's zero value of a time. */
const NEVER = "0001-01-01T00:00:00Z";

/** A target with its subscription. */
export interface TasPair {
  id: string;
  row: SubscriptionRow;
  target: TasConfig;
}

/** Returns the targets of a space that have a subscription of their own name. */
export function pairsOf(reader: Reader, space: string): TasPair[] {
  const rows = reader.all<SubscriptionRow>(
    "SELECT * FROM subscriptions WHERE space = ? AND id = space || '/' || target ORDER BY id",
    space,
  );
  return rows.flatMap((row) => {
    const target = configOf(reader, row);
    return target?.kind === "http" || target?.kind === "grpc" ? [{ id: row.target, row, target }] : [];
  });
}

/** Returns the counters of a target since this leader leads, or it was changed. */
export function metricsOf({ row }: TasPair, outbox: Outbox | undefined) {
  const queue = outbox?.queue(row.id);
  const { delivered = 0, failed = 0, dropped = 0, limited = 0, dead = 0 } = queue?.counts ?? {};
  const attempts = queue?.attempts ?? [];
  const ms = attempts.reduce((sum, each) => sum + each.duration_ms, 0) / Math.max(1, attempts.length);
  const lastFailed = attempts.findLast(({ result }) => result !== "delivered" && result !== "skipped");
  const lastTaken = attempts.findLast(({ result }) => result === "delivered");
  // Each event that is given up had one attempt more than those that were tried again.
  const tries = delivered + failed + dead;
  return {
    counts: { delivered, failed, dropped: dropped + limited, dead },
    shown: {
      events_sent: delivered,
      events_failed: failed + dead,
      avg_response_time: Math.round(ms * NS_OF_MS),
      ...(lastFailed === undefined ? {} : { last_error: lastFailed.detail }),
      last_success: lastTaken === undefined ? NEVER : new Date(lastTaken.at).toISOString(),
      uptime_percentage: tries === 0 ? 100 : Math.round((10_000 * delivered) / tries) / 100,
    },
  };
}

/** Returns a target as tas-mcp shows it. */
export function shownPair(reader: Reader, pair: TasPair, outbox: Outbox | undefined): Record<string, unknown> {
  const { id, row, target } = pair;
  const { shown } = metricsOf(pair, outbox);
  const failing = failingRow(reader, row.id);
  const isHealthy = shown.last_success !== NEVER;
  const state = failing !== undefined ? "unhealthy" : isHealthy ? "healthy" : "unknown";
  return {
    ...shownTarget(id, target, JSON.parse(row.rules) as Rule[]),
    status: row.state === "paused" ? "disabled" : state,
    last_healthy: shown.last_success,
    ...(failing === undefined ? {} : { last_error: failing.detail }),
    error_count: failing?.attempts ?? 0,
    metrics: shown,
  };
}
