// cairn audit: who changed what, which calls were refused, and whether the history is intact.

import { columns } from "../lib/columns.ts";
import { counted } from "../lib/counted.ts";
import { isObject } from "../lib/json-object.ts";
import { askNode } from "./client.ts";
import { type Command, countOption, given, type Invocation, isSet, textOption } from "./command.ts";
import { NEGATIVE_EXIT } from "./exit.ts";
import { callerCell, cell, objectsOf, say, showAnswer, showPage } from "./output.ts";

/** Time limit of a verification, in ms: it recomputes the whole history. */
const VERIFY_MS = 30 * 60_000;

/** `cairn audit`. */
export const audit: Command = {
  words: ["audit"],
  summary:
    "show who changed what and which calls were refused; --verify checks the history and exits 3 when it is broken",
  options: [
    { flags: "--verify", help: "recompute the hash chain and the hash of every stored text" },
    { flags: "--caller <caller>", help: "only calls of this caller, as cairn whoami prints it" },
    { flags: "--operation <name>", help: "only calls of this operation" },
    { flags: "--prefix <text>", help: "only ids that begin with this", offers: "ids" },
    { flags: "--since <time>", help: "from this time (2026-01-31T12:00:00Z) or position" },
    { flags: "--until <time>", help: "up to this time or position" },
    { flags: "--limit <n>", help: "most entries to list" },
    { flags: "--cursor <cursor>", help: "continue where an earlier list ended" },
  ],
  asksNode: true,
  operation: "audit_query",
  async run(invocation) {
    if (isSet(invocation, "verify")) return verify(invocation);
    const answer = await askNode(
      invocation,
      "audit_query",
      given({
        caller: textOption(invocation, "caller"),
        operation: textOption(invocation, "operation"),
        prefix: textOption(invocation, "prefix"),
        since: textOption(invocation, "since"),
        until: textOption(invocation, "until"),
        limit: countOption(invocation, "limit", "--limit"),
        cursor: textOption(invocation, "cursor"),
      }),
    );
    return showPage(invocation, answer, people);
  },
};

async function verify(invocation: Invocation): Promise<number> {
  const answer = await askNode(invocation, "audit_verify", {}, { answerMs: VERIFY_MS });
  const { ok, checked, versions, problem, head } = answer.body;
  const end = isObject(head) ? head : {};
  const place = "position" in end ? ` up to ${String(end["position"])}` : "";
  const text =
    ok === true
      ? `intact: ${counted(Number(checked), "change")} and ${counted(Number(versions), "version")}${place}\n`
      : `BROKEN after ${counted(Number(checked), "change")}: ${problem}\n`;
  await showAnswer(invocation, answer, () => text);
  if (ok === true) return 0;
  say("the history has been altered; keep a copy of the data folder, then restore the last backup that verifies");
  return NEGATIVE_EXIT;
}

function people(body: Record<string, unknown>): string {
  const rows = objectsOf(body["rows"]).map((row) => [
    cell(row["time"]),
    cell(row["outcome"]) || "empty",
    targetOf(row),
    callerCell(row["caller"], row),
    cell(row["operation"]),
  ]);
  const refused = objectsOf(body["refusals"]).map((row) => [
    cell(row["time"]),
    "refused",
    `${row["verb"]} in ${cell(row["space"])}, ${counted(Number(row["count"]), "time")}`,
    callerCell(row["caller"], row),
    cell(row["operation"]),
  ]);
  return columns([...rows, ...refused]);
}

/** Only a context has versions; the one of a purge is the newest then, and not what was purged. */
function targetOf({ target, version, operation }: Record<string, unknown>): string {
  return version === 0 || operation === "context_purge" ? cell(target) : `${cell(target)} version ${version}`;
}
