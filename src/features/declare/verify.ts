// Compares the rows of declarations with the changes that settled them, for audit_verify.

import { sha256Hex } from "../../lib/sha256.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { madeOther } from "../../log/change-row.ts";
import { declaredRows } from "../../operation/declared-rows.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import { settledState, settledTarget } from "./settle.ts";

/** Returns the first declaration that is not as its newest change settled it. A purge ends one without a change. */
export const declarationProblem: RowsCheck = (reader, latest, { spend }) => {
  const rows = declaredRows(reader);
  spend(SHOW_ROW * rows.length);
  const ids = new Set<string>();
  for (const row of rows) {
    ids.add(settledTarget(row.id));
    if (row.version > 0 && sha256Hex(row.text) !== row.hash) return `the text of the declaration ${row.id} was changed`;
    const change = latest.fleet.get(settledTarget(row.id));
    if (change === undefined && latest.floor === 0) return `the declaration ${row.id} was settled by no change`;
    if (change === undefined || (latest.purged.get(row.id) ?? 0) > change.seq) continue;
    if (madeOther(change, settledState(row)))
      return `the declaration ${row.id} is not as change ${change.seq} settled it`;
  }
  for (const [target, change] of latest.fleet) {
    if (!target.startsWith("fleet/declared/") || change.operation !== "declaration_settle") continue;
    if (ids.has(target) || change.outcome === "removed") continue;
    const id = `fleet/${target.slice("fleet/declared/".length)}`;
    if ((latest.purged.get(id) ?? 0) < change.seq) return `the declaration ${id} was removed by no change`;
  }
  return undefined;
};
