// cairn apply: makes the declarations of the fleet those of a file or folder, after it has shown the plan.

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode } from "../client.ts";
import { type Command, isSet, textOption } from "../command.ts";
import { confirmed, YES } from "../confirm.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { toldWhere } from "../feature-commands.ts";
import { objectsOf, say, showResult, wantsJson, writeData } from "../output.ts";
import { readDeclared } from "./read-declared.ts";

/** Time for a plan or its writes, in ms. */
const ANSWER_MS = 120_000;
const SIGNS: Readonly<Record<string, string>> = { create: "+", change: "~", remove: "-", unchanged: " " };

/** `cairn apply`. */
export const applyCommand: Command = {
  words: ["apply"],
  summary: "declare probes and the like from files: shows the plan, then writes what differs",
  more: `A file has one declaration, or a list of them (YAML: also documents after ---), each with kind, name, and what
it declares. It becomes the context fleet/PLACE/NAME: versioned, and in force once the leader has judged it.

  kind: probe
  name: website
  type: http
  target: https://example.com/
  interval: 60

What changed since the plan is not overwritten. With --plan the exit code is 3 if something differs. --prune refuses
empty files and folders within the folder, and asks before it removes more than half of a kind: files may be cut.`,
  options: [
    {
      flags: "-f, --file <path>",
      help: "a file (.json, .yaml, .toml), a folder of them, or - for stdin",
      offers: "files",
    },
    { flags: "--plan", help: "only show what would be done" },
    { flags: "--prune", help: "also remove what is declared of the same kinds and not in the files" },
    { ...YES, help: "do not ask when --prune removes more than half of a kind" },
  ],
  asksNode: true,
  operation: "declaration_apply",
  async run(invocation) {
    const path = textOption(invocation, "file");
    if (path === undefined)
      throw new Fault("invalid_input", "Nothing says what to apply", {
        hint: "Give -f FILE, -f FOLDER, or -f - for stdin.",
      });
    const prunes = isSet(invocation, "prune");
    const declarations = await readDeclared(path, { prunes });
    const input = { declarations, ...(prunes ? { prune: true } : {}) };
    const ask = (operation: string, more: Record<string, unknown>) =>
      askNode(invocation, operation, { ...input, ...more }, { answerMs: ANSWER_MS }).catch((error: unknown) => {
        throw toldWhere(error, [`apply -f ${path}`]);
      });
    const { body: plan } = await ask("declaration_plan", {});
    const steps = objectsOf(plan["steps"]);
    const differing = steps.filter(({ action }) => action !== "unchanged");
    if (!wantsJson(invocation)) await writeData(planText(steps));
    if (isSet(invocation, "plan") || differing.length === 0) {
      if (wantsJson(invocation)) await showResult(invocation, plan, "");
      return isSet(invocation, "plan") && differing.length > 0 ? NEGATIVE_EXIT : 0;
    }
    const expect = steps.map(({ id, etag }) => ({ id, ...(etag === undefined ? {} : { etag }) }));
    const most = mostOf(steps);
    if (most !== undefined) await confirmed(invocation, `--prune would remove ${most}`, "prune");
    const { body } = await ask("declaration_apply", { expect, ...(most === undefined ? {} : { prune_most: true }) });
    if (wantsJson(invocation)) await showResult(invocation, body, "");
    else say(`wrote ${counted(differing.length, "declaration")}; \`cairn declarations\` shows what is in force`);
    return 0;
  },
};

/** Returns how much of a kind a plan removes where that is more than half of it. */
function mostOf(steps: readonly Record<string, unknown>[]): string | undefined {
  const there = Map.groupBy(
    steps.filter(({ action }) => action !== "create"),
    ({ kind }) => String(kind),
  );
  const sums = [...there].map(([kind, all]) => {
    return { kind, all: all.length, removed: all.filter(({ action }) => action === "remove").length };
  });
  const most = sums.find(({ all, removed }) => 2 * removed > all);
  return most && `${most.removed} of ${counted(most.all, `${most.kind} declaration`)}`;
}

/** Returns the plan for people: a line for each step, with what changes below it, and the counts. */
function planText(steps: readonly Record<string, unknown>[]): string {
  const lines = steps.flatMap(({ kind, name, action, diff }) => {
    const said = `${SIGNS[String(action)] ?? "?"} ${kind} ${name}: ${action}`;
    const shown = String(diff ?? "")
      .split("\n")
      .filter((line) => line !== "");
    return [said, ...shown.map((line) => `    ${line}`)];
  });
  const count = (action: string) => steps.filter((step) => step["action"] === action).length;
  const sum = `${count("create")} to create, ${count("change")} to change, ${count("remove")} to remove, ${count("unchanged")} unchanged`;
  return `${[...lines, sum].join("\n")}\n`;
}
