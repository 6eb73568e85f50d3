// Elapsed time that goes on while the machine sleeps and that a change of the wall clock does not move: for ages,
// deadlines of freshness and the guard of the log time. Bun offers no such clock: performance.now, Bun.nanoseconds and
// process.hrtime are CLOCK_MONOTONIC (on macOS mach_absolute_time), which stand still during sleep; os.uptime has whole
// seconds. So Linux reads CLOCK_BOOTTIME from /proc/uptime (10 ms steps, about 1 µs a reading), and macOS is asked for
// its continuous clock. Without either a jump of the wall clock ahead of the monotonic one counts as sleep.

import { openSync, readFileSync, readSync } from "node:fs";
import { continuousClock } from "./continuous-clock.ts";

/** A clock with the name of what it counts from. */
export interface SleepClock {
  /** Returns ms since some moment; never goes back, counts sleep. */
  nowMs(): number;
  /** Readings under the same name can be compared, also with those of an earlier process; "" where they cannot. */
  readonly since: string;
  /** By how much a difference of two readings may be too small, in ms. */
  readonly stepMs: number;
}

/** Where the wall clock is ahead by this much, the machine slept or the clock was set; which one cannot be told. */
const JUMP_MS = 50;

/** What a machine has of clocks. */
export interface ClockSources {
  platform: NodeJS.Platform;
  /** Of macOS: counts sleep, and nobody sets it, in ms. */
  continuous: () => (() => number) | undefined;
  monotonicMs: () => number;
  wallMs: () => number;
}

const HERE: ClockSources = {
  platform: process.platform,
  continuous: () => {
    opened ??= { readMs: continuousClock() };
    return opened.readMs;
  },
  monotonicMs: () => performance.now(),
  wallMs: Date.now,
};
/** Once for the process: clocks are opened for each thing that measures. */
let opened: { readMs: (() => number) | undefined } | undefined;

/** Returns a clock of this machine. */
export function openSleepClock({ platform, continuous, monotonicMs, wallMs }: ClockSources = HERE): SleepClock {
  if (platform === "darwin") {
    const readMs = continuous();
    // Its moments have no name: it starts anew with each boot, and macOS tells that only through another call.
    if (readMs !== undefined) return { nowMs: forward(readMs), since: "", stepMs: 1 };
  }
  const boot = platform === "linux" ? read("/proc/sys/kernel/random/boot_id")?.trim() : undefined;
  const uptimeMs = boot === undefined ? undefined : openUptime();
  if (boot === undefined || uptimeMs === undefined) return wallCheckedClock(monotonicMs, wallMs);
  return { nowMs: forward(uptimeMs), since: boot, stepMs: 10 };
}

function forward(readMs: () => number): () => number {
  let last = 0;
  return () => {
    last = Math.max(last, readMs());
    return last;
  };
}

/** Returns a clock of monotonic time plus the jumps of the wall clock ahead of it. A step back changes nothing. */
export function wallCheckedClock(monotonicMs: () => number, wallMs: () => number): SleepClock {
  let sleptMs = 0;
  let aheadMs = wallMs() - monotonicMs();
  const nowMs = (): number => {
    const monotonic = monotonicMs();
    const difference = wallMs() - monotonic;
    if (difference > aheadMs + JUMP_MS) sleptMs += difference - aheadMs;
    if (Math.abs(difference - aheadMs) > JUMP_MS) aheadMs = difference;
    return monotonic + sleptMs;
  };
  return { nowMs, since: "", stepMs: JUMP_MS };
}

const [SPACE, POINT, ZERO] = [0x20, 0x2e, 0x30];
const bytes = Buffer.alloc(64);
/** Stays open with the process: every read that the cache serves asks for it. */
let descriptor: number | undefined;

/** Returns a reader of the first number of /proc/uptime, `14885.36`, in ms; undefined where there is no such file. */
function openUptime(): (() => number) | undefined {
  if (!/^[0-9]+\.[0-9]{2} /.test(read("/proc/uptime") ?? "")) return undefined;
  const file = descriptor ?? openSync("/proc/uptime", "r");
  descriptor = file;
  return () => {
    const length = readSync(file, bytes, 0, bytes.byteLength, 0);
    let hundredths = 0;
    for (let at = 0; at < length && bytes[at] !== SPACE; at += 1)
      if (bytes[at] !== POINT) hundredths = hundredths * 10 + (bytes[at] ?? ZERO) - ZERO;
    return hundredths * 10;
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
