// The suite's canary must be able to fail: it finds a planted secret wherever a node could have left it.

import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CANARY_KEY, leaksOf, secretsOf } from "../kit/leaks.ts";
import { temporaryFolder } from "../kit/temporary.ts";

test("a planted secret is found in texts and files, however deep and in whatever bytes", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "store", "1"), { recursive: true });
  const planted = join(folder, "store", "1", "cairn.db-wal");
  writeFileSync(planted, Buffer.concat([Buffer.from([0, 255, 0]), Buffer.from(CANARY_KEY), Buffer.from([0])]));
  writeFileSync(join(folder, "clean"), "tskey-auth-other");
  const texts = { stdout: "nothing", stderr: `refused ${CANARY_KEY}: no` };
  expect(leaksOf([CANARY_KEY], texts, [folder, join(folder, "none")])).toEqual(["stderr", planted]);
  expect(leaksOf(["tskey-auth-absent"], texts, [folder])).toEqual([]);
});

test("secrets are the values of key variables, not the paths of files that hold them", () => {
  const env = { TS_AUTHKEY: "a", TS_AUTH_KEY: "b", TAILSCALE_AUTH_KEY: "c", TS_CLIENT_SECRET: "d" };
  expect(secretsOf({ ...env, TS_AUTHKEY_FILE: "/path", PATH: "/bin" })).toEqual(["a", "b", "c", "d"]);
});
