// The log and the store below the surfaces: entry bytes, the chain, the change feed, replays, reopening, and a property
// test of the document rules.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { idProblem } from "../../src/features/context/index.ts";
import { parseJson } from "../../src/lib/json-text.ts";
import { nearest } from "../../src/lib/nearest.ts";
import { ensurePrivateFolder } from "../../src/lib/private-folder.ts";
import { chainHash } from "../../src/log/chain.ts";
import { decodeEntry, encodeEntry, packCommand } from "../../src/log/entry.ts";
import { lockDataFolder } from "../../src/store/lock.ts";
import { Store } from "../../src/store/store.ts";
import { localAdmin, startCore } from "../kit/core.ts";

describe("entry", () => {
  const header = { level: 1, origin: "00112233445566778899aabbccddeeff", ticket: 7, stampMs: 1_763_600_000_123 };
  const command = {
    name: "context_put",
    v: 1,
    input: { text: "ä", tags: ["x"], none: null },
    caller: "user:a",
    via: "",
    key: "k",
  };

  test("decodes to what was encoded", () => {
    const inputHash = "0123456789abcdef".repeat(4);
    const commands = [
      ...[command, { ...command, key: "" }, { ...command, nodeKey: true as const }],
      ...[
        { ...command, inputHash },
        { ...command, nodeKey: true as const, inputHash },
      ],
    ];
    expect(decodeEntry(encodeEntry(header, commands.map(packCommand)))).toEqual({ header, commands });
  });

  test("has the bytes it had in every release", () => {
    const hashed = Buffer.from(packCommand({ ...command, inputHash: "ab".repeat(32) })).toString("hex");
    expect(hashed).toBe(
      "98ab636f6e746578745f70757401de0003a474657874a2c3a4a47461677391a178a46e6f6e65c0a6757365723a61a0a16bc2d940" +
        "6162".repeat(32),
    );
    expect(Buffer.from(encodeEntry(header, [packCommand(command)])).toString("hex")).toBe(
      "01000100112233445566778899aabbccddeeff00000000000000070000019a9ec0647b0001d66e23bd" +
        "9196ab636f6e746578745f70757401de0003a474657874a2c3a4a47461677391a178a46e6f6e65c0a6757365723a61a0a16b",
    );
  });

  test.each([
    ["caller", { caller: "u".repeat(513) }],
    ["member that forwards", { via: "m".repeat(129) }],
    ["idempotency key", { key: "k".repeat(257) }],
    ["name", { name: "n".repeat(65) }],
    ["version", { v: 0 }],
  ])(
    "a %s that no member could decode is refused before the log, and the next write is done",
    async (field, change) => {
      const message = `The log cannot hold the ${field} of this write`;
      expect(() => packCommand({ ...command, ...change })).toThrow(message);
      await using core = startCore();
      await expect(core.log.propose({ ...command, ...change })).rejects.toMatchObject({
        code: "invalid_input",
        message,
      });
      expect(await core.call("context_put", { id: "a/b", content: 1 })).toMatchObject({ version: 1 });
      expect(core.fatal).toEqual([]);
    },
  );

  test("refuses every flipped bit and every cut", () => {
    const bytes = encodeEntry(header, [packCommand(command)]);
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const damaged = Uint8Array.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeEntry(damaged)).toThrow();
    }
    for (let length = 0; length < bytes.byteLength; length++)
      expect(() => decodeEntry(bytes.slice(0, length))).toThrow();
  });
});

test("the change rows are a chain without gaps that another reader can recompute", async () => {
  await using core = startCore();
  await Promise.all(Array.from({ length: 40 }, (_, i) => core.call("context_put", { id: `s${i % 3}/x`, content: i })));
  await core.call("context_delete", { id: "s0/x" });
  const rows = core.store.reader.all<Record<string, string & number & Uint8Array>>(
    "SELECT * FROM changes ORDER BY seq",
  );
  expect(rows.map((row) => row["seq"])).toEqual(Array.from({ length: 41 }, (_, i) => i + 1) as never);
  let hash: Uint8Array = new Uint8Array(32);
  for (const row of rows) {
    const change = {
      epoch: row["epoch"] ?? "",
      seq: row["seq"] ?? 0,
      timeMs: row["log_time"] ?? 0,
      caller: row["caller"] ?? "",
      via: row["via"] ?? "",
      operation: row["operation"] ?? "",
      target: row["target"] ?? "",
      version: row["version"] ?? 0,
      contentHash: row["content_hash"] ?? "",
      outcome: row["outcome"] ?? "",
    };
    hash = chainHash(hash, change, row["state_hash"] ?? "");
    expect(Buffer.from(row["hash"] ?? []).toString("hex")).toBe(Buffer.from(hash).toString("hex"));
  }
});

test("a cursor sees every change once and in order, from the ring and from the table, and wakes", async () => {
  await using core = startCore();
  const cursor = core.invoker.changes.cursor(0);
  const wait = cursor.wait(AbortSignal.timeout(5000));
  for (let i = 0; i < 10; i++) await core.call("context_put", { id: "a/x", content: i });
  await wait;
  const seen = [];
  for (let page = cursor.next(3); page.length > 0; page = cursor.next(3))
    seen.push(...page.map((change) => change.version));
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await core.close();
  await using again = startCore({ folder: core.folder });
  expect(
    again.invoker.changes
      .cursor(4)
      .next(100)
      .map((change) => change.version),
  ).toEqual([5, 6, 7, 8, 9, 10]);
  const idle = again.invoker.changes.cursor();
  const abort = new AbortController();
  const waiting = idle.wait(abort.signal);
  abort.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await idle.wait(new AbortController().signal, AbortSignal.timeout(5));
  await idle.wait(new AbortController().signal, AbortSignal.abort());
  await expect(idle.wait(AbortSignal.abort(new Error("gone")), AbortSignal.abort())).rejects.toThrow("gone");
});

test("an unexpected error in apply stops the log, leaves nothing behind and answers unknown", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "a/x", content: 1 });
  const propose = (input: unknown) =>
    core.log.propose({ name: "context_put", v: 1, input, caller: "local", via: "", key: "" });
  await expect(propose({ id: "a/x" })).rejects.toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
  await Bun.sleep(5);
  expect(core.fatal).toHaveLength(1);
  await expect(propose({ id: "a/x" })).rejects.toMatchObject({ code: "unavailable" });
  expect(core.log.position().seq).toBe(1);
});

test("log time never goes back when the clock does", async () => {
  let now = 2_000_000_000_000;
  await using core = startCore({ nowMs: () => now });
  await core.call("context_put", { id: "a", content: 1 });
  now -= 60_000;
  await core.call("context_put", { id: "b", content: 1 });
  expect(await core.call("context_get", { id: "b" })).toMatchObject({ updated_at: "2033-05-18T03:33:20.000Z" });
});

test("any sequence of writes ends in the state of a plain model", async () => {
  await using core = startCore();
  const ids = ["m/a", "m/b", "n/c"];
  const step = fc.record({
    id: fc.constantFrom(...ids),
    value: fc.jsonValue(),
    kind: fc.constantFrom("put", "stale", "create", "delete"),
  });
  const model = new Map<string, { version: number; value: unknown; living: boolean }>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      for (const { id, value, kind } of steps) {
        const known = model.get(id);
        const living = known?.living === true;
        const done = await core
          .call(kind === "delete" ? "context_delete" : "context_put", {
            id,
            ...(kind === "delete"
              ? {}
              : {
                  content: value,
                  content_type: "application/json",
                  ...(typeof value === "string" ? { content: JSON.stringify(value) } : {}),
                }),
            ...(kind === "stale" ? { if_match: "0-000000000000" } : {}),
            ...(kind === "create" ? { if_none_match: "*" } : {}),
          })
          .then(
            () => true,
            () => false,
          );
        expect(done).toBe(kind === "put" || (kind === "create" && !living) || (kind === "delete" && living));
        if (done) model.set(id, { version: (known?.version ?? 0) + 1, value, living: kind !== "delete" });
      }
      for (const [id, { version, value, living }] of model) {
        if (!living) continue;
        const got = await core.call("context_get", { id });
        expect(got["version"]).toBe(version);
        expect(JSON.stringify(got["content"])).toBe(JSON.stringify(value));
      }
    }),
    { numRuns: 40 },
  );
});

describe("store", () => {
  const migrations = [{ id: 1, level: 1, name: "one", sql: "CREATE TABLE t (x) STRICT".replace("x", "x INTEGER") }];
  const open = (folder: string, list = migrations) => Store.open({ folder, migrations: list, log: () => {} });
  const fresh = () => mkdtempSync(join(tmpdir(), "cairn-store-"));

  test("refuses a file of a newer schema, of another program and a damaged one, and changes none", () => {
    const folder = fresh();
    open(folder, [...migrations, { id: 2, level: 1, name: "two", sql: "CREATE TABLE u (x INTEGER) STRICT" }]).close();
    expect(() => open(folder)).toThrow("schema 2; this version of cairn knows schemas up to 1");
    const foreign = fresh();
    open(foreign).close();
    const path = join(foreign, "1", "cairn.db");
    const other = new Database(path);
    other.run("PRAGMA application_id = 1");
    other.close();
    expect(() => open(foreign)).toThrow("not one of Cairn");
    writeFileSync(path, "x".repeat(8192));
    expect(() => open(foreign)).toThrow("damaged");
    writeFileSync(join(foreign, "CURRENT"), "../../etc");
    expect(() => open(foreign)).toThrow("folder number");
  });

  test("keeps its files from others", () => {
    const before = process.umask(0o077);
    const folder = fresh();
    const store = open(folder);
    for (const file of ["cairn.db", "cairn.db-wal"]) expect(statSync(join(folder, "1", file)).mode & 0o777).toBe(0o600);
    store.close();
    process.umask(before);
    chmodSync(folder, 0o777);
    expect(() => ensurePrivateFolder(folder)).toThrow("Others can write");
  });

  test("a data folder has one holder, whose pid the second gets", () => {
    const folder = fresh();
    const lock = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(`pid ${process.pid}`);
    lock.release();
    lockDataFolder(folder).release();
  });
});

describe("json text", () => {
  test("accepts what JSON.parse accepts and answers the same", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value, null, 1);
        expect(JSON.stringify(parseJson(text, "it"))).toBe(JSON.stringify(value));
      }),
    );
  });

  test("finds a duplicate key wherever it stands", () => {
    for (const text of ['{"a":1,"a":1}', '[{"b":{"c\\"":1,"c\\u0022":2}}]', '{"x":[{}],"y":{"k":"k"},"x":0}']) {
      expect(() => parseJson(text, "it")).toThrow("twice");
    }
    expect(() => parseJson('{"a":{"a":{"a":["a","a"]}},"b":"a"}', "it")).not.toThrow();
  });
});

test("ids and names", () => {
  for (const id of ["a", "team-a/plan", "a/b/c", "A~1.x:y@z_-", "..a/b", "ä", "a b", "a/diff/b"])
    expect(idProblem(id)).toBeUndefined();
  for (const id of [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "a/..",
    "a/./b",
    "ä/b",
    "a b/c",
    "a\n",
    "versions",
    "a/diff",
    "a".repeat(257),
  ])
    expect(idProblem(id)).toBeString();
  expect(nearest("context_gett", ["context_get", "context_put"])).toBe("context_get");
  expect(nearest("zebra", ["context_get"])).toBeUndefined();
  const tools = ["context_get", "context_put", "context_patch", "context_history"];
  expect(["context_gte", "contextpatch", "context_histroy"].map((name) => nearest(name, tools))).toEqual([
    "context_get",
    "context_patch",
    "context_history",
  ]);
  expect(["context_purge", "context_search"].map((name) => nearest(name, tools))).toEqual([undefined, undefined]);
  expect(localAdmin.id).toBe("local");
});
