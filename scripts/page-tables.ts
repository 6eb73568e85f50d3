// docs/tables.md: every table of a full member's store, from the manifests of the features.

import { LOG_TABLES } from "../src/log/digest.ts";
import type { Feature, FeatureTable } from "../src/operation/feature.ts";
import { code, table } from "./markdown.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

/** Returns the page. */
export function tablesPage(features: readonly Feature[]): string {
  const log = LOG_TABLES.map(({ name, sql }) => [code(name), "log", "replicated", code(oneLine(sql)), "own rule"]);
  const rows = features.flatMap(({ name: feature, tables = [] }) => tables.map((one) => rowOf(feature, one)));
  return [
    "# Tables of the store",
    "",
    generatedFrom(["src/log/digest.ts", ...filesOf(features, "tables")]),
    "",
    "Columns are in the `schema.sql` beside each feature. An edge has the tables of `src/cache/schema.sql` in place of",
    "the features'.",
    "",
    "- **Scope.** `replicated`: equal on every full member. `node`: this node's own; a copy for another member has it empty.",
    "- **Digest.** What of the table `cairn` compares between full members.",
    "- **New history.** What restore, recover and `promote --accept-loss` do with its rows. The log's own tables keep the",
    "  changes, get a new epoch, and `meta` gets a new fleet id (`src/log/new-epoch.ts`).",
    "",
    table(["Table", "Feature", "Scope", "Digest", "New history"], [...log, ...rows]),
    "",
  ].join("\n");
}

function rowOf(feature: string, { name, scope, sql, decode, fork }: FeatureTable): string[] {
  const digest = scope === "node" ? "" : `${code(oneLine(sql ?? `SELECT * FROM ${name}`))}${decode ? ", decoded" : ""}`;
  return [code(name), feature, scope, digest, fork];
}

function oneLine(sql: string): string {
  return sql.replaceAll(/\s+/g, " ").trim();
}
