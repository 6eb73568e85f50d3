// Reads and writes over one SQLite connection, as the rest of the product uses them. Transactions belong to store.ts.

import { Database, type SQLQueryBindings } from "bun:sqlite";

/**
 * Statements that a connection keeps prepared. A write runs up to 17; of writes of four kinds by turns, which run 29,
 * 40 % would be prepared again with Bun's default of 20.
 */
Database.MAX_QUERY_CACHE_SIZE = 256;

/** Rows of one statement of `insert`: as many as are left of the largest number first. */
const ROWS_AT_ONCE = [64, 8, 1];

/** A value for a `?` of a statement. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** Reads of one consistent state. Rows are plain objects by column name. */
export interface Reader {
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined;
  all<Row>(sql: string, ...values: SqlValue[]): Row[];
  /**
   * Row by row, for results that do not fit into memory. Read it to its end at once, since it holds its state of the
   * file.
   */
  iterate<Row>(sql: string, ...values: SqlValue[]): Iterable<Row>;
}

/** Writes inside a transaction. */
export interface Writer extends Reader {
  run(sql: string, ...values: SqlValue[]): { changes: number };
  /** Inserts rows, each with a value for every column, as `run` would one after the other, by few statements. */
  insert(table: string, columns: readonly string[], rows: readonly (readonly SqlValue[])[]): void;
}

/** Returns a writer over a connection; the caller begins and ends the transaction. */
export function writerOf(database: Database): Writer {
  return {
    ...readerOf(database),
    run: (sql, ...values) => ({ changes: database.query(sql).run(...values).changes }),
    insert: (table, columns, rows) => {
      let done = 0;
      for (const count of ROWS_AT_ONCE) {
        const sql = insertOf(table, columns, count);
        for (; rows.length - done >= count; done += count)
          database.query(sql).run(...rows.slice(done, done + count).flat());
      }
    },
  };
}

function insertOf(table: string, columns: readonly string[], count: number): string {
  const row = `(${columns.map(() => "?").join(",")})`;
  return `INSERT INTO ${table} (${columns.join(", ")}) VALUES ${Array(count).fill(row).join(",")}`;
}

/** Returns a reader over a connection, which keeps prepared what it ran lately. */
export function readerOf(database: Database): Reader {
  return {
    get: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).get(...values) ?? undefined,
    all: <Row>(sql: string, ...values: SqlValue[]) => database.query<Row, SQLQueryBindings[]>(sql).all(...values),
    iterate: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).iterate(...values),
  };
}

/** Reports whether there is such a table: one of a higher fleet level is not there yet. */
export function hasTable(reader: Reader, name: string): boolean {
  return reader.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", name) !== undefined;
}
