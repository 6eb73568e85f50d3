// cairn members, and members approve|remove: lists the members of the fleet, admits devices and removes members.

import type { NodeReport } from "../../fleet/index.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, type Option, textsOption } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { cell, say, showAnswer, wantsJson, writeData } from "../output.ts";
import { askLeader, askMembers, findByName, type MembersAnswer, roleOption } from "./ask-leader.ts";
import { memberRows } from "./member-table.ts";

/** The role that a device gets. */
export const ROLE: Option = {
  flags: "--role <role>",
  help: "central votes and may lead, regional is a full replica, edge keeps a cache",
  offers: ["central", "regional", "edge"],
};

/** The spaces that an edge caches. */
export const SPACE: Option = {
  flags: "--space <space>",
  help: "a space that an edge may cache, a name or glob; may be given several times (default: all)",
  repeated: true,
};

/** `cairn members`. */
export const membersList: Command = {
  words: ["members"],
  summary: "show the members of the fleet, and on the leader the devices that ask to join",
  asksNode: true,
  async run(invocation) {
    const isJson = wantsJson(invocation);
    const report = (await askNode(invocation, "node_status", {})).body as unknown as NodeReport;
    const listed = await askMembers(invocation).catch((error: unknown) => {
      if (isJson || report.role !== "edge") throw error;
    });
    if (isJson) {
      await writeData(`${JSON.stringify(listed)}\n`);
      return 0;
    }
    if (listed === undefined) {
      await writeData(columns(memberRows(report.members)));
      say("this is an edge's view; full nodes also list the devices that ask to join");
      return 0;
    }
    await writeData(`${columns(memberRows(report.members))}\n${columns(fleetRows(report, listed))}`);
    return 0;
  },
};

function fleetRows(report: NodeReport, { fleet, pending, approvals, tickets }: MembersAnswer): string[][] {
  const waiting = pending.flatMap(({ name, node, caller, role, since }) => [
    ["waits", `${cell(name)} (${node}, ${cell(caller)})${role === "" ? "" : ` as ${role}`}, since ${since}`],
    ["", `cairn members approve ${cell(name)} --role ${role || "regional"}`],
  ]);
  const approved = approvals.map(({ node, role, expires_at }) => [
    "approved",
    `${node} as ${role}, until ${expires_at}`,
  ]);
  return [
    ["fleet", `${cell(fleet.name)} (${fleet.id}), profile ${fleet.profile}`],
    ["survives", report.fleet.survives],
    ...waiting,
    ...approved,
    ...(tickets === 0 ? [] : [["tickets", `${tickets} not used yet`]]),
  ];
}

/** `cairn members approve`. */
export const membersApprove: Command = {
  words: ["members", "approve"],
  summary: "admit a device that asks to join the fleet",
  more: "Run it on the leader. The device asks again by itself; the approval expires after 15 minutes.",
  args: [{ name: "NODE", help: "its name or id, as cairn members shows it" }],
  options: [ROLE, SPACE],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const role = roleOption(invocation);
    if (role === undefined) {
      throw new Fault("invalid_input", "The role of the new member is missing", {
        hint: `Add it: cairn members approve ${word} --role regional.`,
      });
    }
    const { pending } = await askMembers(invocation);
    // An id may be approved before its device asks; a name must be that of a waiting device.
    const found =
      pending.length === 0 && isId(word) ? { node: word, name: word } : findByName(word, pending, "waiting device");
    const spaces = textsOption(invocation, "space");
    const input = { node: found.node, role, ...(spaces.length === 0 ? {} : { spaces }) };
    const words = `members approve ${word} --role ${role}`;
    const answer = await askLeader(invocation, "fleet_member_approve", input, words);
    return showAnswer(
      invocation,
      answer,
      ({ expires_at }) => `${cell(found.name)} may join as ${role} until ${expires_at}; it asks by itself\n`,
    );
  },
};

/** `cairn members remove`. */
export const membersRemove: Command = {
  words: ["members", "remove"],
  summary: "remove a member from the fleet; its data stays on its disk",
  more: "Run it on the leader. A voter loses its vote first. If the node still runs, prefer cairn leave on it.",
  args: [{ name: "NODE", help: "its name or id" }],
  options: [{ flags: "--yes", help: "do not ask for confirmation" }],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const { members } = await askMembers(invocation);
    const found = findByName(word, members, "member");
    await confirmed(invocation, `This removes ${found.name} (${found.node}, ${found.role}) from the fleet`, found.name);
    const words = `members remove ${word}`;
    const answer = await askLeader(invocation, "fleet_member_remove", { node: found.node }, words);
    return showAnswer(invocation, answer, ({ state }) =>
      state === "removed"
        ? `${cell(found.name)} is removed\n`
        : `${cell(found.name)} loses its vote and is removed within seconds\n`,
    );
  },
};

function isId(word: string): boolean {
  return /^n[A-Za-z0-9]{6,}$/.test(word);
}
