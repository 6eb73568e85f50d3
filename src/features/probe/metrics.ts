// Metrics of probes: the states that the log has, and what this member's own checks came to. Labels are from closed
// lists, and name no probe (security.md 17).

import { levelOf } from "../../log/level.ts";
import type { Metrics } from "../../observe/metrics.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { RUNNER } from "./parts.ts";
import { PROBE_LEVEL, stateRows } from "./rows.ts";
import { STATES } from "./state.ts";

/** Bounds of the time of a check, in seconds: it has 60 s at most. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Registers them. */
export function probeMetrics(metrics: Metrics, node: Services): void {
  const { store } = node.get(NODE);
  metrics.gauge("cairn_probes", "Probes at their places, by their state in the log.", ["state"], () => {
    const rows = levelOf(store.reader) < PROBE_LEVEL ? [] : stateRows(store.reader);
    return STATES.map((state) => [[state], rows.filter((row) => row.state === state).length] as const);
  });
  const checks = metrics.counter("cairn_probe_checks_total", "Checks that this node made.", ["type", "outcome"]);
  const help = "How long checks of this node took until the answer.";
  const seconds = metrics.histogram("cairn_probe_check_duration_seconds", help, ["type"], SECONDS);
  node.get(RUNNER).onChecked = (type, { outcome, latencyMs }) => {
    checks.add([type, outcome]);
    if (latencyMs !== undefined) seconds.observe([type], latencyMs / 1000);
  };
}
