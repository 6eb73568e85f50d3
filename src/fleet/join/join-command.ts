// fleet_member_join: the only way into the members table. The leader proposes it with what it has proved about the
// device; apply decides whether the device may join, so that a ticket counts once.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { levelOf } from "../../log/level.ts";
import { writeAlone } from "../../log/meta.ts";
import { write } from "../../operation/define.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { bumpRevision, memberChange, shortName } from "../commands.ts";
import {
  approvalOf,
  type FleetRole,
  fleetValue,
  framedSpaces,
  type Member,
  memberByNode,
  memberByServer,
  nodeId,
  ROLES,
  serverId,
  spacesOf,
  type TicketRow,
  ticketBy,
} from "../rows.ts";

const MAX_MEMBERS = 100;

/** Why a join is refused, in `facts.reason`. Only after `needs_approval` the device may ask again. */
export type JoinRefusal =
  | "needs_approval"
  | "other_fleet"
  | "ticket_unknown"
  | "ticket_used"
  | "ticket_expired"
  | "ticket_other_node"
  | "ticket_other_role"
  | "server_of_another"
  | "leaving"
  | "too_old"
  | "full";

const joinInput = z.object({
  /** The fleet that the joiner has chosen. */
  fleet: z.string().max(64),
  node: nodeId,
  /** "" for an edge. */
  server: serverId,
  name: shortName,
  /** The role it asks for; undefined: that of its ticket or approval. */
  role: z.enum(ROLES).optional(),
  version: z.string().max(64),
  level: z.number().int().min(1).max(65_535),
  /** SHA-256 of the secret of its ticket. */
  ticket: z.string().max(64).optional(),
  /** Roles that the tailnet policy lets this device join with, as the leader sees it. */
  granted: z.array(z.enum(ROLES)).max(3),
});

interface JoinCommand {
  fleet: string;
  node: string;
  server: string;
  name: string;
  role: FleetRole | "";
  version: string;
  level: number;
  ticket: string;
  granted: readonly FleetRole[];
}

/** The command of a join. Its apply decides whether the device may join, and in which role. */
export const fleetMemberJoin = write({
  name: "fleet_member_join",
  v: 1,
  internal: true,
  title: "Join the fleet",
  description: "Lets a device in, or back in with the server of its new folder.",
  input: joinInput,
  output: z.object({
    role: z.enum(ROLES),
    spaces: z.array(z.string()),
    outcome: z.enum(["joined", "rejoined", "member"]),
  }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input): JoinCommand => ({ ...input, role: input.role ?? "", ticket: input.ticket ?? "" }),
  apply(tx, command, stamp) {
    refuseUnfit(tx, command);
    const member = memberByNode(tx, command.node);
    if (member?.state === "leaving")
      throw refused("leaving", `${member.name} is leaving; it can join once that is done`);
    if (member !== undefined && keepsRole(member, command)) return rejoin(tx, member, command);
    const right = rightOf(tx, command, stamp.timeMs);
    if (right.ticket !== undefined)
      tx.run("UPDATE tickets SET used_by = ? WHERE hash = ?", command.node, right.ticket.hash);
    if (member === undefined && (tx.get<{ n: number }>("SELECT COUNT(*) AS n FROM members")?.n ?? 0) >= MAX_MEMBERS)
      throw refused("full", `The fleet has ${MAX_MEMBERS} members`);
    refuseWrongServer(right.role, command.server);
    return insertMember(tx, command, right, stamp.timeMs);
  },
});

/**
 * Refuses a device that may not join whatever it shows: it wants another fleet, runs an old build, or has a copied data
 * folder.
 */
function refuseUnfit(reader: Reader, { fleet, level, server, node }: JoinCommand): void {
  if (fleet !== fleetValue(reader, "fleet_id")) throw refused("other_fleet", "It asks for a fleet with another id");
  const fleetLevel = levelOf(reader);
  if (level < fleetLevel)
    throw refused("too_old", `Its build knows levels up to ${level}, and this fleet is at ${fleetLevel}`);
  const holder = memberByServer(reader, server);
  if (holder === undefined || holder.node === node) return;
  throw refused(
    "server_of_another",
    `The server ${server} is that of ${holder.name} (${holder.node}): the data folder is a copy`,
  );
}

/** Full members have a raft server, edges have none. Fault `invalid_input`. */
function refuseWrongServer(role: FleetRole, server: string): void {
  if (role === "edge" && server !== "")
    throw new Fault("invalid_input", "An edge has no raft server", { hint: "Start it with --role edge." });
  if (role !== "edge" && server === "")
    throw new Fault("invalid_input", `A ${role} member needs a raft server`, { hint: "Start it with that role." });
}

function insertMember(tx: Writer, command: JoinCommand, { role, spaces }: Right, joinedMs: number) {
  tx.run(
    "INSERT OR REPLACE INTO members (node, server, name, role, state, spaces, level, version, joined_at) VALUES " +
      "(?,?,?,?,'active',?,?,?,?)",
    command.node,
    command.server,
    command.name,
    role,
    role === "edge" ? framedSpaces(spaces) : "",
    command.level,
    command.version,
    joinedMs,
  );
  // From now on a store of this fleet must not continue alone when its raft folder is lost.
  if (role !== "edge") writeAlone(tx, false);
  bumpRevision(tx);
  return {
    output: { role, spaces: [...spaces], outcome: "joined" as const },
    changes: [memberChange(tx, command.node, `joined as ${role}`)],
  };
}

/**
 * Reports whether a member asks for nothing but what it is. Its device is proof enough, no ticket is needed. Its role
 * is that of the row, not of its settings.
 */
function keepsRole(member: Member, { role, server }: JoinCommand): boolean {
  const stays = (member.server === "") === (server === "");
  return stays && (role === "" || (role === "edge") === (member.role === "edge"));
}

/** The same device again. With the same server nothing changes; a new server replaces the old one (a wiped disk). */
function rejoin(tx: Writer, member: Member, { node, server, name, version, level }: JoinCommand) {
  tx.run(
    "UPDATE members SET server = ?, name = ?, version = ?, level = ? WHERE node = ?",
    server,
    name,
    version,
    level,
    node,
  );
  bumpRevision(tx);
  const same = member.server === server;
  return {
    output: {
      role: member.role,
      spaces: [...member.spaces],
      outcome: same ? ("member" as const) : ("rejoined" as const),
    },
    changes: same ? [] : [memberChange(tx, node, "rejoined")],
  };
}

interface Right {
  role: FleetRole;
  spaces: readonly string[];
  ticket: TicketRow | undefined;
}

/**
 * Returns what lets the joiner in: a ticket, an approval, or a grant of the tailnet policy, which admits edges only.
 */
function rightOf(reader: Reader, command: JoinCommand, nowMs: number): Right {
  const { role, node, granted } = command;
  if (command.ticket !== "") return byTicket(ticketOf(reader, command, nowMs));
  const approval = ticketBy(reader, approvalOf(node));
  if (approval !== undefined && approval.expires_at > nowMs && approval.used_by === "") return byTicket(approval);
  if (role === "edge" && granted.includes("edge")) return { role, spaces: ["*"], ticket: undefined };
  throw refused("needs_approval", `${command.name} (${node}) shows no ticket and is not approved`);
}

function byTicket(ticket: TicketRow): Right {
  return { role: ticket.role, spaces: spacesOf(ticket.spaces), ticket };
}

function ticketOf(reader: Reader, { ticket: hash, role, node }: JoinCommand, nowMs: number): TicketRow {
  const ticket = ticketBy(reader, hash);
  if (ticket === undefined) throw refused("ticket_unknown", "This fleet knows no such ticket");
  if (ticket.used_by !== "") throw refused("ticket_used", `The ticket was used already, by ${ticket.used_by}`);
  if (ticket.expires_at <= nowMs) throw refused("ticket_expired", "The ticket has expired");
  if (ticket.node !== "" && ticket.node !== node)
    throw refused("ticket_other_node", `The ticket is for another device than ${node}`);
  if (role !== "" && ticket.role !== role)
    throw refused("ticket_other_role", `The ticket is for the role ${ticket.role}, not ${role}`);
  return ticket;
}

/** What to do about each refusal; docs/commands.md lists them. */
export const JOIN_REFUSAL_HINTS: Readonly<Record<JoinRefusal, string>> = {
  needs_approval: "Approve it on the leader with cairn members approve, or give it a ticket of cairn ticket.",
  other_fleet: "Look at the fleet's id in cairn status of both nodes.",
  ticket_unknown: "Make one with cairn ticket on the leader of this fleet.",
  ticket_used: "A ticket counts once: make another one with cairn ticket.",
  ticket_expired: "A ticket counts 15 minutes: make another one with cairn ticket.",
  ticket_other_node: "Make one for this device with cairn ticket.",
  ticket_other_role: "Start the node with the role of its ticket, or make another ticket.",
  server_of_another: "Give this node a data folder of its own; the copy may go.",
  leaving: "Try again in a moment.",
  too_old: "Start the version that the other members run.",
  full: "Remove members that are gone with cairn members remove.",
};

function refused(reason: JoinRefusal, message: string): Fault {
  return new Fault("join_refused", message, { hint: JOIN_REFUSAL_HINTS[reason], facts: { reason } });
}
