// The settings of a fleet: what a node begins with, whichever node leads later; how they change, who may, and what a
// fleet of a lower level does.

import { describe, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "../../src/config/load.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { fleetFeature } from "../../src/fleet/index.ts";
import { firstSettings, fleetSettings } from "../../src/fleet/settings-commands.ts";
import { levelOf } from "../../src/log/level.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { watchFleetSettings } from "../../src/node/settings-watch.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import {
  changedFleetSettings,
  FLEET_SETTINGS,
  FLEET_SETTINGS_LEVEL,
  type FleetSettings,
  fleetLimits,
  storedFleetSettings,
  writeLimitsOf,
} from "../../src/operation/fleet-settings.ts";
import { NODE } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { type Core, type CoreOptions, granted, startCore } from "../kit/core.ts";
import { DEFAULT_FLEET_SETTINGS } from "../kit/limits.ts";
import { refusal } from "../kit/refusal.ts";

const features = [contextFeature, fleetFeature];

/** Its history limits hold at once, unless they say otherwise. */
const SHORT = { "history.keep_hours": 0 } as const;

function nodeWith(fleetSettings: Partial<FleetSettings>, options: CoreOptions = {}) {
  return startCore({ features, fleetSettings: { ...SHORT, ...fleetSettings }, ...options });
}

/** Proposes an internal command, as the node does. */
async function propose(core: Core, name: string, input: Record<string, unknown>) {
  return (await core.log.propose({ name, v: 1, input, caller: "node", via: "", key: "" })).output;
}

async function begin(core: Core, settings: Partial<FleetSettings>) {
  const founder = { node: "nONE", server: "s1", name: "one", version: "1", level: FLEET_SETTINGS_LEVEL };
  await propose(core, "fleet_begin", {
    ...{ fleet: "home", profile: "home", ...founder },
    settings: { ...DEFAULT_FLEET_SETTINGS, ...SHORT, ...settings },
  });
}

async function versionsAfter(core: Core, id: string, writes: number): Promise<unknown> {
  for (let count = 0; count < writes; count += 1) await core.call("context_put", { id, content: count });
  return (await core.call("context_metadata", { id }))["versions"];
}

describe("the limits of a fleet", () => {
  test("stay those it began with, whichever node leads and whatever its own settings are", async () => {
    await using one = nodeWith({ "history.max_versions": 12 });
    await begin(one, { "history.max_versions": 12 });
    expect(await versionsAfter(one, "a/x", 12)).toBe(12);
    // Another member leads over the same log: its own settings would cut 12 versions to 2.
    const two = nodeWith({ "history.max_versions": 2, "context.max_bytes": 1024 }, { over: one });
    expect(await versionsAfter(two, "a/x", 1)).toBe(12);
    expect(await two.call("context_put", { id: "a/y", content: "x".repeat(2000) })).toMatchObject({ version: 1 });
  });

  test("are those of each leader's node where the log has none", async () => {
    await using one = nodeWith({ "history.max_versions": 12 });
    await versionsAfter(one, "a/x", 12);
    const two = nodeWith({ "history.max_versions": 2 }, { over: one });
    expect(await versionsAfter(two, "a/x", 1)).toBe(2);
  });

  test("change with one write, at once, for documents, history, spaces and quotas", async () => {
    await using core = nodeWith({});
    await begin(core, {});
    const set = (name: string, value: unknown) => core.call("fleet_settings_set", { name, value });
    await versionsAfter(core, "a/x", 5);
    expect(await set("history.max_versions", "3")).toEqual({
      ...{ name: "history.max_versions", value: "3", before: "100" },
    });
    expect(await versionsAfter(core, "a/x", 1)).toBe(3);
    expect(await set("history.spaces", "logs=1,a=2/30")).toMatchObject({ value: "logs=1,a=2/30", before: "" });
    expect(await versionsAfter(core, "a/x", 1)).toBe(2);
    expect(await set("history.spaces", "")).toMatchObject({ value: "" });
    expect(await versionsAfter(core, "a/x", 2)).toBe(3);
    await set("context.max_bytes", "2KiB");
    await expect(core.call("context_put", { id: "a/y", content: "x".repeat(2049) })).rejects.toMatchObject({
      code: "too_large",
      hint: expect.stringContaining("cairn fleet settings"),
    });
    await set("quota.space_bytes", 500);
    await expect(versionsAfter(core, "b/x", 20)).rejects.toMatchObject({ code: "quota_exceeded" });
  });

  test("are in the audit when they change, and not when they stay the same", async () => {
    await using core = nodeWith({});
    await begin(core, {});
    const caller = granted({ role: "admin", spaces: ["fleet"] });
    for (const value of [7, 7]) await core.call("fleet_settings_set", { name: "history.max_days", value }, caller);
    expect(core.log.position().seq).toBe(1);
    expect(core.store.reader.all("SELECT operation, target, outcome, caller FROM changes")).toEqual([
      {
        operation: "fleet_settings_set",
        target: "fleet/settings/history.max_days",
        outcome: "7",
        caller: expect.stringContaining("alice"),
      },
    ]);
  });

  test("are set by admins alone, and read by who may read the fleet", async () => {
    await using core = nodeWith({});
    const operator = granted({ role: "operator", spaces: ["*", "fleet"] });
    await expect(
      core.call("fleet_settings_set", { name: "history.max_days", value: 1 }, operator),
    ).rejects.toMatchObject({ code: "forbidden" });
    await expect(
      core.call("fleet_settings", {}, granted({ role: "reader", spaces: ["team-a"] })),
    ).rejects.toMatchObject({ code: "forbidden" });
  });

  test.each([
    ["history.max_versions", "many", "a whole number from 0 to 1000000"],
    ["history.max_versions", -1, "a whole number from 0 to 1000000"],
    ["context.max_bytes", "5MiB", "a number of bytes from 1024 to 4194304"],
    ["history.spaces", "logs", 'got "logs"'],
    ["history.spaces", Array.from({ length: 1001 }, (_, at) => `s${at}=1`).join(","), "at most 1000 entries, got 1001"],
  ])("%s refuses a value that it cannot have and keeps what was", async (name, value, says) => {
    await using core = nodeWith({});
    await expect(core.call("fleet_settings_set", { name, value })).rejects.toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining(says),
      details: { field: "value" },
    });
    expect(storedFleetSettings(core.store.reader)).toEqual({});
  });

  test.each([[true], [null], [{}], ["1".repeat(65_537)]])("refuse %p, which is no value", async (value) => {
    await using core = nodeWith({});
    expect((await refusal(core.call("fleet_settings_set", { name: "history.spaces", value }))).code).toBe(
      "invalid_input",
    );
  });

  test("are listed with their values, of the log or else of this node", async () => {
    await using core = nodeWith({});
    const listed = fleetSettings(
      new Services().provide(NODE, { settings: { ...DEFAULT_FLEET_SETTINGS, "history.max_days": 3 } } as never),
    );
    await core.call("fleet_settings_set", { name: "history.spaces", value: "b=2,a=1" });
    const { settings } = (await listed.run(core.store.reader, {}, {} as never)) as {
      settings: Record<string, unknown>[];
    };
    expect(settings.map(({ name }) => name)).toEqual([...FLEET_SETTINGS]);
    const shown = (wanted: string) => settings.find(({ name }) => name === wanted);
    expect(shown("history.spaces")).toMatchObject({ value: "b=2,a=1", stored: true });
    expect(shown("history.max_days")).toMatchObject({ value: "3", stored: false });
  });

  test("are the same row in whatever order they were set, and a long value is cut where changes show it", async () => {
    const [one, other] = [nodeWith({}), nodeWith({})];
    const long = Array.from({ length: 60 }, (_, at) => `s${at}=1`).join(",");
    const calls = [
      { name: "history.spaces", value: long },
      { name: "history.max_days", value: "5" },
    ];
    for (const [core, list] of [
      [one, calls],
      [other, calls.toReversed()],
    ] as const)
      for (const input of list) await core.call("fleet_settings_set", input);
    const row = (core: Core) => core.store.reader.all("SELECT * FROM meta WHERE key = 'fleet_settings'");
    expect(row(one)).toHaveLength(1);
    expect(row(one)).toEqual(row(other));
    const outcomes = one.store.reader.all<{ outcome: string }>("SELECT outcome FROM changes ORDER BY seq");
    expect(outcomes[0]?.outcome).toHaveLength(256);
    expect(long).toStartWith(String(outcomes[0]?.outcome.slice(0, 255)));
    for (const core of [one, other]) await core[Symbol.asyncDispose]();
  });

  test("of a space are what its entry says, and else those of all; up to 1000 spaces may have some", () => {
    const entries = ["a=10", "b=10/30", "c=0/0/0", "d=10/30/1"];
    const days = { ...DEFAULT_FLEET_SETTINGS, "history.max_days": 7, "history.keep_hours": 5 };
    expect(writeLimitsOf({ ...days, "history.spaces": entries }).history.spaces).toEqual({
      a: { maxVersions: 10, maxDays: 7, keepHours: 5 },
      b: { maxVersions: 10, maxDays: 30, keepHours: 5 },
      c: { maxVersions: 0, maxDays: 0, keepHours: 0 },
      d: { maxVersions: 10, maxDays: 30, keepHours: 1 },
    });
    const many = Array.from({ length: 1000 }, (_, at) => `s${at}=1`);
    expect(Object.keys(writeLimitsOf({ ...days, "history.spaces": many }).history.spaces)).toHaveLength(1000);
    expect(() => writeLimitsOf({ ...days, "history.spaces": [...many, "a=1"] })).toThrow("at most 1000 entries");
  });

  test("of a node keep no hours below the level, and are shown where they are not as built in", async () => {
    await using core = nodeWith({});
    const own = { ...DEFAULT_FLEET_SETTINGS, "history.keep_hours": 5, "history.spaces": ["a=1/2/3"] };
    const history = () => fleetLimits(core.store.reader, own)().history;
    expect([history().keepHours, history().spaces["a"]?.keepHours]).toEqual([5, 3]);
    await core.call("fleet_settings_set", { name: "history.max_days", value: 3 });
    await core.call("fleet_settings_set", {
      name: "history.max_versions",
      value: SETTINGS["history.max_versions"].default,
    });
    expect(changedFleetSettings(core.store.reader)).toEqual({ "history.max_days": "3" });
    core.store.transaction((tx) => {
      tx.run("DELETE FROM meta WHERE key = 'fleet_settings'");
      writeMeta(tx, { fleet_level: FLEET_SETTINGS_LEVEL - 1 });
    });
    expect([history().keepHours, history().spaces["a"]]).toEqual([0, { maxVersions: 1, maxDays: 2, keepHours: 0 }]);
    core.store.transaction((tx) => writeMeta(tx, { fleet_level: FLEET_SETTINGS_LEVEL }));
    expect(history().keepHours).toBe(5);
  });

  test("settings of one node are none of the fleet's", async () => {
    await using core = nodeWith({});
    await expect(core.call("fleet_settings_set", { name: "log.level", value: "debug" })).rejects.toMatchObject({
      code: "invalid_input",
    });
    expect(FLEET_SETTINGS).not.toContain("log.level" as never);
  });
});

test("a fleet begins with the settings of its node, whatever their kind", () => {
  expect(firstSettings.parse(DEFAULT_FLEET_SETTINGS) as unknown).toEqual(DEFAULT_FLEET_SETTINGS);
  expect(firstSettings.parse({ "events.log": "jetstream" })).toEqual({ "events.log": "jetstream" });
});

describe("a fleet below the level", () => {
  test("has no settings, and begins with those of the node that leads when the level is raised, once", async () => {
    await using one = nodeWith({ "history.max_versions": 12 });
    one.store.transaction((tx) => writeMeta(tx, { fleet_level: FLEET_SETTINGS_LEVEL - 1 }));
    await begin(one, { "history.max_versions": 12 });
    expect(storedFleetSettings(one.store.reader)).toEqual({});
    await expect(one.call("fleet_settings_set", { name: "history.max_versions", value: 5 })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("needs fleet level 3"),
    });
    const two = nodeWith({ "history.max_versions": 2 }, { over: one });
    await versionsAfter(one, "a/x", 12);
    expect(await versionsAfter(two, "a/x", 1)).toBe(2);
    const raise = (settings: Partial<FleetSettings>) =>
      propose(one, "fleet_level_raise", {
        level: FLEET_SETTINGS_LEVEL,
        settings: { ...DEFAULT_FLEET_SETTINGS, ...SHORT, ...settings },
      });
    await raise({ "history.max_versions": 12, "history.spaces": ["logs=3"] });
    // The next leader's proposal, made before it saw this one.
    await raise({ "history.max_versions": 2 });
    expect(levelOf(one.store.reader)).toBe(FLEET_SETTINGS_LEVEL);
    expect(storedFleetSettings(one.store.reader)).toEqual({
      ...DEFAULT_FLEET_SETTINGS,
      ...SHORT,
      ...{ "history.max_versions": 12, "history.spaces": ["logs=3"] },
    });
    expect(await versionsAfter(two, "a/x", 10)).toBe(12);
    const { rows } = await one.call("audit_query", { prefix: "fleet/" });
    expect(rows).toHaveLength(1 + FLEET_SETTINGS.length);
    expect(rows).toContainEqual(
      expect.objectContaining({ target: "fleet/settings/history.spaces", outcome: "logs=3", caller: "node" }),
    );
  });
});

describe("the condition", () => {
  test("names each setting that was given to the node and is another one in the fleet, until they agree", async () => {
    await using core = nodeWith({});
    const conditions = new Conditions(() => {}, Date.now);
    const data = mkdtempSync(join(tmpdir(), "cairn-settings-"));
    const env = { CAIRN_HISTORY_MAX_VERSIONS: "2", CAIRN_HISTORY_SPACES: "logs=1", CAIRN_HISTORY_MAX_DAYS: "9" };
    const { settings, origins } = loadSettings({ flags: { data }, env });
    await begin(core, { "history.max_versions": 12, "history.max_days": 9 });
    const watched = { reader: core.store.reader, changes: core.log.changes, settings, origins, conditions };
    const stop = watchFleetSettings(watched);
    expect(conditions.list()).toMatchObject([
      {
        code: "fleet_settings_differ",
        text:
          "history.max_versions is 2 on this node (CAIRN_HISTORY_MAX_VERSIONS) and 12 in the fleet; " +
          "history.spaces is logs=1 on this node (CAIRN_HISTORY_SPACES) and empty in the fleet",
      },
    ]);
    // What was not given to the node may be another in the fleet.
    await core.call("fleet_settings_set", { name: "quota.space_bytes", value: 1 });
    await core.call("fleet_settings_set", { name: "history.spaces", value: "logs=1" });
    expect(conditions.list()[0]?.text).not.toContain("quota");
    expect(conditions.list()[0]?.text).not.toContain("history.spaces");
    await core.call("fleet_settings_set", { name: "history.max_versions", value: 2 });
    expect(conditions.list()).toEqual([]);
    stop();
  });
});
