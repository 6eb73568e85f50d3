// Decides what a start does about fleets, while nothing is open yet: resume the membership that the data folder holds,
// join a fleet, or begin one. Data that must make room are moved to aside/, never deleted.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import {
  beginJoin,
  clearJoinRequest,
  endJoin,
  type JoinRequest,
  quarantineData,
  readJoinRequest,
  removeUnfinishedJoin,
  runRequestedQuarantine,
} from "../datadir/index.ts";
import {
  type FleetFile,
  type FleetRole,
  parseTicket,
  readFleetFile,
  refuseOtherRole,
  type Ticket,
} from "../fleet/index.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import { readMeta } from "../log/meta.ts";
import { inspectStore } from "../store/inspect.ts";
import type { Reader } from "../store/store.ts";
import { isMemberStore } from "./rejoin.ts";

/** The fleet that a node asks to join. */
export interface JoinTarget {
  /** `auto`, or a name of one node. */
  host: string;
  /** Name of the fleet; undefined: whichever fleet the named node is in. */
  fleet: string | undefined;
  /** Id of the fleet, if it is known. */
  fleetId: string | undefined;
  role: FleetRole | undefined;
  ticket: Ticket | undefined;
}

/** What this start does. */
export interface FleetPlan {
  /** Full members hold the store, edges a cache. */
  kind: "full" | "edge";
  /** The membership to resume; undefined for a fleet of one and for a node that has not joined yet. */
  file: FleetFile | undefined;
  /** The fleet to join first; undefined where this node is a member or begins a fleet. */
  joinTarget: JoinTarget | undefined;
  /** What was done, for the terminal. */
  lines: readonly string[];
}

/** Returns the role in which this node starts: that of its membership, or the one that it asks for. */
export function plannedRole({ kind, file, joinTarget }: FleetPlan, chosen: FleetRole): FleetRole {
  if (kind === "edge") return "edge";
  return file?.role ?? joinTarget?.role ?? joinTarget?.ticket?.role ?? chosen;
}

/** What the data folder and the settings say, before anything is decided. */
interface StartFacts {
  loaded: Loaded;
  request: JoinRequest | undefined;
  /** Whom to join: the request of `cairn join` first, then the setting. */
  host: string | undefined;
  /** The role that was set explicitly. */
  chosenRole: FleetRole | undefined;
  file: FleetFile | undefined;
}

/**
 * Decides. The data folder is locked and nothing in it is open. Faults: `data_exists`, `config_invalid`,
 * `data_corrupt`.
 */
export function planFleet(loaded: Loaded, secrets: Secrets, nowMs: () => number): FleetPlan {
  const { settings, origins } = loaded;
  const { data } = settings;
  const lines = runRequestedQuarantine(data, nowMs);
  const request = readJoinRequest(data);
  const host = request?.place ?? settings.join;
  const chosenRole = origins.has("role") ? settings.role : undefined;
  const file = readFleetFile(join(data, "raft")) ?? readFleetFile(join(data, "edge"));
  if (file === undefined) removeUnfinishedJoin(data, () => isInUse(data));
  else endJoin(data);
  const facts: StartFacts = { loaded, request, host, chosenRole, file };
  const rejoins = file?.removed === true && host !== undefined;
  if (!rejoins && file !== undefined && !(isLastFullMember(file) && request !== undefined))
    return resumeMembership(facts, file, lines);
  if (host === undefined) return beginFleet(chosenRole, lines);
  // Before any data is moved: a ticket that cannot be used is refused here.
  const joinTarget = joinTargetOf(facts, host, secrets, rejoins ? file.role : undefined);
  if (rejoins) {
    const why = `This node is no member of the fleet ${file.fleet} any more`;
    lines.push(`${why}; what it held is kept in ${quarantineData(data, why, nowMs())}`);
  }
  if (isMemberStore(data)) return { kind: "full", file: undefined, joinTarget: undefined, lines };
  const kept = makeRoom(data, request?.discard === true || settings.discard_local, nowMs());
  if (kept !== undefined) lines.push(`what this node held before is kept in ${kept}`);
  const role = joinTarget.role ?? joinTarget.ticket?.role;
  beginJoin(data);
  return { kind: role === "edge" ? "edge" : "full", file: undefined, joinTarget, lines };
}

/**
 * All other full members have left, so this folder holds the only copy. The setting `join`, with which the node may
 * once have been started, does not give it up; a new `cairn join` does.
 */
function isLastFullMember({ role, members }: FleetFile): boolean {
  return role !== "edge" && members.filter(({ server }) => server !== "").length < 2;
}

function resumeMembership({ loaded, host, chosenRole }: StartFacts, file: FleetFile, lines: string[]): FleetPlan {
  clearJoinRequest(loaded.settings.data);
  if (isLastFullMember(file) && host !== undefined)
    lines.push(`This node goes on as the last member of the fleet ${file.fleet}; cairn join takes it into another one`);
  refuseOtherKind(file, chosenRole);
  return { kind: file.role === "edge" ? "edge" : "full", file, joinTarget: undefined, lines };
}

function beginFleet(chosenRole: FleetRole | undefined, lines: string[]): FleetPlan {
  if (chosenRole === "edge" || chosenRole === "regional") {
    throw new Fault("config_invalid", `A node of the role ${chosenRole} has a fleet to join, and none is named`, {
      hint: "Add --join HOST or --join auto.",
    });
  }
  return { kind: "full", file: undefined, joinTarget: undefined, lines };
}

/** `formerRole` is that of a member that was removed and comes back without a ticket. */
function joinTargetOf(
  { loaded, request, chosenRole }: StartFacts,
  host: string,
  secrets: Secrets,
  formerRole: FleetRole | undefined,
): JoinTarget {
  const { settings, origins } = loaded;
  const [text, from = "CAIRN_JOIN_TICKET"] =
    request?.ticket === undefined
      ? [secrets.joinTicket, secrets.joinTicketFrom]
      : [request.ticket, "The request of cairn join"];
  const ticket = text === undefined ? undefined : parseTicket(text, from);
  const role = request?.role ?? chosenRole;
  refuseOtherRole(role, ticket);
  const chosenFleet = host === "auto" || origins.has("fleet") ? settings.fleet : undefined;
  return {
    host,
    fleet: request?.fleet ?? chosenFleet,
    fleetId: request?.fleetId,
    role: role ?? (ticket === undefined ? formerRole : undefined),
    ticket,
  };
}

/**
 * Returns how many changes the store of a data folder holds; 0 where there is none. Works beside a running node too.
 */
export function ownChanges(data: string): number {
  return inspectStore(join(data, "store"), changesIn)?.seen ?? 0;
}

function changesIn(reader: Reader): number {
  return reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
}

/**
 * Reports whether the store of a data folder has changes or belongs to a fleet, if only of one: its raft log may hold
 * more than it, so no changes in the store do not mean that there are none.
 */
function isInUse(data: string): boolean {
  const look = (reader: Reader) => changesIn(reader) > 0 || (readMeta(reader, "raft_server") ?? "") !== "";
  return inspectStore(join(data, "store"), look)?.seen === true;
}

/**
 * Makes room for another fleet's store. Returns where this node's own is kept, if there was one. Fault `data_exists`
 * unless it may be given up.
 */
function makeRoom(data: string, discard: boolean, nowMs: number): string | undefined {
  const held = ownChanges(data);
  if (!existsSync(join(data, "store")) && !existsSync(join(data, "raft"))) return undefined;
  if (held > 0 && !discard) {
    throw new Fault(
      "data_exists",
      `This node holds ${counted(held, "change")} of its own, and a fleet's store would replace them`,
      {
        hint:
          "Export what you need with cairn export, then join with --discard-local: a copy is kept under aside/ in " +
          "the data folder.",
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
