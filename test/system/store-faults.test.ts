// The store under real faults: processes killed while they write, disks that fill up, files that were torn or have
// flipped bits.

import { describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MIGRATIONS } from "../../src/features/index.ts";
import { Store } from "../../src/store/store.ts";
import { type Core, startCore } from "../kit/core.ts";
import { flipBit } from "../kit/flip-bit.ts";

const KIT = join(import.meta.dir, "..", "kit");
const fresh = () => mkdtempSync(join(tmpdir(), "cairn-faults-"));
const dbOf = (folder: string) => join(folder, "store", "1", "cairn.db");

/** Starts the load, kills it hard after it has acknowledged `writes`, and answers what it acknowledged. */
async function killUnderLoad(
  folder: string,
  seed: number,
  writes: number,
): Promise<Array<{ id: string; version: number; etag: string }>> {
  const child = spawn(process.execPath, [join(KIT, "store-load.ts"), folder, String(seed)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const acknowledged: Array<{ id: string; version: number; etag: string }> = [];
  const exited = new Promise((resolve) => child.once("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const [id, version, etag] = line.split(" ");
    if (id !== undefined && etag !== undefined) acknowledged.push({ id, version: Number(version), etag });
    if (acknowledged.length === writes) child.kill("SIGKILL");
  }
  await exited;
  return acknowledged;
}

/** All versions that are kept of a context, newest first: young ones are, whatever their number. */
async function historyOf(core: Core, id: string) {
  const versions: { version: number; etag: string }[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = (await core.call("context_history", { id, limit: 100, ...(cursor && { cursor }) })) as {
      versions: typeof versions;
      floor: number;
      cursor?: string;
    };
    versions.push(...page.versions);
    cursor = page.cursor;
    if (cursor === undefined) return { versions, floor: page.floor };
  }
}

/** Seqs, versions, heads and the chain: everything that must hold in any store. */
async function checkWhole(core: Core): Promise<void> {
  const { reader } = core.store;
  expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  const seqs = reader.get<{ n: number; last: number }>("SELECT COUNT(*) AS n, MAX(seq) AS last FROM changes");
  expect(seqs?.n).toBe(seqs?.last ?? 0);
  const gaps = reader.all(
    "SELECT v.id FROM versions v GROUP BY v.id HAVING MAX(v.version) - MIN(v.version) + 1 <> COUNT(*)",
  );
  expect(gaps).toEqual([]);
  const heads = reader.all(
    "SELECT c.id FROM contexts c WHERE c.version <> (SELECT MAX(version) FROM versions v WHERE v.id = c.id)",
  );
  expect(heads).toEqual([]);
}

test("killed 20 times while writing, nothing acknowledged is lost, versions have no gap, the chain is whole", async () => {
  const folder = fresh();
  const newest = new Map<string, { version: number; etags: Map<number, string> }>();
  let total = 0;
  for (let round = 0; round < 20; round++) {
    const acknowledged = await killUnderLoad(folder, round, 150 + ((round * 97) % 500));
    expect(acknowledged.length).toBeGreaterThan(100);
    total += acknowledged.length;
    for (const { id, version, etag } of acknowledged) {
      const known = newest.get(id) ?? { version: 0, etags: new Map() };
      known.version = Math.max(known.version, version);
      known.etags.set(version, etag);
      newest.set(id, known);
    }
    expect(existsSync(`${dbOf(folder)}-open`)).toBe(true);
    await using core = startCore({ folder });
    await checkWhole(core);
    for (const [id, { version, etags }] of newest) {
      const { versions, floor } = await historyOf(core, id);
      expect([id, versions[0]?.version ?? 0]).toEqual([id, expect.any(Number)]);
      expect(versions[0]?.version ?? 0).toBeGreaterThanOrEqual(version);
      for (const [number, etag] of etags) {
        if (number < floor) etags.delete(number);
        else expect([id, versions.find((row) => row.version === number)?.etag]).toEqual([id, etag]);
      }
    }
  }
  expect(total).toBeGreaterThan(5000);
  rmSync(folder, { recursive: true, force: true });
}, 90_000);

/** Runs fill-disk.ts on a disk of its own, in a mount namespace of its own that ends with it. */
function onSmallDisk(size: string, mode: string): Record<string, unknown> {
  const script = `mount -t tmpfs -o size=${size},mode=0700 tmpfs "$1"; mkdir -m 0700 "$1/data"; exec "$2" "$3" "$1/data" ${mode}`;
  const run = spawnSync(
    "unshare",
    ["-m", "sh", "-ec", script, "sh", fresh(), process.execPath, join(KIT, "fill-disk.ts")],
    { encoding: "utf8", timeout: 50_000 },
  );
  if (run.status !== 0) throw new Error(`fill-disk.ts ended with ${run.status}: ${run.stderr}`);
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

const mayMount =
  spawnSync("unshare", ["-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], { encoding: "utf8" }).status === 0;

describe.skipIf(!mayMount)("a disk that fills up [needs the right to mount]", () => {
  test("writes are refused with 507 before it is full; everything acknowledged is readable", () => {
    const report = onSmallDisk("24m", "gauge");
    expect(report).toMatchObject({
      refusal: {
        code: "storage_full",
        message: expect.stringContaining("MiB left"),
        hint: expect.stringContaining("Free space"),
      },
      after: "storage_full",
      audit: true,
      fatal: [],
    });
    expect(report["readable"]).toBe(report["acknowledged"]);
    expect(report["acknowledged"]).toBeGreaterThan(20);
  }, 60_000);

  test("and when it fills up within a write, that write is refused and undone, and the node goes on", () => {
    const report = onSmallDisk("16m", "none");
    expect(report).toMatchObject({ refusal: { code: "storage_full" }, after: "storage_full", audit: true, fatal: [] });
    expect(report["readable"]).toBe(report["acknowledged"]);
  }, 60_000);
});

describe("a damaged file", () => {
  async function filled(): Promise<string> {
    const folder = fresh();
    const core = startCore({ folder });
    for (let i = 0; i < 60; i++) await core.call("context_put", { id: `a/x${i}`, content: `text ${i} `.repeat(400) });
    await core.close();
    return folder;
  }
  const open = (folder: string) => Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  const refusal = (folder: string) => {
    try {
      open(folder).close();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  const wayOut = { code: "data_corrupt", hint: expect.stringContaining("cairn restore") };

  test("that was cut is refused at the start, with the way out", async () => {
    const folder = await filled();
    truncateSync(dbOf(folder), Math.floor(statSync(dbOf(folder)).size / 8192) * 4096);
    expect(refusal(folder)).toMatchObject({ ...wayOut, message: expect.stringMatching(/has \d+ bytes of \d+/) });
  });

  test("whose pages were torn is found after a crash by the check, whichever page it is", async () => {
    const folder = await filled();
    const pages = statSync(dbOf(folder)).size / 4096;
    let found = 0;
    for (let page = 1; page < pages; page += Math.ceil(pages / 12)) {
      const copy = fresh();
      mkdirSync(join(copy, "store", "1"), { recursive: true, mode: 0o700 });
      writeFileSync(join(copy, "store", "CURRENT"), "1\n");
      copyFileSync(dbOf(folder), dbOf(copy));
      writeFileSync(`${dbOf(copy)}-open`, "");
      const bytes = await Bun.file(dbOf(copy)).bytes();
      // A page of another place: what a lost or misplaced write leaves.
      bytes.set(new Uint8Array(4096).fill(0xa5), page * 4096);
      writeFileSync(dbOf(copy), bytes);
      const error = refusal(copy);
      if (error !== undefined) {
        expect(error).toMatchObject(wayOut);
        found += 1;
        continue;
      }
      // Only text was hit: no page structure tells, but the hash does.
      const core = startCore({ folder: copy });
      expect(await core.call("audit_verify", {})).toMatchObject({ ok: false });
      await core.close();
    }
    expect(found).toBeGreaterThan(3);
  });

  test("with a flipped bit in a text never answers the wrong text, says so, and serves the rest", async () => {
    const folder = await filled();
    const bytes = Buffer.from(await Bun.file(dbOf(folder)).bytes());
    const at = bytes.indexOf("text 30 text 30");
    flipBit(dbOf(folder), (at + 0.5) / bytes.byteLength);
    await using core = startCore({ folder });
    const error = await core.call("context_get", { id: "a/x30" }).catch((fault) => fault);
    expect(error).toMatchObject({ code: "data_corrupt", hint: expect.stringContaining("cairn restore") });
    expect(JSON.stringify(error.message)).not.toContain("text 30");
    expect(await core.call("context_get", { id: "a/x31" })).toMatchObject({ version: 1 });
    expect(await core.call("audit_verify", {})).toMatchObject({
      ok: false,
      problem: expect.stringContaining("change 31"),
    });
    await expect(
      core.call("context_patch", { id: "a/x30", format: "edit", patch: { op: "append", text: "x" } }),
    ).rejects.toMatchObject({ code: "unavailable" });
    await Bun.sleep(5);
    expect(core.fatal).toHaveLength(1);
  });

  test("that lacks the newest version of a context is damaged: its history was not cut there", async () => {
    const folder = await filled();
    await using core = startCore({ folder });
    core.store.transaction((tx) => tx.run("UPDATE versions SET version = 3 WHERE id = 'a/x30'"));
    const read = (more: object) => core.call("context_get", { id: "a/x30", ...more });
    await expect(read({})).rejects.toMatchObject({ code: "data_corrupt" });
    await expect(read({ version: 2 })).rejects.toMatchObject({ code: "not_found" });
  });

  test("with a bit flipped anywhere is never taken for whole", async () => {
    const folder = await filled();
    for (let step = 0; step < 40; step++) {
      const copy = fresh();
      mkdirSync(join(copy, "store", "1"), { recursive: true, mode: 0o700 });
      writeFileSync(join(copy, "store", "CURRENT"), "1\n");
      copyFileSync(dbOf(folder), dbOf(copy));
      writeFileSync(`${dbOf(copy)}-open`, "");
      flipBit(dbOf(copy), step / 40);
      let state = "";
      try {
        const core = startCore({ folder: copy });
        const ids = Array.from({ length: 60 }, (_, at) => at);
        const texts = await Promise.all(
          ids.map((at) =>
            core.call("context_get", { id: `a/x${at}` }).then(
              (got) => got["content"],
              (error) => error.code,
            ),
          ),
        );
        for (const [at, text] of texts.entries())
          expect([`text ${at} `.repeat(400), "data_corrupt", "not_found"]).toContain(String(text));
        state = "opened";
        await core.close().catch(() => {});
      } catch (error) {
        if (state === "" && (error as { code?: string }).code === undefined) throw error;
        expect(error).toMatchObject({ code: expect.stringMatching(/^data_/) });
      }
      rmSync(copy, { recursive: true, force: true });
    }
  }, 30_000);
});

test.skipIf(Bun.which("strace") === null)(
  "the first CURRENT and all that it names are flushed, file and folder [needs strace]",
  () => {
    const folder = fresh();
    const trace = join(folder, "trace");
    const program = `
    import { Store } from ${JSON.stringify(join(import.meta.dir, "..", "..", "src", "store", "store.ts"))};
    Store.open({ folder: ${JSON.stringify(join(folder, "data", "store"))}, migrations: [], log: () => {} });
  `;
    const watch = ["-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", trace];
    mkdirSync(join(folder, "data"));
    expect(spawnSync("strace", [...watch, process.execPath, "-e", program]).status).toBe(0);
    const flushed = [...readFileSync(trace, "utf8").matchAll(/sync\(\d+<([^>]*)>/g)].map(([, path]) => path);
    const data = join(folder, "data");
    const wanted = [data, join(data, "store"), join(data, "store", "CURRENT.new"), join(data, "store", "1")];
    expect(flushed).toEqual(expect.arrayContaining(wanted));
  },
);
