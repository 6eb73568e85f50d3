// The metrics of a node: calls, counted as they end, and values of process, store and fleet, read at each scrape.
// Labels hold no ids and no callers (security.md 17).

import { statSync } from "node:fs";
import { buildInfo } from "../../config/build-info.ts";
import type { BackupReport } from "../../features/backup/index.ts";
import type { CacheReport, FleetPart } from "../../fleet/index.ts";
import type { Conditions } from "../../observe/conditions.ts";
import { EventLoopLag } from "../../observe/event-loop-lag.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { Outcome } from "../../operation/call.ts";
import type { Invoker } from "../../operation/invoke.ts";
import { cacheMetrics } from "./cache-metrics.ts";
import { fleetMetrics } from "./fleet-metrics.ts";

/** Bounds of durations in seconds; waits last up to five minutes. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

export interface NodeMetricsOptions {
  conditions: Conditions;
  store: { readonly path: string };
  invoker: Pick<Invoker, "changes" | "openStreams">;
  /** The fleet as status shows it, without asking other nodes; undefined where there is none. */
  fleet: () => FleetPart | undefined;
  /** Undefined on an edge. */
  backups: () => BackupReport | undefined;
  /** Undefined on a full member. */
  cache: () => CacheReport | undefined;
}

/** Registers the counters of calls. Returns the function that counts one. */
export function countCalls(metrics: Metrics): (outcome: Outcome) => void {
  const calls = metrics.counter("cairn_operations_total", "Calls of operations by how they ended.", [
    "operation",
    "surface",
    "code",
  ]);
  const seconds = metrics.histogram(
    "cairn_operation_duration_seconds",
    "How long calls took, waits included.",
    ["operation", "surface"],
    SECONDS,
  );
  return ({ operation, surface, code, seconds: took }) => {
    calls.add([operation, surface, code]);
    if (took !== undefined) seconds.observe([operation, surface], took);
  };
}

/** Registers everything that is read at a scrape. Returns the function that ends what is measured in between. */
export function registerGauges(metrics: Metrics, options: NodeMetricsOptions): () => void {
  const { conditions, store, invoker, fleet, backups, cache } = options;
  const lag = new EventLoopLag();
  const single = (name: string, help: string, read: () => number): void =>
    metrics.gauge(name, help, [], () => [[[], read()]]);

  single("cairn_streams", "Streams and waits that are open.", () => invoker.openStreams);
  single("cairn_position_seq", "Number of the newest change that is applied here.", () => invoker.changes.head().seq);
  single("cairn_store_bytes", "Size of the database file.", () => sizeOf(store.path));
  single("cairn_store_wal_bytes", "Size of its write-ahead log.", () => sizeOf(`${store.path}-wal`));
  metrics.gauge("cairn_conditions", "Health conditions that are true now.", ["code", "severity"], () =>
    conditions.list().map(({ code, severity }) => [[code, severity], 1] as const),
  );
  single("cairn_event_loop_lag_seconds", "Worst lag of the event loop in the last ten seconds.", () => lag.seconds());
  single("cairn_heap_bytes", "Heap in use.", () => process.memoryUsage().heapUsed);
  single("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  single("process_start_time_seconds", "Start of the process, as Unix time.", () => {
    return Math.round(Date.now() / 1000 - process.uptime());
  });
  metrics.gauge("cairn_backup_last_time_seconds", "When the last good backup was made, as Unix time.", [], () => {
    const last = backups()?.last;
    return last === null || last === undefined ? [] : [[[], Date.parse(last.at) / 1000]];
  });
  metrics.gauge("cairn_backup_bytes", "Size of the last good backup.", [], () => {
    const last = backups()?.last;
    return last === null || last === undefined ? [] : [[[], last.bytes]];
  });
  cacheMetrics(metrics, cache);
  fleetMetrics(metrics, fleet);
  metrics.gauge("cairn_build_info", "Always 1.", ["version", "commit"], () => [
    [[buildInfo.version, buildInfo.commit], 1],
  ]);

  return () => lag.stop();
}

/** Registers the open connections by kind; streams of gRPC are those of the Go half, which are event streams here. */
export function connectionMetrics(metrics: Metrics, connections: () => Readonly<Record<string, number>>): void {
  const help = "Open streams of changes and events, and WebSockets.";
  metrics.gauge("tas_mcp_active_connections", help, ["type"], () =>
    Object.entries(connections()).map(([type, count]) => [[type], count] as const),
  );
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
