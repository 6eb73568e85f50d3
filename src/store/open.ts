// Opens a store's file: finds it, checks that it is ours and whole, configures it and migrates its schema. Every
// problem is a Fault with a hint.

import { constants, Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { damaged, isDamaged } from "./damage.ts";
import { APPLICATION_ID, migrationsFor, refuseForeignSchema, runMigrations, type Schema } from "./own-schema.ts";

export type StoreLog = (level: "debug" | "info" | "warning" | "error", message: string) => void;

const PAGE_BYTES = 4096;
const FIRST_GENERATION = "1";

export interface OpenedFile {
  path: string;
  writer: Database;
  readonly: Database;
  /** Removes the mark of a store that is open or was not closed in order. */
  closedInOrder(): void;
}

/**
 * Opens or creates the file at `path`, in a folder that exists. Faults: `data_newer`, `data_corrupt`, `data_unsafe`.
 */
export function openFile(path: string, schema: Schema, log: StoreLog): OpenedFile {
  // A start that ended at once left an empty one.
  const fresh = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0;
  const mark = `${path}-open`;
  try {
    if (!fresh) refuseCutFile(path);
    const writer = new Database(path, { create: true, readwrite: true, strict: true, safeIntegers: false });
    prepareWriter(writer, path, fresh);
    if (existsSync(mark)) checkAfterCrash(writer, path, log);
    writeFileSync(mark, "", { mode: 0o600 });
    migrate(writer, path, schema);
    return { path, writer, readonly: openReadonly(path), closedInOrder: () => rmSync(mark, { force: true }) };
  } catch (cause) {
    throw openFault(path, cause);
  }
}

/** Opens a read-only connection to a store's file. */
export function openReadonly(path: string): Database {
  const readonly = new Database(path, { readonly: true, strict: true });
  readonly.run("PRAGMA busy_timeout = 5000");
  readonly.run("PRAGMA query_only = ON");
  readonly.run("PRAGMA trusted_schema = OFF");
  return readonly;
}

/**
 * Returns the file that `<folder>/CURRENT` names (replication.md 22), in the first generation if there is no CURRENT
 * yet. Makes the folders.
 */
export function databasePath(folder: string): string {
  ensurePrivateFolder(folder);
  const pointer = join(folder, "CURRENT");
  const generation = existsSync(pointer) ? readFileSync(pointer, "utf8").trim() : FIRST_GENERATION;
  if (!/^[1-9][0-9]{0,9}$/.test(generation)) {
    throw new Fault(
      "data_corrupt",
      `${pointer} should name a folder number and holds ${JSON.stringify(generation.slice(0, 40))}`,
      { hint: `Write the number of the folder beside it that holds cairn.db into ${pointer}.` },
    );
  }
  const home = join(folder, generation);
  ensurePrivateFolder(home);
  return join(home, "cairn.db");
}

/**
 * Makes CURRENT name the first generation, if it names none. Call it once that file is whole: it is never named before.
 */
export function nameFirstGeneration(folder: string): void {
  const pointer = join(folder, "CURRENT");
  if (existsSync(pointer)) return;
  flush(join(folder, FIRST_GENERATION));
  writeAtomic(pointer, `${FIRST_GENERATION}\n`);
  flush(dirname(folder));
}

/**
 * Checks the length of a file that was closed in order: it holds all its pages, and a cut one (a torn copy, a lost
 * tail) would only show later.
 */
function refuseCutFile(path: string): void {
  if (existsSync(`${path}-wal`)) return;
  const header = Buffer.alloc(100);
  const file = openSync(path, "r");
  try {
    if (readSync(file, header, 0, 100, 0) < 100) return;
  } finally {
    closeSync(file);
  }
  if (header.toString("latin1", 0, 15) !== "SQLite format 3") return;
  const encoded = header.readUInt16BE(16);
  const pageBytes = encoded === 1 ? 65_536 : encoded;
  // The count is valid only if it was written together with the change counter (SQLite file format 1.3.7).
  if (header.readUInt32BE(24) !== header.readUInt32BE(92)) return;
  const wanted = header.readUInt32BE(28) * pageBytes;
  const found = statSync(path).size;
  if (found < wanted) throw damaged(path, `it has ${found} bytes of ${wanted}`);
}

function checkAfterCrash(writer: Database, path: string, log: StoreLog): void {
  const size = Math.ceil(statSync(path).size / 1024 ** 2);
  log("info", `the store was not closed in order; checking ${size} MiB`);
  refuseDamage(writer, path);
}

/** Runs SQLite's own check of every page and index. Fault `data_corrupt` with the first problems. */
export function refuseDamage(database: Database, path: string): void {
  const rows = database.query<{ quick_check: string }, []>("PRAGMA quick_check(3)").all();
  if (rows.length === 1 && rows[0]?.quick_check === "ok") return;
  throw damaged(
    path,
    rows
      .map((row) => row.quick_check)
      .join("; ")
      .slice(0, 400),
  );
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
    // No other process writes. Only a checkpoint can meet a reader of another process, and is tried again later.
    "busy_timeout = 50",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    // Deleted and purged data is overwritten, not only unlinked.
    "secure_delete = ON",
    "temp_store = MEMORY",
    "cache_size = -16384",
    "journal_size_limit = 67108864",
  ]) {
    writer.run(`PRAGMA ${pragma}`);
  }
}

/**
 * Runs the missing migrations of the file's level: none, unless the file is new or belongs to this node alone. First
 * the schema must be ours: a planted trigger would act with the first write.
 */
function migrate(writer: Database, path: string, schema: Schema): void {
  refuseForeignSchema(writer, {
    schema,
    what: path,
    newerHint: "Start the version that wrote it, such as the other members run, or a newer one; nothing was changed.",
    foreign: (why) =>
      new Fault("data_corrupt", `The store ${path} cannot be trusted: ${why}`, {
        hint: "Keep a copy of the data folder and find out what wrote to it, then restore the last backup.",
      }),
  });
  runMigrations(writer, migrationsFor(writer, schema));
}

function openFault(path: string, cause: unknown): unknown {
  if (cause instanceof Fault) return cause;
  const reason = reasonOf(cause);
  if (isDamaged(cause)) return damaged(path, reason, cause);
  return new Fault("data_unsafe", `Cannot open the store ${path}: ${reason}`, {
    hint: "See that the folder is writable by this user and the disk has room.",
    cause,
  });
}
