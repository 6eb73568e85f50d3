// Compares the leases that are held with the changes that granted them, for audit_verify.

import { SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import { levelOf } from "../../log/level.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import { FENCE_LEVEL } from "../../operation/fence.ts";
import { leaseChange } from "./claims.ts";
import type { LeaseRow } from "./rows.ts";

/** At once, to the next one in line, and a new term of a lease that is held. */
const GRANTS: ReadonlySet<string> = new Set(["acquired", "granted", "kept"]);

/** Returns the first lease that is not as it was granted. */
export const leaseProblem: RowsCheck = (reader, { floor }, { spend }) => {
  if (levelOf(reader) < FENCE_LEVEL) return undefined;
  const rows = reader.all<LeaseRow>("SELECT * FROM leases WHERE revision > ? ORDER BY name", floor);
  spend(SHOW_ROW * rows.length);
  for (const row of rows) {
    const change = reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", row.revision);
    const { state = "" } = leaseChange(row, "granted");
    const isGrant = change !== undefined && GRANTS.has(change.outcome);
    const same = isGrant && change.target === row.name && change.version === row.seq;
    if (!same || madeOther(change, state)) return `the lease of change ${row.revision} is not as it was granted`;
  }
  return undefined;
};
