// The logical digest of a store: equal for equal state, however the file is laid out. Replays and full members are
// compared by it (replication.md 21, 31).

import { Sha256 } from "../lib/sha256.ts";
import { hasTable, type Reader } from "../store/store.ts";
import { REPLICATED_META } from "./meta.ts";

type Row = Record<string, unknown>;

/** How one table goes into a digest. */
export interface DigestTable {
  name: string;
  /** Selects all replicated rows, in an order that depends on the state alone. */
  sql: string;
  /** Turns what a node may store in its own way, such as compressed text, into its meaning. */
  decode?: (row: Row) => Row;
}

/** Tables of the log itself. */
export const LOG_TABLES: readonly DigestTable[] = [
  // Without this node's own progress in the raft log: indexes count entries that leave no trace in the state.
  { name: "meta", sql: REPLICATED_META },
  { name: "epochs", sql: "SELECT * FROM epochs ORDER BY n" },
  { name: "head", sql: "SELECT * FROM head" },
  { name: "changes", sql: "SELECT * FROM changes ORDER BY seq" },
  { name: "idempotency", sql: "SELECT * FROM idempotency ORDER BY caller, operation, key" },
  { name: "kept_outcomes", sql: "SELECT * FROM kept_outcomes ORDER BY caller, by_node" },
];

/** Returns the hex SHA-256 over all rows of the tables, without those of a higher level than the store's. */
export function digestOf(reader: Reader, tables: readonly DigestTable[]): string {
  const hasher = new Sha256();
  for (const { name, sql, decode } of tables) {
    if (!hasTable(reader, name)) continue;
    hasher.update(`${JSON.stringify(name)}\n`);
    for (const row of reader.iterate<Row>(sql)) hasher.update(`${JSON.stringify(decode?.(row) ?? row, bytesAsHex)}\n`);
  }
  return hasher.hex();
}

function bytesAsHex(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value;
}
