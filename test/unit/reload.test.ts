// Settings read again while a node runs: what is in force at once, what waits for a restart, and what changes nothing.

import { beforeEach, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Access } from "../../src/access/access.ts";
import { loadSettings } from "../../src/config/load.ts";
import { SETTING_TABLES } from "../../src/features/index.ts";
import { Reloader, reloadLine } from "../../src/node/reload.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { logLevels, setProcessLevel } from "../../src/observe/log-levels.ts";
import { callerWith } from "../kit/core.ts";
import { faultOf } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const ann = callerWith({ login: "ann@example.com" });

let file: string;
let access: Access;
let conditions: Conditions;
let judged: number;
let reloader: Reloader;

const read = () => loadSettings({ tables: SETTING_TABLES, env: {}, configFile: file });
const isAdmin = () => access.permits(ann, { verb: "admin", operation: "x", space: "fleet" });
const codes = () => conditions.list().map(({ code }) => code);

beforeEach(() => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "data"), { mode: 0o700 });
  file = join(folder, "cairn.toml");
  writeFileSync(file, `data = "${folder}/data"\n[log]\nlevel = "info"\n`);
  const loaded = read();
  setProcessLevel("info");
  access = new Access({ capability: "c", defaultRole: "none", admins: [] });
  conditions = new Conditions(() => {}, Date.now);
  judged = 0;
  reloader = new Reloader({
    loaded,
    loadAgain: read,
    fleetKeys: new Set(["history.max_versions"]),
    secrets: {} as never,
    env: {},
    conditions,
    access,
    policy: undefined,
    onRights: () => {
      judged += 1;
    },
  });
});

const write = (...lines: string[]) => writeFileSync(file, lines.join("\n"));
const dataLine = () => `data = "${join(file, "..", "data")}"`;

test("log level and admins are in force at once; the rest is named by what it needs", () => {
  expect(isAdmin()).toBe(false);
  write(
    dataLine(),
    'hostname = "other"',
    '[log]\nlevel = "debug"',
    '[access]\nadmins = ["ann@example.com"]',
    "[history]\nmax_versions = 7",
  );
  expect(reloader.run()).toEqual({
    file,
    applied: ["log.level", "access.admins"],
    restart: ["hostname"],
    fleet: ["history.max_versions"],
    policy_file: false,
    warnings: [],
  });
  expect([logLevels().level, isAdmin(), judged]).toEqual(["debug", true, 1]);
  expect(codes()).toEqual(["restart_needed"]);
  // Again: what was put in force has not changed, what waits for a restart still does.
  expect(reloader.run()).toMatchObject({ applied: [], restart: ["hostname"] });
  expect(judged).toBe(1);
  write(dataLine(), '[log]\nlevel = "debug"');
  expect(reloader.run()).toMatchObject({ applied: ["access.admins"], restart: [], fleet: [] });
  expect([isAdmin(), codes()]).toEqual([false, []]);
});

test.each([
  ["an unknown name", 'hostnam = "x"', "Unknown setting"],
  ["a value that is none", '[log]\nlevel = "loud"', "log.level"],
  ["no TOML", "= =", "Cannot read the settings file"],
  [
    "a policy file that is not there",
    '[log]\nlevel = "debug"\n[access]\npolicy_file = "/nowhere/policy.json"',
    "/nowhere/policy.json",
  ],
])("%s changes nothing and raises a condition, until the file is right again", (_what, text, said) => {
  write(dataLine(), text);
  const fault = faultOf(() => reloader.run());
  expect(fault.message).toContain(said);
  expect(["config_invalid", "policy_invalid"]).toContain(fault.code);
  expect([logLevels().level, codes()]).toEqual(["info", ["settings_invalid"]]);
  expect(reloadLine(() => reloader.run())).toMatchObject({ level: "error", text: expect.stringContaining(said) });
  write(dataLine(), '[log]\nlevel = "warning"');
  expect(reloadLine(() => reloader.run())).toEqual({
    level: "info",
    text: "the settings were read again; in force now: log.level",
  });
  expect([logLevels().level, codes()]).toEqual(["warning", []]);
});
