// Export and import without loss, backup and restore that can be trusted, and every damage to either is found.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { backupNode, checkBackup, restoreNode } from "../../src/datadir/backup.ts";
import { keysOfFolder, readKeyFile, writeKeyFile } from "../../src/datadir/fleet-keys.ts";
import { inspectNodeStore } from "../../src/datadir/inspect.ts";
import { contextFeature, exportLines, importLines, Maintenance, readExport } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { digestOf } from "../../src/log/digest.ts";
import { digestTablesOf } from "../../src/operation/derive.ts";
import { type Core, granted, startCore } from "../kit/core.ts";
import { flipBit } from "../kit/flip-bit.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { checkUsage } from "../kit/usage.ts";
import { anyWrite } from "../kit/writes.ts";

const alice = granted({ role: "member", spaces: ["*"] });

async function fill(core: Core): Promise<void> {
  const large = "large text\n".repeat(20_000);
  for (let i = 0; i < 5; i++)
    await core.call(
      "context_put",
      { id: "a/x", content: { n: i, __proto: "x" }, title: `T${i}`, tags: ["t", `${i}`] },
      alice,
    );
  await core.call("context_put", { id: "a/large", content: large });
  await core.call("context_patch", { id: "a/large", format: "edit", patch: { op: "append", text: "end \u{1f600}\n" } });
  await core.call("context_put", { id: "b/gone", content: "old", content_type: "text/markdown" });
  await core.call("context_delete", { id: "b/gone" }, alice);
  await core.call("context_put", { id: "b/back", content: 1 });
  await core.call("context_delete", { id: "b/back" });
  await core.call("context_put", { id: "b/back", content: 2 });
  await core.call("context_put", { id: "b/secret", content: "secret" });
  await core.call("context_put", { id: "b/secret", content: "fine" });
  await core.call("context_purge", { id: "b/secret", versions: [1] });
  for (let i = 0; i < 700; i++) await core.call("context_put", { id: `c/${i % 7}`, content: i });
}

const lines = async (core: Core, prefix = ""): Promise<string[]> => {
  const all: string[] = [];
  for await (const line of exportLines((name, input) => core.call(name, input), prefix)) all.push(line);
  return all;
};
const importInto = (core: Core, from: string[], options = {}) =>
  importLines((name, input) => core.call(name, input), from, options);

/** What an export must keep: everything but where in the log it was written. */
function stateOf(core: Core): unknown[] {
  return [
    core.store.reader.all("SELECT * FROM contexts ORDER BY id"),
    core.store.reader.all(
      "SELECT id, version, hash, content_type, title, tags, size, author, via, log_time, deleted, purged, content, expires_at, metadata, supersedes, visibility, owner, owner_agent, owner_type, recipients FROM versions ORDER BY id, version",
    ),
    core.store.reader.all("SELECT * FROM superseded ORDER BY id, successor"),
    core.store.reader.all("SELECT * FROM usage WHERE bytes <> 0 ORDER BY kind, name"),
  ];
}

describe("export and import", () => {
  test("keep versions, authors, times, tags, deletions, purges and what history limits left", async () => {
    await using from = startCore({ limits: { history: { maxVersions: 50, maxDays: 0, keepHours: 0, spaces: {} } } });
    await fill(from);
    const exported = await lines(from);
    expect(exported).toHaveLength(2 + 5 + 2 + 2 + 3 + 2 + 7 * 50);
    await using to = startCore();
    expect(await importInto(to, exported)).toEqual({ imported: exported.length - 2, skipped: 0, left: 0 });
    expect(stateOf(to)).toEqual(stateOf(from));
    expect(await to.call("audit_verify", {})).toMatchObject({ ok: true, checked: exported.length - 2 });
    expect(await to.call("context_get", { id: "a/x" })).toMatchObject({
      author: "user:alice@example.com",
      title: "T4",
      version: 5,
    });
    expect((await lines(to)).slice(1, -1)).toEqual(exported.slice(1, -1));
    expect(await importInto(to, exported)).toEqual({ imported: 0, skipped: exported.length - 2, left: 0 });
    await to.call("context_put", { id: "a/x", content: "goes on" });
    expect(await importInto(to, exported)).toMatchObject({ imported: 0 });
    await from.call("context_put", { id: "a/x", content: "elsewhere" });
    await expect(importInto(to, await lines(from))).rejects.toMatchObject({
      code: "version_mismatch",
      details: { id: "a/x", version: 6 },
    });
    expect(await importInto(to, await lines(from), { missingOnly: true })).toEqual({
      imported: 0,
      skipped: 0,
      left: 12,
    });
  });

  test("any history comes back as it was, and its bytes count as before", async () => {
    const limits = {
      history: {
        maxVersions: 4,
        maxDays: 0,
        keepHours: 0,
        spaces: { s1: { maxVersions: 0, maxDays: 0, keepHours: 0 } },
      },
    };
    await fc.assert(
      fc.asyncProperty(fc.array(anyWrite, { minLength: 1, maxLength: 30 }), async (writes) => {
        await using from = startCore({ limits });
        for (const [at, { operation, input }] of writes.entries())
          await from.call(operation, input, at % 3 === 0 ? alice : undefined).catch((error) => {
            if (!(error instanceof Fault)) throw error;
          });
        checkUsage(from);
        expect(await from.call("audit_verify", {})).toMatchObject({ ok: true });
        await using to = startCore({ limits });
        await importInto(to, await lines(from));
        expect(stateOf(to)).toEqual(stateOf(from));
        checkUsage(to);
        expect(await to.call("audit_verify", {})).toMatchObject({ ok: true });
        for (const core of [from, to]) expect([core.unexpected, core.fatal]).toEqual([[], []]);
      }),
      { numRuns: 25 },
    );
  }, 30_000);

  test("an export shows one state while others write on, also of compressed texts, and by prefix", async () => {
    await using core = startCore();
    await fill(core);
    await new Maintenance({
      store: core.store,
      log: () => core.log,
      limits: () => DEFAULT_WRITE_LIMITS,
      nowMs: () => Date.now() + 1e9,
      onError: () => {},
    }).compress();
    const before = await lines(core);
    const during: string[] = [];
    for await (const line of exportLines((name, input) => core.call(name, input))) {
      if (during.length < 300) await core.call("context_put", { id: "c/1", content: during.length });
      during.push(line);
    }
    expect(during.slice(1, -1)).toEqual(before.slice(1, -1));
    const some = await lines(core, "b/");
    expect(some.slice(1, -1).every((line) => line.startsWith('{"id":"b/'))).toBe(true);
    await using empty = startCore();
    await importInto(empty, some);
    expect(digestOf(empty.store.reader, digestTablesOf([contextFeature]))).toBeString();
  });

  test("lines that were cut, changed, invented or from elsewhere are refused", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: { a: 1 } });
    await core.call("context_put", { id: "a/x", content: "two" });
    const [first = "", one = "", two = "", end = ""] = await lines(core);
    const read = async (list: string[]) => {
      for await (const _ of readExport(list));
    };
    await read([first, one, two, end, ""]);
    for (const list of [
      [],
      [first],
      [first, one, end],
      [first, one, two],
      [one, two, end],
      [first, one, two, end, two],
      [first, two, one, end],
      ["{"],
      [first, "x", end],
    ])
      await expect(read(list)).rejects.toMatchObject({ code: "invalid_input" });
    await using to = startCore();
    const line = (change: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(one), ...change });
    for (const bad of [
      line({ content: '{"a":2}' }),
      line({ content: undefined }),
      line({ deleted: true }),
      line({ purged: true }),
      line({ deleted: true, content: undefined }),
      line({ id: "../x" }),
      line({ version: 0 }),
      // Beyond it the next version would be the same number, which no write survives.
      line({ version: 1e12 + 1 }),
      line({ version: Number.MAX_SAFE_INTEGER }),
      line({ hash: "x" }),
      line({ time: "yesterday" }),
      line({ title: "a\u0000b" }),
      line({ extra: 1 }),
      `${one.slice(0, -1)},"id":"b/x"}`,
      "[]",
    ])
      expect([bad, await to.call("context_import", { lines: [bad] }).catch((error) => error.code)]).toEqual([
        bad,
        "invalid_input",
      ]);
    await expect(to.call("context_import", { lines: [one, line({ version: 3 })] })).rejects.toMatchObject({
      code: "version_mismatch",
    });
    await expect(to.call("context_import", { lines: [one] }, alice)).rejects.toMatchObject({ code: "forbidden" });
    await expect(to.call("context_export", {}, alice)).rejects.toMatchObject({ code: "forbidden" });
    await expect(to.call("context_export", { cursor: "zz" })).rejects.toMatchObject({ code: "invalid_input" });
    expect(to.log.position().seq).toBe(0);
    expect(to.unexpected).toEqual([]);
  });
});

describe("backup", () => {
  const fresh = () => join(mkdtempSync(join(tmpdir(), "cairn-backup-")), "copy");

  test("of a running node is whole, is restored elsewhere, and begins a new history", async () => {
    await using core = startCore();
    await fill(core);
    const position = core.invoker.position();
    const to = fresh();
    const manifest = await backupNode({ dataDir: core.folder, to });
    expect(manifest).toMatchObject({ content: { position, contexts: 11 } });
    expect(await checkBackup(to, keysOfFolder(core.folder))).toEqual({ manifest, sealed: true });
    for (const file of ["cairn.db", "manifest.json"]) expect(statSync(join(to, file)).mode & 0o077).toBe(0);
    await core.call("context_put", { id: "a/x", content: "after the backup" });
    const lost = core.invoker.position();
    const dataDir = fresh();
    const { epoch } = await restoreNode({ from: to, dataDir });
    await using restored = startCore({ folder: dataDir });
    expect(await restored.call("context_get", { id: "a/x" })).toMatchObject({ version: 5 });
    expect(await restored.call("context_get", { id: "a/x", at: position })).toMatchObject({ version: 5 });
    await expect(restored.call("context_get", { id: "a/x", at: lost })).rejects.toMatchObject({
      code: "history_forked",
    });
    expect(restored.invoker.position()).toBe(position.replace(/^[^-]*/, epoch));
    await restored.call("context_put", { id: "a/x", content: "goes on" });
    expect(restored.invoker.position()).toBe(`${epoch}-${Number(position.split("-")[1]) + 1}`);
    const { versions } = (await restored.call("context_history", { id: "a/x", limit: 2 })) as {
      versions: Array<{ position: string }>;
    };
    expect(versions.map((version) => version.position.split("-")[0])).toEqual([epoch, position.split("-")[0] ?? ""]);
    expect(await restored.call("audit_verify", {})).toMatchObject({ ok: true });
    expect(restored.store.reader.get("SELECT value FROM meta WHERE key = 'fleet_id'")).not.toEqual(
      core.store.reader.get("SELECT value FROM meta WHERE key = 'fleet_id'"),
    );
  });

  test("is never written over, nor is live data", async () => {
    await using core = startCore();
    const to = fresh();
    await backupNode({ dataDir: core.folder, to });
    await expect(backupNode({ dataDir: core.folder, to })).rejects.toMatchObject({ code: "data_exists" });
    await expect(restoreNode({ from: to, dataDir: core.folder })).rejects.toMatchObject({ code: "data_exists" });
    await expect(backupNode({ dataDir: fresh(), to: fresh() })).rejects.toMatchObject({ code: "not_found" });
    await expect(backupNode({ dataDir: core.folder, to: "/dev/null/x" })).rejects.toMatchObject({
      code: expect.any(String),
    });
  });

  test("that was damaged in any way is refused and leaves nothing behind", async () => {
    await using core = startCore();
    await fill(core);
    const damage: Array<[string, (folder: string) => void]> = [
      ["a flipped bit", (folder) => flipBit(join(folder, "cairn.db"), 0.5)],
      ["a cut file", (folder) => truncateSync(join(folder, "cairn.db"), 8192)],
      ["a longer file", (folder) => appendFileSync(join(folder, "cairn.db"), "x")],
      ["no file", (folder) => truncateSync(join(folder, "cairn.db"), 0)],
      [
        "a changed manifest",
        (folder) =>
          writeFileSync(
            join(folder, "manifest.json"),
            readFileSync(join(folder, "manifest.json"), "utf8").replace('"contexts": 11', '"contexts": 12'),
          ),
      ],
      ["no manifest", (folder) => truncateSync(join(folder, "manifest.json"), 0)],
    ];
    for (const [name, hurt] of damage) {
      const to = fresh();
      await backupNode({ dataDir: core.folder, to });
      hurt(to);
      const dataDir = fresh();
      mkdirSync(dataDir, { mode: 0o700 });
      const error = await restoreNode({ from: to, dataDir }).then(
        () => undefined,
        (refusal) => refusal,
      );
      expect([name, error]).toMatchObject([name, { code: "data_corrupt" }]);
      expect(existsSync(join(dataDir, "store"))).toBe(false);
    }
    const to = fresh();
    await backupNode({ dataDir: core.folder, to });
    const manifest = join(to, "manifest.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"schema": \d+/, '"schema": 99'));
    await expect(restoreNode({ from: to, dataDir: fresh() })).rejects.toMatchObject({ code: "data_newer" });
  });

  /** Changes the file of a backup and makes size and hash of the manifest fit, as anyone could who can write it. */
  const forge = (folder: string, sql: string): void => {
    const file = join(folder, "cairn.db");
    const database = new Database(file);
    database.run(sql);
    database.close();
    const path = join(folder, "manifest.json");
    const manifest = JSON.parse(readFileSync(path, "utf8"));
    manifest.file = { ...manifest.file, bytes: statSync(file).size, sha256: sha256Hex(readFileSync(file)) };
    writeFileSync(path, JSON.stringify(manifest));
  };

  test("with anything planted in its schema is refused by verify and restore, also where no key is known", async () => {
    await using core = startCore();
    await fill(core);
    const planted = [
      "CREATE TRIGGER evil AFTER INSERT ON changes BEGIN UPDATE contexts SET title = 'evil'; END",
      "CREATE VIEW evil AS SELECT * FROM contexts",
      "CREATE INDEX evil ON contexts (title)",
      "CREATE TABLE evil (a)",
      "DROP INDEX contexts_by_space",
    ];
    for (const sql of planted) {
      const to = fresh();
      await backupNode({ dataDir: core.folder, to });
      forge(to, sql);
      const dataDir = fresh();
      const wanted = { code: "data_corrupt", message: expect.stringMatching(/no migration makes|is missing in it/) };
      await expect(checkBackup(to, new Map())).rejects.toMatchObject(wanted);
      await expect(restoreNode({ from: to, dataDir })).rejects.toMatchObject(wanted);
      expect(existsSync(join(dataDir, "store"))).toBe(false);
    }
  });

  test("a store with a planted trigger does not pass the doctor and is not opened", async () => {
    const folder = fresh();
    await startCore({ folder })[Symbol.asyncDispose]();
    const path = join(folder, "store", "1", "cairn.db");
    const database = new Database(path);
    database.run("CREATE TRIGGER evil AFTER INSERT ON changes BEGIN UPDATE contexts SET title = 'evil'; END");
    database.close();
    expect(() => inspectNodeStore(folder)).toThrow("trigger evil");
    expect(() => startCore({ folder })).toThrow("trigger evil");
  });

  test("is sealed with a key of the fleet, which is not in it", async () => {
    await using core = startCore();
    await fill(core);
    const to = fresh();
    const manifest = await backupNode({ dataDir: core.folder, to });
    const keys = keysOfFolder(core.folder);
    const key = keys.get(String(manifest.content["fleet"])) ?? "";
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    for (const file of ["cairn.db", "manifest.json"]) expect(readFileSync(join(to, file)).includes(key)).toBe(false);
    expect((await lines(core)).join("\n")).not.toContain(key);
    // A text that was changed in every place that a check without a key can see.
    forge(to, "UPDATE refusals SET count = 9; UPDATE head SET one = 1");
    expect(await checkBackup(to, new Map())).toMatchObject({ sealed: false });
    await expect(checkBackup(to, keys)).rejects.toMatchObject({
      code: "data_corrupt",
      message: expect.stringContaining("was not written by a member of its fleet"),
    });
    const unsealed = fresh();
    await backupNode({ dataDir: core.folder, to: unsealed });
    const { seal: _, ...rest } = JSON.parse(readFileSync(join(unsealed, "manifest.json"), "utf8"));
    writeFileSync(join(unsealed, "manifest.json"), JSON.stringify(rest));
    await expect(checkBackup(unsealed, keys)).rejects.toMatchObject({
      code: "data_corrupt",
      message: expect.stringContaining("has no seal"),
    });
  });

  test("its seal is checked elsewhere with a key file, and keys are kept over a restore", async () => {
    await using core = startCore();
    await fill(core);
    const to = fresh();
    await backupNode({ dataDir: core.folder, to });
    const file = `${fresh()}.keys`;
    writeKeyFile(core.folder, file);
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(() => writeKeyFile(core.folder, file)).toThrow("is there already");
    const dataDir = fresh();
    expect(await restoreNode({ from: to, dataDir })).toMatchObject({ sealed: false });
    expect(keysOfFolder(dataDir).size).toBe(1);
    const keys = readKeyFile(file);
    const other = fresh();
    expect(await restoreNode({ from: to, dataDir: other, keys })).toMatchObject({ sealed: true });
    // The new history has a key of its own, and knows the one of the history that it continues.
    expect(keysOfFolder(other).size).toBe(2);
    expect(await checkBackup(to, keysOfFolder(other))).toMatchObject({ sealed: true });
    expect(await restoreNode({ from: to, dataDir: other, aside: true })).toMatchObject({ sealed: true });
    expect(keysOfFolder(other).size).toBe(3);
  });
});
