// What of this node is counted: calls as invoke tells of them, and what the process and the store say when they are asked. No ids and no callers as labels (security.md 17).

import { statSync } from "node:fs";
import { buildInfo } from "../../config/build-info.ts";
import type { BackupReport } from "../../features/backup/index.ts";
import type { CacheReport, FleetPart } from "../../fleet/index.ts";
import type { Conditions } from "../../observe/conditions.ts";
import { EventLoopLag } from "../../observe/event-loop-lag.ts";
import { Metrics } from "../../observe/metrics.ts";
import type { Invoker, Outcome } from "../../operation/invoke.ts";
import { cacheMetrics } from "./cache-metrics.ts";
import { fleetMetrics } from "./fleet-metrics.ts";

/** Bounds of durations in seconds; waits last up to five minutes. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

export interface NodeMetricsOptions {
  conditions: Conditions;
  /** Path of the database file, which a copy of a peer may replace. */
  storePath: () => string;
  /** What status tells of the fleet, without asking anyone; undefined where there is none. */
  fleet: () => FleetPart | undefined;
  /** What a full node tells of its backups; undefined on an edge. */
  backups: () => BackupReport | undefined;
  /** What an edge tells of its cache; undefined elsewhere. */
  cache: () => CacheReport | undefined;
  /** Asked at each scrape. */
  invoker: () => Pick<Invoker, "changes" | "openStreams">;
}

export interface NodeMetrics {
  onOutcome(outcome: Outcome): void;
  /** The text of a scrape. */
  text(): string;
  stop(): void;
}

/** Registers every metric of a node; each is read when it is scraped. */
export function nodeMetrics({
  conditions,
  storePath,
  invoker,
  fleet,
  backups,
  cache,
}: NodeMetricsOptions): NodeMetrics {
  const metrics = new Metrics();
  const lag = new EventLoopLag();
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
  const single = (name: string, help: string, read: () => number): void =>
    metrics.gauge(name, help, [], () => [[[], read()]]);

  single("cairn_streams", "Streams and waits that are open.", () => invoker().openStreams);
  single("cairn_position_seq", "Number of the newest change that is applied here.", () => invoker().changes.head().seq);
  single("cairn_store_bytes", "Size of the database file.", () => sizeOf(storePath()));
  single("cairn_store_wal_bytes", "Size of its write-ahead log.", () => sizeOf(`${storePath()}-wal`));
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

  return {
    onOutcome: ({ operation, surface, code, seconds: took }) => {
      calls.add([operation, surface, code]);
      if (took !== undefined) seconds.observe([operation, surface], took);
    },
    text: () => metrics.text(),
    stop: () => lag.stop(),
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
