// What a node reports of its machine, from captured texts of a Pi, of a container on a VM and of a Mac; and what it
// leaves out because it cannot know it.

import { describe, expect, test } from "bun:test";
import { busyOf } from "../../src/observe/machine/busy.ts";
import { machineShape } from "../../src/observe/machine/facts.ts";
import { MachineWatch } from "../../src/observe/machine/machine-watch.ts";
import {
  controlGroups,
  coresOf,
  foldersOf,
  gpuOf,
  memoryLimitOf,
  pressureOf,
  rowOf,
  temperatureOf,
  throttledOf,
} from "../../src/observe/machine/parse.ts";
import { type CpuTimes, type Reading, readMachine, thisMachine } from "../../src/observe/machine/read-machine.ts";
import { eventually } from "../kit/eventually.ts";
import { CONTAINER, PI, sourceOf } from "../kit/machine-source.ts";

const OWN = { dataDir: "/data", labels: ["always-on", "linux"] };
const MIB = 1024 ** 2;

describe("a machine", () => {
  test("that is a Pi says its temperature and why it is slowed down; without PSI there is no pressure", async () => {
    const { facts } = await readMachine(sourceOf(PI), OWN, undefined);
    expect(facts).toEqual({
      os: "linux",
      arch: "arm64",
      model: "Raspberry Pi 4 Model B Rev 1.4",
      labels: ["linux", "arm64", "gpu", "always-on"],
      gpu: "/dev/dri/renderD128",
      cores: 4,
      load: 0.5,
      memoryTotal: 3_884_380 * 1024,
      memoryFree: 3_189_544 * 1024,
      diskTotal: 100 * 1024 * MIB,
      diskFree: 25 * 1024 * MIB,
      temperatureC: 48.7,
      throttled: ["under_voltage"],
      throttledBefore: ["under_voltage", "throttled"],
      uptimeSeconds: 1234,
    });
  });

  test("that is a Pi without the file of its firmware says what its sensors do", async () => {
    const { "/sys/devices/platform/soc/soc:firmware/get_throttled": _, ...files } = PI;
    const hot = { ...files, "/sys/class/thermal/cooling_device0/cur_state": "2\n" };
    const { facts } = await readMachine(sourceOf(hot), OWN, undefined);
    expect([facts.throttled, facts.throttledBefore]).toEqual([["under_voltage", "cpu_slowed_for_heat"], undefined]);
  });

  test("in a container is what its control group allows, and not its host", async () => {
    let nowMs = 0;
    const files = { ...CONTAINER };
    const source = sourceOf(files, { arch: "x64", monotonicMs: () => nowMs });
    const first = await readMachine(source, OWN, undefined);
    expect(first.facts).toMatchObject({
      cores: 0.5,
      memoryTotal: 512 * MIB,
      memoryFree: 312 * MIB,
      pressure: { cpu: 12.5, memory: 0, io: 3.25 },
    });
    // The load is that of the host, and there is no earlier reading.
    expect(first.facts).not.toHaveProperty("load");
    expect(first.facts).not.toHaveProperty("cpuPercent");
    // In 4 s half a CPU has 2 s, of which 1.5 s were used.
    nowMs = 4000;
    files["/sys/fs/cgroup/cpu.stat"] = "usage_usec 5500000\n";
    expect((await readMachine(source, OWN, first.cpu)).facts.cpuPercent).toBe(75);
    // Another limit is another measure.
    files["/sys/fs/cgroup/cpu.max"] = "100000 100000\n";
    expect((await readMachine(source, OWN, first.cpu)).facts).not.toHaveProperty("cpuPercent");
  });

  test("below control groups of version 1 has their limits, those above its own included", async () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/a/b\n2:cpu,cpuacct:/a\n0::/\n",
      "/proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n",
      "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": String(1000 * MIB),
      "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": String(400 * MIB),
      "/sys/fs/cgroup/memory/a/memory.stat": `total_inactive_file ${100 * MIB}\n`,
      "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000\n",
      "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/cpuacct/a/cpuacct.usage": "1000000000\n",
    };
    let nowMs = 0;
    const source = sourceOf(files, { monotonicMs: () => nowMs });
    const { facts, cpu } = await readMachine(source, OWN, undefined);
    expect(facts).toMatchObject({ cores: 2, memoryTotal: 1000 * MIB, memoryFree: 700 * MIB });
    nowMs = 1000;
    files["/sys/fs/cgroup/cpuacct/a/cpuacct.usage"] = "1500000000\n";
    expect((await readMachine(source, OWN, cpu)).facts.cpuPercent).toBe(25);
  });

  test("that is a Mac says what every program is told: no pressure, no temperature, no throttling", async () => {
    const source = sourceOf(PI, {
      platform: "darwin",
      cores: () => 8,
      memory: () => ({ total: 16 * 1024 * MIB, free: 2 * 1024 * MIB }),
      cpuTimes: () => ({ busy: 250, total: 1000 }),
    });
    const { facts } = await readMachine(source, { ...OWN, labels: [] }, { busy: 0, total: 0 });
    expect(facts).toEqual({
      os: "darwin",
      arch: "arm64",
      labels: ["darwin", "arm64", "gpu"],
      gpu: "apple",
      cores: 8,
      load: 0.5,
      cpuPercent: 25,
      memoryTotal: 16 * 1024 * MIB,
      memoryFree: 2 * 1024 * MIB,
      diskTotal: 100 * 1024 * MIB,
      diskFree: 25 * 1024 * MIB,
      uptimeSeconds: 1234,
    });
    const intel = await readMachine({ ...source, arch: "x64" }, OWN, undefined);
    expect(intel.facts.labels).not.toContain("gpu");
  });

  test("of which nothing can be read is unknown, and never 0", async () => {
    const { facts } = await readMachine(sourceOf({}, { disk: async () => undefined }), OWN, undefined);
    expect(Object.keys(facts).sort()).toEqual(["arch", "cores", "labels", "load", "os", "uptimeSeconds"]);
  });

  test("that runs this test can be read, in the shape of a beat", async () => {
    const before = await readMachine(thisMachine, { dataDir: "/", labels: [] }, undefined);
    const { facts } = await readMachine(thisMachine, { dataDir: "/", labels: [] }, before.cpu);
    expect(machineShape.parse({ ...facts, ageMs: 0 })).toMatchObject({ os: process.platform, arch: process.arch });
    expect(facts.memoryFree).toBeGreaterThan(0);
    expect(facts.diskFree).toBeGreaterThan(0);
  });
});

describe("the files of Linux", () => {
  test("are numbers, or unknown", () => {
    expect([pressureOf("some avg10=3.50 avg60=0.00\n"), pressureOf("full avg10=1.00 "), pressureOf(undefined)]).toEqual(
      [3.5, undefined, undefined],
    );
    expect([rowOf("A: 5 kB\nB: 7\n", "A"), rowOf("A: 5 kB\nB 7\n", "B"), rowOf("AB: 5\n", "A")]).toEqual([
      5120,
      7,
      undefined,
    ]);
    expect([coresOf("150000 100000\n"), coresOf("max 100000"), coresOf("1 0"), coresOf(undefined)]).toEqual([
      1.5,
      undefined,
      undefined,
      undefined,
    ]);
    expect([memoryLimitOf("1024\n"), memoryLimitOf("max"), memoryLimitOf("9223372036854771712")]).toEqual([
      1024,
      undefined,
      undefined,
    ]);
  });

  test("name the control groups, and a path that climbs out of them leads nowhere", () => {
    const found = controlGroups("12:cpuset:/\n4:memory:/x\n3:cpu,cpuacct:/y\n0::/z/w\nnonsense\n");
    expect(found.memory).toEqual([{ base: "/sys/fs/cgroup/memory", path: "/x" }]);
    expect(found.cpu).toEqual([{ base: "/sys/fs/cgroup/cpu", path: "/y" }]);
    expect(found.unified.map(({ base }) => base)).toEqual(["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]);
    expect(foldersOf({ base: "/b", path: "/z/../w" })).toEqual(["/b/z/w", "/b/z", "/b"]);
    const deep = foldersOf({ base: "/b", path: `/${"d/".repeat(100)}` });
    expect([deep.length, deep.at(-1)]).toEqual([12, "/b"]);
  });

  test("have sensors of much else: the processor's count, and the board's only without them", () => {
    const wifi = { type: "iwlwifi_1", text: "90000" };
    const board = { type: "acpitz", text: "27800" };
    expect(temperatureOf([wifi])).toBeUndefined();
    expect(temperatureOf([wifi, board])).toBe(27.8);
    expect(temperatureOf([wifi, board, { type: "x86_pkg_temp", text: "61040" }])).toBe(61);
    expect(
      temperatureOf([
        { type: "cpu-thermal", text: "-263200" },
        { type: "cpu0-thermal", text: undefined },
      ]),
    ).toBe(undefined);
  });

  test("tell by bits why a Pi is slowed down", () => {
    expect(throttledOf("0\n")).toEqual({ now: [], before: [] });
    expect(throttledOf("0xe000a")).toEqual({
      now: ["frequency_capped", "soft_temperature_limit"],
      before: ["frequency_capped", "throttled", "soft_temperature_limit"],
    });
    expect([throttledOf("no"), throttledOf(undefined), throttledOf("")]).toEqual([undefined, undefined, undefined]);
  });

  test("show a GPU by what programs open, and not by what only draws a screen", () => {
    expect(gpuOf(["nvidiactl", "nvidia-uvm", "nvidia1", "nvidia0"], ["renderD129"])).toBe("/dev/nvidia0");
    expect(gpuOf(["nvidiactl"], ["card0", "renderD128"])).toBe("/dev/dri/renderD128");
    expect(gpuOf(["nvidiactl", "null"], ["card0"])).toBeUndefined();
  });
});

test("a machine is as busy as what is scarcest of it", () => {
  const facts = { os: "linux", arch: "x64", labels: [], ageMs: 0 };
  expect(busyOf({ ...facts, cores: 2, load: 3, cpuPercent: 90 })).toEqual({ percent: 150, by: "load" });
  expect(busyOf({ ...facts, cores: 0.5, cpuPercent: 20, pressure: { io: 60.6, cpu: 1 } })).toEqual({
    percent: 61,
    by: "io pressure",
  });
  expect(busyOf({ ...facts, load: 0, cores: 4, pressure: { memory: 0 } })).toEqual({ percent: 0, by: "load" });
  expect(busyOf({ ...facts, load: 3 })).toBeUndefined();
});

describe("the watch of a machine", () => {
  const reading: Reading = { facts: { os: "linux", arch: "x64", labels: [] }, cpu: { busy: 1, total: 2 } };

  test("reads at most every 5 s, hands on the CPU time, and says how old its facts are", async () => {
    let nowMs = 0;
    const befores: (CpuTimes | undefined)[] = [];
    const watch = new MachineWatch({
      read: async (before) => {
        befores.push(before);
        return reading;
      },
      monotonicMs: () => nowMs,
    });
    await eventually("the first reading", () => watch.facts() !== undefined);
    nowMs = 4_999;
    expect(watch.facts()?.ageMs).toBe(4_999);
    expect(befores).toEqual([undefined]);
    nowMs = 5_000;
    watch.facts();
    await eventually("the second reading", () => watch.facts()?.ageMs === 0);
    expect(befores).toEqual([undefined, reading.cpu]);
  });

  test("reads also when it is not asked", async () => {
    let reads = 0;
    const read = async () => {
      reads += 1;
      return reading;
    };
    new MachineWatch({ read, monotonicMs: () => performance.now(), everyMs: 20 });
    await eventually("three readings", () => reads >= 3);
  });

  test("keeps what it had where a reading fails or hangs, and never reads twice at once", async () => {
    let nowMs = 0;
    let reads = 0;
    const answers: (() => Promise<Reading>)[] = [
      async () => reading,
      async () => Promise.reject(new Error("EIO")),
      () => new Promise<Reading>(() => {}),
    ];
    const read = () => answers[reads++]?.() ?? Promise.resolve(reading);
    const watch = new MachineWatch({ read, monotonicMs: () => nowMs });
    await eventually("the first reading", () => watch.facts() !== undefined);
    for (nowMs = 5_000; nowMs <= 60_000; nowMs += 5_000) {
      watch.facts();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([reads, watch.facts()?.ageMs]).toEqual([3, nowMs]);
  });
});
