// The disk of the tests that can lose its power: what was synced is there, what was not is gone. A database on it keeps
// what it committed, and one that does not sync loses it, so the scenarios on such a disk can fail.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { flush } from "../../src/lib/atomic-file.ts";
import { eventually } from "../kit/eventually.ts";
import { startNode } from "../kit/node.ts";
import { canLosePower, PowerDisk } from "../kit/power-disk.ts";
import { TestTailnet } from "../kit/tailnet.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const WRITER = join(import.meta.dir, "..", "kit", "commit-main.ts");

/** Cuts the power of a disk that no process uses. */
async function cut(disk: PowerDisk, seed?: number) {
  const process = Bun.spawn({ cmd: ["sleep", "100"], stdio: ["ignore", "ignore", "ignore"] });
  const lost = await disk.cut(process.pid, seed);
  await process.exited;
  expect(process.signalCode).toBe("SIGKILL");
  return lost;
}

/** Commits rows until some are acknowledged, and cuts the power meanwhile; returns the last acknowledged one. */
async function commit(disk: PowerDisk, file: string, synchronous: string, seed: number): Promise<number> {
  const writer = Bun.spawn({
    cmd: [process.execPath, WRITER, file, synchronous],
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  const read = (async () => {
    for await (const chunk of writer.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
  })();
  const wanted = 5 + (seed % 10);
  await eventually("rows to be committed", () => text.split("\n").length > wanted);
  await disk.cut(writer.pid, seed);
  await read;
  return Number(text.split("\n").at(-2));
}

function lastRow(file: string): number {
  using database = new Database(file);
  expect(database.query<{ quick_check: string }, []>("PRAGMA quick_check").get()?.quick_check).toBe("ok");
  const { last, count } = database
    .query<{ last: number; count: number }, []>("SELECT coalesce(max(number), 0) AS last, count(*) AS count FROM rows")
    .get() ?? { last: 0, count: 0 };
  expect(count).toBe(last);
  return last;
}

describe.skipIf(!canLosePower())("a disk that loses its power [needs root and /dev/fuse]", () => {
  test("has what was synced: bytes by their file, names by their folder", async () => {
    const folder = temporaryFolder();
    const at = (name: string) => join(folder, name);
    mkdirSync(at("before"));
    writeFileSync(at("before/a"), "from before");
    symlinkSync("before/a", at("link"));
    const disk = await PowerDisk.under(folder);
    const open = openSync(at("before/a"), "r+");
    mkdirSync(at("new"));
    writeFileSync(at("new/kept"), "kept");
    for (const path of ["new/kept", "new", "."]) flush(at(path));
    writeFileSync(at("unsynced"), "lost");
    writeFileSync(at("file only"), "lost");
    flush(at("file only"));
    writeFileSync(at("name only"), "lost");
    flush(at("new"));
    appendFileSync(at("new/kept"), " and more");
    renameSync(at("before/a"), at("before/b"));
    const lost = await cut(disk);
    expect(lost).toEqual({ names: 4, files: 3, pages: 3 });
    expect(() => writeSync(open, "x")).toThrow();
    closeSync(open);
    expect(readdirSync(folder).sort()).toEqual(["before", "link", "new"]);
    expect(readFileSync(at("link"), "utf8")).toBe("from before");
    expect(readFileSync(at("new/kept"), "utf8")).toBe("kept");

    // The disk works on, and its second cut is like the first.
    const file = openSync(at("new/kept"), "a");
    writeSync(file, ", synced");
    fsyncSync(file);
    writeSync(file, ", lost");
    closeSync(file);
    await cut(disk);
    expect(readFileSync(at("new/kept"), "utf8")).toBe("kept, synced");
    await disk.remove();
    expect(readFileSync(at("new/kept"), "utf8")).toBe("kept, synced");
    expect(existsSync(at("unsynced"))).toBe(false);
  });

  test("a database keeps what it committed, whatever part of the rest is there", async () => {
    const folder = temporaryFolder();
    await using disk = await PowerDisk.under(folder);
    const file = join(folder, "rows.db");
    for (let round = 1; round <= 8; round++) {
      const seed = Math.floor(Math.random() * 1_000_000);
      const committed = await commit(disk, file, "FULL", seed);
      console.log(`seed ${seed}: ${committed} committed`);
      expect(lastRow(file)).toBeGreaterThanOrEqual(committed);
    }
  }, 60_000);

  test("a database that does not sync loses what it committed", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "rows.db");
    const before = new Database(file, { create: true });
    before.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    before.close();
    await using disk = await PowerDisk.under(folder);
    const writer = Bun.spawn({ cmd: [process.execPath, WRITER, file, "OFF"], stdio: ["ignore", "pipe", "inherit"] });
    const { value } = await writer.stdout.getReader().read();
    expect(value?.length).toBeGreaterThan(0);
    await disk.cut(writer.pid);
    await writer.exited;
    expect(lastRow(file)).toBe(0);
  });

  test("a node that has just joined its tailnet is the same device afterwards", async () => {
    await using tailnet = await TestTailnet.start();
    const above = temporaryFolder();
    await using disk = await PowerDisk.under(above);
    await using node = await startNode({ tailnet, dataDir: join(above, "made by it", "data") });
    const [device] = await tailnet.nodes();
    node.wasEnded = true;
    await disk.cut(node.pid);
    await node.exited();
    await using again = await node.again();
    await again.serving();
    expect((await tailnet.nodes()).map(({ id }) => id)).toEqual([String(device?.id)]);
  }, 60_000);
});
