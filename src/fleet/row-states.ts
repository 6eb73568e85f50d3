// State hashes of members and tickets, which their changes carry, and the check of the rows against them
// (audit_verify).

import type { SettingValue } from "../config/parse.ts";
import { type ChangeRow, madeOther } from "../log/change-row.ts";
import type { LatestChanges } from "../log/latest-changes.ts";
import { listMeta } from "../log/meta.ts";
import { stateHash } from "../log/state-hash.ts";
import { settingText, storedFleetSettings } from "../operation/fleet-settings.ts";
import type { Reader } from "../store/store.ts";
import { allMembers, fleetValue, type Member, memberByNode, type TicketRow, ticketBy } from "./rows.ts";
import { stateProblem } from "./states.ts";

/** Returns the state hash of a member as it is now. Name, version and level are what it says of itself. */
export function memberState(reader: Reader, node: string): string {
  return stateOfMember(memberByNode(reader, node));
}

/** Returns the state hash of a ticket or approval as it was made. */
export function ticketState(reader: Reader, hash: string): string {
  return stateOfTicket(ticketBy(reader, hash));
}

/** Returns the state hash of a setting of the fleet. */
export function settingState(value: SettingValue): string {
  return stateHash([settingText(value)]);
}

function stateOfMember(member: Member | undefined): string {
  if (member === undefined) return stateHash(["none"]);
  const { node, server, role, state, spaces, joinedMs } = member;
  return stateHash([node, server, role, state, joinedMs, ...spaces]);
}

function stateOfTicket(ticket: TicketRow | undefined): string {
  if (ticket === undefined) return stateHash(["none"]);
  const { hash, role, spaces, node, expires_at, made_by } = ticket;
  return stateHash([hash, role, spaces, node, expires_at, made_by]);
}

/** Returns the first row of the fleet that is not as its newest change made it. */
export function fleetRowProblem(reader: Reader, latest: LatestChanges): string | undefined {
  return (
    memberProblem(reader, latest) ??
    ticketProblem(reader, latest) ??
    valueProblem(reader, latest) ??
    stateProblem(reader, changesOfHistory(reader, latest), latest.floor)
  );
}

/** A new history begins without members, so changes before the last fork say nothing of them. */
function changesOfHistory(reader: Reader, latest: LatestChanges): (target: string) => ChangeRow | undefined {
  const fork = reader.get<{ seq: number }>("SELECT fork_seq AS seq FROM epochs ORDER BY n DESC LIMIT 1")?.seq ?? 0;
  return (target) => {
    const change = latest.fleet.get(target);
    return change === undefined || change.seq <= fork ? undefined : change;
  };
}

function memberProblem(reader: Reader, latest: LatestChanges): string | undefined {
  const changeOf = changesOfHistory(reader, latest);
  const members = allMembers(reader);
  const nodes = new Set(members.map(({ node }) => node));
  for (const target of latest.fleet.keys()) {
    const [, node] = /^fleet\/members\/([^ ]+)$/.exec(target) ?? [];
    if (node !== undefined && changeOf(target) !== undefined) nodes.add(node);
  }
  // The founder comes in without a change, so that an unused store stays at position 0.
  const founders: string[] = [];
  for (const node of nodes) {
    const change = changeOf(`fleet/members/${node}`);
    const member = members.find((each) => each.node === node);
    if (change === undefined) {
      founders.push(node);
    } else if (madeOther(change, stateOfMember(member)))
      return `the member ${node} is not as change ${change.seq} made it`;
  }
  if (founders.length < 2 || latest.floor > 0) return undefined;
  return `the members ${founders.join(", ")} were added by no change, and only a founder is`;
}

function ticketProblem(reader: Reader, latest: LatestChanges): string | undefined {
  const changeOf = changesOfHistory(reader, latest);
  for (const ticket of reader.all<TicketRow>("SELECT * FROM tickets ORDER BY hash")) {
    const change = changeOf(
      ticket.hash.startsWith("node:")
        ? `fleet/members/${ticket.hash.slice("node:".length)} approved`
        : `fleet/tickets/${ticket.hash.slice(0, 8)}`,
    );
    const what = ticket.hash.startsWith("node:") ? "an approval" : "a ticket";
    if (change === undefined && latest.floor === 0) return `${what} for the role ${ticket.role} was made by no change`;
    if (change !== undefined && madeOther(change, stateOfTicket(ticket)))
      return `${what} for the role ${ticket.role} is not as change ${change.seq} made it`;
  }
  return undefined;
}

/** The profile, the settings, and how edges may keep each space. */
function valueProblem(reader: Reader, latest: LatestChanges): string | undefined {
  const profile = latest.fleet.get("fleet/profile");
  if (profile !== undefined && profile.outcome !== fleetValue(reader, "fleet_profile"))
    return `the profile of the fleet is not as change ${profile.seq} made it`;
  const setting = Object.entries(storedFleetSettings(reader)).find(([key, value]) => {
    const change = latest.fleet.get(`fleet/settings/${key}`);
    return change !== undefined && madeOther(change, settingState(value));
  });
  if (setting !== undefined) return `the setting ${setting[0]} of the fleet is not as its newest change made it`;
  const modes = new Map(listMeta(reader, "edge:"));
  for (const [target, change] of latest.fleet) {
    const [, space] = /^fleet\/spaces\/(.+)$/.exec(target) ?? [];
    if (space === undefined) continue;
    if ((modes.get(space) ?? "fresh") !== change.outcome)
      return `how edges may keep a space is not as change ${change.seq} made it`;
    modes.delete(space);
  }
  return modes.size > 0 && latest.floor === 0 ? "how edges may keep a space was set by no change" : undefined;
}
