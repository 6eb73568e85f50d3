// Third phase of a start: the raft member of this node. A node that joins a fleet first starts its member when it is
// admitted (membership/join.ts).

import { planEngine, startEngine } from "../../datadir/index.ts";
import { profileOf, raftMembersOf } from "../../membership/index.ts";
import type { StartContext } from "../start-context.ts";
import type { BuiltNode } from "./build-node.ts";
import type { OpenedData } from "./open-data.ts";

/** A start may include the installation of a whole store. */
const START_MS = 600_000;

/**
 * Starts the raft member. When it resolves, a fleet of one orders writes. Rejects with the Fault that stops the node,
 * too: an entry that cannot be applied shows only when the log is read again.
 */
export async function startLog(start: StartContext, opened: OpenedData, built: BuiltNode): Promise<void> {
  const { settings, failure } = start;
  const { plan, goHalf, sockets } = opened;
  const { raft, store, members } = built.product;
  if (raft === undefined || goHalf === undefined || plan?.joinTarget !== undefined) return;
  const known = members.list().length === 0 ? (plan?.file?.members ?? []) : members.list();
  const starting = startEngine({
    log: raft,
    plan: planEngine(settings.data, store.reader),
    host: await goHalf,
    dataDir: settings.data,
    socketPath: sockets.raft,
    profile: profileOf(store, settings.fleet_profile),
    members: raftMembersOf(known),
    signal: AbortSignal.timeout(START_MS),
  });
  await failure.orFail(starting);
}
