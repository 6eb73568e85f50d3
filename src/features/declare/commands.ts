// cairn declarations: what is declared, and what of it is in force. cairn apply is in src/cli/declare.

import { columns } from "../../lib/columns.ts";
import { type FeatureCommand, optionText } from "../../operation/feature-command.ts";

/** The commands of declarations. */
export const declareCommands: readonly FeatureCommand[] = [
  {
    words: ["declarations"],
    summary: "list what is declared for the fleet, which version is in force, and what is wrong with a newer one",
    more: "Write them as contexts fleet/PLACE/NAME, or with `cairn apply -f FILE`. `cairn call declaration_kinds` shows how.",
    options: [{ flags: "--kind <kind>", help: "only those of this kind, such as probe" }],
    operation: "declaration_list",
    input: (words) => optionText(words, "kind"),
    show: ({ declarations }) => {
      const rows = declarations as Readonly<Record<string, unknown>>[];
      if (rows.length === 0) return "nothing is declared\n";
      return columns(
        rows.map(({ kind, name, in_force: version, newest, problem }) => [
          String(kind),
          String(name),
          version === undefined ? "not in force" : `version ${version}`,
          problem === undefined ? "" : `version ${newest} is refused: ${problem}`,
        ]),
      );
    },
    isNo: ({ declarations }) => (declarations as { problem?: string }[]).some(({ problem }) => problem !== undefined),
  },
];
