// Reads the facts of this machine: on Linux from /proc and /sys, elsewhere what the system gives to every program. The
// limits of the control group count, because a container may use no more than they allow.

import { readdir, readFile, statfs } from "node:fs/promises";
import os from "node:os";
import { GPU } from "../../lib/machine-label.ts";
import type { MachineFacts } from "./facts.ts";
import {
  type ControlGroup,
  controlGroups,
  coresOf,
  foldersOf,
  gpuOf,
  memoryLimitOf,
  numberOf,
  pressureOf,
  rowOf,
  type Sensor,
  temperatureOf,
  throttledOf,
} from "./parse.ts";

/** What is read of a machine; a test gives the texts of another one. */
export interface MachineSource {
  platform: string;
  arch: string;
  /** Returns a file's text; undefined where it cannot be read. */
  text(path: string): Promise<string | undefined>;
  /** Returns the names in a folder; none where it cannot be read. */
  names(folder: string): Promise<readonly string[]>;
  disk(folder: string): Promise<{ total: number; free: number } | undefined>;
  cores(): number;
  load(): number;
  memory(): { total: number; free: number };
  uptimeSeconds(): number;
  /** Time that its CPUs were in use, and all of it, in ms. */
  cpuTimes(): CpuTimes;
  monotonicMs(): number;
}

/** Counters of CPU time in ms; only differences of the same `of` mean something. */
export interface CpuTimes {
  busy: number;
  total: number;
  of?: string;
}

/** What a reading needs of its node. */
export interface MachineOptions {
  /** The disk of this folder is reported. */
  dataDir: string;
  /** Labels of the settings. */
  labels: readonly string[];
}

/** Facts, and what the next reading needs to know what happened in between. */
export interface Reading {
  facts: Omit<MachineFacts, "ageMs">;
  cpu: CpuTimes;
}

/** Reads everything once. `before` is the CPU time of the last reading. */
export async function readMachine(
  source: MachineSource,
  { dataDir, labels }: MachineOptions,
  before: CpuTimes | undefined,
): Promise<Reading> {
  const isLinux = source.platform === "linux";
  const limits = isLinux ? await limitsOf(source) : {};
  const [memory, pressure, temperatureC, throttled, gpu, disk, model] = await Promise.all([
    memoryOf(source, limits),
    isLinux ? pressuresOf(source, limits) : undefined,
    isLinux ? hottest(source) : undefined,
    isLinux ? throttling(source) : undefined,
    gpuDevice(source),
    source.disk(dataDir),
    isLinux ? source.text("/proc/device-tree/model") : undefined,
  ]);
  const cpu = await cpuTimesOf(source, limits);
  return {
    cpu,
    facts: known({
      os: source.platform,
      arch: source.arch,
      model: model?.replaceAll(/[^\x20-\x7e]/g, "").slice(0, 64) || undefined,
      labels: [...new Set([source.platform, source.arch, ...(gpu === undefined ? [] : [GPU]), ...labels])],
      gpu,
      cores: Math.min(source.cores(), limits.cores ?? Number.POSITIVE_INFINITY),
      load: limits.cores === undefined ? source.load() : undefined,
      cpuPercent: shareInUse(before, cpu),
      pressure,
      memoryTotal: memory.total,
      memoryFree: memory.free,
      diskTotal: disk?.total,
      diskFree: disk?.free,
      temperatureC,
      throttled: throttled?.now,
      throttledBefore: throttled?.before,
      uptimeSeconds: Math.floor(source.uptimeSeconds()),
    }),
  };
}

/** What the control group allows; undefined: no limit. */
interface Limits {
  cores?: number;
  /** The file of CPU time of the group with that limit, and the name and unit of its row. */
  cpuTime?: () => Promise<number | undefined>;
  cpuFolder?: string;
  memory?: number;
  memoryFree?: number;
  memoryFolder?: string;
}

async function limitsOf(source: MachineSource): Promise<Limits> {
  const { unified, memory, cpu } = controlGroups(await source.text("/proc/self/cgroup"));
  const limits: Limits = {};
  for (const folder of allFolders(unified)) {
    await addCores(source, limits, folder, coresOf(await source.text(`${folder}/cpu.max`)));
    await addMemory(source, limits, folder, ["memory.max", "memory.current", "inactive_file"]);
  }
  for (const folder of allFolders(cpu)) {
    const quota = numberOf(await source.text(`${folder}/cpu.cfs_quota_us`)) ?? -1;
    const period = (await source.text(`${folder}/cpu.cfs_period_us`))?.trim();
    await addCores(source, limits, folder, quota > 0 ? coresOf(`${quota} ${period}`) : undefined);
  }
  for (const folder of allFolders(memory)) {
    const files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"] as const;
    await addMemory(source, limits, folder, files);
  }
  return limits;
}

function allFolders(groups: readonly ControlGroup[]): string[] {
  return groups.flatMap(foldersOf);
}

/** Version 2 counts in µs, the accounting of version 1 in ns. */
async function addCores(source: MachineSource, limits: Limits, folder: string, cores: number | undefined) {
  if (cores === undefined || cores >= Math.min(source.cores(), limits.cores ?? Number.POSITIVE_INFINITY)) return;
  limits.cores = cores;
  limits.cpuFolder = folder;
  limits.cpuTime = async () => {
    const micros = rowOf(await source.text(`${folder}/cpu.stat`), "usage_usec");
    if (micros !== undefined) return micros / 1e3;
    const accounted = folder.replace("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct");
    const nanos = numberOf(await source.text(`${accounted}/cpuacct.usage`));
    return nanos === undefined ? undefined : nanos / 1e6;
  };
}

/** What can be dropped at once, such as read files, is free memory. */
async function addMemory(
  source: MachineSource,
  limits: Limits,
  folder: string,
  [limitFile, usedFile, droppable]: readonly [string, string, string],
) {
  const limit = memoryLimitOf(await source.text(`${folder}/${limitFile}`));
  if (limit === undefined) return;
  const used = numberOf(await source.text(`${folder}/${usedFile}`));
  const cached = rowOf(await source.text(`${folder}/memory.stat`), droppable) ?? 0;
  const free = used === undefined ? undefined : Math.max(0, limit - Math.max(0, used - cached));
  if (limit < (limits.memory ?? Number.POSITIVE_INFINITY)) {
    limits.memory = limit;
    limits.memoryFolder = folder;
  }
  if (free !== undefined) limits.memoryFree = Math.min(free, limits.memoryFree ?? Number.POSITIVE_INFINITY);
}

async function memoryOf(source: MachineSource, limits: Limits): Promise<{ total?: number; free?: number }> {
  if (source.platform !== "linux") return source.memory();
  const text = await source.text("/proc/meminfo");
  const total = rowOf(text, "MemTotal");
  const free = rowOf(text, "MemAvailable");
  return known({
    total: total === undefined ? limits.memory : Math.min(total, limits.memory ?? total),
    free: free === undefined ? limits.memoryFree : Math.min(free, limits.memoryFree ?? free),
  });
}

/** Of the group where it has a limit: the others of its host are slowed by what it does not feel. */
async function pressuresOf(source: MachineSource, { cpuFolder, memoryFolder }: Limits) {
  const read = async (what: string, folder: string | undefined): Promise<number | undefined> => {
    const own = folder === undefined ? undefined : await source.text(`${folder}/${what}.pressure`);
    return pressureOf(own ?? (await source.text(`/proc/pressure/${what}`)));
  };
  const [cpu, memory, io] = await Promise.all([
    read("cpu", cpuFolder),
    read("memory", memoryFolder),
    read("io", undefined),
  ]);
  const found = known({ cpu, memory, io });
  return Object.keys(found).length === 0 ? undefined : found;
}

async function cpuTimesOf(source: MachineSource, { cores, cpuTime, cpuFolder }: Limits): Promise<CpuTimes> {
  if (cores === undefined || cpuTime === undefined) return source.cpuTimes();
  const busy = (await cpuTime()) ?? Number.NaN;
  return { busy, total: source.monotonicMs() * cores, of: `${cpuFolder} ${cores}` };
}

function shareInUse(before: CpuTimes | undefined, now: CpuTimes): number | undefined {
  if (before === undefined || before.of !== now.of) return undefined;
  const share = (now.busy - before.busy) / (now.total - before.total);
  return Number.isFinite(share) ? Math.min(100, Math.max(0, Math.round(share * 1000) / 10)) : undefined;
}

async function hottest(source: MachineSource): Promise<number | undefined> {
  const zones = await sensorsIn(source, "/sys/class/thermal", /^thermal_zone\d+$/, ["type", "temp"]);
  const found = temperatureOf(zones);
  const chips = async () => sensorsIn(source, "/sys/class/hwmon", /^hwmon\d+$/, ["name", "temp1_input"]);
  return found ?? temperatureOf(await chips());
}

/** At most this many folders of sensors are looked at. */
const MAX_SENSORS = 64;

async function sensorsIn(
  source: MachineSource,
  folder: string,
  names: RegExp,
  [typeFile, textFile]: readonly [string, string],
): Promise<Sensor[]> {
  const found = (await source.names(folder)).filter((name) => names.test(name)).slice(0, MAX_SENSORS);
  return Promise.all(
    found.map(async (name) => ({
      type: (await source.text(`${folder}/${name}/${typeFile}`))?.trim() ?? "",
      text: await source.text(`${folder}/${name}/${textFile}`),
    })),
  );
}

/** The firmware of a Pi says why it is slowed down; without it its voltage sensor, and for any CPU its cooling. */
async function throttling(source: MachineSource): Promise<{ now: string[]; before?: string[] } | undefined> {
  const firmware = throttledOf(await source.text("/sys/devices/platform/soc/soc:firmware/get_throttled"));
  const [volts, cooling] = await Promise.all([
    sensorsIn(source, "/sys/class/hwmon", /^hwmon\d+$/, ["name", "in0_lcrit_alarm"]),
    sensorsIn(source, "/sys/class/thermal", /^cooling_device\d+$/, ["type", "cur_state"]),
  ]);
  const alarm = numberOf(volts.find(({ type }) => type === "rpi_volt")?.text);
  const slowed = cooling.filter(({ type }) => type.includes("cpufreq")).flatMap(({ text }) => numberOf(text) ?? []);
  if (firmware === undefined && alarm === undefined && slowed.length === 0) return undefined;
  const now = [
    ...(firmware?.now ?? (alarm === 1 ? ["under_voltage"] : [])),
    ...(slowed.some((state) => state > 0) ? ["cpu_slowed_for_heat"] : []),
  ];
  return { now, ...(firmware === undefined ? {} : { before: firmware.before }) };
}

/** Every Mac with a processor of Apple has one. */
async function gpuDevice(source: MachineSource): Promise<string | undefined> {
  if (source.platform === "darwin") return source.arch === "arm64" ? "apple" : undefined;
  if (source.platform !== "linux") return undefined;
  return gpuOf(await source.names("/dev"), await source.names("/dev/dri"));
}

/** Returns an object without its undefined members. */
function known<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}

/** This machine. */
export const thisMachine: MachineSource = {
  platform: process.platform,
  arch: process.arch,
  text: (path) => readFile(path, "utf8").catch(() => undefined),
  names: (folder) => readdir(folder).catch(() => []),
  disk: async (folder) => {
    const found = await statfs(folder).catch(() => undefined);
    return found && { total: found.blocks * found.bsize, free: found.bavail * found.bsize };
  },
  cores: () => os.availableParallelism(),
  load: () => os.loadavg()[0] ?? 0,
  memory: () => ({ total: os.totalmem(), free: os.freemem() }),
  uptimeSeconds: () => os.uptime(),
  cpuTimes: () => {
    const times = os.cpus().map((cpu) => cpu.times);
    const total = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
    return { total, busy: total - times.reduce((sum, { idle }) => sum + idle, 0) };
  },
  monotonicMs: () => performance.now(),
};
