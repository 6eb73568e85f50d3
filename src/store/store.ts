// The one SQLite file of a node (design 6): WAL with own checkpoints, one writer connection, a read-only one beside it, statements prepared once.
// What the tables mean is the business of the folders that bring their migrations.

import { Database, type SQLQueryBindings } from "bun:sqlite";
import { Checkpoints } from "./checkpoints.ts";
import { type Migration, type OpenedFile, openFile, type StoreLog } from "./open.ts";
import { readInTurns, type TurnReader } from "./turns.ts";

export { isDamaged, isStorageFull } from "./damage.ts";
export type { Migration } from "./open.ts";

export type SqlValue = string | number | bigint | Uint8Array | null;

/** Reads of one consistent state. Rows are plain objects by column name. */
export interface Reader {
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined;
  all<Row>(sql: string, ...values: SqlValue[]): Row[];
  /** Row by row, for what does not fit into memory; read it to its end at once, since it holds its state of the file. */
  iterate<Row>(sql: string, ...values: SqlValue[]): Iterable<Row>;
}

/** The writer inside a transaction. */
export interface Writer extends Reader {
  run(sql: string, ...values: SqlValue[]): { changes: number };
}

export interface StoreOptions {
  /** `<data>/store`; the file lives in `<folder>/<n>/cairn.db`, `<folder>/CURRENT` names n (replication.md 22). */
  folder: string;
  migrations: readonly Migration[];
  log: StoreLog;
}

/** An open store; `close` it once nothing writes any more. */
export class Store {
  readonly path: string;
  readonly #reader: TurnReader;
  readonly #file: OpenedFile;
  readonly #checkpoints: Checkpoints;
  readonly #tx: Writer;
  #closed = false;

  private constructor(file: OpenedFile, log: StoreLog) {
    const { path, writer, readonly } = file;
    this.path = path;
    this.#file = file;
    const reader = readInTurns(readonly, readerOf(readonly));
    this.#reader = reader;
    this.#checkpoints = new Checkpoints({ writer, path, log, releaseReads: () => reader.release() });
    this.#tx = {
      ...readerOf(writer),
      run: (sql, ...values) => ({ changes: writer.query(sql).run(...values).changes }),
    };
  }

  /** Opens or makes the store; Faults: `data_newer`, `data_corrupt`, `data_unsafe`. */
  static open(options: StoreOptions): Store {
    return new Store(openFile(options.folder, options.migrations, options.log), options.log);
  }

  /** Reads what is committed. */
  get reader(): Reader {
    return this.#reader;
  }

  /** Runs `body` in one transaction, committed (with fsync) when it returns and rolled back when it throws. */
  transaction<T>(body: (tx: Writer) => T): T {
    const { writer } = this.#file;
    writer.run("BEGIN IMMEDIATE");
    let result: T;
    try {
      result = body(this.#tx);
      writer.run("COMMIT");
    } catch (error) {
      if (writer.inTransaction) writer.run("ROLLBACK");
      throw error;
    }
    this.#reader.release();
    this.#checkpoints.committed();
    return result;
  }

  /** Runs `body` inside the open transaction so that a throw undoes only what it did. */
  savepoint<T>(body: () => T): T {
    this.#tx.run("SAVEPOINT command");
    let result: T;
    try {
      result = body();
    } catch (error) {
      // A full disk may have undone the whole transaction already.
      if (this.#file.writer.inTransaction) {
        this.#tx.run("ROLLBACK TO command");
        this.#tx.run("RELEASE command");
      }
      throw error;
    }
    this.#tx.run("RELEASE command");
    return result;
  }

  /** Bytes in the write-ahead log, by which the file may still grow. */
  get unfoldedBytes(): number {
    return this.#checkpoints.bytes;
  }

  /** SQLite's own version, for `cairn version`. */
  static sqliteVersion(): string {
    const memory = new Database(":memory:");
    const row = memory.query<{ version: string }, []>("SELECT sqlite_version() AS version").get();
    memory.close();
    return row?.version ?? "unknown";
  }

  /** Folds everything back and closes; the file is then whole by itself. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#checkpoints.close();
    this.#reader.release();
    this.#file.readonly.close();
    this.#checkpoints.finish();
    this.#file.writer.close();
    this.#file.closedInOrder();
  }
}

/** Reads over a connection; statements are prepared once and kept by it. */
export function readerOf(database: Database): Reader {
  return {
    get: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).get(...values) ?? undefined,
    all: <Row>(sql: string, ...values: SqlValue[]) => database.query<Row, SQLQueryBindings[]>(sql).all(...values),
    iterate: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).iterate(...values),
  };
}
