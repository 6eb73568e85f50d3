// The store's file over its life: schema upgrades, a mark for ends out of order, the write-ahead log folded back under
// load, and readers of other processes.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { readerOf } from "../../src/store/connection.ts";
import { DiskGauge } from "../../src/store/disk.ts";
import { inspectStore } from "../../src/store/inspect.ts";
import { type Migration, Store, type Writer } from "../../src/store/store.ts";
import { startCore } from "../kit/core.ts";

const fresh = () => mkdtempSync(join(tmpdir(), "cairn-store-"));
const open = (
  folder: string,
  migrations: readonly Migration[],
  log: (level: string, message: string) => void = () => {},
) => Store.open({ folder, migrations, log });

test("the statements of writes of several kinds stay prepared, and not without bound", () => {
  const database = new Database(":memory:");
  const reader = readerOf(database);
  const texts = Array.from({ length: 1000 }, (_, at) => `SELECT ${at} AS value`);
  for (const text of texts) reader.get(text);
  const statements = texts.map((text) => database.query(text));
  expect(texts.slice(-100).map((text, at) => database.query(text) === statements[900 + at])).toEqual(
    Array(100).fill(true),
  );
  expect(database.query(texts[0] ?? "")).not.toBe(statements[0] as never);
  database.close();
});

test("a file of every earlier schema is brought up to date with its data, step by step", () => {
  for (let known = 1; known <= MIGRATIONS.length; known++) {
    const folder = fresh();
    const old = open(folder, MIGRATIONS.slice(0, known));
    old.transaction((tx) => tx.run("INSERT INTO meta (key, value) VALUES ('kept', ?)", known));
    old.close();
    const now = open(folder, MIGRATIONS);
    expect(now.reader.get("SELECT value FROM meta WHERE key = 'kept'")).toEqual({ value: known });
    const tables = now.reader.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
    expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(["changes", "versions", "refusals"]));
    expect(now.reader.get("PRAGMA user_version")).toEqual({ user_version: MIGRATIONS.length });
    now.close();
  }
});

test("a migration changes rows of a filled store; one that fails leaves the store as it was; a newer store is refused", async () => {
  const core = startCore();
  await core.call("context_put", { id: "a/x", content: "kept" });
  await core.close();
  const folder = join(core.folder, "store");
  const next = {
    id: MIGRATIONS.length + 1,
    level: KNOWN_LEVEL,
    name: "next",
    sql: "ALTER TABLE contexts ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine'; UPDATE contexts SET mood = 'good' WHERE id = 'a/x'",
  };
  const broken = {
    id: MIGRATIONS.length + 1,
    level: KNOWN_LEVEL,
    name: "broken",
    sql: "ALTER TABLE contexts ADD COLUMN mood TEXT; INSERT INTO nowhere VALUES (1)",
  };
  expect(() => open(folder, [...MIGRATIONS, broken])).toThrow(
    expect.objectContaining({ code: "data_unsafe", message: expect.stringContaining("nowhere") }),
  );
  const upgraded = open(folder, [...MIGRATIONS, next]);
  expect(upgraded.reader.get("SELECT id, mood FROM contexts")).toEqual({ id: "a/x", mood: "good" });
  upgraded.close();
  expect(() => startCore({ folder: core.folder })).toThrow(
    `schema ${MIGRATIONS.length + 1}; this version of cairn knows schemas up to ${MIGRATIONS.length}`,
  );
});

test("commits are synced as the owner wants it, and always where what was committed must be on the disk", () => {
  const synced = (tx: Writer) => tx.get<{ synchronous: number }>("PRAGMA synchronous")?.synchronous;
  const [NORMAL, FULL] = [1, 2];
  const strict = open(fresh(), MIGRATIONS);
  expect([strict.transaction(synced), strict.durably(synced), strict.transaction(synced)]).toEqual([FULL, FULL, FULL]);
  strict.close();
  const folder = fresh();
  const loose = Store.open({ folder, migrations: MIGRATIONS, log: () => {}, sync: "checkpoint" });
  expect([loose.transaction(synced), loose.durably(synced), loose.transaction(synced)]).toEqual([NORMAL, FULL, NORMAL]);
  const fails = () => {
    throw new Error("no");
  };
  expect(() => loose.durably(fails)).toThrow("no");
  expect(loose.transaction(synced)).toBe(NORMAL);
  // A copy that takes its place is written as this one was.
  const copy = join(folder, "copy.db");
  loose.transaction((tx) => tx.run("INSERT INTO meta (key, value) VALUES ('kept', 1)"));
  new Database(loose.path).run("VACUUM INTO ?", [copy]);
  loose.replaceBy(copy, () => {});
  expect(loose.transaction(synced)).toBe(NORMAL);
  loose.close();
});

test("an end out of order is marked, and only then the next start checks the pages", () => {
  const folder = fresh();
  const said: string[] = [];
  const log = (_level: string, message: string) => void said.push(message);
  const mark = join(folder, "1", "cairn.db-open");
  open(folder, MIGRATIONS, log).close();
  expect(existsSync(mark)).toBe(false);
  const left = open(folder, MIGRATIONS, log);
  expect(existsSync(mark)).toBe(true);
  expect(said).toEqual([]);
  const after = open(folder, MIGRATIONS, log);
  expect(said).toEqual([expect.stringContaining("not closed in order")]);
  after.close();
  left.close();
});

test("a first start that ended at any step leaves what the next one opens, and CURRENT names only a whole file", () => {
  for (const left of ["nothing", "folder", "empty file", "file without CURRENT"]) {
    const folder = join(fresh(), "store");
    if (left === "file without CURRENT") {
      open(folder, MIGRATIONS).close();
      rmSync(join(folder, "CURRENT"));
    } else if (left !== "nothing") mkdirSync(join(folder, "1"), { recursive: true, mode: 0o700 });
    if (left === "empty file") writeFileSync(join(folder, "1", "cairn.db"), "", { mode: 0o600 });
    expect(inspectStore(folder, () => left)).toBeUndefined();
    open(folder, MIGRATIONS).close();
    expect(inspectStore(folder, () => left)).toMatchObject({ seen: left, schema: MIGRATIONS.length });
  }
  const folder = join(fresh(), "store");
  expect(() => open(folder, [{ id: 1, level: 1, name: "broken", sql: "INSERT INTO nowhere VALUES (1)" }])).toThrow();
  expect(existsSync(join(folder, "CURRENT"))).toBe(false);
});

test("under a load of writes the write-ahead log is folded back and stays small", async () => {
  const folder = fresh();
  const said: string[] = [];
  const store = open(
    folder,
    [{ id: 1, level: 1, name: "t", sql: "CREATE TABLE t (n INTEGER PRIMARY KEY, bytes BLOB) STRICT" }],
    (_level, message) => void said.push(message),
  );
  const bytes = new Uint8Array(256 * 1024);
  let largest = 0;
  for (let n = 0; n < 400; n++) {
    store.transaction((tx) => tx.run("INSERT OR REPLACE INTO t VALUES (?, ?)", n % 40, bytes));
    largest = Math.max(largest, store.walBytes);
    if (n % 4 === 0) await Bun.sleep(2);
  }
  expect(largest).toBeGreaterThan(16 * 1024 ** 2);
  expect(largest).toBeLessThan(140 * 1024 ** 2);
  expect(said).toEqual([]);
  expect(store.reader.get("SELECT COUNT(*) AS n FROM t")).toEqual({ n: 40 });
  store.close();
  expect(existsSync(`${store.path}-wal`)).toBe(false);
}, 20_000);

test("a write-ahead log that is back in the store is written again from its start, in the same file", async () => {
  const store = open(fresh(), [
    { id: 1, level: 1, name: "t", sql: "CREATE TABLE t (n INTEGER PRIMARY KEY, bytes BLOB) STRICT" },
  ]);
  const write = (n: number, bytes: number) =>
    store.transaction((tx) => tx.run("INSERT OR REPLACE INTO t VALUES (?, ?)", n, new Uint8Array(bytes)));
  for (let n = 0; n < 17; n++) write(n, 1024 * 1024);
  const due = store.walBytes;
  expect(due).toBeGreaterThan(16 * 1024 ** 2);
  // Each write makes the file grow until the Worker is done.
  let before = 0;
  for (let n = 17; store.walBytes !== before; n++) {
    before = store.walBytes;
    expect(before).toBeGreaterThanOrEqual(due);
    write(n, 1);
    await Bun.sleep(5);
  }
  const copy = new Database(store.path, { readonly: true });
  expect(copy.query("SELECT COUNT(*) AS n FROM t WHERE length(bytes) > 1").get()).toEqual({ n: 17 });
  copy.close();
  store.close();
  expect(existsSync(`${store.path}-wal`)).toBe(false);
}, 20_000);

test("a reader of another process holds no write up, however long it reads", () => {
  const folder = fresh();
  const store = open(folder, [
    { id: 1, level: 1, name: "t", sql: "CREATE TABLE t (n INTEGER PRIMARY KEY, bytes BLOB) STRICT" },
  ]);
  store.transaction((tx) => tx.run("INSERT INTO t VALUES (0, x'00')"));
  const other = new Database(store.path, { readonly: true });
  other.run("BEGIN");
  other.query("SELECT * FROM t").get();
  const began = performance.now();
  const bytes = new Uint8Array(1024 * 1024);
  for (let n = 1; n < 160; n++)
    store.transaction((tx) => tx.run("INSERT OR REPLACE INTO t VALUES (?, ?)", n % 8, bytes));
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(other.query("SELECT COUNT(*) AS n FROM t").get()).toEqual({ n: 1 });
  other.close();
  store.close();
  expect(statSync(store.path).size).toBeGreaterThan(8 * 1024 ** 2);
}, 20_000);

test("the gauge counts what the write-ahead log still owes, and lets writes in again", () => {
  let owed = 0;
  const gauge = new DiskGauge(fresh(), () => owed);
  expect(gauge.refusal()).toBeUndefined();
  owed = Number.MAX_SAFE_INTEGER;
  Bun.sleepSync(25);
  expect(gauge.refusal()).toMatchObject({ code: "storage_full" });
  owed = 0;
  Bun.sleepSync(25);
  expect(gauge.refusal()).toBeUndefined();
});
