// The fleet part of a node_status, for tests of what displays it: a fleet of one.

import { type FleetPart, fleetFeature, NODE_REPORT, type NodeReport, type ReportWish } from "../../src/fleet/index.ts";
import { machineReport } from "../../src/fleet/placing/member-view.ts";
import type { Operation } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { machineOf } from "./machine-source.ts";

/** The report of a node that is alone. */
export const ALONE: FleetPart = {
  role: "central",
  fleet_size: 1,
  fleet: {
    name: "cairn",
    id: "f".repeat(32),
    epoch: "0000000000",
    position: "0000000000-1",
    leader: "cairn",
    leader_node: "nSELF",
    term: 2,
    profile: "home",
    level: 1,
    voters: 1,
    survives: "No voter may fail: this node is the only one.",
  },
  members: [
    {
      node: "nSELF",
      name: "cairn",
      role: "central",
      state: "active",
      self: true,
      votes: true,
      leader: true,
      position: "0000000000-1",
      lag: 0,
      path: "self",
      relay: "",
      round_trip_ms: null,
      skew_ms: null,
      fsync_p99_ms: 0.6,
      version: "0.1.0",
      level: 1,
      age_seconds: 0,
      conditions: [],
      machine: machineReport({ machine: machineOf({ load: 1 }), machineAgeMs: 0 }),
    },
  ],
};

/** `node_status` with a report that the test chooses. */
export function statusWith(report: (wish: ReportWish) => Promise<NodeReport>): Operation {
  const found = operationsOf([fleetFeature], new Services().provide(NODE_REPORT, report)).find(
    ({ name }) => name === "node_status",
  );
  if (found === undefined) throw new Error("no node_status");
  return found;
}
