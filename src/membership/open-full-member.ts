// Puts the fleet into a start: the member that runs, the join where one is wished, and what is written down for the next start. start.ts calls this once for each step of its story.

import { join } from "node:path";
import type { Access } from "../access/access.ts";
import {
  type FleetFile,
  fleetValue,
  type Member,
  type Members,
  readFleetFile,
  writeFleetFile,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import type { RaftLog } from "../log/engine/raft/index.ts";
import { fleetOf } from "../log/history.ts";
import { logFor } from "../observe/logging.ts";
import type { Store } from "../store/store.ts";
import type { RaftHost } from "../tailnet/index.ts";
import { copiedDataFault, joinFault, lostIdentityFault, stopAfterLeaving } from "./exit-faults.ts";
import { FleetScanner } from "./fleet-scanner.ts";
import type { MemberStart, RunningMember } from "./fleet-view.ts";
import { FullMember } from "./full-member.ts";
import { joinAsMember } from "./join.ts";
import type { Peers } from "./peers.ts";
import { profileOf } from "./raft-membership.ts";
import { requestRejoin } from "./rejoin.ts";

/** The parts of a full node that its membership works on. */
export interface FullMemberParts {
  store: Store;
  log: RaftLog;
  access: Access;
  members: Members;
  peers: Peers;
}

export interface FullMemberStart extends MemberStart {
  parts: FullMemberParts;
  host: RaftHost;
  socketPath: string;
}

/** Opens the member; its peers can be answered from now on. */
export function openFullMember(wiring: FullMemberStart): RunningMember {
  const { loaded, plan, parts, tailnet, host, status, conditions, say, onFatal, nowMs, startedMs } = wiring;
  const { settings } = loaded;
  const { data } = settings;
  const { store, log, access, members, peers: link } = parts;
  const peers = () => tailnet.peers();
  const stop = new AbortController();
  const scanner = new FleetScanner({
    link,
    peers,
    conditions,
    say,
    alone: () => members.list().length === 1 && plan.joinTarget === undefined,
    onMembers: (listener) => members.onChange(listener),
    fleetId: () => fleetOf(store.reader).fleet,
  });
  let ending = false;
  const onCopied = async (member: Pick<Member, "name" | "node">): Promise<void> => {
    if (ending) return;
    ending = true;
    const seen = await peers().catch(() => []);
    // Nobody else may hold what is here: it is given up only where the other device is there.
    onFatal(
      seen.some(({ id }) => id === member.node) ? copiedDataFault(data, member) : lostIdentityFault(data, member),
    );
  };
  const fleet = new FullMember({
    settings,
    store,
    log,
    access,
    members,
    host,
    link,
    peers,
    status,
    conditions,
    nowMs,
    startedMs,
    server: () => log.server(),
    line: logFor("fleet"),
    knownMembers: plan.file?.members ?? [],
    copies: () => scanner.copies(),
    keep: (list) => keepFleet(data, { list, server: log.server(), store }),
    onLeft: (name) => stopAfterLeaving(data, name, onFatal),
    onCopied,
  });
  /** What was written at admission tells it too, before there is a table. */
  const isCopied = (): boolean => {
    const { file } = plan;
    const self = fleet.self();
    if (file === undefined || self === "" || file.node === self) return false;
    // The only member that holds the store is its fleet, by whatever name.
    if (file.members.filter(({ server }) => server !== "").length < 2) return false;
    const own = file.members.find(({ node }) => node === file.node);
    void onCopied({ node: file.node, name: own?.name ?? "another member" });
    return true;
  };
  fleet.serve(link.server);
  let joining: Promise<void> | undefined;
  const join = async (): Promise<void> => {
    const { joinTarget: target } = plan;
    if (target === undefined) return;
    try {
      await joinAsMember({
        target,
        dataDir: data,
        link,
        peers,
        conditions,
        say,
        host,
        log,
        socketPath: wiring.socketPath,
        self: () => fleet.self(),
        name: () => fleet.name(),
        signal: stop.signal,
      });
      fleet.start();
      fleet.up();
    } catch (error) {
      if (!stop.signal.aborted) onFatal(joinFault(error, conditions));
    }
  };
  if (plan.joinTarget === undefined) fleet.start();
  return {
    fleet,
    up: () => {
      if (isCopied()) return;
      if (plan.joinTarget !== undefined) joining ??= join();
      else {
        fleet.up();
        scanner.start();
      }
    },
    stop: async () => {
      stop.abort();
      await Promise.all([fleet.stop(), scanner.stop(), joining]);
    },
  };
}

/** Where store and raft folder do not fit any more: has the next start come back as a new server, if there is a fleet to come back to. */
export function comesBack(dataDir: string, error: unknown): boolean {
  if (!(error instanceof Fault) || error.facts.quarantine === undefined) return false;
  return requestRejoin(dataDir, error.message);
}

function keepFleet(
  dataDir: string,
  { list, server, store }: { list: readonly Member[]; server: string; store: Store },
): void {
  const own = list.find((member) => member.server === server);
  const folder = join(dataDir, "raft");
  // One that was never anything else has no file; the last of others keeps its own.
  if (own === undefined || (list.length < 2 && readFleetFile(folder) === undefined)) return;
  const { fleet: fleetId, epoch } = fleetOf(store.reader);
  const file: FleetFile = {
    fleetId,
    epoch,
    fleet: fleetValue(store.reader, "fleet_name"),
    profile: profileOf(store, "home"),
    role: own.role,
    node: own.node,
    spaces: [...own.spaces],
    members: [...list],
  };
  writeFleetFile(folder, file);
}
