// The data folder before it is opened: made, closed to other users, or refused because it is that of something else.

import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prepareDataFolder, prepareSockets } from "../../src/datadir/index.ts";
import { findGroup } from "../../src/lib/accounts.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const modeOf = (path: string): number => statSync(path).mode & 0o777;

/** A folder with this mode and these files. */
function folderOf(mode: number, ...names: string[]): string {
  const path = join(temporaryFolder(), "data");
  mkdirSync(path);
  for (const name of names) writeFileSync(join(path, name), "");
  chmodSync(path, mode);
  return path;
}

test.each([
  ["an empty folder", []],
  ["one with settings", ["cairn.toml"]],
  ["one that a node has used", ["cairn.lock", "anything"]],
])("%s that others can read is closed, and a line says so", (_name, names) => {
  const path = folderOf(0o755, ...names);
  expect(prepareDataFolder(path)).toContain(`${path} was open to other users (mode 755)`);
  expect(modeOf(path)).toBe(0o700);
  expect(prepareDataFolder(path)).toBeUndefined();
});

test("a missing folder is made private", () => {
  const path = join(temporaryFolder(), "a", "b");
  expect(prepareDataFolder(path)).toBeUndefined();
  expect(modeOf(path)).toBe(0o700);
});

test("a folder of something else keeps its mode, and one that others can write is refused", () => {
  const home = folderOf(0o755, "letter.txt");
  expect(() => prepareDataFolder(home)).toThrow("and it holds other files");
  expect(modeOf(home)).toBe(0o755);
  const shared = folderOf(0o775);
  expect(() => prepareDataFolder(shared)).toThrow("Others can write");
  expect(modeOf(shared)).toBe(0o775);
});

test("a group is found by its name, and a node with an unknown one is refused", () => {
  const [name = "", , gid] = (readFileSync("/etc/group", "utf8").match(/^[a-z].*/m)?.[0] ?? "").split(":");
  expect(findGroup(name)).toBe(Number(gid));
  const folder = join(temporaryFolder(), "run");
  const [cairn, internal, ingress] = [
    join(folder, "cairn.sock"),
    join(folder, "internal"),
    join(folder, "ingress.sock"),
  ];
  expect(() => prepareSockets({ folder, cairn, internal, ingress }, "no-such-group")).toThrow(
    'The group "no-such-group" of cli.group is not in',
  );
});
