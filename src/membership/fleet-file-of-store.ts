// Keeps fleet.json of a full member equal to its store, so that a start knows the members even when the store is lost.

import { join } from "node:path";
import { fleetValue, type Member, readFleetFile, writeFleetFile } from "../fleet/index.ts";
import { fleetOf } from "../log/history.ts";
import type { Store } from "../store/store.ts";
import { profileOf } from "./fleet-state.ts";

/** Writes fleet.json for the member that has this raft server. */
export function keepFleetFile(
  dataDir: string,
  { members, server, store }: { members: readonly Member[]; server: string; store: Store },
): void {
  const own = members.find((member) => member.server === server);
  const folder = join(dataDir, "raft");
  // A node that was always alone has no file; the last member of a fleet keeps the one it has.
  if (own === undefined || (members.length < 2 && readFleetFile(folder) === undefined)) return;
  const { fleet: fleetId, epoch } = fleetOf(store.reader);
  writeFleetFile(folder, {
    fleetId,
    epoch,
    fleet: fleetValue(store.reader, "fleet_name"),
    profile: profileOf(store, "home"),
    role: own.role,
    node: own.node,
    spaces: [...own.spaces],
    members: [...members],
  });
}
