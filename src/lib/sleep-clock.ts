// Elapsed time that goes on while the machine sleeps and that no change of the wall clock moves (Linux; on macOS a set clock moves the part that counts sleep).

import { uptime } from "node:os";

/** Ms since some moment before. The clock without sleep is exact; the one with sleep counts whole seconds, so it only counts where it is ahead by more. */
export function sleepClock(
  exactMs: () => number = () => performance.now(),
  uptimeSeconds: () => number = uptime,
): () => number {
  const exactStart = exactMs();
  const uptimeStart = uptimeSeconds();
  let sleptMs = 0;
  return () => {
    const exact = exactMs() - exactStart;
    const withSleep = (uptimeSeconds() - uptimeStart) * 1000;
    if (withSleep - exact - sleptMs > 1_000) sleptMs = withSleep - exact - 1_000;
    return exact + sleptMs;
  };
}
