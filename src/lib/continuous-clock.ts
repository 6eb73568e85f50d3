// The clock of macOS that goes on while the machine sleeps and that nobody sets: CLOCK_MONOTONIC_RAW, which is
// mach_continuous_time there. Bun has only clocks that stand still during sleep, so libSystem is asked through bun:ffi.

import { dlopen, FFIType } from "bun:ffi";

const LIBRARY = "/usr/lib/libSystem.B.dylib";
const CLOCK_MONOTONIC_RAW = 4;
const SYMBOLS = { clock_gettime_nsec_np: { args: [FFIType.i32], returns: FFIType.u64 } } as const;

/** Loads a library with its symbols. */
export type LoadClock = (
  path: string,
  symbols: typeof SYMBOLS,
) => { symbols: { clock_gettime_nsec_np: (clock: number) => bigint } };

/** Returns a reader of that clock, in ms; undefined where the system does not let it be called. */
export function continuousClock(load: LoadClock = dlopen): (() => number) | undefined {
  try {
    const { clock_gettime_nsec_np: readNs } = load(LIBRARY, SYMBOLS).symbols;
    // It says 0 of a clock that it does not have.
    return readNs(CLOCK_MONOTONIC_RAW) > 0n ? () => Number(readNs(CLOCK_MONOTONIC_RAW)) / 1e6 : undefined;
  } catch {
    return undefined;
  }
}
