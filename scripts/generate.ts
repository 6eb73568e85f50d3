// Writes the pages that are generated from tables of the code: settings, commands, operations, routes, presets of MCP,
// tables of the store. `check` compares instead of writing.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { commandsOf } from "../src/cli/table.ts";
import { FEATURES } from "../src/features/index.ts";
import { JOIN_REFUSAL_HINTS } from "../src/fleet/join/join-command.ts";
import { FAULT_MEANINGS, FAULTS, type FaultCode } from "../src/lib/fault.ts";
import { conditionsOf } from "../src/operation/derive.ts";
import type { Feature } from "../src/operation/feature.ts";
import { table } from "./markdown.ts";
import { eventsPage } from "./page-events.ts";
import { operationsPage } from "./page-operations.ts";
import { presetsPage } from "./page-presets.ts";
import { routesPage } from "./page-routes.ts";
import { settingsPage } from "./page-settings.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";
import { tablesPage } from "./page-tables.ts";

const root = dirname(import.meta.dir);

/** Returns path from the root → text, for a build with these features. */
export function generatedFiles(features: readonly Feature[] = FEATURES): Map<string, string> {
  return new Map([
    ["docs/settings.md", settingsPage(features)],
    ["docs/commands.md", commandsPage(features)],
    ["docs/operations.md", operationsPage(features)],
    ["docs/routes.md", routesPage(features)],
    ["docs/presets.md", presetsPage(features)],
    ["docs/events.md", eventsPage(features)],
    ["docs/tables.md", tablesPage(features)],
  ]);
}

/** Returns the files that differ from their tables. */
export function checkGenerated(): string[] {
  return [...generatedFiles()].flatMap(([file, text]) => {
    let found: string | undefined;
    try {
      found = readFileSync(join(root, file), "utf8");
    } catch {}
    return found === text ? [] : [`${file} is not what its table says: run scripts/generate.ts (npm run format does)`];
  });
}

/** Writes all of them. */
export function writeGenerated(): void {
  for (const [file, text] of generatedFiles()) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

function commandsPage(features: readonly Feature[]): string {
  const commands = commandsOf(features).map((command) => {
    const args = (command.args ?? []).map((argument) => argument.name);
    const also =
      (command.aliases ?? []).length === 0
        ? ""
        : ` (also ${(command.aliases ?? []).map((alias) => `\`${alias}\``).join(", ")})`;
    return [`\`cairn ${[...command.words, ...args].join(" ")}\`${also}`, command.summary];
  });
  const byExit = new Map<number, string[]>();
  for (const [code, fault] of Object.entries(FAULTS))
    byExit.set(fault.exit, [...(byExit.get(fault.exit) ?? []), `\`${code}\``]);
  const exits = [...byExit].sort(([a], [b]) => a - b).map(([exit, codes]) => [String(exit), codes.join(", ")]);
  const conditions = Object.entries(conditionsOf(features)).map(([code, kind]) => [
    `\`${code}\``,
    kind.severity,
    kind.title,
    kind.hint,
  ]);
  return [
    "# Commands, errors, conditions",
    "",
    generatedFrom([
      "src/cli/table.ts",
      "src/lib/fault.ts",
      "src/fleet/join/join-command.ts",
      "src/observe/conditions.ts",
      ...filesOf(features, "commands"),
      ...filesOf(features, "conditions"),
    ]),
    "Every command has `--help`; data go to stdout, everything else to stderr; `--json` prints the node's own JSON.",
    "",
    table(["Command", "What it does"], commands),
    "",
    "## Exit codes",
    "",
    "0 is success, 3 also a node that `cairn status` finds failing.",
    "",
    table(["Exit", "Errors"], exits),
    "",
    ...errorLines(),
    "## Health conditions",
    "",
    table(["Code", "Severity", "Title", "What to do"], conditions),
    "",
  ].join("\n");
}

/** Every code of a fault, and the reasons of a refused join. */
function errorLines(): string[] {
  const faults = Object.entries(FAULTS).map(([code, fault]) => [
    `\`${code}\``,
    fault.title,
    String(fault.status),
    String(fault.exit),
    fault.retryable ? "yes" : "",
    FAULT_MEANINGS[code as FaultCode],
  ]);
  const refusals = Object.entries(JOIN_REFUSAL_HINTS).map(([reason, hint]) => [`\`${reason}\``, hint]);
  return [
    "## Errors",
    "",
    table(["Code", "Title", "HTTP", "Exit", "Retry", "What it means, and what to do"], faults),
    "",
    "### Reasons of `join_refused`",
    "",
    "Where the fleet decided, the reason is `reason` in the details of the fault. Only after `needs_approval` the node asks again by itself.",
    "",
    table(["Reason", "What to do"], refusals),
    "",
  ];
}

if (import.meta.main) {
  writeGenerated();
  console.error(`cairn: wrote ${[...generatedFiles().keys()].join(", ")}`);
}
