// The page docs/clients.md: what each client of the matrix was seen to do. It is read back, so that a run of some
// clients keeps the rows of the others.

import { CHECK_NAMES, CHECKS, type Outcome } from "../test/clients/checks.ts";
import { MATRIX } from "../test/clients/matrix.ts";
import { table } from "./markdown.ts";

const MARKS = { passed: "✓", failed: "✗", limited: "○", skipped: "–" } as const;

const RESULTS = Object.keys(MARKS) as (keyof typeof MARKS)[];

/** What a client of this version was seen to do. A check that came later than the run is missing. */
export interface Row {
  version: string;
  outcomes: readonly Outcome[];
}

/** Returns the page for these rows, by the names of the clients, in the order of the matrix. */
export function clientsPage(matrix: ReadonlyMap<string, Row>): string {
  const notes: string[] = [];
  const rows: string[][] = [];
  for (const [name, { title }] of Object.entries(MATRIX)) {
    const row = matrix.get(name);
    if (row === undefined) continue;
    const cells = CHECK_NAMES.map((check) => {
      const outcome = row.outcomes.find((one) => one.check === check);
      if (outcome === undefined) return "";
      if (outcome.note === "") return MARKS[outcome.result];
      if (!notes.includes(outcome.note)) notes.push(outcome.note);
      return `${MARKS[outcome.result]} ${notes.indexOf(outcome.note) + 1}`;
    });
    rows.push([title, row.version, ...cells]);
  }
  return [
    "# Clients",
    "",
    "Written by `npm run clients`, which installs each client by the version below, runs it against a node of its own, and",
    "looks at what the node stored. Agents run with a model that follows a script (`test/clients/model.ts`). A run of some",
    "clients keeps the rows of the others; an empty cell is a check that came later.",
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

/** Returns the rows of a page that was written so. */
export function rowsOf(page: string): Map<string, Row> {
  const notes = [...page.matchAll(/^\d+\. (.*)$/gm)].map(([, note]) => note);
  const [head = [], , ...lines] = page
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map(cellsOf);
  const rows = new Map<string, Row>();
  for (const [title, version = "", ...cells] of lines) {
    const name = Object.keys(MATRIX).find((one) => MATRIX[one]?.title === title);
    if (name === undefined) continue;
    const outcomes = cells.flatMap((cell, at) => {
      const check = CHECK_NAMES.find((one) => one === head[at + 2]);
      const [mark = "", note] = cell.split(" ");
      const result = RESULTS.find((one) => MARKS[one] === mark);
      return check === undefined || result === undefined
        ? []
        : [{ check, result, note: note === undefined ? "" : (notes[Number(note) - 1] ?? "") }];
    });
    rows.set(name, { version, outcomes });
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line.slice(2, -2).split(" | ");
}
