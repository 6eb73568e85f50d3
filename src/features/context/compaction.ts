// The commands that remove old versions and old changes, each up to an explicit floor. maintenance.ts proposes them; no
// surface offers them.

import { z } from "zod";
import { MAX_COMMAND_WORK, REMOVE_BYTE, type Work } from "../../lib/work.ts";
import { compactChanges } from "../../log/compact.ts";
import { levelOf } from "../../log/level.ts";
import type { Effect } from "../../log/log.ts";
import { write } from "../../operation/define.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Writer } from "../../store/store.ts";
import { removeUpTo } from "./append-version.ts";
import { storedHead } from "./rows.ts";

/** About how many versions one command removes. */
export const MAX_COMPACTED_VERSIONS = 1000;

/** Units of work for removing one row. */
const REMOVE_ROW = 10_000;

const output = z.object({ removed: z.number().int() });

/** Removes old versions of contexts. */
export const historyCompact = write({
  name: "history_compact",
  v: 2,
  level: 2,
  maxWork: MAX_COMMAND_WORK,
  // Removes whole cuts, however many bytes they have.
  earlier: [{ v: 1, apply: (tx, { cuts }) => compactHistory(tx, cuts, (_id, last) => last) }],
  internal: true,
  title: "Remove old versions",
  description: "Removes the versions of contexts below the floors it names.",
  input: z.object({ cuts: z.array(z.tuple([z.string(), z.number().int()])).max(MAX_COMPACTED_VERSIONS) }),
  output,
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply: (tx, { cuts }, { work }) => compactHistory(tx, cuts, (id, last) => lastWithin(tx, id, last, work)),
});

/** Removes the versions below each floor, up to the version that `lastOf` returns for the last one below it. */
function compactHistory(
  tx: Writer,
  cuts: readonly (readonly [string, number])[],
  lastOf: (id: string, last: number) => number,
): Effect<z.output<typeof output>> {
  let removed = 0;
  const level = levelOf(tx);
  for (const [id, floor] of cuts) {
    const head = storedHead(tx, id);
    if (head === undefined || removed >= MAX_COMPACTED_VERSIONS) continue;
    const usage = new UsageDelta(head.space);
    removed += removeUpTo(tx, id, lastOf(id, Math.min(floor, head.version) - 1), usage, level);
    usage.write(tx, NO_QUOTA);
  }
  return effectOf("fleet/history", removed);
}

/** Returns the last version up to `last` that the work of one command allows to remove; the next sweep continues. */
function lastWithin(tx: Writer, id: string, last: number, work: Work): number {
  let within = 0;
  const oldest = tx.all<{ version: number; size: number }>(
    "SELECT version, size FROM versions WHERE id = ? AND version <= ? ORDER BY version LIMIT +?",
    id,
    last,
    MAX_COMPACTED_VERSIONS,
  );
  for (const { version, size } of oldest) {
    if (!work.mayClean(REMOVE_BYTE * size + REMOVE_ROW)) break;
    within = version;
  }
  return within;
}

/** Removes old rows of the change table. */
export const changesCompact = write({
  name: "changes_compact",
  v: 1,
  internal: true,
  title: "Remove old changes",
  description: "Removes the rows of the change table up to a floor and keeps its hash.",
  input: z.object({ floor: z.number().int() }),
  output,
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply: (tx, { floor }) => effectOf("fleet/changes", compactChanges(tx, floor)),
});

/** Records a change only if rows were removed. */
function effectOf(target: string, removed: number): Effect<z.output<typeof output>> {
  return {
    output: { removed },
    changes: removed === 0 ? [] : [{ target, version: 0, contentHash: "", outcome: "compacted" }],
  };
}
