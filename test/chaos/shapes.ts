// Fleets that several scenarios need; those with equal needs share one where that is possible.

import type { FleetOptions } from "../kit/fleet.ts";
import { shortLogCairn } from "./altered.ts";

/** Settings that keep a test's load from being refused, show raft events in the log, and let events be sent here. */
export const UNLIMITED = [
  ...["--limits-requests-per-minute", "0", "--log-level", "debug"],
  ...["--outbound-allow", "127.0.0.1"],
];

/** Three voters and an edge, all traffic through the relay so that links can be cut. */
export const THREE: FleetOptions = { centrals: 3, edges: 1, relayed: true, profile: "lan", args: UNLIMITED };

/** Three voters and a regional, for faults of data folders. */
export const THREE_AND_ONE: FleetOptions = { centrals: 3, regionals: 1, profile: "lan", args: UNLIMITED };

/** Three voters, nothing else. */
export const VOTERS: FleetOptions = { centrals: 3, profile: "lan", args: UNLIMITED };

/** A fleet of one. */
export const ALONE: FleetOptions = { centrals: 1, profile: "lan", args: UNLIMITED };

/**
 * Three voters and a regional that truncate their log continuously, so that a node which was away for seconds needs a
 * copy.
 */
export const SHORT_LOGS: FleetOptions = { ...THREE_AND_ONE, command: shortLogCairn };
