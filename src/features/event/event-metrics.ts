// Metrics of events: what this node counted (meter.ts), and what is read of the log at each scrape. The names tas_mcp_…
// are those of tas-mcp. Labels hold no ids and no callers (security.md 17), so targets are named by their kind.

import type { Metrics } from "../../observe/metrics.ts";
import type { Services } from "../../operation/services.ts";
import { EVENT_LOG } from "./event-log.ts";
import { EVENT_FEED } from "./feed.ts";
import { EVENT_METER } from "./meter.ts";

/** Registers them. */
export function eventMetrics(metrics: Metrics, node: Services): void {
  const log = node.get(EVENT_LOG);
  const single = (name: string, help: string, read: () => number): void =>
    metrics.gauge(name, help, [], () => [[[], read()]]);
  node.get(EVENT_METER).register(metrics);
  metrics.counted("cairn_events_ordered_total", "Events that the fleet has ordered.", [], () => [
    [[], log.head().tail],
  ]);
  single("cairn_events_kept", "Events that are kept.", () => {
    const { tail, floor } = log.head();
    return tail - floor;
  });
  single("cairn_events_kept_bytes", "Their bytes, as retention counts them.", () => log.head().bytes);
  const share = "Share of the memory for the newest events that is used, 0 to 1.";
  single("tas_mcp_buffer_utilization_ratio", share, () => node.get(EVENT_FEED).utilization);
}
