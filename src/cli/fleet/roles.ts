// cairn promote and cairn transfer: who votes, and who leads.

import { Fault } from "../../lib/fault.ts";
import { type Command, type Invocation, isSet } from "../command.ts";
import { confirmed, YES } from "../confirm.ts";
import { cell, say, showAnswer } from "../output.ts";
import { ACCEPT_LOSS, recoverAlone } from "../recover.ts";
import { askLeader, askMembers } from "./ask-leader.ts";
import { describeDevice, findDevice, isAmbiguous, type ListedDevice, wordFor } from "./find-device.ts";

/** `cairn promote`. */
export const promote: Command = {
  words: ["promote"],
  operation: "fleet_member_promote",
  summary: "make a regional member central, so that it votes; with --accept-loss: recover this stopped node alone",
  more: `Run it on the leader. The member votes once it has caught up and the number of voters stays odd (1, 3 or 5):
of two centrals, one waits.
Examples:
  cairn promote berlin
  cairn promote --accept-loss`,
  args: [{ name: "[NODE]", help: "tailnet name or id of the member" }],
  options: [ACCEPT_LOSS, YES],
  asksNode: true,
  async run(invocation) {
    if (isSet(invocation, "acceptLoss")) return recoverAlone(invocation, "promote");
    const [word] = invocation.args;
    if (word === undefined) {
      throw new Fault("invalid_input", "The member to promote is missing", {
        hint: "Name it as cairn members shows it. A node whose fleet is lost for good is recovered with --accept-loss.",
      });
    }
    const { found, members } = await chosenMember(invocation, word, "gives the role central to");
    const answer = await askLeader(invocation, "fleet_member_promote", { node: found.node }, `promote ${word}`);
    return showAnswer(invocation, answer, () => promotedLine(found, members));
  },
};

/** Returns what became of the member. With an even number of centrals one of them is a standby. */
function promotedLine(found: ListedDevice, members: readonly ListedDevice[]): string {
  const others = members.filter(({ role, node }) => role === "central" && node !== found.node).length;
  const now = found.role === "central" ? "is central already" : "is central now";
  const count = others + 1;
  const standby = `; of ${count} centrals one waits without a vote: promote one more`;
  const when = "; cairn status shows when it votes and how many voters may fail";
  return `${wordFor(found)} ${now}${count % 2 === 0 ? standby : ""}${when}\n`;
}

/** `cairn transfer`. */
export const transfer: Command = {
  words: ["transfer"],
  operation: "fleet_transfer",
  summary: "hand the lead to another voter, such as before a restart of this node",
  args: [{ name: "[NODE]", help: "tailnet name or id of the voter (default: the most up-to-date one)" }],
  options: [YES],
  asksNode: true,
  async run(invocation) {
    const [word] = invocation.args;
    const found = word === undefined ? undefined : (await chosenMember(invocation, word, "hands the lead to")).found;
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

/** Returns the member that a word means, after showing it; asks first where the word could mean another one. */
async function chosenMember(
  invocation: Invocation,
  word: string,
  does: string,
): Promise<{ found: ListedDevice; members: readonly ListedDevice[] }> {
  const { members } = await askMembers(invocation);
  const found = findDevice(word, members, "member");
  const warning = `This ${does} ${describeDevice(found)}`;
  if (isAmbiguous(word, found, members)) await confirmed(invocation, warning, found.node);
  say(warning);
  return { found, members };
}
