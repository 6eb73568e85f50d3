// What a start does about fleets, decided while nothing is open yet: go on as the member that the data folder is of, join one, or begin one. Data that must go are set aside here, never deleted.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { clearJoinRequest, readJoinRequest, requestQuarantine, runRequestedQuarantine } from "../datadir/next-start.ts";
import { quarantineCount, quarantineData } from "../datadir/quarantine.ts";
import {
  allMembers,
  type FleetFile,
  type FleetRole,
  fleetValue,
  type Member,
  memberByServer,
  parseTicket,
  readFleetFile,
  type Ticket,
  voterCount,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { readMeta } from "../log/meta.ts";
import { inspectStore } from "../store/inspect.ts";
import type { Reader } from "../store/store.ts";

/** Which fleet a node asks to be let into. */
export interface JoinWish {
  /** `auto`, or a name of one node. */
  place: string;
  /** Name of the fleet; undefined: whichever the named node is of. */
  fleet: string | undefined;
  /** Id of the fleet where it is known. */
  fleetId: string | undefined;
  role: FleetRole | undefined;
  ticket: Ticket | undefined;
}

export interface FleetPlan {
  /** Full nodes hold the store, edges a cache. */
  kind: "full" | "edge";
  /** The fleet that this folder is of; undefined for one that is alone or has not joined yet. */
  file: FleetFile | undefined;
  wish: JoinWish | undefined;
  /** What was done, for the terminal. */
  lines: readonly string[];
}

/** Of one day: what comes back again and again has another fault, and each time keeps a whole store. */
const MAX_ASIDE = 16;

/** Decides; the data folder is locked and nothing of it is open. Faults: `data_exists`, `config_invalid`, `data_corrupt`. */
export function planFleet({ settings, origins }: Loaded, secrets: Secrets, nowMs: () => number): FleetPlan {
  const { data } = settings;
  const lines = runRequestedQuarantine(data, nowMs);
  const request = readJoinRequest(data);
  const place = request?.place ?? settings.join;
  const file = readFleetFile(join(data, "raft")) ?? readFleetFile(join(data, "edge"));
  const chosenRole = origins.has("role") ? settings.role : undefined;
  const joinsAnew = file?.removed === true && place !== undefined;
  // All others have left it, so it holds the only copy: a flag that it was once started with does not take that away, only a wish of now.
  const isLast = file !== undefined && file.role !== "edge" && fullOf(file).length < 2;
  if (joinsAnew) {
    const why = `This node is no member of the fleet ${file.fleet} any more`;
    lines.push(`${why}; what it held is kept in ${quarantineData(data, why, nowMs())}`);
  } else if (file !== undefined && !(isLast && request !== undefined)) {
    clearJoinRequest(data);
    if (isLast && place !== undefined)
      lines.push(
        `This node goes on as the last member of the fleet ${file.fleet}; cairn join takes it into another one`,
      );
    refuseOtherKind(file, chosenRole);
    return { kind: file.role === "edge" ? "edge" : "full", file, wish: undefined, lines };
  }
  if (place === undefined) {
    if (chosenRole === "edge" || chosenRole === "regional") {
      throw new Fault("config_invalid", `A node of the role ${chosenRole} has a fleet to join, and none is named`, {
        hint: "Add --join HOST or --join auto.",
      });
    }
    return { kind: "full", file: undefined, wish: undefined, lines };
  }
  const text = request?.ticket ?? secrets.joinTicket;
  const ticket = text === undefined ? undefined : parseTicket(text);
  const chosenFleet = place === "auto" || origins.has("fleet") ? settings.fleet : undefined;
  const wish = {
    place,
    fleet: request?.fleet ?? chosenFleet,
    fleetId: request?.fleetId,
    role: request?.role ?? chosenRole ?? (joinsAnew && ticket === undefined ? file.role : undefined),
    ticket,
  };
  if (isMemberStore(data)) return { kind: "full", file: undefined, wish: undefined, lines };
  const discard = request?.discard === true || settings.discard_local;
  const kept = giveUpOwn(data, discard, nowMs());
  if (kept !== undefined) lines.push(`what this node held before is kept in ${kept}`);
  return { kind: (wish.role ?? ticket?.role) === "edge" ? "edge" : "full", file: undefined, wish, lines };
}

/** Has a node whose data cannot be trusted any more come back as a new server of its fleet at the next start; false where nobody could let it in, or where it has come back too often already: then its data stay, and a person decides. */
export function requestRejoin(dataDir: string, why: string, nowMs = Date.now()): boolean {
  const found = largerFleetOf(dataDir);
  if (found === undefined || quarantineCount(dataDir, nowMs) >= MAX_ASIDE) return false;
  requestQuarantine(dataDir, why, { place: "auto", ...found });
  return true;
}

/** Name and id of the fleet that this folder's member is of, by its file or, where the raft folder is lost, by its store; undefined where the others could not take it in. */
function largerFleetOf(dataDir: string): { fleet: string; fleetId: string } | undefined {
  const file = readFleetFile(join(dataDir, "raft"));
  if (file !== undefined) {
    const others = file.members.filter(({ node }) => node !== file.node);
    return isSpared(file.role, others) ? { fleet: file.fleet, fleetId: file.fleetId } : undefined;
  }
  if (!isMemberStore(dataDir)) return undefined;
  return inspectStore(join(dataDir, "store"), (reader) => {
    const own = memberByServer(reader, readMeta(reader, "raft_server") ?? "");
    const others = allMembers(reader).filter(({ node }) => node !== own?.node);
    if (!isSpared(own?.role, others)) return undefined;
    return { fleet: fleetValue(reader, "fleet_name"), fleetId: fleetValue(reader, "fleet_id") };
  })?.seen;
}

/** Whether others lead without this member. A central of two may be the one that votes: then nobody could let it in, and what it holds may be nowhere else. */
function isSpared(role: FleetRole | undefined, others: readonly Member[]): boolean {
  const centrals = others.filter((member) => member.server !== "" && member.role === "central").length;
  return role === "central" ? voterCount(centrals + 1) > 1 : centrals > 0;
}

function fullOf(file: FleetFile): Member[] {
  return file.members.filter(({ server }) => server !== "");
}

/** A first member whose file of members was not written yet is a member all the same. */
function isMemberStore(data: string): boolean {
  const members = inspectStore(join(data, "store"), (reader) =>
    reader.get("SELECT name FROM sqlite_master WHERE name = 'members'") === undefined
      ? 0
      : (reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM members WHERE server <> ''")?.n ?? 0),
  );
  return (members?.seen ?? 0) > 1;
}

/** How many changes the store of a data folder holds; 0 where there is none. Beside a running node too. */
export function ownChanges(data: string): number {
  const look = (reader: Reader) => reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  return inspectStore(join(data, "store"), look)?.seen ?? 0;
}

/** Makes room for another fleet's store; answers where the own one is kept, if there was one. Fault `data_exists` unless it may be given up. */
function giveUpOwn(data: string, discard: boolean, nowMs: number): string | undefined {
  const held = ownChanges(data);
  if (!existsSync(join(data, "store")) && !existsSync(join(data, "raft"))) return undefined;
  if (held > 0 && !discard) {
    throw new Fault(
      "data_exists",
      `This node holds ${held} changes of its own, and a fleet's store would replace them`,
      {
        hint: "Export what you need with cairn export, then join with --discard-local: a copy is kept under aside/ in the data folder.",
      },
    );
  }
  return quarantineData(data, "Joined another fleet", nowMs);
}

function refuseOtherKind(file: FleetFile, chosen: FleetRole | undefined): void {
  if (chosen === undefined || (chosen === "edge") === (file.role === "edge")) return;
  throw new Fault(
    "config_invalid",
    `This data folder is of a ${file.role} member of ${file.fleet}, not of a ${chosen} one`,
    {
      hint: `Start it with --role ${file.role}, or let it leave with cairn leave first.`,
    },
  );
}
