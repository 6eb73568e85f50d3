// npm run clients: installs real MCP clients by exact version, runs the checks of test/clients/ with each, and what
// `cairn setup` prints for it. Prints tables and a line of counts, and writes docs/clients.md. `-- NAME…` chooses
// clients; the page keeps the rows of the others.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome } from "../test/clients/checks.ts";
import { ROOT } from "../test/clients/install.ts";
import { checkClient, MATRIX } from "../test/clients/matrix.ts";
import { checkLines, type LineOutcome } from "../test/clients/setup-lines.ts";
import { startDevNode } from "../test/kit/dev-node.ts";
import { table } from "./markdown.ts";
import { clientsPage, rowsOf } from "./page-clients.ts";

const names = process.argv.slice(2);
const isChosen = (name: string) => names.length === 0 || names.includes(name);
const unknown = names.filter((name) => !(name in MATRIX));
if (unknown.length > 0) {
  console.error(`cairn: no client ${unknown.join(", ")}; there are ${Object.keys(MATRIX).join(", ")}`);
  process.exit(2);
}
const page = join(ROOT, "docs", "clients.md");
const rows = rowsOf(readFileSync(page, "utf8"));
const seen: Outcome[] = [];
for (const [name, client] of Object.entries(MATRIX)) {
  if (!isChosen(name)) continue;
  const outcomes = await checkClient(name, client);
  rows.set(name, { version: client.package.version, outcomes });
  seen.push(...outcomes);
  console.log(
    table(
      [name, "Result", "Note"],
      outcomes.map(({ check, result, note }) => [check, result, note]),
    ),
  );
}
const lines = await linesOfAll();
console.log(
  table(
    ["Client", "Line", "Result", "Note"],
    lines.map(({ client, line, result, note }) => [client, `\`${line.slice(0, 60)}\``, result, note]),
  ),
);
writeFileSync(page, clientsPage(rows));
const all = [...seen, ...lines];
const count = (result: string) => all.filter((one) => one.result === result).length;
console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped") + count("limited")} skipped`);
process.exitCode = count("failed") === 0 && all.length > 0 ? 0 : 1;

async function linesOfAll(): Promise<LineOutcome[]> {
  await using node = await startDevNode();
  return await checkLines(isChosen, `${node.url}/mcp`);
}
