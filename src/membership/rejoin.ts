// A member whose data cannot be trusted any more comes back by itself (replication.md 14, 33). Where only its store is
// wrong, the next start gives that up alone: the member keeps its vote and gets a copy. Where its raft folder is, it
// joins the fleet again as a new server. Only where others can lead; otherwise its data stay and an operator decides.

import { join } from "node:path";
import { quarantineCount, requestQuarantine, requestStoreDrop, retiredCount } from "../datadir/index.ts";
import {
  allMembers,
  type FleetRole,
  fleetValue,
  type Member,
  memberByServer,
  readFleetFile,
  voterCount,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { keepsVote } from "../log/engine/raft/index.ts";
import { readMeta } from "../log/meta.ts";
import { inspectStore } from "../store/inspect.ts";

/** A member that needs more than this in one day has another fault, and each time keeps a whole store. */
const MAX_REJOINS_A_DAY = 16;

/**
 * Asks the next start to rejoin. Returns false where the fleet cannot take this node in, or where it came back too
 * often today.
 */
export function requestRejoin(dataDir: string, why: string, nowMs = Date.now()): boolean {
  const fleet = fleetToRejoin(dataDir);
  if (fleet === undefined || cameBackTooOften(dataDir, nowMs)) return false;
  requestQuarantine(dataDir, why, { place: "auto", ...fleet });
  return true;
}

/** Asks the next start to give up the store alone. Returns false as `requestRejoin` does. */
export function requestCopy(dataDir: string, why: string, nowMs = Date.now()): boolean {
  if (!mayGetCopy(dataDir) || cameBackTooOften(dataDir, nowMs)) return false;
  requestStoreDrop(dataDir, why);
  return true;
}

function cameBackTooOften(dataDir: string, nowMs: number): boolean {
  return quarantineCount(dataDir, nowMs) + retiredCount(dataDir) >= MAX_REJOINS_A_DAY;
}

/**
 * Requests what brings this member back, where a start or a running log failed with a quarantine. Returns false where
 * nothing does.
 */
export function comesBackAfter(dataDir: string, error: unknown): boolean {
  if (!(error instanceof Fault) || error.facts.quarantine === undefined) return false;
  const request = keepsVote(error.facts.quarantine) ? requestCopy : requestRejoin;
  return request(dataDir, error.message);
}

/** Reports whether the raft folder is of a member of a fleet in which others can lead and send it a copy. */
export function mayGetCopy(dataDir: string): boolean {
  return readFleetFile(join(dataDir, "raft")) !== undefined && fleetToRejoin(dataDir) !== undefined;
}

/**
 * Reports whether the store in a data folder is that of a fleet of several full members. A founder's store is, even if
 * its fleet.json was not written yet.
 */
export function isMemberStore(dataDir: string): boolean {
  const fullMembers = inspectStore(join(dataDir, "store"), (reader) =>
    reader.get("SELECT name FROM sqlite_master WHERE name = 'members'") === undefined
      ? 0
      : (reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM members WHERE server <> ''")?.n ?? 0),
  );
  return (fullMembers?.seen ?? 0) > 1;
}

/**
 * The fleet of this folder's member, by fleet.json or, where the raft folder is lost, by the store; undefined where the
 * others could not take it in.
 */
function fleetToRejoin(dataDir: string): { fleet: string; fleetId: string } | undefined {
  const file = readFleetFile(join(dataDir, "raft"));
  if (file !== undefined) {
    const others = file.members.filter(({ node }) => node !== file.node);
    return othersCanLead(file.role, others) ? { fleet: file.fleet, fleetId: file.fleetId } : undefined;
  }
  if (!isMemberStore(dataDir)) return undefined;
  return inspectStore(join(dataDir, "store"), (reader) => {
    const own = memberByServer(reader, readMeta(reader, "raft_server") ?? "");
    const others = allMembers(reader).filter(({ node }) => node !== own?.node);
    if (!othersCanLead(own?.role, others)) return undefined;
    return { fleet: fleetValue(reader, "fleet_name"), fleetId: fleetValue(reader, "fleet_id") };
  })?.seen;
}

/**
 * Of two centrals only one votes. It may be this one: then no leader could take it in, and its data may exist nowhere
 * else.
 */
function othersCanLead(role: FleetRole | undefined, others: readonly Member[]): boolean {
  const centrals = others.filter((member) => member.server !== "" && member.role === "central").length;
  return role === "central" ? voterCount(centrals + 1) > 1 : centrals > 0;
}
