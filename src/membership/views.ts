// What others are told of a node's fleet: status and /.well-known/cairn, with or without one.

import { buildInfo } from "../config/build-info.ts";
import type { Settings } from "../config/settings.ts";
import { type FleetPart, fleetPart } from "../fleet/index.ts";
import { fleetOf } from "../log/history.ts";
import { KNOWN_LEVEL, levelOf } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import type { Store } from "../store/store.ts";
import type { FleetView } from "./fleet-view.ts";

/** What status tells of the fleet; a node without a tailnet is alone. */
export async function partOf(
  fleet: FleetView | undefined,
  log: Log,
  { reader }: Store,
  settings: Settings,
): Promise<FleetPart> {
  if (fleet !== undefined) return fleet.part();
  const { fleet: id, epoch } = fleetOf(reader);
  return fleetPart({
    ready: true,
    self: "",
    name: settings.hostname,
    role: settings.role,
    members: [],
    raft: undefined,
    own: undefined,
    fleet: { name: settings.fleet, id, epoch, profile: settings.fleet_profile, level: levelOf(reader) },
    position: log.position(),
    leadership: log.leadership(),
    leaderNode: "",
    peers: [],
    monotonicMs: 0,
    heard: () => undefined,
    isAway: () => false,
    version: buildInfo.version,
    level: KNOWN_LEVEL,
  });
}

/** What /.well-known/cairn tells. */
export function aboutOf(fleet: FleetView | undefined, { reader }: Store, settings: Settings) {
  if (fleet !== undefined) return fleet.about();
  return { fleetId: fleetOf(reader).fleet, fleet: settings.fleet, role: settings.role, leader: "" };
}
