// Metrics of events: what this node counted (meter.ts), and what is read of the log at each scrape. The names tas_mcp_…
// are those of tas-mcp. Labels hold no ids and no callers (security.md 17), so targets are named by their kind.

import type { Metrics } from "../../observe/metrics.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { EVENT_FEED } from "./feed.ts";
import { EVENT_METER } from "./meter.ts";
import { eventHead } from "./rows.ts";

/** Registers them. */
export function eventMetrics(metrics: Metrics, node: Services): void {
  const { reader } = node.get(NODE).store;
  const single = (name: string, help: string, read: () => number): void =>
    metrics.gauge(name, help, [], () => [[[], read()]]);
  node.get(EVENT_METER).register(metrics);
  metrics.counted("cairn_events_ordered_total", "Events that the fleet has ordered.", [], () => [
    [[], eventHead(reader).tail],
  ]);
  single("cairn_events_kept", "Events that are kept.", () => {
    const { tail, floor } = eventHead(reader);
    return tail - floor;
  });
  single("cairn_events_kept_bytes", "Their bytes, as retention counts them.", () => eventHead(reader).bytes);
  const share = "Share of the memory for the newest events that is used, 0 to 1.";
  single("tas_mcp_buffer_utilization_ratio", share, () => node.get(EVENT_FEED).utilization);
}
