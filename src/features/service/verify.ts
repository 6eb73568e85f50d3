// Compares the rows of services with the changes that made them, for audit_verify.

import { SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import { drainRows, hashOfDrain, hashOfNode, hashOfService, nodeRows, serviceRows } from "./rows.ts";

/** Returns the first row that is not as its change made it. */
export const serviceProblem: RowsCheck = (reader, { floor }, { spend }) => {
  const rows = [
    ...serviceRows(reader).map((row) => ({ what: `service ${row.name}`, seq: row.seq, state: hashOfService(row) })),
    ...nodeRows(reader).map((row) => ({ what: `services of ${row.node}`, seq: row.seq, state: hashOfNode(row) })),
    ...drainRows(reader).map((row) => ({ what: `drain of ${row.node}`, seq: row.seq, state: hashOfDrain(row) })),
  ].filter(({ seq }) => seq > floor);
  spend(SHOW_ROW * rows.length);
  for (const { what, seq, state } of rows) {
    const change = reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", seq);
    const isOurs = change !== undefined && /^(?:service_|fleet_(?:un)?drain$)/.test(change.operation);
    if (!isOurs || madeOther(change, state)) return `the ${what} is not as change ${seq} made it`;
  }
  return undefined;
};
