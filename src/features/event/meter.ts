// What this node counts of events since it started: those that were published through it, and attempts to deliver.

import type { Histogram, Metrics } from "../../observe/metrics.ts";
import type { Surface } from "../../operation/call.ts";
import { ServiceKey } from "../../operation/services.ts";

/** Sizes that percentiles are made of: those of the newest events. */
const SIZES = 1024;
/** Bounds of the time of an attempt, in seconds. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 60];

/** How the surfaces are called by clients of tas-mcp. */
const METHODS: Readonly<Record<Surface, string>> = {
  ...{ rest: "http", mcp: "mcp", web: "web", peer: "peer", other: "local" },
};

/** The counters of one node. */
export class EventMeter {
  readonly #published = new Map<string, number>();
  readonly #attempts = new Map<string, number>();
  readonly #sizes: number[] = [];
  #next = 0;
  #seconds: Histogram | undefined;

  /** An event was published, or refused. `bytes`: of a published one. */
  published(surface: Surface, status: "success" | "error", bytes = 0): void {
    add(this.#published, [METHODS[surface], status]);
    if (status === "error") return;
    this.#sizes[this.#next] = bytes;
    this.#next = (this.#next + 1) % SIZES;
  }

  /** An attempt to deliver to a target of a kind has ended. */
  attempted(kind: string, result: string, seconds: number): void {
    add(this.#attempts, [kind, result]);
    this.#seconds?.observe([kind], seconds);
  }

  /** Registers what it counts. */
  register(metrics: Metrics): void {
    metrics.counted(
      ...["tas_mcp_events_total", "Events that were published through this node, by how they came."],
      ["method", "status"],
      () => seriesOf(this.#published),
    );
    metrics.gauge(...["tas_mcp_event_size_bytes", `Sizes of the newest ${SIZES} of them.`], ["percentile"], () =>
      [50, 95, 99].flatMap((percentile) => this.#percentile(percentile)),
    );
    metrics.counted(
      ...["cairn_event_deliveries_total", "Attempts to deliver by kind of target and how they ended."],
      ["target", "result"],
      () => seriesOf(this.#attempts),
    );
    const help = "How long attempts to deliver took, by kind of target.";
    this.#seconds = metrics.histogram("tas_mcp_forward_duration_seconds", help, ["target"], SECONDS);
  }

  #percentile(percentile: number): [string[], number][] {
    const sorted = [...this.#sizes].sort((one, other) => one - other);
    const size = sorted[Math.ceil((percentile / 100) * sorted.length) - 1];
    return size === undefined ? [] : [[[String(percentile)], size]];
  }
}

function add(counts: Map<string, number>, labels: readonly string[]): void {
  const key = labels.join("\n");
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function seriesOf(counts: ReadonlyMap<string, number>): [string[], number][] {
  return [...counts].map(([key, count]) => [key.split("\n"), count]);
}

/** The counters of events of the node. */
export const EVENT_METER: ServiceKey<EventMeter> = new ServiceKey("the counters of events");
