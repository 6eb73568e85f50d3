// Rows of the tables `members` and `tickets`, and the values of the fleet in table `meta`.

import { z } from "zod";
import { readMeta } from "../log/meta.ts";
import type { Reader, Writer } from "../store/store.ts";

/** The roles of members. */
export const ROLES = ["central", "regional", "edge"] as const;
/** Role of a member: central votes and may lead, regional is a full replica without a vote, edge keeps a cache only. */
export type FleetRole = (typeof ROLES)[number];

/** Timing profiles, from fast to tolerant. */
export const PROFILES = ["lan", "home", "wan"] as const;
/** Timing of raft in a fleet (replication.md 23). */
export type Profile = (typeof PROFILES)[number];

/** StableNodeID of a device. */
export const nodeId = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, "the id of a device, such as nABC123CNTRL");
/** Id of a raft server; "" for members without one. */
export const serverId = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9._-]*$/, "the id of a raft server");
/** Names or globs of spaces that an edge may keep. */
export const spaceList = z
  .array(
    z
      .string()
      .min(1)
      .max(256)
      .regex(/^[A-Za-z0-9._~:@*-]+$/, "a space, or a glob of spaces such as docs-*, without /"),
  )
  .max(64);

/** A member of the fleet. */
export interface Member {
  /** StableNodeID of its device. */
  node: string;
  /** Id of its raft server; "" for edges. */
  server: string;
  name: string;
  role: FleetRole;
  /** A leaving member is still counted by raft for a moment. */
  state: "active" | "leaving";
  /** What an edge may keep. */
  spaces: readonly string[];
  /** The newest level that its build knows; `version` is its build's. */
  level: number;
  version: string;
  /** Log time in ms. */
  joinedMs: number;
}

interface MemberRow {
  node: string;
  server: string;
  name: string;
  role: FleetRole;
  state: "active" | "leaving";
  spaces: string;
  level: number;
  version: string;
  joined_at: number;
}

/** A ticket, or an approval, as the table holds it; `expires_at` in ms of log time. */
export interface TicketRow {
  hash: string;
  role: FleetRole;
  spaces: string;
  node: string;
  expires_at: number;
  made_by: string;
  used_by: string;
}

/** Returns all members, ordered by when they joined, then by node. */
export function allMembers(reader: Reader): Member[] {
  return reader.all<MemberRow>("SELECT * FROM members ORDER BY joined_at, node").map(memberOf);
}

/** Returns the member that is this device (StableNodeID). */
export function memberByNode(reader: Reader, node: string): Member | undefined {
  const row = reader.get<MemberRow>("SELECT * FROM members WHERE node = ?", node);
  return row === undefined ? undefined : memberOf(row);
}

/** Returns the member with this raft server; undefined for "". */
export function memberByServer(reader: Reader, server: string): Member | undefined {
  const row = server === "" ? undefined : reader.get<MemberRow>("SELECT * FROM members WHERE server = ?", server);
  return row === undefined ? undefined : memberOf(row);
}

/** Returns the ticket of this hash, or the approval that `approvalOf` names. */
export function ticketBy(reader: Reader, hash: string): TicketRow | undefined {
  return hash === "" ? undefined : reader.get<TicketRow>("SELECT * FROM tickets WHERE hash = ?", hash);
}

/** Writes a ticket, or an approval in place of an earlier one, valid until `expiresMs` of log time. */
export function writeTicket(
  tx: Writer,
  ticket: { hash: string; role: FleetRole; spaces: readonly string[]; node: string; expiresMs: number; madeBy: string },
): void {
  tx.run(
    "INSERT OR REPLACE INTO tickets (hash, role, spaces, node, expires_at, made_by, used_by) VALUES (?,?,?,?,?,?,'')",
    ticket.hash,
    ticket.role,
    framedSpaces(ticket.spaces),
    ticket.node,
    ticket.expiresMs,
    ticket.madeBy,
  );
}

/** Returns the hash under which the approval of a device is kept; it cannot be a SHA-256. */
export function approvalOf(node: string): string {
  return `node:${node}`;
}

/** Returns a value of the fleet in the table `meta`, as text; "" if it was never written. */
export function fleetValue(reader: Reader, key: "fleet_id" | "fleet_name" | "fleet_profile" | "fleet_level"): string {
  return String(readMeta(reader, key) ?? "");
}

/** Returns how often the members table has changed. */
export function fleetRevision(reader: Reader): number {
  return readMeta(reader, "fleet_revision") ?? 0;
}

/** Returns globs of spaces as one column, each between line ends, so that one can be searched for. */
export function framedSpaces(spaces: readonly string[]): string {
  return spaces.length === 0 ? "" : `\n${spaces.join("\n")}\n`;
}

/** Returns the globs of such a column. */
export function spacesOf(framed: string): string[] {
  return framed === "" ? [] : framed.slice(1, -1).split("\n");
}

function memberOf(row: MemberRow): Member {
  const { node, server, name, role, state, level, version } = row;
  return { node, server, name, role, state, spaces: spacesOf(row.spaces), level, version, joinedMs: row.joined_at };
}
