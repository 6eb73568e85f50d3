// The one SQLite file of a node (design 6): WAL with own checkpoints, one writer connection, a read-only one beside it, statements prepared once.
// What the tables mean is the business of the folders that bring their migrations.

import { constants, Database, type SQLQueryBindings } from "bun:sqlite";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";

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

/** One step of the schema. */
export interface Migration {
  /** 1, 2, 3 … in the order they are applied; never changed after a release. */
  id: number;
  name: string;
  sql: string;
}

export interface StoreOptions {
  /** `<data>/store`; the file lives in `<folder>/<n>/cairn.db`, `<folder>/CURRENT` names n (replication.md 22). */
  folder: string;
  migrations: readonly Migration[];
  log: (level: "debug" | "info" | "warning" | "error", message: string) => void;
}

/** "CAIR": tells our files from other SQLite files. */
const APPLICATION_ID = 0x43414952;
const CHECKPOINT_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4096;

/** An open store; `close` it once nothing writes any more. */
export class Store {
  readonly path: string;
  readonly reader: Reader;
  readonly #writer: Database;
  readonly #readonly: Database;
  readonly #tx: Writer;
  #commitsSinceLook = 0;
  #closed = false;

  private constructor(path: string, writer: Database, readonly: Database) {
    this.path = path;
    this.#writer = writer;
    this.#readonly = readonly;
    this.reader = readerOf(readonly);
    this.#tx = {
      ...readerOf(writer),
      run: (sql, ...values) => ({ changes: writer.query(sql).run(...values).changes }),
    };
  }

  /** Opens or makes the store; Faults: `data_newer`, `data_corrupt`, `data_unsafe`. */
  static open(options: StoreOptions): Store {
    const path = databasePath(options.folder);
    const fresh = !existsSync(path);
    try {
      const writer = new Database(path, { create: true, readwrite: true, strict: true, safeIntegers: false });
      prepareWriter(writer, path, fresh);
      migrate(writer, path, options.migrations);
      const readonly = new Database(path, { readonly: true, strict: true });
      readonly.run("PRAGMA busy_timeout = 5000");
      readonly.run("PRAGMA query_only = ON");
      return new Store(path, writer, readonly);
    } catch (cause) {
      throw openFault(path, cause);
    }
  }

  /** Runs `body` in one transaction, committed (with fsync) when it returns and rolled back when it throws. */
  transaction<T>(body: (tx: Writer) => T): T {
    this.#writer.run("BEGIN IMMEDIATE");
    let result: T;
    try {
      result = body(this.#tx);
      this.#writer.run("COMMIT");
    } catch (error) {
      if (this.#writer.inTransaction) this.#writer.run("ROLLBACK");
      throw error;
    }
    this.#checkpointWhenDue();
    return result;
  }

  /** Runs `body` inside the open transaction so that a throw undoes only what it did. */
  savepoint<T>(body: () => T): T {
    this.#tx.run("SAVEPOINT command");
    try {
      const result = body();
      this.#tx.run("RELEASE command");
      return result;
    } catch (error) {
      this.#tx.run("ROLLBACK TO command");
      this.#tx.run("RELEASE command");
      throw error;
    }
  }

  /** SQLite's own version, for `cairn version`. */
  static sqliteVersion(): string {
    const memory = new Database(":memory:");
    const row = memory.query<{ version: string }, []>("SELECT sqlite_version() AS version").get();
    memory.close();
    return row?.version ?? "unknown";
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readonly.close();
    this.#writer.run("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#writer.close();
  }

  /** The write-ahead log is folded back by size, not by SQLite's own rule (its auto-checkpoint costs tail latency). */
  #checkpointWhenDue(): void {
    this.#commitsSinceLook += 1;
    if (this.#commitsSinceLook % 1024 !== 0) return;
    const wal = `${this.path}-wal`;
    if (existsSync(wal) && Bun.file(wal).size > CHECKPOINT_BYTES) this.#writer.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
}

function readerOf(database: Database): Reader {
  return {
    get: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).get(...values) ?? undefined,
    all: <Row>(sql: string, ...values: SqlValue[]) => database.query<Row, SQLQueryBindings[]>(sql).all(...values),
    iterate: <Row>(sql: string, ...values: SqlValue[]) =>
      database.query<Row, SQLQueryBindings[]>(sql).iterate(...values),
  };
}

function databasePath(folder: string): string {
  ensurePrivateFolder(folder);
  const pointer = join(folder, "CURRENT");
  if (!existsSync(pointer)) writeFileSync(pointer, "1\n", { mode: 0o600 });
  const generation = readFileSync(pointer, "utf8").trim();
  if (!/^[1-9][0-9]{0,9}$/.test(generation)) {
    throw new Fault(
      "data_corrupt",
      `${pointer} should name a folder number and holds ${JSON.stringify(generation.slice(0, 40))}`,
      {
        hint: `Write the number of the folder beside it that holds cairn.db into ${pointer}.`,
      },
    );
  }
  const home = join(folder, generation);
  ensurePrivateFolder(home);
  return join(home, "cairn.db");
}

function prepareWriter(writer: Database, path: string, fresh: boolean): void {
  writer.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 0);
  if (fresh) {
    writer.run(`PRAGMA page_size = ${PAGE_BYTES}`);
    writer.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  }
  const id = writer.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
  if (id !== APPLICATION_ID) {
    throw new Fault("data_corrupt", `${path} is an SQLite file, but not one of Cairn (application id ${id})`, {
      hint: "Move it away, or name another data folder with --data.",
    });
  }
  for (const pragma of [
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",
    "wal_autocheckpoint = 0",
    "busy_timeout = 5000",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "temp_store = MEMORY",
    "cache_size = -16384",
    "journal_size_limit = 67108864",
  ]) {
    writer.run(`PRAGMA ${pragma}`);
  }
}

function migrate(writer: Database, path: string, migrations: readonly Migration[]): void {
  const found = writer.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
  const known = migrations.length;
  if (found > known) {
    throw new Fault("data_newer", `${path} has schema ${found}; this version of cairn knows schemas up to ${known}`, {
      hint: "Start the version that wrote it, or a newer one; nothing was changed.",
    });
  }
  for (const [index, migration] of migrations.entries()) {
    if (migration.id !== index + 1)
      throw new Error(`migration ${migration.name} has id ${migration.id} at place ${index + 1}`);
    if (migration.id <= found) continue;
    writer.transaction(() => {
      writer.run(migration.sql);
      writer.run(`PRAGMA user_version = ${migration.id}`);
    })();
  }
}

function openFault(path: string, cause: unknown): unknown {
  if (cause instanceof Fault) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (/SQLITE_(CORRUPT|NOTADB)/.test(code)) {
    return new Fault("data_corrupt", `The store ${path} is damaged: ${cause instanceof Error ? cause.message : code}`, {
      hint: "Keep a copy of the folder, then restore the last backup or move the folder away to start empty.",
      cause,
    });
  }
  return new Fault(
    "data_unsafe",
    `Cannot open the store ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      hint: "See that the folder is writable by this user and the disk has room.",
      cause,
    },
  );
}

/** Whether an error says that the disk is full. */
export function isStorageFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_FULL");
}
