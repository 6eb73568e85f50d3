// A clock that goes on while the machine sleeps, for ages and deadlines of freshness (replication.md 28). What is fresh is decided by its users.
// Bun offers none: performance.now, Bun.nanoseconds and process.hrtime are CLOCK_MONOTONIC (on macOS mach_absolute_time), which stand still during sleep; os.uptime has whole seconds;
// and reaching clock_gettime needs FFI, which belongs to tailnet/. So Linux reads CLOCK_BOOTTIME from /proc/uptime (10 ms steps, about 1 µs a reading),
// and elsewhere a jump of the wall clock ahead of the monotonic one counts as time that was slept.

import { openSync, readFileSync, readSync } from "node:fs";

/** A clock with the name of what it counts from. */
export interface SleepClock {
  /** Ms since some moment; never goes back, counts sleep. */
  nowMs(): number;
  /** Readings under the same name can be compared, also with those of a process before; "" where they cannot. */
  readonly since: string;
  /** By how much a difference of two readings may be too small, in ms. */
  readonly stepMs: number;
}

/** Where the wall clock is ahead by this much, the machine slept, or the clock was set: nothing is fresh then either way. */
const JUMP_MS = 50;

/** The clock of this machine. */
export function openSleepClock(): SleepClock {
  const boot = read("/proc/sys/kernel/random/boot_id")?.trim();
  const uptime = openUptime();
  if (boot === undefined || uptime === undefined) return wallCheckedClock(() => performance.now(), Date.now);
  let last = 0;
  const nowMs = (): number => {
    last = Math.max(last, uptime());
    return last;
  };
  return { nowMs, since: boot, stepMs: 10 };
}

/** Monotonic time, and what the wall clock was ahead of it in jumps. A wall clock that is set back changes nothing. */
export function wallCheckedClock(monotonicMs: () => number, wallMs: () => number): SleepClock {
  let slept = 0;
  let ahead = wallMs() - monotonicMs();
  const nowMs = (): number => {
    const monotonic = monotonicMs();
    const difference = wallMs() - monotonic;
    if (difference > ahead + JUMP_MS) slept += difference - ahead;
    if (Math.abs(difference - ahead) > JUMP_MS) ahead = difference;
    return monotonic + slept;
  };
  return { nowMs, since: "", stepMs: JUMP_MS };
}

/** Reads the first number of /proc/uptime, `14885.36`, over a descriptor that stays open with the process: every cached read asks for it. */
function openUptime(): (() => number) | undefined {
  if (!/^[0-9]+\.[0-9]{2} /.test(read("/proc/uptime") ?? "")) return undefined;
  const descriptor = openSync("/proc/uptime", "r");
  const bytes = Buffer.alloc(64);
  return () => {
    const length = readSync(descriptor, bytes, 0, bytes.byteLength, 0);
    let hundredths = 0;
    for (let at = 0; at < length && bytes[at] !== SPACE; at += 1)
      if (bytes[at] !== POINT) hundredths = hundredths * 10 + (bytes[at] ?? ZERO) - ZERO;
    return hundredths * 10;
  };
}

const [SPACE, POINT, ZERO] = [0x20, 0x2e, 0x30];

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
