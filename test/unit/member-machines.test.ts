// The machines of the members as a node knows them, and in words for people.

import { describe, expect, test } from "bun:test";
import { machineRows } from "../../src/cli/fleet/machine-table.ts";
import { type FleetFacts, type MachineReport, memberViews } from "../../src/fleet/index.ts";
import { machineWords } from "../../src/fleet/placing/machine-words.ts";
import { type MemberView, machineReport } from "../../src/fleet/placing/member-view.ts";
import type { MachineFacts } from "../../src/observe/machine/facts.ts";
import { heardOf, member, ofLeader } from "../kit/fleet-facts.ts";
import { machineOf } from "../kit/machine-source.ts";

const GIB = 1024 ** 3;

describe("what a node knows of its members' machines", () => {
  const facts: FleetFacts = {
    ...ofLeader(),
    members: [member("a"), member("b"), member("c"), member("d")],
    raft: undefined,
    received: (node) =>
      ({
        "n-b": heardOf("b", { machine: machineOf({ ageMs: 4_000, cores: 2, load: 1 }) }, { atMs: 8_000 }),
        "n-c": heardOf("c", {}, { atMs: 19_000 }),
      })[node],
    isAway: (node) => node !== "n-c",
    peers: [],
    monotonicMs: 20_000,
  };
  const reportOf = (views: readonly MemberView[], name: string) =>
    machineReport(views.find((each) => each.name === name) ?? { machine: undefined, machineAgeMs: 0 });

  test("is its own, what beats say with their age, and null for what it does not know", () => {
    const views = memberViews(facts, machineOf({ ageMs: 30 }));
    expect(views.map(({ name, away, machineAgeMs }) => [name, away, machineAgeMs])).toEqual([
      ["a", false, 30],
      ["b", true, 16_000],
      ["c", false, 1_000],
      ["d", true, 0],
    ]);
    expect(reportOf(views, "b")).toMatchObject({ age_seconds: 16, stale: true, busy_percent: 50, busy_by: "load" });
    expect(reportOf(views, "a")).toMatchObject({
      stale: false,
      memory_free: null,
      temperature_celsius: null,
      throttled: null,
      pressure: { cpu: null, memory: null, io: null },
    });
    expect([reportOf(views, "c"), reportOf(views, "d")]).toEqual([null, null]);
  });

  test("is nothing while it is in no fleet", () => {
    expect(memberViews({ ...facts, ready: false }, machineOf())).toEqual([]);
    expect(memberViews({ ...facts, removed: true }, machineOf())).toEqual([]);
  });
});

describe("a machine in words", () => {
  const hot = machineOf({
    ...{ model: "Raspberry Pi 4", cores: 4, load: 0.4, memoryFree: GIB, memoryTotal: 4 * GIB, diskFree: 20 * GIB },
    ...{ temperatureC: 81.5, throttled: ["under_voltage"], throttledBefore: ["under_voltage", "throttled"] },
    ...{ pressure: { io: 7.4 }, uptimeSeconds: 200_000 },
  });
  const shown = (machine: MachineFacts, machineAgeMs = 0) => machineReport({ machine, machineAgeMs });

  test("is a row of the table of members, with what is unknown said", () => {
    const listed = { name: "pi", machine: shown(hot) };
    const old = { name: "old", machine: null };
    const bare = { name: "bare", machine: shown(machineOf({ load: undefined, cores: undefined }), 16_000) };
    const [, ...rows] = machineRows([listed, old, bare] as never);
    expect(rows).toEqual([
      [
        ...["pi", "10 % (load)", "0.40", "4", "?/?/7 %", "1.0 GiB of 4.0 GiB", "20.0 GiB"],
        ...["81.5 °C, slowed down: under voltage, earlier: throttled", "2 d", "0 s ago"],
        "Raspberry Pi 4: linux, x64",
      ],
      ["old", "-", "-", "-", "-", "-", "-", "-", "-", "never", "unknown"],
      ["bare", ...Array.from({ length: 8 }, () => "unknown"), "16 s ago, stale", "linux, x64"],
    ]);
  });

  test("is a line of a page, which leaves out what is unknown", () => {
    const words = (machine: MachineFacts, ageMs = 0) =>
      machineWords(shown(machine, ageMs) as MachineReport).join(" · ");
    expect(words(hot)).toBe(
      "Raspberry Pi 4 · busy: 10 % (load) · 4 CPUs · memory free: 1.0 GiB of 4.0 GiB · disk free: 20.0 GiB · " +
        "81.5 °C, slowed down: under voltage, earlier: throttled · linux, x64",
    );
    expect(words(machineOf({ cores: 1 }), 20_000)).toBe("as it was 20 s ago · busy: 0 % (load) · 1 CPU · linux, x64");
  });
});
