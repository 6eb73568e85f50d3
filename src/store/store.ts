// The one SQLite file of a node (architecture.md 6): WAL with checkpoints of our own, one writer connection, one
// read-only connection, prepared statements. The folders that bring migrations own the tables.

import { Database } from "bun:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { reasonOf } from "../lib/reason-of.ts";
import { Checkpoints } from "./checkpoints.ts";
import { type Reader, readerOf, type Writer, writerOf } from "./connection.ts";
import {
  currentGeneration,
  generationPath,
  importCopy,
  removeGeneration,
  switchGeneration,
  writeCopy,
} from "./generations.ts";
import { databasePath, nameFirstGeneration, type OpenedFile, openFile, type StoreLog } from "./open.ts";
import { runMigrations, type Schema } from "./own-schema.ts";
import { Scrubber } from "./scrub.ts";
import { type SharedReader, shareReads } from "./shared-reads.ts";

export { hasTable, type Reader, type SqlValue, type Writer } from "./connection.ts";
export { isDamaged, isStorageFull, isSyncFailure } from "./damage.ts";
export type { Migration, Schema } from "./own-schema.ts";

export interface StoreOptions extends Schema {
  /** `<data>/store`. The file is `<folder>/<n>/cairn.db`, and `<folder>/CURRENT` names n (replication.md 22). */
  folder: string;
  log: StoreLog;
  /**
   * `commit` (default): each commit is on the disk when it returns. `checkpoint`: only `durably` and checkpoints are; a
   * crash of the machine may lose the last commits, in order, which a raft log then replays.
   */
  sync?: "commit" | "checkpoint";
}

/** An open store. Close it once nothing writes any more. */
export class Store {
  /** Reads the committed state. Stays valid when the file is replaced. */
  readonly reader: Reader;
  readonly #options: StoreOptions;
  readonly #erasures: (() => Promise<string>)[] = [];
  #opened: Opened;
  #closed = false;

  private constructor(options: StoreOptions) {
    this.#options = options;
    this.#opened = opened(options, databasePath(options.folder));
    nameFirstGeneration(options.folder);
    this.reader = {
      get: (sql, ...values) => this.#opened.reader.get(sql, ...values),
      all: (sql, ...values) => this.#opened.reader.all(sql, ...values),
      iterate: (sql, ...values) => this.#opened.reader.iterate(sql, ...values),
    };
  }

  /** Opens or creates the store. Faults: `data_newer`, `data_corrupt`, `data_unsafe`. */
  static open(options: StoreOptions): Store {
    return new Store(options);
  }

  /** Path of the file that is open now. */
  get path(): string {
    return this.#opened.file.path;
  }

  /** Runs `body` in one transaction, committed when it returns and rolled back when it throws. */
  transaction<T>(body: (tx: Writer) => T): T {
    const { file, reader, checkpoints, tx } = this.#opened;
    const { writer } = file;
    writer.run("BEGIN IMMEDIATE");
    let result: T;
    try {
      result = body(tx);
      writer.run("COMMIT");
    } catch (error) {
      if (writer.inTransaction) writer.run("ROLLBACK");
      throw error;
    }
    reader.release();
    checkpoints.committed();
    return result;
  }

  /** Like `transaction`, and everything committed before is on the disk too when it returns. */
  durably<T>(body: (tx: Writer) => T): T {
    const { writer } = this.#opened.file;
    // The WAL is one file: syncing its last commit syncs all before it.
    writer.run("PRAGMA synchronous = FULL");
    try {
      return this.transaction(body);
    } finally {
      writer.run(`PRAGMA synchronous = ${syncOf(this.#options)}`);
    }
  }

  /** Runs `body` inside the open transaction. A throw undoes only what `body` did. */
  savepoint<T>(body: () => T): T {
    const { file, tx } = this.#opened;
    tx.run("SAVEPOINT command");
    let result: T;
    try {
      result = body();
    } catch (error) {
      // A full disk may have rolled the whole transaction back already.
      if (file.writer.inTransaction) {
        tx.run("ROLLBACK TO command");
        tx.run("RELEASE command");
      }
      throw error;
    }
    tx.run("RELEASE command");
    return result;
  }

  /**
   * Runs the migrations up to a fleet level that the file lacks, inside the open transaction. For the command that
   * raises the level (replication.md 8).
   */
  migrate(level: number): void {
    const { writer } = this.#opened.file;
    if (!writer.inTransaction) throw new Error("a migration outside of a transaction");
    runMigrations(
      writer,
      this.#options.migrations.filter((migration) => migration.level <= level),
    );
  }

  /**
   * Removes from the files of the store what deleted rows left there: in its write-ahead log, and in unused parts of
   * pages. Works in small steps. Returns false where it could not: another process reads an old state, or the file was
   * replaced meanwhile. Then it may be called again.
   */
  async erase(): Promise<boolean> {
    const { file, checkpoints, scrubber } = this.#opened;
    const isOpen = (): boolean => !this.#closed && this.#opened.file === file;
    for (let page: number | undefined = 0; page !== undefined; await nextTurn()) {
      if (!isOpen() || !checkpoints.finish()) return false;
      // What the writer has in memory would be written back.
      file.writer.run("PRAGMA shrink_memory");
      page = scrubber.step(page);
    }
    return true;
  }

  /**
   * Adds a file beside the store that holds texts of it. `erase` removes from it what is no longer in the store, and
   * returns why it could not, or "".
   */
  alsoErase(erase: () => Promise<string>): void {
    this.#erasures.push(erase);
  }

  /** Erases the files of `alsoErase`. Returns why one of them may still hold a removed text, or "". */
  async eraseBeside(): Promise<string> {
    for (const erase of this.#erasures) {
      const reason = await erase();
      if (reason !== "") return reason;
    }
    return "";
  }

  /** Bytes in the write-ahead log, by which the file may still grow. */
  get walBytes(): number {
    return this.#opened.checkpoints.bytes;
  }

  /** Returns SQLite's version, for `cairn version`. */
  static sqliteVersion(): string {
    const memory = new Database(":memory:");
    const row = memory.query<{ version: string }, []>("SELECT sqlite_version() AS version").get();
    memory.close();
    return row?.version ?? "unknown";
  }

  /** Checkpoints everything and closes. The file is then complete without its WAL. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeOpened(this.#opened);
  }

  /**
   * Writes a copy of one consistent state to `to`, which must not exist: durable, mode 0600, off the main thread.
   * Writes go on meanwhile.
   */
  copyTo(to: string): Promise<void> {
    return writeCopy(this.path, to);
  }

  /**
   * Makes a peer's copy the store of this node (replication.md 22). `prepare` checks the copy and makes it this node's,
   * in one transaction. No transaction may be open. Where it throws, nothing has changed, unless the disk did not
   * confirm the switch (`isSyncFailure`): then the process must end.
   */
  replaceBy(copy: string, prepare: (tx: Writer) => void): void {
    const { folder, log } = this.#options;
    const before = currentGeneration(folder);
    const generation = importCopy({ folder, copy, schema: this.#options, prepare });
    const earlier = this.#opened;
    this.#opened = this.#switchTo(generation);
    try {
      closeOpened(earlier);
      removeGeneration(folder, before);
    } catch (error) {
      // It is not the store any more. The next install removes what is left of it.
      log("warning", `the earlier generation of the store was not removed: ${reasonOf(error)}`);
    }
  }

  /** Opens a generation, then makes it the one in use: what cannot be opened is never named. */
  #switchTo(generation: number): Opened {
    const { folder } = this.#options;
    let next: Opened | undefined;
    try {
      next = opened(this.#options, generationPath(folder, generation));
      switchGeneration(folder, generation);
      return next;
    } catch (error) {
      if (next !== undefined) closeOpened(next);
      if (currentGeneration(folder) !== generation) removeGeneration(folder, generation);
      throw error;
    }
  }
}

/** The parts of one open file. */
interface Opened {
  file: OpenedFile;
  reader: SharedReader;
  checkpoints: Checkpoints;
  scrubber: Scrubber;
  tx: Writer;
}

function opened(options: StoreOptions, path: string): Opened {
  const { log } = options;
  const file = openFile(path, options, log);
  const { writer, readonly } = file;
  // Configured and migrated with `FULL`; from here on as the owner wants it.
  writer.run(`PRAGMA synchronous = ${syncOf(options)}`);
  const reader = shareReads(readonly, readerOf(readonly));
  const checkpoints = new Checkpoints({ writer, path, log, releaseReads: () => reader.release() });
  return { file, reader, checkpoints, scrubber: new Scrubber(path), tx: writerOf(writer) };
}

function syncOf({ sync }: StoreOptions): "FULL" | "NORMAL" {
  return sync === "checkpoint" ? "NORMAL" : "FULL";
}

function closeOpened({ file, reader, checkpoints, scrubber }: Opened): void {
  checkpoints.close();
  reader.release();
  file.readonly.close();
  checkpoints.finish();
  file.writer.close();
  scrubber.close();
  file.closedInOrder();
}
