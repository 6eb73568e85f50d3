// Joins a full member to a fleet: the joiner (fleet/) finds the fleet and asks; this opens the raft member, records the
// admission on disk, and starts the log on the fleet's history.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildInfo } from "../config/build-info.ts";
import { clearJoinRequest, endJoin, retiredStore } from "../datadir/index.ts";
import { type About, type FleetFile, type Joined, joinFleet, writeFleetFile } from "../fleet/index.ts";
import { pause } from "../lib/pause.ts";
import type { RaftLog } from "../log/engine/raft/index.ts";
import { KNOWN_LEVEL } from "../log/level.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { Peer, RaftHost } from "../tailnet/index.ts";
import type { OwnNode } from "./own-node.ts";
import type { PeerConnection } from "./peer-connection.ts";
import type { JoinTarget } from "./plan.ts";
import { raftMembersOf } from "./raft-membership.ts";

export interface FleetJoinOptions {
  target: JoinTarget;
  dataDir: string;
  link: PeerConnection;
  peers: () => Promise<readonly Peer[]>;
  node: OwnNode;
  conditions: Conditions;
  say: (line: string) => void;
  signal: AbortSignal;
}

/** The first step of a full member and of an edge: joins, and records the admission in `folder`/fleet.json. */
export async function enterFleet(
  options: FleetJoinOptions,
  folder: string,
  serverFor: (about: About) => Promise<string>,
): Promise<Joined & { file: FleetFile }> {
  const { target, link, peers, node, conditions, say, signal, dataDir } = options;
  const joined = await joinFleet(
    {
      link,
      peers,
      host: target.host,
      fleet: target.fleet,
      fleetId: target.fleetId,
      role: target.role,
      ticket: target.ticket,
      name: () => node.name(),
      version: buildInfo.version,
      level: KNOWN_LEVEL,
      kept: keptText(dataDir),
      serverFor,
      conditions,
      say,
    },
    signal,
  );
  const { fleetId, epoch, fleet, profile, role, spaces, members } = joined.admitted;
  const file = { fleetId, epoch, fleet, profile, role, node: node.id(), spaces, members };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFleetFile(folder, file);
  endJoin(dataDir);
  clearJoinRequest(dataDir);
  say(`joined the fleet ${fleet} as ${role}. ${joined.admitted.survives}`);
  return { ...joined, file };
}

function keptText(dataDir: string): string | undefined {
  const kept = retiredStore(dataDir);
  if (kept === undefined) return undefined;
  return `What this node held, up to ${kept.position}, is kept in ${kept.folder}, since: ${kept.why}`;
}

export interface MemberJoinOptions extends FleetJoinOptions {
  host: RaftHost;
  log: RaftLog;
  /** Where the Go half makes raft.sock. */
  socketPath: string;
}

/** Joins as central or regional. Resolves once the fleet's store is here. Faults as of `joinFleet` and of the log. */
export async function joinAsMember(options: MemberJoinOptions): Promise<FleetFile> {
  const { host, log, dataDir, socketPath, signal } = options;
  const folder = join(dataDir, "raft");
  let opened: { fleet: string; server: string } | undefined;
  const serverFor = async ({ fleetId, epoch, profile }: About): Promise<string> => {
    const fleet = `${fleetId} ${epoch}`;
    if (opened?.fleet === fleet) return opened.server;
    if (opened !== undefined) await host.raftClose();
    const open = { folder, socket: socketPath, fleet: fleetId, epoch, profile, bootstrap: false, members: [] };
    const { server } = await host.raftOpen(open);
    opened = { fleet, server };
    return server;
  };
  const { file } = await enterFleet(options, folder, serverFor);
  await host.raftMembers(raftMembersOf(file.members));
  await log.start({ socketPath, fleet: file.fleetId, epoch: file.epoch, signal });
  // The leader sends a copy of the store, or its log from the beginning.
  while (!log.ready()) await pause(50, signal);
  return file;
}
