// The tables of contexts as they count for the digest: texts as texts, not as this node keeps them.

import type { DigestTable } from "../../log/digest.ts";
import { type StoredVersion, textOf } from "./rows.ts";

/** Tables of contexts in their logical form, for digests that must be equal on every full node. */
export const CONTEXT_TABLES: readonly DigestTable[] = [
  { name: "contexts", sql: "SELECT * FROM contexts ORDER BY id" },
  {
    name: "versions",
    sql: "SELECT * FROM versions ORDER BY id, version",
    decode: (row) => {
      const { encoding: _, ...rest } = row;
      return { ...rest, content: row["purged"] === 0 ? textOf(row as unknown as StoredVersion) : "" };
    },
  },
  { name: "usage", sql: "SELECT * FROM usage WHERE bytes <> 0 ORDER BY kind, name" },
];
