// Parsers of what Linux says of a machine in /proc and /sys. Each returns undefined for a text that it cannot read.

/** Returns the number of a text that has nothing else; undefined for any other, and for none. */
export function numberOf(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? "";
  return /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** Returns a row of `name number` or `name: number kB`, as in /proc/meminfo and memory.stat, in bytes. */
export function rowOf(text: string | undefined, name: string): number | undefined {
  for (const line of text?.split("\n") ?? []) {
    const [, key, digits, unit] = /^(\S+?):?\s+(\d+)(?:\s+(kB))?$/.exec(line.trim()) ?? [];
    if (key === name) return Number(digits) * (unit === undefined ? 1 : 1024);
  }
  return undefined;
}

/** Returns `some avg10` of a file of /proc/pressure, in percent. */
export function pressureOf(text: string | undefined): number | undefined {
  const [, digits] = /^some avg10=(\d+(?:\.\d+)?) /m.exec(text ?? "") ?? [];
  return digits === undefined ? undefined : Math.min(100, Number(digits));
}

/** The control group of a process in one hierarchy: of version 2, or a controller of version 1. */
export interface ControlGroup {
  /** Where the hierarchy is mounted. */
  base: string;
  path: string;
}

/** Returns the group of version 2 and those of version 1 that limit memory or CPUs, from /proc/self/cgroup. */
export function controlGroups(text: string | undefined): {
  unified: ControlGroup[];
  memory: ControlGroup[];
  cpu: ControlGroup[];
} {
  const rows = (text ?? "").split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    return controllers === undefined || path === undefined ? [] : [{ controllers, path }];
  });
  const of = (controller: string, folder: string): ControlGroup[] =>
    rows
      .filter(({ controllers }) => controllers.split(",").includes(controller))
      .map(({ path }) => ({ base: `/sys/fs/cgroup/${folder}`, path }));
  const unified = rows
    .filter(({ controllers }) => controllers === "")
    .flatMap(({ path }) => ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map((base) => ({ base, path })));
  return { unified, memory: of("memory", "memory"), cpu: of("cpu", "cpu") };
}

/** Most folders of a group that are looked at: its own, and those above it. */
const MAX_DEPTH = 12;

/** Returns the folders of a group, from its own up to the root: a limit of each of them holds. */
export function foldersOf({ base, path }: ControlGroup): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "." && part !== "..");
  const all = Array.from({ length: parts.length + 1 }, (_, above) => parts.slice(0, parts.length - above));
  return all.slice(-MAX_DEPTH).map((kept) => [base, ...kept].join("/"));
}

/** Returns how many CPUs `cpu.max` of version 2 allows; undefined: no limit. */
export function coresOf(text: string | undefined): number | undefined {
  const [, quota, period] = /^(\d+) (\d+)\s*$/.exec(text ?? "") ?? [];
  return quota === undefined || Number(period) === 0 ? undefined : Number(quota) / Number(period);
}

/** Version 1 says so for "no limit". */
const NO_LIMIT = 2 ** 60;

/** Returns a limit of memory in bytes; undefined: no limit. */
export function memoryLimitOf(text: string | undefined): number | undefined {
  const limit = numberOf(text);
  return limit === undefined || limit >= NO_LIMIT ? undefined : limit;
}

/** A sensor: what it is of, and its text in thousandths of a degree. */
export interface Sensor {
  type: string;
  text: string | undefined;
}

/** Sensors of a processor, by the kernel's names; the last is of the board, and is taken where there is no other. */
const SENSORS = [/cpu|soc|x86_pkg_temp|coretemp|k10temp|zenpower/i, /^acpitz$/];

/** Returns the highest temperature of the processor; undefined where no sensor is known to be its. */
export function temperatureOf(sensors: readonly Sensor[]): number | undefined {
  for (const known of SENSORS) {
    const found = sensors
      .filter(({ type }) => known.test(type))
      .map(({ text }) => (numberOf(text) ?? Number.NaN) / 1000)
      .filter((degrees) => degrees > -40 && degrees < 150 && degrees !== 0);
    if (found.length > 0) return Math.round(Math.max(...found) * 10) / 10;
  }
  return undefined;
}

/** Bits of the firmware of a Pi: those of now; the same 16 higher are of any time since it was started. */
const THROTTLED = ["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"] as const;

/** Returns what the firmware of a Pi says, from its hexadecimal number. */
export function throttledOf(text: string | undefined): { now: string[]; before: string[] } | undefined {
  const digits = (text ?? "").trim().replace(/^0x/, "");
  if (!/^[0-9a-f]{1,8}$/i.test(digits)) return undefined;
  const bits = Number.parseInt(digits, 16);
  const set = (shift: number) => THROTTLED.filter((_, bit) => ((bits >>> (bit + shift)) & 1) === 1);
  return { now: set(0), before: set(16) };
}

/** Returns the device by which a GPU can be used, from the names in /dev and /dev/dri. */
export function gpuOf(devices: readonly string[], rendering: readonly string[]): string | undefined {
  const nvidia = devices.filter((name) => /^nvidia\d+$/.test(name)).sort()[0];
  if (nvidia !== undefined) return `/dev/${nvidia}`;
  const node = rendering.filter((name) => /^renderD\d+$/.test(name)).sort()[0];
  return node === undefined ? undefined : `/dev/dri/${node}`;
}
