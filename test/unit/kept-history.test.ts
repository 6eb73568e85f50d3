// history.keep_hours: what was the newest version within these hours stays readable, whatever is written over it and
// whatever the other history limits say. So no caller that may only write can remove a text for good.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contextFeature } from "../../src/features/context/index.ts";
import { Maintenance } from "../../src/features/context/maintenance.ts";
import { fleetFeature } from "../../src/fleet/index.ts";
import { writeMeta } from "../../src/log/meta.ts";
import type { FleetSettings } from "../../src/operation/fleet-settings.ts";
import { type Core, type CoreOptions, granted, startCore } from "../kit/core.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { refusal } from "../kit/refusal.ts";
import { checkUsage } from "../kit/usage.ts";
import { anyWrite, IDS } from "../kit/writes.ts";

const HOUR_MS = 60 * 60 * 1000;
const BEGIN_MS = 1_700_000_000_000;
const mallory = granted({ role: "member", spaces: ["*"] });

type History = NonNullable<CoreOptions["limits"]>["history"];

const limitsWith = (history: Partial<History>) => ({
  ...DEFAULT_WRITE_LIMITS,
  history: { ...DEFAULT_WRITE_LIMITS.history, ...history },
});

/**
 * A node with a clock that is set by hand. Its writes remove by `ofWrites`, its maintenance by `history`. `jumpMs`: how
 * far its wall clock is ahead of the time that its log stamps.
 */
function nodeAt(history: Partial<History>, ofWrites = history) {
  const clock = { ms: BEGIN_MS, jumpMs: 0 };
  const limits = limitsWith(history);
  const core = startCore({ nowMs: () => clock.ms, limits: limitsWith(ofWrites) });
  const maintenance = new Maintenance({
    store: core.store,
    log: () => core.log,
    limits: () => limits,
    nowMs: () => clock.ms + clock.jumpMs,
    onError: (error) => {
      throw error;
    },
  });
  core.log.onLeading((lead) => maintenance.lead(lead));
  return { core, clock, maintenance };
}

const put = (core: Core, content: unknown, id = "a/x") => core.call("context_put", { id, content });
const floorOf = async (core: Core, id = "a/x") => (await core.call("context_metadata", { id }))["floor"];

describe("a text", () => {
  test("of a month ago survives 128 versions over it and a deletion for a day, then the limits apply", async () => {
    const { core, clock, maintenance } = nodeAt({ maxVersions: 100, maxDays: 7 });
    await using _ = core;
    await put(core, "good");
    clock.ms += 30 * 24 * HOUR_MS;
    for (let junk = 0; junk < 128; junk += 1) await put(core, `junk ${junk}`);
    await core.call("context_delete", { id: "a/x" });
    clock.ms += 24 * HOUR_MS - 1;
    await put(core, "again");
    await maintenance.compactHistory();
    expect(await core.call("context_get", { id: "a/x", version: 1 })).toMatchObject({ content: "good" });
    clock.ms += 1;
    await maintenance.compactHistory();
    // 130 versions are a day old by now; the newest one is not, and does not count.
    expect(await floorOf(core)).toBe(31);
    expect((await refusal(core.call("context_get", { id: "a/x", version: 1 }))).code).toBe("below_floor");
    checkUsage(core);
  });

  test("is kept by writes as by maintenance, version for version", async () => {
    const history = { maxVersions: 3, keepHours: 2 };
    const [written, swept] = [nodeAt(history), nodeAt(history, { maxVersions: 0 })];
    await using _ = written.core;
    await using __ = swept.core;
    const floors = [];
    for (let hour = 0; hour < 9; hour += 1) {
      await put(written.core, hour);
      await put(swept.core, hour);
      await swept.maintenance.compactHistory();
      expect(await floorOf(swept.core)).toBe(await floorOf(written.core));
      floors.push(await floorOf(written.core));
      written.clock.ms = swept.clock.ms += HOUR_MS;
    }
    // The version of hour h - 2, and the two before it.
    expect(floors).toEqual([1, 1, 1, 1, 1, 2, 3, 4, 5]);
  });

  test("with an age limit alone is kept for the hours after it was replaced, not after it was written", async () => {
    const { core, clock, maintenance } = nodeAt({ maxVersions: 0, maxDays: 1, keepHours: 6 });
    await using _ = core;
    await put(core, "good");
    clock.ms += 72 * HOUR_MS;
    await put(core, "junk");
    clock.ms += 6 * HOUR_MS - 1;
    await put(core, "more");
    await maintenance.compactHistory();
    expect(await floorOf(core)).toBe(1);
    clock.ms += 1;
    await put(core, "more");
    expect(await floorOf(core)).toBe(2);
    checkUsage(core);
  });

  test("is not removed by maintenance because the wall clock jumped, before log time follows it", async () => {
    const { core, clock, maintenance } = nodeAt({ maxVersions: 1, maxDays: 1 });
    await using _ = core;
    for (let count = 0; count < 3; count += 1) await put(core, count);
    clock.jumpMs = 30 * 24 * HOUR_MS;
    await maintenance.run();
    expect(await floorOf(core)).toBe(1);
    clock.ms += 24 * HOUR_MS;
    await maintenance.run();
    expect(await floorOf(core)).toBe(3);
  });

  test("in a space with hours of its own is kept for those", async () => {
    const logs = { maxVersions: 1, maxDays: 0, keepHours: 0 };
    const { core } = nodeAt({ maxVersions: 1, keepHours: 24, spaces: { logs } });
    await using _ = core;
    for (const id of ["a/x", "logs/x"]) for (let count = 0; count < 3; count += 1) await put(core, count, id);
    expect([await floorOf(core), await floorOf(core, "logs/x")]).toEqual([1, 3]);
  });

  test("can still be purged, and junk ends in the quota of who wrote it", async () => {
    const { core } = nodeAt({ maxVersions: 1 });
    await using _ = core;
    await put(core, "good");
    const limits = { ...limitsWith({ maxVersions: 1 }), quota: { callerBytes: 3_000, spaceBytes: 0 } };
    const tight = startCore({ over: core, limits, nowMs: () => BEGIN_MS });
    const junk = () => tight.call("context_put", { id: "a/x", content: "x".repeat(500) }, mallory);
    for (let count = 0; count < 3; count += 1) await junk();
    expect(await refusal(junk())).toMatchObject({
      code: "quota_exceeded",
      hint: expect.stringContaining("history.keep_hours"),
    });
    expect(await core.call("context_get", { id: "a/x", version: 1 })).toMatchObject({ content: "good" });
    await core.call("context_purge", { id: "a/x", versions: [1] });
    expect((await refusal(core.call("context_get", { id: "a/x", version: 1 }))).code).toBe("purged");
  });
});

test("no writes of a member within the hours make what was the newest version unreadable", async () => {
  const steps = fc.array(
    fc.record({
      write: anyWrite.filter(({ operation }) => operation !== "context_purge"),
      minutes: fc.integer({ min: 0, max: 30 }),
      sweep: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  );
  const limits = fc.record({
    maxVersions: fc.integer({ min: 0, max: 3 }),
    maxDays: fc.integer({ min: 0, max: 2 }),
    keepHours: fc.integer({ min: 1, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(limits, steps, fc.integer({ min: 0, max: 5 }), async (history, writes, daysBefore) => {
      const { core, clock, maintenance } = nodeAt(history);
      await using _ = core;
      for (const id of IDS) await put(core, `good ${id}`, id);
      clock.ms += daysBefore * 24 * HOUR_MS;
      const beginMs = clock.ms;
      const endMs = beginMs + history.keepHours * HOUR_MS;
      for (const { write, minutes, sweep } of writes) {
        clock.ms = Math.min(clock.ms + minutes * 60_000, endMs - 1);
        await core.call(write.operation, write.input, mallory).catch(() => {});
        if (sweep) await maintenance.compactHistory();
      }
      for (const id of IDS)
        expect(await core.call("context_get", { id, version: 1 })).toMatchObject({ content: `good ${id}` });
      checkUsage(core);
      expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
    }),
    { numRuns: 60 },
  );
}, 120_000);

test("below fleet level 3 no command carries the hours: the builds of that level would remove what others keep", async () => {
  const settings: Partial<FleetSettings> = { "history.max_versions": 1, "history.spaces": ["b=1/0/5"] };
  await using core = startCore({ features: [contextFeature, fleetFeature], fleetSettings: settings });
  const versions = async (id: string) => {
    for (let count = 0; count < 3; count += 1) await put(core, count, id);
    return (await core.call("context_metadata", { id }))["versions"];
  };
  expect([await versions("a/x"), await versions("b/x")]).toEqual([3, 3]);
  core.store.transaction((tx) => writeMeta(tx, { fleet_level: 2 }));
  expect([await versions("a/y"), await versions("b/y")]).toEqual([1, 1]);
});
