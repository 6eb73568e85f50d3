// Checks that the bytes counted for quotas are those that are kept.

import { expect } from "bun:test";
import type { Core } from "./core.ts";

/** Throws where the bytes counted for quotas differ from those of the kept versions. */
export function checkUsage(core: Core): void {
  for (const [kind, column] of [
    ["caller", "v.author"],
    ["space", "c.space"],
  ]) {
    const counted = core.store.reader.all(
      `SELECT name, bytes FROM usage WHERE kind = '${kind}' AND bytes <> 0 ORDER BY name`,
    );
    const kept = core.store.reader.all(
      `SELECT ${column} AS name, SUM(v.size + octet_length(v.title) + octet_length(v.tags) + octet_length(v.metadata) + octet_length(v.supersedes) + octet_length(v.recipients) + 256) AS bytes FROM versions v JOIN contexts c ON c.id = v.id GROUP BY 1 ORDER BY 1`,
    );
    expect(counted).toEqual(kept);
  }
}
