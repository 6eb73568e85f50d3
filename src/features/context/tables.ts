// The tables of the feature and their part in digests: texts count as plain text, however this node stores them.

import type { FeatureTable } from "../../operation/feature.ts";
import { type StoredVersion, textOf } from "./rows.ts";

/** The tables. All are replicated and kept when a new history begins. */
export const contextTables: readonly FeatureTable[] = [
  { name: "contexts", scope: "replicated", fork: "keep", sql: "SELECT * FROM contexts ORDER BY id" },
  {
    name: "versions",
    scope: "replicated",
    fork: "keep",
    sql: "SELECT * FROM versions ORDER BY id, version",
    decode: (row) => {
      const { encoding: _, ...rest } = row;
      return { ...rest, content: row["purged"] === 0 ? textOf(row as unknown as StoredVersion) : "" };
    },
  },
  {
    name: "superseded",
    scope: "replicated",
    fork: "keep",
    sql: "SELECT * FROM superseded ORDER BY id, successor",
  },
  {
    name: "usage",
    scope: "replicated",
    fork: "keep",
    sql: "SELECT * FROM usage WHERE bytes <> 0 ORDER BY kind, name",
  },
];
