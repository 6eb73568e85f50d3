// A control group (cgroup v2) of one child: its limits hold for all that it starts, and nothing leaves it by making a
// session of its own. It is made below the group of this process, which has to be writable.

import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { reasonOf } from "../../lib/reason-of.ts";

/** What a child and all that it starts may use. */
export interface ProcessLimits {
  memoryBytes?: number | undefined;
  /** Processes and threads. */
  processes?: number | undefined;
  /** CPUs, such as 0.5. */
  cpus?: number | undefined;
}

/** A control group that was made, or why not, and which limits do not hold. */
export interface MadeCgroup {
  folder: string | undefined;
  /** By the name of the limit, why it does not hold; empty when all hold that were asked for. */
  unset: Partial<Record<keyof ProcessLimits, string>>;
}

const PREFIX = "cairn-process-";
/** Of each limit its controller, the file and what is written there. */
const FILES: Record<keyof ProcessLimits, { controller: string; file: string; text: (value: number) => string }> = {
  memoryBytes: { controller: "memory", file: "memory.max", text: (bytes) => String(Math.floor(bytes)) },
  processes: { controller: "pids", file: "pids.max", text: (count) => String(Math.floor(count)) },
  cpus: { controller: "cpu", file: "cpu.max", text: (cpus) => `${Math.max(1000, Math.round(cpus * 100_000))} 100000` },
};

/** Returns the folder of this process's own control group; undefined where there is no cgroup v2. */
export function ownCgroup(): string | undefined {
  const mount = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(read("/proc/self/mountinfo"))?.[1];
  const path = /^0::(\/.*)$/m.exec(read("/proc/self/cgroup"))?.[1];
  return mount === undefined || path === undefined ? undefined : join(mount, path);
}

/** Makes a control group below `parent` and sets the limits that can be set there. Never throws. */
export function makeCgroup(limits: ProcessLimits, id: string, parent: string | undefined = ownCgroup()): MadeCgroup {
  const wanted = (Object.keys(FILES) as (keyof ProcessLimits)[]).filter((name) => limits[name] !== undefined);
  const none = (reason: string): MadeCgroup => ({
    folder: undefined,
    unset: Object.fromEntries(wanted.map((name) => [name, reason])),
  });
  if (parent === undefined) return none("this machine has no cgroup v2");
  const folder = join(parent, `${PREFIX}${process.pid}-${id}`);
  try {
    removeLeft(parent);
    mkdirSync(folder);
  } catch (error) {
    return none(`no control group can be made in ${parent}: ${reasonOf(error)} (systemd: Delegate=yes)`);
  }
  const unset: MadeCgroup["unset"] = {};
  for (const name of wanted) {
    const { controller, file, text } = FILES[name];
    const problem = turnOn(parent, controller) ?? write(join(folder, file), text(limits[name] ?? 0));
    if (problem !== undefined) unset[name] = problem;
    // Else the limit of memory moves pages to the disk, and ends one process of several.
    else if (name === "memoryBytes") for (const [more, value] of MEMORY_MORE) write(join(folder, more), value);
  }
  return { folder, unset };
}

const MEMORY_MORE = [
  ["memory.swap.max", "0"],
  ["memory.oom.group", "1"],
] as const;

/** Returns the processes in a control group and those below it; a zombie is none of them. */
export function cgroupMembers(folder: string): number[] {
  const own = read(join(folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number);
  return [...own, ...below(folder).flatMap(cgroupMembers)];
}

/** Kills all processes of a control group at once. Reports whether the kernel can do so. */
export function killCgroup(folder: string): boolean {
  return write(join(folder, "cgroup.kill"), "1") === undefined;
}

/**
 * Removes a control group whose processes have ended, if there is one. Reports whether the kernel killed one of them
 * for its memory.
 */
export function freeCgroup(folder: string | undefined): boolean {
  if (folder === undefined) return false;
  const outOfMemory = /^oom_kill [1-9]/m.test(read(join(folder, "memory.events")));
  for (const inner of below(folder)) freeCgroup(inner);
  try {
    rmdirSync(folder);
  } catch {
    // It is gone, or not empty: then what is left in it is in the report of the end.
  }
  return outOfMemory;
}

/** Removes groups of processes of ours that have ended without doing so. One that still has a process stays. */
function removeLeft(parent: string): void {
  for (const name of readdirSync(parent)) {
    const maker = /^cairn-process-([0-9]+)-/.exec(name)?.[1];
    if (maker !== undefined && !isRunning(Number(maker))) freeCgroup(join(parent, name));
  }
}

/** Turns a controller on for the groups below. Returns why that cannot be. */
function turnOn(parent: string, controller: string): string | undefined {
  const has = (file: string) => read(join(parent, file)).trim().split(" ").includes(controller);
  if (has("cgroup.subtree_control")) return undefined;
  if (!has("cgroup.controllers"))
    return `${parent} has no controller ${controller} (systemd: Delegate=yes; Raspberry Pi: cgroup_enable=memory)`;
  const problem = write(join(parent, "cgroup.subtree_control"), `+${controller}`);
  return problem && `${controller} cannot be turned on in ${parent}: ${problem} (systemd: DelegateSubgroup=node)`;
}

function below(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Returns why the text cannot be written. The file is the kernel's: it is not created. */
function write(path: string, text: string): string | undefined {
  try {
    writeFileSync(path, text, { flag: "r+" });
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
