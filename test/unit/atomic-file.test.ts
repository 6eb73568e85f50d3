// Files that appear whole or not at all.

import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { flush, renameDurably, writeAtomic } from "../../src/lib/atomic-file.ts";
import { temporaryFolder } from "../kit/temporary.ts";

test("a file is written in place of an earlier one, private, and nothing else is left", () => {
  const folder = temporaryFolder();
  const path = join(folder, "state.json");
  writeFileSync(path, "earlier and longer", { mode: 0o644 });
  writeAtomic(path, "now");
  expect(readFileSync(path, "utf8")).toBe("now");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeAtomic(path, ["in ", "", "parts ü"], { shared: true });
  expect(readFileSync(path, "utf8")).toBe("in parts ü");
  expect(readdirSync(folder)).toEqual(["state.json"]);
});

test("a write that fails leaves the earlier file and nothing else", () => {
  const folder = temporaryFolder();
  const path = join(folder, "state.json");
  writeAtomic(path, "earlier");
  function* broken() {
    yield "half";
    throw new Error("no more");
  }
  expect(() => writeAtomic(path, broken())).toThrow("no more");
  expect(readFileSync(path, "utf8")).toBe("earlier");
  expect(readdirSync(folder)).toEqual(["state.json"]);
});

test("what an earlier write left is removed, and a link in its place is not followed", () => {
  const folder = temporaryFolder();
  const [path, other] = [join(folder, "state.json"), join(folder, "other")];
  writeFileSync(other, "kept");
  writeFileSync(`${path}.new`, "left over");
  writeAtomic(path, "one");
  symlinkSync(other, `${path}.new`);
  writeAtomic(path, "two");
  expect([readFileSync(path, "utf8"), readFileSync(other, "utf8")]).toEqual(["two", "kept"]);
  expect(readdirSync(folder).sort()).toEqual(["other", "state.json"]);
});

test("folders are renamed and flushed too", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "made"));
  writeAtomic(join(folder, "made", "a"), "a");
  renameDurably(join(folder, "made"), join(folder, "done"));
  flush(join(folder, "done"));
  expect(readFileSync(join(folder, "done", "a"), "utf8")).toBe("a");
  expect(() => flush(join(folder, "made"))).toThrow();
});
