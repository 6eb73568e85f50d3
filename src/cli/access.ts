// cairn access explain: why a caller may or may not do something on a node.

import { askNode } from "./client.ts";
import { type Command, given, textOption } from "./command.ts";
import { objectsOf, showAnswer } from "./output.ts";

/** Asked for, and not so. */
const REFUSED_EXIT = 3;
const VERBS = ["read", "write", "operate", "admin"] as const;

export const accessExplain: Command = {
  words: ["access", "explain"],
  summary: "say why a caller may or may not use a verb in a space; exits 3 when it may not",
  more: "Examples:\n  cairn access explain ann@example.com write team-a\n  cairn access explain laptop read secrets --operation context_get\nCALLER is a login, tag:name, a device's name, id or address, or local.",
  args: [
    { name: "CALLER", help: "who" },
    { name: "VERB", help: "read, write, operate or admin", offers: VERBS },
    { name: "SPACE", help: "the part of an id before the first /" },
  ],
  options: [{ flags: "--operation <name>", help: "by this operation" }],
  asksNode: true,
  async run(invocation) {
    const [caller, verb, space] = invocation.args;
    const answer = await askNode(
      invocation,
      "access_explain",
      given({ caller, verb, space, operation: textOption(invocation, "operation") }),
    );
    const callers = objectsOf(answer.body["callers"]);
    await showAnswer(invocation, answer, () => callers.map((found) => people(found, `${verb} in ${space}`)).join(""));
    return callers.every((found) => found["allowed"] === true) ? 0 : REFUSED_EXIT;
  },
};

function people(found: Record<string, unknown>, what: string): string {
  const device = found["node"] === "" ? "" : ` (${found["node"]})`;
  const others = objectsOf(found["grants"])
    .map((grant) => String(grant["reason"]))
    .filter((reason) => reason !== found["because"] && !String(found["because"]).startsWith(reason));
  const problems = Array.isArray(found["problems"])
    ? found["problems"].map((problem) => `worth nothing: ${problem}`)
    : [];
  const lines = [String(found["because"]), ...others, ...problems, String(found["note"])].filter((line) => line !== "");
  return `${found["caller"]}${device} ${found["allowed"] === true ? "may" : "may NOT"} ${what}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
