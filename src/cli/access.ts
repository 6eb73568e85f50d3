// cairn access explain: why a caller may or may not do something on a node.

import { askNode } from "./client.ts";
import { type Command, given, textOption } from "./command.ts";
import { NEGATIVE_EXIT } from "./exit.ts";
import { objectsOf, showAnswer } from "./output.ts";

const VERBS = ["read", "write", "operate", "admin"] as const;

/** `cairn access explain`. */
export const accessExplain: Command = {
  words: ["access", "explain"],
  summary: "explain why a caller may or may not read, write, operate or admin a space; exits 3 when it may not",
  more: `Examples:
  cairn access explain ann@example.com write team-a
  cairn access explain laptop read secrets --operation context_get`,
  args: [
    { name: "CALLER", help: "a login, tag:name, the name, id or address of a device, or local" },
    { name: "VERB", help: "read, write, operate or admin", offers: VERBS },
    { name: "SPACE", help: "the part of an id before the first /" },
  ],
  options: [{ flags: "--operation <name>", help: "with this operation" }],
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
    return callers.every((found) => found["allowed"] === true) ? 0 : NEGATIVE_EXIT;
  },
};

function people(found: Record<string, unknown>, what: string): string {
  const device = found["node"] === "" ? "" : ` (${found["node"]})`;
  const others = objectsOf(found["grants"])
    .map((grant) => String(grant["reason"]))
    .filter((reason) => reason !== found["because"] && !String(found["because"]).startsWith(reason));
  const problems = Array.isArray(found["problems"])
    ? found["problems"].map((problem) => `ignored grant: ${problem}`)
    : [];
  const lines = [String(found["because"]), ...others, ...problems, String(found["note"])].filter((line) => line !== "");
  const verdict = found["allowed"] === true ? "may" : "may NOT";
  return `${found["caller"]}${device} ${verdict} ${what}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
