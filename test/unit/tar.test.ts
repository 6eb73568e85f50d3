// Archives against the tar of this machine: names, sizes at the edges of a block, modes, and times.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tarOf } from "../../src/lib/tar.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const TIME_MS = Date.parse("2026-01-02T03:04:05Z");

test.each([0, 1, 511, 512, 513, 20_000])("a file of %i bytes comes out as it went in", (size) => {
  const folder = temporaryFolder();
  const bytes = Uint8Array.from({ length: size }, (_, index) => index % 251);
  const files = [
    { name: "d/first.bin", bytes },
    { name: `d/${"n".repeat(98)}`, bytes: Buffer.from("last") },
  ];
  writeFileSync(join(folder, "a.tar"), tarOf(files, TIME_MS));
  mkdirSync(join(folder, "out"));
  const { exitCode, stderr } = Bun.spawnSync({ cmd: ["tar", "-xf", "../a.tar"], cwd: join(folder, "out") });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  for (const { name, bytes: expected } of files) {
    const path = join(folder, "out", name);
    expect(Buffer.compare(readFileSync(path), Buffer.from(expected))).toBe(0);
    expect([statSync(path).mode & 0o777, statSync(path).mtimeMs]).toEqual([0o600, TIME_MS]);
  }
});

test.each(["", "n".repeat(101), "a\nb", "é"])("the name %j is refused", (name) => {
  expect(() => tarOf([{ name, bytes: new Uint8Array() }], TIME_MS)).toThrow("cannot be a name");
});
