// cairn recover --accept-loss (and promote --accept-loss): makes a stopped node a fleet of its own, with what its disk
// holds and a new history.

import { recoverNode } from "../datadir/index.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import { dataDirOf } from "./client.ts";
import { type Command, type Invocation, isSet } from "./command.ts";
import { say, showResult } from "./output.ts";

/** The flag without which nothing is done. */
export const ACCEPT_LOSS = {
  flags: "--accept-loss",
  help: "make this stopped node a fleet of its own; it loses the writes that only other members have",
} as const;

/** Starts a new history on the stopped node of this data folder. Fault `invalid_input` without `--accept-loss`. */
export async function recoverAlone(invocation: Invocation, command: "recover" | "promote"): Promise<number> {
  const dataDir = dataDirOf(invocation);
  if (!isSet(invocation, "acceptLoss")) {
    throw new Fault("invalid_input", `cairn ${command} starts a new history from what is in ${dataDir} alone`, {
      hint:
        "Bring the other members back if you can. If they are lost for good, give --accept-loss: " +
        "what only they have is lost, and they must join again with --discard-local.",
    });
  }
  process.umask(0o077);
  const recovered = await recoverNode({ dataDir });
  const { epoch, position, contexts, aside, unread } = recovered;
  await showResult(
    invocation,
    { data: dataDir, ...recovered, aside: aside ?? null, unread: unread ?? null },
    `${dataDir}: kept ${counted(contexts, "context")}, up to ${position}; a new history ${epoch} begins with this node alone\n`,
  );
  if (unread !== undefined) say(`only the store was used, not the replicated log beside it: ${unread}`);
  if (aside !== undefined) say(`the previous replicated log is in ${aside}`);
  say(
    "the other members must join this node again with --discard-local; later positions are refused with history_forked",
  );
  return 0;
}

/** `cairn recover`. */
export const recover: Command = {
  words: ["recover"],
  summary: "make this machine's stopped node a fleet of its own, with what it holds and a new history",
  more: `For a node whose store and replicated log no longer match, or whose fleet is lost for good.
Examples:
  cairn recover --accept-loss
  cairn recover --accept-loss --data /var/lib/cairn`,
  options: [ACCEPT_LOSS, { flags: "--data <dir>", help: "the data folder" }, { flags: "--json", help: "print JSON" }],
  run: (invocation) => recoverAlone(invocation, "recover"),
};
