// cairn leave: takes this node out of its fleet.

import type { NodeReport } from "../../fleet/index.ts";
import { askNode } from "../client.ts";
import type { Command } from "../command.ts";
import { confirmed, YES } from "../confirm.ts";
import { cell, showAnswer } from "../output.ts";

/** A voter loses its vote first, which takes a while. */
const LEAVE_MS = 75_000;

/** `cairn leave`. */
export const leave: Command = {
  words: ["leave"],
  operation: "fleet_leave",
  summary: "take this node out of its fleet; it stops, and its next start begins a fleet of its own",
  more: "A voter loses its vote first; the last one cannot leave. The data is kept under aside/ in the data folder.",
  options: [YES],
  asksNode: true,
  async run(invocation) {
    // The node's own report: an edge, or a node that its fleet has removed, may not read the member table.
    const { fleet } = (await askNode(invocation, "node_status", {})).body as unknown as NodeReport;
    await confirmed(invocation, `This takes the node out of the fleet ${fleet.name}, and stops it`, fleet.name);
    const answer = await askNode(invocation, "fleet_leave", {}, { answerMs: LEAVE_MS });
    const name = cell(fleet.name);
    return showAnswer(
      invocation,
      answer,
      () => `this node has left ${name} and stops; it keeps its data under aside/ and next starts a fleet of its own\n`,
    );
  },
};
