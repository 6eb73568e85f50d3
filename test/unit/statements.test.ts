// The SQL of the product as SQLite runs it best.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";

const SOURCES = join(import.meta.dir, "..", "..", "src");

test("no statement has a bare parameter as its limit: SQLite would prepare it again each time (store/DESIGN.md)", async () => {
  const files = await Array.fromAsync(new Glob("**/*.{ts,sql}").scan(SOURCES));
  expect(files.length).toBeGreaterThan(100);
  const texts = files.map((file) => ({ file, text: readFileSync(join(SOURCES, file), "utf8") }));
  expect(texts.filter(({ text }) => /\bLIMIT\s+\?/.test(text)).map(({ file }) => file)).toEqual([]);
  expect(texts.some(({ text }) => /\bLIMIT \+\?/.test(text))).toBe(true);
});
