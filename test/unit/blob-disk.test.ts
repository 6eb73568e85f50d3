// Files of blobs: a disk that fills up, and what a crash leaves at each step.

import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BlobFolder, BlobSweep } from "../../src/features/blob/index.ts";
import { CLEARED_BY_FORK, STORE_SCHEMA } from "../../src/features/index.ts";
import { forkHistory } from "../../src/log/new-epoch.ts";
import { Store } from "../../src/store/store.ts";
import { sampleBlob, startBlobs } from "../kit/blobs.ts";
import { startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const MIB = 1024 ** 2;

test.skipIf(process.getuid?.() !== 0)(
  "a disk without room refuses a blob, at its beginning or when it fills up, and keeps nothing of it [needs root]",
  async () => {
    const disk = temporaryFolder();
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk]).exitCode).toBe(0);
    try {
      const folder = new BlobFolder(disk);
      expect(await refusal(folder.begin("a".repeat(64), 30 * MIB))).toMatchObject({ code: "storage_full" });
      const { data, sha256 } = sampleBlob(8 * MIB);
      const file = await folder.begin(sha256, data.byteLength);
      // What is on its way counts: a second blob of that size has no room.
      expect(await refusal(folder.begin("b".repeat(64), 12 * MIB))).toMatchObject({ code: "storage_full" });
      await file.add(data.subarray(0, 4 * MIB));
      writeFileSync(join(disk, "other"), new Uint8Array(15 * MIB));
      expect(await refusal(file.add(data.subarray(4 * MIB)))).toMatchObject({ code: "storage_full" });
      expect(file.isOver).toBe(true);
      expect(readdirSync(join(disk, "blobs", "incoming"))).toEqual([]);
      expect(folder.list()).toEqual([]);
    } finally {
      Bun.spawnSync(["umount", disk]);
    }
  },
);

test("what a crash leaves is removed: parts at the start, bytes without a row after an hour", async () => {
  let nowMs = Date.now();
  await using world = startBlobs([], { nowMs: () => nowMs });
  const { blobs } = world.leader;
  const { data, sha256 } = sampleBlob(100);
  await world.put(data);
  const incoming = join(blobs.folder.path, "incoming");
  writeFileSync(join(incoming, `${"c".repeat(64)}.7`), "half");
  // Named, and the node died before the row was proposed.
  const orphan = "d".repeat(64);
  mkdirSync(join(blobs.folder.path, "dd"), { recursive: true });
  writeFileSync(join(blobs.folder.path, "dd", orphan), "whole");
  const sweep = world.sweepOf("a");
  sweep.start();
  try {
    expect(existsSync(incoming)).toBe(false);
    expect(sweep.sweep()).toBe(0);
    nowMs += 50 * 60_000;
    expect(sweep.sweep()).toBe(0);
    // Whoever puts it now finds the bytes wanted again.
    blobs.folder.touch(orphan, nowMs);
    nowMs += 50 * 60_000;
    expect(sweep.sweep()).toBe(0);
    nowMs += 20 * 60_000;
    expect(sweep.sweep()).toBe(1);
    expect(blobs.folder.list()).toEqual([sha256]);
  } finally {
    await sweep.stop();
  }
});

test("bytes that are wanted again after their removal stay until their row may be there", async () => {
  let nowMs = Date.now();
  await using world = startBlobs(["b"], { nowMs: () => nowMs });
  const { data, sha256 } = sampleBlob(500);
  await world.put(data);
  const sweep = world.sweepOf("b");
  sweep.sweep();
  nowMs += 1000;
  await world.call("blob_remove", { space: "team-a", sha256 });
  nowMs += 1000;
  const asked = { sha256, bytes: 500, from: ["a"] };
  await world.leader.blobs.peers.fetch("b", asked, new AbortController().signal);
  nowMs += 1000;
  expect(sweep.sweep()).toBe(0);
  nowMs += 4_000_000;
  expect(sweep.sweep()).toBe(1);
});

test("blobs of a fleet that the node was in before are set aside, and nothing of them is removed", async () => {
  let nowMs = Date.now();
  await using world = startBlobs([], { nowMs: () => nowMs });
  const { folder } = world.leader.blobs;
  const { data, sha256 } = sampleBlob(100);
  await world.put(data);
  const sweep = world.sweepOf("a");
  sweep.sweep();
  expect(folder.epoch()).toBe(world.log.position().epoch);
  folder.noteEpoch("0123456789");
  nowMs += 10 * 3_600_000;
  expect(sweep.sweep()).toBe(0);
  const aside = join(world.leader.folder, "aside", "blobs-0123456789");
  expect(existsSync(join(aside, sha256.slice(0, 2), sha256))).toBe(true);
  expect(folder.list()).toEqual([]);
});

test("blobs stay where they are over restores of one history", async () => {
  await using world = startBlobs();
  const { blobs } = world.leader;
  const { data, sha256 } = sampleBlob(100);
  await world.put(data);
  const epochs: string[] = [];
  for (let restore = 1; restore <= 2; restore += 1) {
    const folder = temporaryFolder();
    cpSync(dirname(dirname(world.store.path)), join(folder, "store"), { recursive: true });
    const store = Store.open({ folder: join(folder, "store"), ...STORE_SCHEMA, log: () => {} });
    forkHistory(store, CLEARED_BY_FORK);
    store.close();
    const restored = startCore({ folder });
    epochs.push(restored.log.position().epoch);
    const sweep = new BlobSweep({
      ...{ blobs, reader: restored.store.reader, history: () => restored.log, log: () => {}, nowMs: Date.now },
    });
    sweep.sweep();
    // A later epoch of the same history is none of another fleet.
    blobs.folder.noteEpoch(restored.log.position().epoch);
    sweep.sweep();
    expect(blobs.folder.epoch()).toBe(world.log.position().epoch);
    await restored.close();
    expect(blobs.folder.list()).toEqual([sha256]);
  }
  expect(new Set(epochs).size).toBe(2);
});

test("a file that others put into the folder is no blob, and a hash is no path", () => {
  const data = temporaryFolder();
  mkdirSync(join(data, "blobs", "ab"), { recursive: true });
  writeFileSync(join(data, "blobs", "ab", "notes.txt"), "x");
  utimesSync(join(data, "blobs", "ab", "notes.txt"), 0, 0);
  const folder = new BlobFolder(data);
  expect(folder.list()).toEqual([]);
  const hash = `ab${"0".repeat(62)}`;
  writeFileSync(join(data, "blobs", "ab", hash), "x");
  expect([folder.list(), folder.list(0xab, 0xac), folder.list(0xac), folder.list(0, 0xab)]).toEqual([
    [hash],
    [hash],
    [],
    [],
  ]);
  expect(() => folder.sizeOf("../../secret")).toThrow("SHA-256");
  expect(() => folder.remove(`${"a".repeat(63)}/`)).toThrow("SHA-256");
});
