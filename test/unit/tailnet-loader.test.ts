// The extracted native file: damaged, replaced or misplaced, it is healed or refused, and what runs is always what the
// executable carries.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../src/lib/fault.ts";
import type { Artifact } from "../../src/tailnet/embedded.ts";
import { NotExecutable } from "../../src/tailnet/ffi.ts";
import { extract, withExtracted } from "../../src/tailnet/loader.ts";

const BYTES = Buffer.from("\x7fELF and so on ".repeat(5000));
const SHA256 = createHash("sha256").update(BYTES).digest("hex");

let base: string;
let folder: string;
let artifact: Artifact;
let logs: string[];
const log = (level: string, message: string) => logs.push(`${level}: ${message}`);

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "cairn-loader-"));
  folder = join(base, "data", "lib");
  const source = join(base, "source.so");
  writeFileSync(source, BYTES);
  artifact = { engine: "library", path: source, sha256: SHA256, suffix: ".so" };
  logs = [];
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const mode = (path: string) => (lstatSync(path).mode & 0o777).toString(8);

/** The file is the artifact, private, and alone in its private folder. */
function expectHealthy(path: string): void {
  expect(path).toBe(join(folder, `${SHA256}.so`));
  expect(lstatSync(path).isFile()).toBe(true);
  expect(readFileSync(path).equals(BYTES)).toBe(true);
  expect([mode(path), mode(folder)]).toEqual(["700", "700"]);
  expect(readdirSync(folder)).toEqual([`${SHA256}.so`]);
}

describe("extract", () => {
  test("makes the folder and the file, whatever the umask", async () => {
    const before = process.umask(0o000);
    try {
      expectHealthy(await extract(artifact, folder, log));
    } finally {
      process.umask(before);
    }
    expect(logs).toEqual([]);
  });

  test("a second start reads and keeps the file", async () => {
    const path = await extract(artifact, folder, log);
    const { ino, mtimeMs } = statSync(path);
    expectHealthy(await extract(artifact, folder, log));
    expect(statSync(path)).toMatchObject({ ino, mtimeMs });
  });

  const damage: [string, (path: string) => void][] = [
    ["one bit flipped", (path) => writeFileSync(path, Buffer.from(BYTES).fill(0x00, 7000, 7001))],
    ["truncated", (path) => truncateSync(path, 1000)],
    ["empty", (path) => truncateSync(path, 0)],
    ["longer", (path) => writeFileSync(path, Buffer.concat([BYTES, Buffer.from("x")]))],
    ["writable by others", (path) => chmodSync(path, 0o777)],
    [
      "unreadable content behind mode 0",
      (path) => {
        writeFileSync(path, "no");
        chmodSync(path, 0o000);
      },
    ],
    [
      "a folder in its place",
      (path) => {
        rmSync(path);
        mkdirSync(path);
        writeFileSync(join(path, "x"), "x");
      },
    ],
    [
      "a dangling symlink",
      (path) => {
        rmSync(path);
        symlinkSync("/nonexistent", path);
      },
    ],
    [
      "a FIFO in its place",
      (path) => {
        rmSync(path);
        Bun.spawnSync(["mkfifo", path]);
      },
    ],
  ];
  test.each(damage)("%s: replaced, and said", async (_, harm) => {
    harm(await extract(artifact, folder, log));
    expectHealthy(await extract(artifact, folder, log));
    expect(logs).toHaveLength(1);
    expect(logs[0]).toContain("is replaced");
  });

  test("a symlink to a right file elsewhere is replaced too, and its target left alone", async () => {
    const path = await extract(artifact, folder, log);
    const elsewhere = join(base, "elsewhere.so");
    writeFileSync(elsewhere, BYTES);
    rmSync(path);
    symlinkSync(elsewhere, path);
    expectHealthy(await extract(artifact, folder, log));
    expect(readFileSync(elsewhere).equals(BYTES)).toBe(true);
  });

  test("a wrong mode that lets no one else write is set right in place", async () => {
    const path = await extract(artifact, folder, log);
    const { ino } = statSync(path);
    chmodSync(path, 0o444);
    expectHealthy(await extract(artifact, folder, log));
    expect(statSync(path).ino).toBe(ino);
  });

  test("an open folder is closed", async () => {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);
    expectHealthy(await extract(artifact, folder, log));
  });

  test("a folder that is a symlink is refused", async () => {
    mkdirSync(join(base, "theirs"));
    mkdirSync(join(base, "data"));
    symlinkSync(join(base, "theirs"), folder);
    await expect(extract(artifact, folder, log)).rejects.toThrow("symlink");
    expect(readdirSync(join(base, "theirs"))).toEqual([]);
  });

  test("a damaged executable is refused before anything is written", async () => {
    writeFileSync(artifact.path, "something else");
    const error = await extract(artifact, folder, log).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Fault);
    expect(error).toMatchObject({ code: "library_failed" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("files of other versions go after a week, strangers never", async () => {
    mkdirSync(folder, { recursive: true });
    const old = [`${"a".repeat(64)}.so`, `.${"b".repeat(64)}.123.ab.tmp`, "notes.txt"];
    for (const name of [...old, `${"c".repeat(64)}.so`]) writeFileSync(join(folder, name), "x");
    const longAgo = new Date(Date.now() - 8 * 24 * 3600 * 1000);
    for (const name of old) utimesSync(join(folder, name), longAgo, longAgo);
    await extract(artifact, folder, log);
    expect(readdirSync(folder).sort()).toEqual([`${SHA256}.so`, `${"c".repeat(64)}.so`, "notes.txt"].sort());
  });
});

describe("withExtracted", () => {
  const noexec = (below: string) => (path: string) => {
    if (path.startsWith(below)) throw new NotExecutable(`${path}: failed to map segment from shared object`);
    return path;
  };

  test("goes to the next folder when nothing may be executed in the first", async () => {
    const second = join(base, "runtime", "lib");
    const path = await withExtracted(artifact, [folder, second], noexec(folder), log);
    expect(path).toBe(join(second, `${SHA256}.so`));
    expect(logs.join()).toContain(folder);
  });

  test("goes to the next folder when the first cannot be made", async () => {
    writeFileSync(join(base, "data"), "a file where the data folder should be");
    const second = join(base, "runtime", "lib");
    expect(await withExtracted(artifact, [folder, second], (path) => path, log)).toStartWith(second);
  });

  test("names each folder and reason when none works", async () => {
    const second = join(base, "runtime", "lib");
    const error = await withExtracted(artifact, [folder, second], noexec(base), log).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "library_failed" });
    if (!(error instanceof Fault)) throw error;
    expect(error.message).toContain(folder);
    expect(error.message).toContain(second);
    expect(error.message).toContain("noexec");
    expect(error.hint).toContain("--data");
  });

  test("a library that the system cannot load is not tried elsewhere", async () => {
    let tries = 0;
    const use = () => {
      tries++;
      throw new Fault("library_failed", "needs GLIBC_2.99");
    };
    const error = await withExtracted(artifact, [folder, join(base, "runtime")], use, log).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ message: "needs GLIBC_2.99" });
    expect(tries).toBe(1);
  });
});
