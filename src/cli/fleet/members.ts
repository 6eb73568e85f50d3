// cairn members, and members approve|remove: who is in the fleet, who waits, who goes.

import type { NodeReport } from "../../fleet/index.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, type Option, textsOption } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { cell, say, showAnswer, writeData } from "../output.ts";
import { askLeader, askMembers, oneOf, roleOption } from "./asking.ts";
import { memberRows } from "./table.ts";

/** `--role`, as join, ticket and approve take it. */
export const ROLE: Option = {
  flags: "--role <role>",
  help: "central votes and may lead, regional is a full replica, edge keeps a cache",
  offers: ["central", "regional", "edge"],
};

/** What an edge may keep. */
export const SPACE: Option = {
  flags: "--space <space>",
  help: "what an edge may keep, a name or glob; may be given several times (default: all)",
  repeated: true,
};

/** `cairn members`. */
export const membersList: Command = {
  words: ["members"],
  summary: "show the members of the fleet, and on the leader the devices that ask to join",
  asksNode: true,
  async run(invocation) {
    const isJson = invocation.options["json"] === true;
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
      say("as this edge sees them; who waits to join is told by the full nodes");
      return 0;
    }
    const waiting = listed.pending.flatMap(({ name, node, caller, role, since }) => [
      ["waits", `${cell(name)} (${node}, ${cell(caller)})${role === "" ? "" : ` as ${role}`}, since ${since}`],
      ["", `cairn members approve ${cell(name)} --role ${role || "regional"}`],
    ]);
    const given = listed.approvals.map(({ node, role, expires_at }) => [
      "approved",
      `${node} as ${role}, until ${expires_at}`,
    ]);
    await writeData(
      `${columns(memberRows(report.members))}\n${columns([
        ["fleet", `${cell(listed.fleet.name)} (${listed.fleet.id}), profile ${listed.fleet.profile}`],
        ["survives", report.fleet.survives],
        ...waiting,
        ...given,
        ...(listed.tickets === 0 ? [] : [["tickets", `${listed.tickets} not used yet`]]),
      ])}`,
    );
    return 0;
  },
};

/** `cairn members approve`. */
export const membersApprove: Command = {
  words: ["members", "approve"],
  summary: "let a device that asks to join into the fleet",
  more: "Typed on the leader. The device asks again by itself; the approval ends after 15 minutes.",
  args: [{ name: "NODE", help: "its name or id, as cairn members shows it" }],
  options: [ROLE, SPACE],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const role = roleOption(invocation);
    if (role === undefined) {
      throw new Fault("invalid_input", "The role that it gets is missing", {
        hint: `Give it: cairn members approve ${word} --role regional.`,
      });
    }
    const { pending } = await askMembers(invocation);
    // An id may be approved before the device asks; a name must be one that waits.
    const found =
      pending.length === 0 && isId(word) ? { node: word, name: word } : oneOf(word, pending, "waiting device");
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
  summary: "take a member out of the fleet; what it holds stays on its disk",
  more: "Typed on the leader. A voter loses its vote first. For a node that still runs, cairn leave on it is kinder.",
  args: [{ name: "NODE", help: "its name or id" }],
  options: [{ flags: "--yes", help: "do not ask" }],
  asksNode: true,
  async run(invocation) {
    const [word = ""] = invocation.args;
    const { members } = await askMembers(invocation);
    const found = oneOf(word, members, "member");
    await confirmed(invocation, `This takes ${found.name} (${found.node}, ${found.role}) out of the fleet`, found.name);
    const words = `members remove ${word}`;
    const answer = await askLeader(invocation, "fleet_member_remove", { node: found.node }, words);
    return showAnswer(invocation, answer, ({ state }) =>
      state === "removed"
        ? `${cell(found.name)} is out\n`
        : `${cell(found.name)} loses its vote and is out within seconds\n`,
    );
  },
};

function isId(word: string): boolean {
  return /^n[A-Za-z0-9]{6,}$/.test(word);
}
