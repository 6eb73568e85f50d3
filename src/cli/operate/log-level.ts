// cairn log-level: shows from which level on the parts of a running node write log lines, and sets it until a restart.

import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import type { Command } from "../command.ts";
import { cell, objectsOf, showAnswer } from "../output.ts";

/** `cairn log-level`. */
export const logLevel: Command = {
  words: ["log-level"],
  operation: "node_log_levels",
  summary: "show from which level on the parts of a node write log lines, or set it until the node starts again",
  more: `The levels are debug, info, warning and error; default is that of all again. The lines go where the log goes.
Examples:
  cairn log-level
  cairn log-level tailnet=debug raft=debug
  cairn log-level all=warning tailnet=default`,
  args: [{ name: "[PART=LEVEL...]", help: "a part and its new level; all: every part without one of its own" }],
  asksNode: true,
  async run(invocation) {
    const pairs = invocation.args.flatMap((word) => (word === undefined ? [] : [pairOf(word)]));
    const answer = await askNode(invocation, "node_log_levels", { set: Object.fromEntries(pairs) });
    return showAnswer(invocation, answer, ({ level, parts }) =>
      columns([
        ["all", cell(level)],
        ...objectsOf(parts)
          .filter(({ part, own }) => own === true || pairs.length === 0 || pairs.some(([named]) => named === part))
          .map(({ part, level: of, own }) => [cell(part), `${cell(of)}${own === true ? " (set for it)" : ""}`]),
      ]),
    );
  },
};

function pairOf(word: string): [string, string] {
  const [, part, level] = /^([^=]+)=([^=]+)$/.exec(word) ?? [];
  if (part !== undefined && level !== undefined) return [part, level];
  throw new Fault("invalid_input", `${JSON.stringify(word)} must be a part and its level`, {
    hint: "Write it as tailnet=debug; cairn log-level alone shows the parts.",
  });
}
