// cairn recover --accept-loss, and what promote --accept-loss does: a stopped node's store goes on alone, as a new history. Both say what was kept and what that means for others.

import { resolve } from "node:path";
import { recoverNode } from "../datadir/index.ts";
import { Fault } from "../lib/fault.ts";
import { dataDirOf } from "./client.ts";
import type { Command, Invocation } from "./command.ts";
import { say, writeData } from "./output.ts";

/** The flag without which nothing is given up. */
export const ACCEPT_LOSS = {
  flags: "--accept-loss",
  help: "go on alone with what this stopped node has; writes that only other members have are lost to it",
} as const;

/** Begins a new history on the stopped node of this data folder. Fault `invalid_input` without `--accept-loss`. */
export async function goOnAlone(invocation: Invocation, command: "recover" | "promote"): Promise<number> {
  const dataDir = resolve(dataDirOf(invocation));
  if (invocation.options["acceptLoss"] !== true) {
    throw new Fault("invalid_input", `cairn ${command} begins a new history from what is in ${dataDir} alone`, {
      hint: `Bring the other members back if you can. If they are lost for good, give --accept-loss: what only they have is lost, and they must join again with --discard-local.`,
    });
  }
  process.umask(0o077);
  const recovered = await recoverNode({ dataDir });
  const { epoch, position, contexts, aside, unread } = recovered;
  await writeData(
    invocation.options["json"] === true
      ? `${JSON.stringify({ data: dataDir, ...recovered, aside: aside ?? null, unread: unread ?? null })}\n`
      : `${dataDir}: kept ${contexts} contexts, up to ${position}; a new history ${epoch} begins, and this node is alone in it\n`,
  );
  if (unread !== undefined) say(`only the store was used, not the replicated log beside it: ${unread}`);
  if (aside !== undefined) say(`the replicated log of before is in ${aside}`);
  say(
    "other members of before must join this node again, with --discard-local; positions beyond the one above answer history_forked",
  );
  return 0;
}

export const recover: Command = {
  words: ["recover"],
  summary: "go on alone with what this machine's stopped node has, as a new history",
  more: "For a node whose store and replicated log no longer belong together, or whose fleet is gone for good.\nExamples:\n  cairn recover --accept-loss\n  cairn recover --accept-loss --data /var/lib/cairn",
  options: [ACCEPT_LOSS, { flags: "--data <dir>", help: "the data folder" }, { flags: "--json", help: "as JSON" }],
  run: (invocation) => goOnAlone(invocation, "recover"),
};
