// Compares the rows of probes with the changes that made them, for audit_verify.

import { SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import { controlRows, hashOfControl, hashOfState, stateRows } from "./rows.ts";

/** Returns the first row that is not as its change made it. */
export const probeProblem: RowsCheck = (reader, { floor }, { spend }) => {
  const states = stateRows(reader).map((row) => ({ ...row, state: hashOfState(row) }));
  const controls = controlRows(reader).map((row) => ({ ...row, state: hashOfControl(row) }));
  const rows = [...states, ...controls].filter(({ seq }) => seq > floor);
  spend(SHOW_ROW * rows.length);
  for (const { name, seq, state } of rows) {
    const change = changeAt(reader, seq);
    if (change === undefined || !change.operation.startsWith("probe_") || madeOther(change, state))
      return `the probe ${name} is not as change ${seq} made it`;
  }
  return undefined;
};

function changeAt(reader: Reader, seq: number): ChangeRow | undefined {
  return reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", seq);
}
