// The running digest (replication.md 3): equal on every member that applied the same, different for ever where one
// command had another outcome or wrote something else, also where the chain of changes cannot see it.

import { expect, test } from "bun:test";
import { copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contextOperations } from "../../src/features/context/index.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { compareHistory } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { applyEntry, type BatchState } from "../../src/log/apply-batch.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { openHistory } from "../../src/log/history.ts";
import type { Apply, Command } from "../../src/log/log.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { digestText, parseDigest, RecentDigests, type RunningDigest } from "../../src/log/running-digest.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Store } from "../../src/store/store.ts";
import { heardOf } from "../kit/fleet-facts.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";

const apply = applierOf(contextOperations);

function open(folder = mkdtempSync(join(tmpdir(), "cairn-digest-"))): Store & { folder: string } {
  return Object.assign(Store.open({ folder, migrations: MIGRATIONS, log: () => {} }), { folder });
}

/** Returns a store that is a copy of the file of another, closed one. */
function copyOf(folder: string): Store & { folder: string } {
  const copy = open();
  copy.close();
  copyFileSync(join(folder, "1", "cairn.db"), join(copy.folder, "1", "cairn.db"));
  return open(copy.folder);
}

function put(id: string, content: unknown, more: Record<string, unknown> = {}, key = ""): Command {
  const operation = contextOperations.find(({ name }) => name === "context_put");
  if (operation?.kind !== "write") throw new Error("no context_put");
  const input = operation.prepare(operation.input.parse({ id, content, ...more }), DEFAULT_WRITE_LIMITS);
  return { name: "context_put", v: operation.v, input, caller: "user:a", via: "", key };
}

function applied(store: Store, commands: readonly Command[], by: Apply = apply, from?: BatchState): BatchState {
  const header = { level: 3, origin: "00".repeat(16), ticket: 1, stampMs: 1_700_000_000_000 };
  return applyEntry(store, by, from ?? openHistory(store), encodeEntry(header, commands.map(packCommand))).state;
}

function twins() {
  const first = open();
  openHistory(first);
  first.close();
  return [open(first.folder), copyOf(first.folder)] as const;
}

test("a title that one member stores otherwise leaves the chain equal and the digest different for ever", () => {
  const [one, other] = twins();
  const wrong: Apply = (tx, command, stamp) => {
    const effect = apply(tx, command, stamp);
    tx.run("UPDATE contexts SET title = 'wrong' WHERE id = 'a/x'");
    return effect;
  };
  const commands = [put("a/x", 1, { title: "right" })];
  const [right, bad] = [applied(one, commands), applied(other, commands, wrong)];
  expect(bad.hash).toEqual(right.hash);
  expect(bad.digest?.count).toBe(1);
  expect(bad.digest).not.toEqual(right.digest);
  const [later, worse] = [applied(one, [put("a/y", 2)], apply, right), applied(other, [put("a/y", 2)], apply, bad)];
  expect(worse.hash).toEqual(later.hash);
  expect(worse.digest?.hash).not.toBe(later.digest?.hash);
});

test("a refusal on one member alone, which makes no change, is in the digest; the words of a refusal are not", () => {
  const refusing = (message: string): Apply => {
    const by: Apply = () => {
      throw new Fault("quota_exceeded", message, { hint: "" });
    };
    return by;
  };
  const [one, other] = twins();
  const commands = [put("a/x", 1, {}, "k1")];
  const [said, saidOtherwise] = [applied(one, commands, refusing("a")), applied(other, commands, refusing("b"))];
  expect(saidOtherwise.digest).toEqual(said.digest);
  const [third, fourth] = twins();
  const ignoring: Apply = () => ({ output: {}, changes: [] });
  const [refused, ignored] = [applied(third, commands, refusing("a")), applied(fourth, commands, ignoring)];
  expect(ignored.seq).toBe(refused.seq);
  expect(ignored.digest?.hash).not.toBe(refused.digest?.hash);
});

test("what a node writes beside apply does not enter it, and a copy of the store goes on from it", () => {
  const store = open();
  const state = applied(store, [put("a/x", { t: "x".repeat(9_000) })]);
  store.transaction((tx) => tx.run("UPDATE versions SET content = ?, encoding = 1", Bun.zstdCompressSync("x")));
  expect(openHistory(store).digest).toEqual(state.digest);
  store.close();
  const [again, copy] = [open(store.folder), copyOf(store.folder)];
  const next = [put("a/y", 2)];
  expect(applied(copy, next).digest).toEqual(applied(again, next).digest);
  expect(openHistory(copy).digest?.count).toBe(2);
});

test("a store of the level before has none, and begins one when the level is raised", () => {
  const store = open();
  openHistory(store);
  store.transaction((tx) => writeMeta(tx, { fleet_level: 2 }));
  const raising: Apply = (tx, command, stamp) => {
    writeMeta(tx, { fleet_level: 3 });
    return apply(tx, command, stamp);
  };
  const before = applied(store, [put("a/x", 1)]);
  expect(before.digest).toBeUndefined();
  const raised = applied(store, [put("a/x", 2)], raising, before);
  expect(raised.digest).toEqual({ count: 0, hash: "0".repeat(64) });
  expect(openHistory(store).digest).toEqual(raised.digest);
  expect(applied(store, [put("a/x", 3)], apply, raised).digest?.count).toBe(1);
});

test("how a build words its statements and orders an answer is not in the digest; tables, values and rows are", () => {
  const [one, other, third] = [open(), open(), open()];
  const from: BatchState = { ...openHistory(one), digest: { count: 0, hash: "0".repeat(64) } };
  const by = (sql: string, values: string[], output: Record<string, unknown>): Apply => {
    const wrote: Apply = (tx) => {
      tx.run(sql, ...values);
      return { output, changes: [] };
    };
    return wrote;
  };
  const said = (store: Store, ...how: Parameters<typeof by>) =>
    applied(store, [put("a/x", 1)], by(...how), from).digest?.hash;
  for (const store of [other, third]) openHistory(store);
  const right = said(one, "INSERT INTO meta (key, value) VALUES (?, ?)", ["k", "v"], { a: 1, b: { c: 2, d: 3 } });
  const upsert = "INSERT OR REPLACE\n  INTO meta (key, value)\n  VALUES (?,?)";
  expect(said(other, upsert, ["k", "v"], { b: { d: 3, c: 2 }, a: 1 })).toBe(right);
  expect(said(third, upsert, ["k", "w"], { a: 1, b: { c: 2, d: 3 } })).not.toBe(right);
  const names = ["UPDATE meta SET value = ? WHERE key = ?", "DELETE FROM meta WHERE value = ? OR key = ?"];
  const [updated, deleted] = names.map((sql) => said(third, sql, ["w", "k"], {}));
  expect(updated).not.toBe(deleted);
});

test("rows that are inserted together are in the table, and in the digest as one write each", () => {
  const [one, other] = [open(), open()];
  const from: BatchState = { ...openHistory(one), digest: { count: 0, hash: "0".repeat(64) } };
  openHistory(other);
  const columns = ["key", "value"];
  const rows = Array.from({ length: 64 + 2 * 8 + 3 }, (_, at) => [`row-${at + 100}`, `${at}`]);
  const together: Apply = (tx) => {
    tx.insert("meta", columns, rows);
    return { output: {}, changes: [] };
  };
  const alone: Apply = (tx) => {
    for (const row of rows) tx.run("INSERT INTO meta (key, value) VALUES (?, ?)", ...row);
    return { output: {}, changes: [] };
  };
  const digest = applied(one, [put("a/x", 1)], together, from).digest;
  expect(digest).toEqual(applied(other, [put("a/x", 1)], alone, from).digest);
  const kept = "SELECT key, value FROM meta WHERE key LIKE 'row-%' ORDER BY key";
  expect(one.reader.all<{ key: string; value: string }>(kept).map(({ key, value }) => [key, value])).toEqual(rows);
});

test("the writes of a command are part of the log's format: other values need another level", () => {
  const store = open();
  openHistory(store);
  store.transaction((tx) => {
    tx.run("UPDATE epochs SET id = '0123456789'");
    writeMeta(tx, { fleet_id: "f".repeat(32) });
  });
  const commands = [
    put("a/x", { b: 1 }, { title: "t", tags: ["x"] }, "k1"),
    { ...put("a/x", { b: 2 }), client: "agent 1" },
    put("a/x", 3, {}, "k1"),
  ];
  expect(applied(store, commands).digest).toEqual(GOLDEN);
});

const GOLDEN: RunningDigest = { count: 3, hash: "a432ed296ac57d2fab7cacf65c1599fe56d4e50a1fb7953af4d84f9221d6e48a" };

test("members are compared at equal counts that both remember", () => {
  const recent = new RecentDigests({ count: 1, hash: "1".repeat(64) });
  for (let count = 2; count <= 5_000; count += 1) recent.add({ count, hash: `${count % 10}`.repeat(64) });
  expect(recent.newest()?.count).toBe(5_000);
  expect([recent.at(1), recent.at(904), recent.at(905)]).toEqual([undefined, undefined, "5".repeat(64)]);
  const own = { epoch: "e", hashAt: () => "h10", digestAt: (count: number) => recent.at(count) };
  const compared = (digest: string | undefined) => compareHistory(heardOf("b", { digest }), own);
  expect(compared(digestText({ count: 4_000, hash: "0".repeat(64) }))).toBe("same");
  expect(compared(digestText({ count: 4_000, hash: "1".repeat(64) }))).toBe("digest");
  expect(compared(digestText({ count: 5_001, hash: "1".repeat(64) }))).toBe("unknown");
  for (const none of [undefined, "x"]) expect(compared(none)).toBe("same");
  expect(parseDigest(digestText({ count: 7, hash: "a".repeat(64) }))).toEqual({ count: 7, hash: "a".repeat(64) });
});
