// The page of the fleet as a string: each member with what is known of it, and unknown where nothing is.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { OPERATIONS } from "../../src/features/index.ts";
import { fleetFeature, type NodeReport, type ReportWish } from "../../src/fleet/index.ts";
import { ASKED_OF_FEATURES } from "../../src/fleet/pages/running.ts";
import { machineReport } from "../../src/fleet/placing/member-view.ts";
import type { MachineFacts } from "../../src/observe/machine/facts.ts";
import { read } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { pathsOf } from "../kit/asked-paths.ts";
import { granted, localAdmin, startCore } from "../kit/core.ts";
import { ALONE, statusWith } from "../kit/fleet-report.ts";
import { machineOf } from "../kit/machine-source.ts";
import { webOver } from "../kit/web.ts";

const GIB = 1024 ** 3;
type Member = NodeReport["members"][number];

function member(name: string, more: Partial<Member> = {}, facts?: Partial<MachineFacts>): Member {
  const [alone] = ALONE.members as [Member];
  const machine = facts === undefined ? null : machineReport({ machine: machineOf(facts), machineAgeMs: 500 });
  const other = { self: false, leader: false, votes: true, path: "direct" as const, age_seconds: 0.4 };
  return { ...alone, ...other, node: `n-${name}`, name, round_trip_ms: 3.5, machine, ...more };
}

const MEMBERS: readonly Member[] = [
  member(
    "pi",
    { self: true, leader: true, path: "self", age_seconds: 0, round_trip_ms: null },
    {
      ...{ load: 3.4, memoryTotal: 4 * GIB, memoryFree: GIB, diskTotal: 100 * GIB, diskFree: 2 * GIB },
      ...{ temperatureC: 81, throttled: ["under_voltage"], uptimeSeconds: 90_000, labels: ["linux", "<b>gpu</b>"] },
    },
  ),
  member("far", { path: "relay", relay: "fra", round_trip_ms: 48, lag: 3, conditions: ["disk_low"] }, { load: 0 }),
  member("gone", { path: "none", age_seconds: 42, round_trip_ms: null }),
  member("never", { path: "none", age_seconds: null, position: "", lag: null, round_trip_ms: null, votes: false }),
];

const report = async ({ machines }: ReportWish): Promise<NodeReport> => ({
  ...{ status: "ok", version: "0", commit: "source", uptime_seconds: 90, position: "0000000000-0", ...ALONE },
  members: MEMBERS.map((each) => (machines ? each : { ...each, machine: undefined })),
  fleet: { ...ALONE.fleet, leader: "pi" },
  tailnet: {
    ...{ engine: "loopback", state: "Running", control: "connected", name: "cairn.example.ts.net", ips: [] },
    ...{ key_expiry: null, https: false, funnel_available: false },
  },
  urls: [],
  conditions: [],
});

const asked = z.object({ state: z.literal("running").optional(), limit: z.number().optional() });

/** An operation with this output, for whoever reads the space team-a. */
const answering = (name: string, output: Record<string, unknown>) =>
  read({
    ...{ name, title: name, description: name, example: {}, input: asked, output: z.looseObject({}) },
    access: { verb: "read", spaces: "visible" },
    run: () => output,
  });

const RUNNING = [
  answering("service_list", {
    services: [
      { name: "wiki", space: "ops", copies: [{ state: "ready", node: "n-pi" }] },
      { name: "old", space: "ops", copies: [{ state: "idle", node: "n-pi" }] },
    ],
    members: [{ node: "n-far", drained: true }],
  }),
  answering("job_list", { jobs: [{ worker: "n-far" }, { worker: "n-far" }, {}] }),
];

async function lines(more: readonly ReturnType<typeof answering>[] = RUNNING, caller: Caller = localAdmin) {
  await using core = startCore({
    operations: [...operationsOf([contextFeature], new Services()), statusWith(report), ...more],
  });
  const web = webOver(core, { features: [contextFeature, fleetFeature] });
  const response = await web.fetch(new Request("http://cairn/ui/fleet"), caller, "http");
  const text = (await response?.text()) ?? "";
  const rows = [...text.matchAll(/<tr>.*?<\/tr>/gs)].slice(1).map(([row]) => row);
  const words = (row = "") => row.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
  return { text, rows, words: rows.map(words) };
}

describe("the page of the fleet", () => {
  test("has a line for each member with its machine, the way to it, and what runs there", async () => {
    const { text, rows, words } = await lines();
    expect(words).toHaveLength(MEMBERS.length);
    for (const shown of [
      ...["pi", "central, leads, this node", "&lt;b&gt;gpu&lt;/b&gt;", "85 % load, 4 CPUs", "75 % of 4.0 GiB"],
      ...["98 % of 100.0 GiB", "81 °C, slowed down: under voltage", "1 d", "this node", "wiki"],
    ])
      expect(words[0]).toContain(shown);
    expect(words[0]).not.toContain("old");
    expect(rows[0]).toContain('href="/ui/services/ops/wiki"');
    // What is scarce and what is used up are marked, and no member that is fine.
    expect([...(rows[0] ?? "").matchAll(/rect class="(warning|failing)"/g)].map(([, kind]) => kind)).toEqual([
      "warning",
      "failing",
    ]);
    expect(rows[1]).not.toMatch(/rect class="(warning|failing)"/);
    for (const shown of ["by relay fra, 48 ms", "3 changes behind", "disk low", "drained", "2 jobs"])
      expect(words[1]).toContain(shown);
    for (const shown of ["led by", "4 members", 'data-again="5"']) expect(text).toContain(shown);
  });

  test("says unknown of what is not known, and how long a member was not heard", async () => {
    const { words } = await lines();
    expect(words[2]).toContain("gone not heard for 42 s");
    expect(words[2]).toContain("no path");
    // State, load, memory, disk, heat, uptime and the way.
    expect(words[3]?.match(/unknown/g)).toHaveLength(7);
    expect(words[3]).toContain("nothing");
    const { words: alone } = await lines([]);
    expect(alone[0]).not.toContain("nothing");
    const { words: without } = await lines(RUNNING.slice(0, 1));
    expect([without[0]?.trimEnd().slice(-17), without[1]?.trimEnd().slice(-12)]).toEqual([
      "wiki jobs unknown",
      "jobs unknown",
    ]);
    expect(alone[0]?.trimEnd()).toEndWith("unknown");
  });

  test("who may not read all spaces sees the members, and no machine or way", async () => {
    const { words } = await lines(RUNNING, granted({ role: "reader", spaces: ["team-a"] }));
    expect(words.map((row) => row.trim().split(" ")[0])).toEqual(MEMBERS.map(({ name }) => name));
    expect(words.join("\n")).not.toMatch(/ ms|°C|GiB|relay|%/);
    expect(words[1]?.match(/unknown/g)).toHaveLength(7);
  });

  test("more jobs than are looked at are at least so many", async () => {
    const cut = answering("job_list", { jobs: [{ worker: "n-far" }], cursor: "next" });
    const { words } = await lines([...RUNNING.slice(0, 1), cut]);
    expect(words[1]).toContain("at least 1 job");
  });

  test("leads to what happened to a member, where the caller may read events of the fleet", async () => {
    const link = 'href="/ui/incidents?thing=fleet%2Fhealth%2Fn-pi"';
    const withEvents = [...RUNNING, answering("event_list", {})];
    expect((await lines()).text).not.toContain(link);
    expect((await lines(withEvents)).text).toContain(link);
    expect((await lines(withEvents, granted({ role: "reader", spaces: ["team-a"] }))).text).not.toContain(link);
  });

  test("what it asks of features is there as it is read", () => {
    for (const { name, output } of ASKED_OF_FEATURES) {
      const real = OPERATIONS.find((operation) => operation.name === name);
      if (real === undefined) throw new Error(`there is no ${name}`);
      const known = pathsOf(z.toJSONSchema(real.output, { io: "output" }));
      const read = pathsOf(z.toJSONSchema(output, { io: "output" }));
      expect([name, read.filter((path) => !known.includes(path))]).toEqual([name, []]);
      expect(read.length).toBeGreaterThan(1);
    }
  });
});
