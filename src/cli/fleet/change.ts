// cairn promote, transfer, leave: who votes, who leads, who goes by itself.

import type { NodeReport } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import type { Command } from "../command.ts";
import { confirmed } from "../confirm.ts";
import { cell, showAnswer } from "../output.ts";
import { ACCEPT_LOSS, goOnAlone } from "../recover.ts";
import { askLeader, askMembers, oneOf } from "./asking.ts";

const LEAVE_MS = 75_000;

/** `cairn promote`. */
export const promote: Command = {
  words: ["promote"],
  summary: "let a regional member vote; with --accept-loss: let this stopped node go on alone",
  more: "Typed on the leader. The member votes once it kept up and the number of voters stays odd (1, 3 or 5): with two centrals one of them waits.\nExamples:\n  cairn promote berlin\n  cairn promote --accept-loss",
  args: [{ name: "[NODE]", help: "name or id of the member" }],
  options: [ACCEPT_LOSS],
  asksNode: true,
  async run(invocation) {
    if (invocation.options["acceptLoss"] === true) return goOnAlone(invocation, "promote");
    const [word] = invocation.args;
    if (word === undefined) {
      throw new Fault("invalid_input", "The member to promote is missing", {
        hint: "Name it as cairn members shows it. A node whose fleet is lost for good goes on alone with --accept-loss.",
      });
    }
    const found = oneOf(word, (await askMembers(invocation)).members, "member");
    const answer = await askLeader(invocation, "fleet_member_promote", { node: found.node }, `promote ${word}`);
    return showAnswer(
      invocation,
      answer,
      () => `${cell(found.name)} is central now; cairn status shows when it votes, and what the voters survive\n`,
    );
  },
};

/** `cairn transfer`. */
export const transfer: Command = {
  words: ["transfer"],
  summary: "let another voter lead, as before a restart of this node",
  args: [{ name: "[NODE]", help: "name or id of the voter; without it the most current one" }],
  asksNode: true,
  async run(invocation) {
    const [word] = invocation.args;
    const found = word === undefined ? undefined : oneOf(word, (await askMembers(invocation)).members, "member");
    const input = found === undefined ? {} : { node: found.node };
    const answer = await askLeader(
      invocation,
      "fleet_transfer",
      input,
      `transfer${word === undefined ? "" : ` ${word}`}`,
    );
    return showAnswer(invocation, answer, ({ name }) => `${cell(name)} leads\n`);
  },
};

/** `cairn leave`. */
export const leave: Command = {
  words: ["leave"],
  summary: "take this node out of its fleet; it stops, and its next start begins anew",
  more: "A voter loses its vote first; the last one cannot leave. What the node holds is kept under aside/ in its data folder.",
  options: [{ flags: "--yes", help: "do not ask" }],
  asksNode: true,
  async run(invocation) {
    // Its own word: an edge, or who was forgotten, may not read the table of the others.
    const { fleet } = (await askNode(invocation, "node_status", {})).body as unknown as NodeReport;
    await confirmed(invocation, `This takes the node out of the fleet ${fleet.name}, and stops it`, fleet.name);
    const answer = await askNode(invocation, "fleet_leave", {}, { answerMs: LEAVE_MS });
    return showAnswer(
      invocation,
      answer,
      () =>
        `this node has left ${cell(fleet.name)} and stops; its next start begins a fleet of its own, and keeps what it held under aside/\n`,
    );
  },
};
