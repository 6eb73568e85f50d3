// All processes of one child: what it started, what those started, and how they are ended. They are found by the
// control group where there is one; else by the process group, and on Linux by a mark in the environment, which a
// process that made a session of its own still has.

import { readdirSync, readFileSync } from "node:fs";
import { pause } from "../../lib/pause.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import { cgroupMembers, killCgroup } from "./cgroup.ts";

/** The variable that marks the processes of one child. */
export const MARK_VARIABLE = "CAIRN_PROCESS";
/** How long is waited for the end of what got SIGKILL, in ms: one that waits for a disk ends when that answers. */
const KILL_MS = 5000;
/** Between two looks at what still runs, in ms: short at first, then long. */
const LOOK_MS = [5, 10, 20, 50];

/** Where the processes of a child are found. */
export interface TreePlace {
  /** The process group, which is the process id of the child; 0 where it is not known. */
  group: number;
  mark: string;
  cgroup: string | undefined;
}

/** How it came to its end. */
export interface TreeEnd {
  /** Whether SIGKILL was needed. */
  wasKilled: boolean;
  /** Processes that did not end. */
  left: readonly number[];
}

interface Member {
  pid: number;
  group: number;
}

/** The processes of one child. */
export class ProcessTree {
  readonly #place: TreePlace;
  readonly #clock = openSleepClock();
  /** When the child began, in ticks of the kernel: what is older is none of its processes. */
  readonly #beginTicks: number;
  #killAtMs = Number.POSITIVE_INFINITY;
  #ending: Promise<TreeEnd> | undefined;

  constructor(place: TreePlace) {
    this.#place = place;
    this.#beginTicks = place.group === 0 ? 0 : (statOf(place.group)?.beginTicks ?? 0);
  }

  /** Whether its end has begun. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Returns the process ids of what still runs. */
  living(): number[] {
    return this.#members().map(({ pid }) => pid);
  }

  /** Sends a signal to the child and its process group, as a terminal does. */
  signalGroup(signal: NodeJS.Signals): void {
    if (this.#place.group > 1) send(-this.#place.group, signal);
  }

  /** Sends a signal to all of them. */
  signal(signal: NodeJS.Signals): void {
    const { group, cgroup } = this.#place;
    if (signal === "SIGKILL" && cgroup !== undefined) killCgroup(cgroup);
    this.signalGroup(signal);
    for (const member of this.#members()) if (member.group !== group) send(member.pid, signal);
  }

  /**
   * Sends SIGTERM, and SIGKILL to what is left after `graceMs`. Resolves when nothing is left, or cannot be ended.
   * While it runs, another call can only bring SIGKILL forward.
   */
  end(graceMs: number): Promise<TreeEnd> {
    this.#killAtMs = Math.min(this.#killAtMs, this.#clock.nowMs() + graceMs);
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<TreeEnd> {
    if (this.#clock.nowMs() < this.#killAtMs) {
      this.signal("SIGTERM");
      // One that was stopped sees SIGTERM only when it goes on.
      this.signal("SIGCONT");
    }
    for (let look = 0; this.#clock.nowMs() < this.#killAtMs; look += 1) {
      if (this.#members().length === 0) return { wasKilled: false, left: [] };
      await pause(Math.min(lookMs(look), Math.max(1, this.#killAtMs - this.#clock.nowMs())));
    }
    const untilMs = this.#clock.nowMs() + KILL_MS;
    let wasKilled = false;
    for (let look = 0; ; look += 1) {
      const left = this.living();
      if (left.length === 0 || this.#clock.nowMs() > untilMs) return { wasKilled, left };
      this.signal("SIGKILL");
      wasKilled = true;
      await pause(lookMs(look));
    }
  }

  #members(): Member[] {
    const { group, mark, cgroup } = this.#place;
    if (process.platform !== "linux") return group > 1 && send(-group, 0) ? [{ pid: group, group }] : [];
    const confined = cgroup === undefined ? [] : cgroupMembers(cgroup);
    // Asking about a group is one call of the system, looking for a mark is a walk over all processes.
    if (cgroup !== undefined && (group <= 1 || !send(-group, 0))) return confined.map((pid) => ({ pid, group: 0 }));
    const members = new Map<number, Member>(confined.map((pid) => [pid, { pid, group: 0 }]));
    for (const name of readdirSync("/proc")) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid) continue;
      const stat = statOf(pid);
      if (stat === undefined || stat.isDead || stat.beginTicks < this.#beginTicks) continue;
      const isOfGroup = group > 1 && stat.group === group;
      if (isOfGroup || (cgroup === undefined && hasMark(pid, mark))) members.set(pid, { pid, group: stat.group });
    }
    return [...members.values()];
  }
}

function lookMs(look: number): number {
  return LOOK_MS[Math.min(look, LOOK_MS.length - 1)] ?? 50;
}

/** Sends a signal. Reports whether there is such a process. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Reads what /proc says of a process; undefined when it is gone. */
function statOf(pid: number): { isDead: boolean; group: number; beginTicks: number } | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The name in brackets may contain anything, blanks and brackets too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields.length < 20) return undefined;
  return { isDead: /^[ZX]$/.test(fields[0] ?? ""), group: Number(fields[2]), beginTicks: Number(fields[19]) };
}

function hasMark(pid: number, mark: string): boolean {
  return `\0${read(`/proc/${pid}/environ`)}`.includes(`\0${MARK_VARIABLE}=${mark}\0`);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
