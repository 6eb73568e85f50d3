// The way back from an upgrade: when the state needs a copy before, when the earlier version reads it no more, and that
// the copy leads back after the level was raised.

import { Database } from "bun:sqlite";
import { beforeEach, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyBefore, mayRaise, ownVersion, raisedTo, refuseUnreadable } from "../../src/cli/upgrade/way-back.ts";
import { backupNode, restoreNode, stateLevel } from "../../src/datadir/index.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { databasePath } from "../../src/store/open.ts";
import { makeStoreAt } from "../kit/level.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const NEVER = new AbortController().signal;
const version = (level: number | undefined) => ({ version: "9.0.0", commit: "new", level });

let dataDir: string;
beforeEach(() => {
  dataDir = join(temporaryFolder(), "data");
  mkdirSync(dataDir, { mode: 0o700 });
});

/** Writes another level into the state, as a newer build does. */
function raise(level: number): void {
  const database = new Database(databasePath(join(dataDir, "store")));
  database.run("UPDATE meta SET value = ? WHERE key = 'fleet_level'", [JSON.stringify(level)]);
  database.close();
}

test("only a version that may raise the level needs a copy", () => {
  expect([undefined, 2, 3, 4].map((level) => mayRaise(version(level), 3))).toEqual([true, false, false, true]);
});

test("an executable says the level that it reads", async () => {
  const main = join(import.meta.dir, "../../src/main.ts");
  const child = Bun.spawn({ cmd: [process.execPath, main, "version", "--json"], stdin: "ignore", stderr: "inherit" });
  expect(await new Response(child.stdout).json()).toMatchObject({ version: ownVersion.version, level: KNOWN_LEVEL });
});

test("a copy that cannot be made refuses the upgrade; --without-copy goes on, and a folder without a store", async () => {
  const ask = (options: Record<string, boolean>, level: number | undefined) =>
    copyBefore(
      { args: [], options: { data: dataDir, ...options }, env: { XDG_RUNTIME_DIR: dataDir } },
      { dataDir, to: version(level), isRunning: true },
      NEVER,
    );
  expect(await ask({}, undefined)).toBeUndefined();
  makeStoreAt(join(dataDir, "store"), KNOWN_LEVEL);
  for (const level of [undefined, KNOWN_LEVEL + 1])
    await expect(ask({}, level)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(
        `may raise the state from level ${KNOWN_LEVEL}, and no copy of it could be made`,
      ),
      hint: expect.stringContaining("--without-copy"),
    });
  expect(await ask({}, KNOWN_LEVEL)).toBeUndefined();
  expect(await ask({ withoutCopy: true }, undefined)).toBeUndefined();
});

test("once the level was raised the earlier version is refused, and the copy from before leads back", async () => {
  makeStoreAt(join(dataDir, "store"), KNOWN_LEVEL);
  expect(raisedTo(dataDir)).toBeUndefined();
  const copy = join(dataDir, "copy");
  await backupNode({ dataDir, to: copy });
  raise(KNOWN_LEVEL + 1);
  expect(raisedTo(dataDir)).toBe(KNOWN_LEVEL + 1);
  refuseUnreadable(dataDir, version(KNOWN_LEVEL + 1), "/usr/bin/cairn");
  // A version from before it says its level may try: it is taken back where it does not start.
  refuseUnreadable(dataDir, version(undefined), "/usr/bin/cairn");
  expect(() => refuseUnreadable(dataDir, ownVersion, "/usr/bin/cairn")).toThrow(
    `The state is at level ${KNOWN_LEVEL + 1}, and ${ownVersion.version} (${ownVersion.commit}) reads levels up to ${KNOWN_LEVEL}`,
  );
  await restoreNode({ from: copy, dataDir, aside: true });
  expect(stateLevel(dataDir)).toBe(KNOWN_LEVEL);
  refuseUnreadable(dataDir, ownVersion, "/usr/bin/cairn");
});
