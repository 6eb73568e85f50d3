// Commands about the fleet: its beginning, approvals, promotion, removal, profile, level. Joining is join-command.ts,
// tickets are ticket-command.ts. Raft follows these rows (steward.ts); nothing here talks to raft.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { levelOf } from "../log/level.ts";
import type { Changed } from "../log/log.ts";
import { readMetaNamed, writeAlone, writeMeta, writeMetaNamed } from "../log/meta.ts";
import { STATE_HASH_LEVEL } from "../log/state-hash.ts";
import { write } from "../operation/define.ts";
import type { Reader, Writer } from "../store/store.ts";
import { forgetTickets, TICKET_MS } from "./join/ticket-command.ts";
import { memberState, ticketState } from "./row-states.ts";
import {
  allMembers,
  approvalOf,
  type FleetRole,
  fleetRevision,
  fleetValue,
  type Member,
  memberByNode,
  nodeId,
  PROFILES,
  ROLES,
  serverId,
  spaceList,
  writeTicket,
} from "./rows.ts";
import { addSettings, firstSettings } from "./settings-commands.ts";

const FLEET = { verb: "admin", spaces: ["fleet"] } as const;

/** Name of a member or of a fleet, for people. */
export const shortName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, "printable ASCII without spaces");
const level = z.number().int().min(1).max(65_535);

/** Returns a change of the fleet for the feed and the audit. */
function fleetChange(what: string, outcome: string): Changed {
  return { target: `fleet/${what}`, version: 0, contentHash: "", outcome };
}

/** Returns a change of a member, with the state of its row after it. */
export function memberChange(reader: Reader, node: string, outcome: string): Changed {
  return { ...fleetChange(`members/${node}`, outcome), state: memberState(reader, node) };
}

/** Counts a change of the members table, so that followers compare one number instead of all rows. */
export function bumpRevision(tx: Writer): void {
  writeMeta(tx, { fleet_revision: fleetRevision(tx) + 1 });
}

/** Writes the founder's row. Also gives the only full member another device, when its tailnet state was lost. */
export const fleetBegin = write({
  name: "fleet_begin",
  v: 1,
  internal: true,
  title: "Begin the fleet",
  description: "Writes the first member and the name of the fleet.",
  input: z.object({
    fleet: shortName,
    profile: z.enum(PROFILES),
    node: nodeId,
    server: serverId,
    name: shortName,
    version: z.string().max(64),
    level,
    settings: firstSettings.optional(),
  }),
  output: z.object({ begun: z.boolean() }),
  access: FLEET,
  prepare: (input) => input,
  apply(tx, command, stamp) {
    const members = allMembers(tx).filter((member) => member.server !== "");
    const [only] = members;
    if (members.length > 1 || (only !== undefined && only.server !== command.server && only.node !== command.node)) {
      throw new Fault("data_exists", "This fleet has begun already", {
        hint: "Only its members change it: see cairn members.",
      });
    }
    if (only !== undefined) tx.run("DELETE FROM members WHERE node = ?", only.node);
    tx.run(
      "INSERT INTO members (node, server, name, role, state, spaces, level, version, joined_at) VALUES " +
        "(?,?,?,'central','active','',?,?,?)",
      command.node,
      command.server,
      command.name,
      command.level,
      command.version,
      only?.joinedMs ?? stamp.timeMs,
    );
    if (fleetValue(tx, "fleet_name") === "") {
      writeMeta(tx, { fleet_name: command.fleet, fleet_profile: command.profile });
    }
    addSettings(tx, command.settings);
    bumpRevision(tx);
    // A first member is no change of the feed: an unused store stays at seq 0 and may be given up for another fleet.
    const isChange = only !== undefined && stamp.seq > 1 && levelOf(tx) >= STATE_HASH_LEVEL;
    const removed = only === undefined || only.node === command.node ? [] : [memberChange(tx, only.node, "removed")];
    return {
      output: { begun: only === undefined },
      changes: isChange ? [...removed, memberChange(tx, command.node, "begun")] : [],
    };
  },
});

/** Stores what a member says of itself and what changed since it joined. */
export const fleetMemberUpdate = write({
  name: "fleet_member_update",
  v: 1,
  internal: true,
  title: "Update a member",
  description: "Keeps a member's name, version and level as its beats tell them.",
  input: z.object({ node: nodeId, name: shortName, version: z.string().max(64), level }),
  output: z.object({ updated: z.boolean() }),
  access: FLEET,
  prepare: (input) => input,
  apply(tx, { node, name, version, level: known }) {
    const { changes } = tx.run(
      "UPDATE members SET name = ?, version = ?, level = ? WHERE node = ?",
      name,
      version,
      known,
      node,
    );
    bumpRevision(tx);
    return { output: { updated: changes > 0 }, changes: [] };
  },
});

export const fleetMemberApprove = write({
  name: "fleet_member_approve",
  v: 1,
  title: "Approve a join",
  description:
    "Lets one device into the fleet with this role. fleet_members lists who waits; the device asks again by " +
    "itself within seconds, and the approval ends after 15 minutes.",
  input: z.object({
    node: nodeId.describe("StableNodeID of the device, as fleet_members lists it."),
    role: z.enum(ROLES),
    spaces: spaceList.optional().describe("What an edge may keep; left out: all spaces."),
  }),
  example: { node: "nGUESTCNTRL", role: "edge", spaces: ["team-a"] },
  output: z.object({ node: z.string(), role: z.enum(ROLES), expires_at: z.string() }),
  access: FLEET,
  hints: { idempotent: true },
  prepare: (input) => ({ node: input.node, role: input.role, spaces: input.spaces ?? ["*"] }),
  apply(tx, { node, role, spaces }, stamp) {
    const member = memberByNode(tx, node);
    if (member !== undefined) {
      throw new Fault("data_exists", `${member.name} (${node}) is a member already, as ${member.role}`, {
        hint: "Use cairn promote to make a regional member central.",
      });
    }
    forgetTickets(tx, stamp.timeMs);
    const expiresMs = stamp.timeMs + TICKET_MS;
    writeTicket(tx, { hash: approvalOf(node), role, spaces, node, expiresMs, madeBy: stamp.caller });
    return {
      output: { node, role, expires_at: new Date(expiresMs).toISOString() },
      changes: [{ ...fleetChange(`members/${node}`, "approved"), state: ticketState(tx, approvalOf(node)) }],
    };
  },
});

/** Removes a member. One with a raft server leaves in two steps. */
export const fleetMemberRemove = write({
  name: "fleet_member_remove",
  v: 1,
  title: "Remove a member",
  description:
    "Takes a member out of the fleet; a voter loses its vote first. What it holds stays on its disk. It can come " +
    "back only as a new member.",
  input: z.object({ node: nodeId.describe("StableNodeID of the member, as fleet_members lists it.") }),
  example: { node: "nOTHERCNTRL" },
  output: z.object({ node: z.string(), state: z.enum(["leaving", "removed"]) }),
  access: FLEET,
  hints: { destructive: true },
  prepare: (input) => input,
  apply(tx, { node }) {
    const member = requireMember(tx, node);
    if (member.state === "leaving") return { output: { node, state: "leaving" as const }, changes: [] };
    if (member.role === "central" && activeCentrals(tx).length === 1) {
      throw new Fault(
        "last_voter",
        `${member.name} is the only central member of this fleet: without it there is no leader`,
        {
          hint: "Promote another member first with cairn promote, or just stop this node.",
        },
      );
    }
    // A server leaves raft's configuration before its row is deleted, so that it stays reachable until then.
    if (member.server === "") tx.run("DELETE FROM members WHERE node = ?", node);
    else tx.run("UPDATE members SET state = 'leaving' WHERE node = ?", node);
    bumpRevision(tx);
    const state = member.server === "" ? ("removed" as const) : ("leaving" as const);
    return { output: { node, state }, changes: [memberChange(tx, node, state)] };
  },
});

/** Completes fleet_member_remove, once raft no longer counts the server. */
export const fleetMemberForget = write({
  name: "fleet_member_forget",
  v: 1,
  internal: true,
  title: "Forget a member that left",
  description: "Deletes the row of a leaving member.",
  input: z.object({ node: nodeId, server: serverId }),
  output: z.object({ forgotten: z.boolean() }),
  access: FLEET,
  prepare: (input) => input,
  apply(tx, { node, server }) {
    const { changes } = tx.run("DELETE FROM members WHERE node = ? AND server = ? AND state = 'leaving'", node, server);
    if (changes > 0) bumpRevision(tx);
    const full = allMembers(tx).filter((member) => member.server !== "").length;
    if (full === 1) writeAlone(tx, true);
    return {
      output: { forgotten: changes > 0 },
      changes: changes > 0 ? [memberChange(tx, node, "removed")] : [],
    };
  },
});

export const fleetMemberPromote = write({
  name: "fleet_member_promote",
  v: 1,
  title: "Promote a member",
  description:
    "Makes a regional member central: it votes once it kept up and the number of voters stays odd, and may lead " +
    "from then on.",
  input: z.object({ node: nodeId.describe("StableNodeID of the member, as fleet_members lists it.") }),
  example: { node: "nOTHERCNTRL" },
  output: z.object({ node: z.string(), role: z.enum(ROLES) }),
  access: FLEET,
  hints: { idempotent: true },
  prepare: (input) => input,
  apply(tx, { node }) {
    const member = requireMember(tx, node);
    if (member.state === "leaving" || member.role === "edge") {
      const why = member.role === "edge" ? "is an edge, which keeps a cache only" : "is leaving";
      throw new Fault("invalid_input", `${member.name} ${why}: it cannot become central`, {
        hint: "Let it join again with --role regional and --discard-local, then promote it.",
      });
    }
    const central: FleetRole = "central";
    const output = { node, role: central };
    if (member.role === "central") return { output, changes: [] };
    tx.run("UPDATE members SET role = 'central' WHERE node = ?", node);
    bumpRevision(tx);
    return { output, changes: [memberChange(tx, node, "promoted")] };
  },
});

export const fleetProfileSet = write({
  name: "fleet_profile_set",
  v: 1,
  title: "Set the fleet's profile",
  description:
    "How patient the voters are with each other: lan fails over fastest, home suits most, wan suits slow or " +
    "relayed links and SD cards.",
  input: z.object({ profile: z.enum(PROFILES) }),
  example: { profile: "home" },
  output: z.object({ profile: z.enum(PROFILES) }),
  access: FLEET,
  hints: { idempotent: true },
  prepare: (input) => input,
  apply(tx, { profile }) {
    const same = fleetValue(tx, "fleet_profile") === profile;
    if (!same) {
      writeMeta(tx, { fleet_profile: profile });
      bumpRevision(tx);
    }
    return { output: { profile }, changes: same ? [] : [fleetChange("profile", profile)] };
  },
});

/**
 * Raises the level when every full member's build knows the next one (replication.md 8), as the rows say. `settings`
 * are those of the leader's node: what the fleet has no value of begins with them.
 */
export const fleetLevelRaise = write({
  name: "fleet_level_raise",
  v: 1,
  internal: true,
  title: "Raise the fleet's level",
  description:
    "Migrates the store to the next level, keeps the settings of the fleet, and lets commands of that level be proposed.",
  input: z.object({
    level,
    /** A key for the fleet's backups, written where there is none (log/fleet-key.ts). */
    key: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    settings: firstSettings.optional(),
  }),
  output: z.object({ level }),
  access: FLEET,
  prepare: (input) => input,
  apply(tx, command) {
    const now = levelOf(tx);
    const behind = allMembers(tx).find((member) => member.server !== "" && member.level < command.level);
    if (command.level !== now + 1 || behind !== undefined) return { output: { level: now }, changes: [] };
    writeMeta(tx, { fleet_level: command.level });
    const fleetId = fleetValue(tx, "fleet_id");
    if (command.key !== undefined && readMetaNamed(tx, "key:", fleetId) === undefined)
      writeMetaNamed(tx, "key:", fleetId, command.key);
    bumpRevision(tx);
    const changes = [fleetChange("level", String(command.level)), ...addSettings(tx, command.settings)];
    return { output: { level: command.level }, changes };
  },
});

function requireMember(reader: Reader, node: string): Member {
  const member = memberByNode(reader, node);
  if (member !== undefined) return member;
  throw new Fault("not_found", `${node} is no member of this fleet`, { hint: "See cairn members." });
}

function activeCentrals(reader: Reader): Member[] {
  return allMembers(reader).filter(({ role, state }) => role === "central" && state === "active");
}
