// The manifest of probes (docs/features.md 5): health checks that members do, and what became of them.

import type { Feature } from "../../operation/feature.ts";
import { probeCommands } from "./commands.ts";
import { probeConditions } from "./conditions.ts";
import { probeBeatKeep, probeMute, probePause, probeResume } from "./control.ts";
import { PROBE } from "./declared.ts";
import { probeBeat, probeCheck, probeGet } from "./get.ts";
import { probeList } from "./list.ts";
import { probeMetrics } from "./metrics.ts";
import probeStyle from "./pages/probe.css" with { type: "text" };
import { probePage } from "./pages/probe-page.tsx";
import { probesPage } from "./pages/probes-page.tsx";
import { openProbes, openWatch, RUNNER, SEEN } from "./parts.ts";
import { probePeerPaths } from "./peer-paths.ts";
import { probeRoutes } from "./rest.ts";
import { PROBE_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { probeEvents, probeTransition } from "./transition.ts";
import { probeProblem } from "./verify.ts";

/** Probes. A new history begins with the states as they were: it alarms no one twice. */
export const probeFeature: Feature = {
  name: "probe",
  migrations: [{ id: 30, level: PROBE_LEVEL, sql: schema }],
  tables: [
    { name: "probe_states", scope: "replicated", fork: "keep", sql: "SELECT * FROM probe_states ORDER BY name, node" },
    { name: "probe_controls", scope: "replicated", fork: "keep", sql: "SELECT * FROM probe_controls ORDER BY name" },
  ],
  declares: [PROBE],
  conditions: probeConditions,
  events: {
    ...probeEvents,
    "cairn.probe.controlled": {
      when: "an operator muted, paused or resumed a probe",
      subject: "the probe, as SPACE/probes/NAME/control",
      operations: [probeMute.name, probePause.name, probeResume.name],
    },
  },
  open: openProbes,
  operations: (node) => [
    ...[probeTransition, probeBeatKeep, probeMute, probePause, probeResume],
    ...[probeList, probeGet(node), probeCheck(node), probeBeat(node)],
  ],
  commands: probeCommands,
  rest: probeRoutes,
  pages: [probesPage, probePage],
  style: probeStyle,
  jobs: (node) => [node.get(RUNNER)],
  duties: (node) => {
    const watch = openWatch(node);
    return [(lead) => watch.lead(lead)];
  },
  peerPaths: (node) => probePeerPaths(node.get(RUNNER), () => node.get(SEEN).list()),
  metrics: probeMetrics,
  verify: probeProblem,
};
