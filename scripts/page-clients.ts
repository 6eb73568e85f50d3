// The page docs/clients.md: what each client of the matrix was seen to do.

import { CHECK_NAMES, CHECKS, type Outcome } from "../test/clients/checks.ts";
import { MATRIX } from "../test/clients/matrix.ts";
import { table } from "./markdown.ts";

const MARKS = { passed: "✓", failed: "✗", limited: "○", skipped: "–" } as const;

/** Returns the page for these outcomes, by the names of the clients. */
export function clientsPage(matrix: ReadonlyMap<string, readonly Outcome[]>): string {
  const notes: string[] = [];
  const rows = [...matrix].map(([name, outcomes]) => {
    const client = MATRIX[name];
    const cells = CHECK_NAMES.map((check) => {
      const outcome = outcomes.find((one) => one.check === check);
      if (outcome === undefined) return "";
      if (outcome.note === "") return MARKS[outcome.result];
      const text = outcome.note;
      if (!notes.includes(text)) notes.push(text);
      return `${MARKS[outcome.result]} ${notes.indexOf(text) + 1}`;
    });
    return [client?.title ?? name, client?.package.version ?? "", ...cells];
  });
  return [
    "# Clients",
    "",
    "Written by `npm run clients`, which installs each client by the version below, runs it against a node of its own, and",
    "looks at what the node stored. Agents run with a model that follows a script (`test/clients/model.ts`). Codex is made",
    "of the Rust SDK (rmcp), which is not tried apart.",
    "",
    table(["Client", "Version", ...CHECK_NAMES], rows),
    "",
    "✓ works, ✗ does not, ○ does not for a reason of the client's own, – is not in the client or could not be tried. The numbers are notes:",
    "",
    ...notes.map((note, at) => `${at + 1}. ${note}`),
    "",
    "What each check asks for:",
    "",
    ...CHECK_NAMES.map((check) => `- **${check}**: ${CHECKS[check]}`),
    "",
  ].join("\n");
}
