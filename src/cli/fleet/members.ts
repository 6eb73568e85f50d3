// cairn members, and members approve|remove: lists the members of the fleet, admits devices and removes members.

import type { NodeReport } from "../../fleet/index.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, type Option, textsOption } from "../command.ts";
import { confirmed, YES } from "../confirm.ts";
import { cell, say, showAnswer, wantsJson, writeData } from "../output.ts";
import { askLeader, askMembers, type MembersAnswer, roleOption } from "./ask-leader.ts";
import { describeDevice, findDevice, isAmbiguous, type ListedDevice, wordFor } from "./find-device.ts";
import { machineRows } from "./machine-table.ts";
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
  operation: "fleet_members",
  summary: "show the members of the fleet and their machines, and on the leader the devices that ask to join",
  more: `busy is the highest of load per CPU, CPU in use, and wait, which says in how much of the last 10 s something
waited for CPU, memory and disk (PSI). What a machine does not tell is unknown.`,
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
    const tables = [memberRows(report.members), machineRows(listed.members), fleetRows(report, listed)];
    await writeData(tables.map(columns).join("\n"));
    return 0;
  },
};

function fleetRows(report: NodeReport, { fleet, pending, approvals, tickets }: MembersAnswer): string[][] {
  const waiting = pending.flatMap((device) => [
    ["waits", describeWaiting(device)],
    ["", `cairn members approve ${wordFor(device)} --role ${device.role || "regional"}`],
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

/** Returns a waiting device in words. Its user or tags come from the tailnet, name and role are its own. */
function describeWaiting(device: MembersAnswer["pending"][number]): string {
  const { caller, role, since } = device;
  return `${describeDevice(device)}, ${cell(caller)}${role === "" ? "" : `, as ${role}`}, since ${since}`;
}

/** `cairn members approve`. */
export const membersApprove: Command = {
  words: ["members", "approve"],
  operation: "fleet_member_approve",
  summary: "admit a device that asks to join the fleet",
  more: `Run it on the leader. The name is the one that the tailnet proves; what a device calls itself is not matched. The
device asks again by itself; the approval expires after 15 minutes.`,
  args: [{ name: "NODE", help: "its tailnet name or id, as cairn members shows it" }],
  options: [ROLE, SPACE, YES],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const role = roleOption(invocation);
    if (role === undefined) {
      throw new Fault("invalid_input", "The role of the new member is missing", {
        hint: `Add it: cairn members approve ${word} --role regional.`,
      });
    }
    const { pending, members } = await askMembers(invocation);
    // An id may be approved before its device asks; a name must be that of a waiting device.
    const waits = pending.some(({ node }) => node === word);
    const found: ListedDevice = !waits && isId(word) ? unseenDevice(word) : findDevice(word, pending, "waiting device");
    const who = pending.find(({ node }) => node === found.node);
    const warning = `This lets in, as ${role}: ${who === undefined ? word : describeWaiting(who)}`;
    if (isAmbiguous(word, found, [...pending, ...members])) await confirmed(invocation, warning, found.node);
    say(warning);
    const spaces = textsOption(invocation, "space");
    const input = { node: found.node, role, ...(spaces.length === 0 ? {} : { spaces }) };
    const words = `members approve ${word} --role ${role}`;
    const answer = await askLeader(invocation, "fleet_member_approve", input, words);
    return showAnswer(
      invocation,
      answer,
      ({ expires_at }) => `${wordFor(found)} may join as ${role} until ${expires_at}; it asks by itself\n`,
    );
  },
};

/** `cairn members remove`. */
export const membersRemove: Command = {
  words: ["members", "remove"],
  operation: "fleet_member_remove",
  summary: "remove a member from the fleet; its data stays on its disk",
  more: "Run it on the leader. A voter loses its vote first. If the node still runs, prefer cairn leave on it.",
  args: [{ name: "NODE", help: "its tailnet name or id" }],
  options: [YES],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const { members } = await askMembers(invocation);
    const found = findDevice(word, members, "member");
    const warning = `This removes ${describeDevice(found)}, ${found.role}, from the fleet`;
    await confirmed(invocation, warning, isAmbiguous(word, found, members) ? found.node : wordFor(found));
    say(warning);
    const words = `members remove ${word}`;
    const answer = await askLeader(invocation, "fleet_member_remove", { node: found.node }, words);
    return showAnswer(invocation, answer, ({ state }) =>
      state === "removed"
        ? `${wordFor(found)} is removed\n`
        : `${wordFor(found)} loses its vote and is removed within seconds\n`,
    );
  },
};

/** Reports whether a word has the form of a StableNodeID. */
export function isId(word: string): boolean {
  return /^n[A-Za-z0-9]{6,}$/.test(word);
}

/** A device that nothing is known of but its id. */
function unseenDevice(node: string): ListedDevice {
  return { node, name: node, tailnet_name: "", role: "" };
}
