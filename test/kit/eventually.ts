// Waiting in tests: for a condition, never for time alone. The condition is polled every few milliseconds until it
// holds.

const STEP_MS = 20;
/** Time limit for what takes well under a second on a machine that is not busy. */
export const PATIENCE_MS = 30_000;

/**
 * Returns the first result of `look` that is neither undefined nor false. Fails after `withinMs`, naming what was
 * waited for and what `seen` returns.
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  options: { withinMs?: number; stepMs?: number; seen?: () => unknown } = {},
): Promise<T> {
  const { withinMs = PATIENCE_MS, stepMs = STEP_MS, seen } = options;
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      const shown = seen === undefined ? "" : `; seen: ${String(seen()).slice(-4000)}`;
      throw new Error(`waited ${withinMs} ms for ${what}${shown}`);
    }
    await Bun.sleep(stepMs);
  }
}

/** Returns the result of the promise; fails after `withinMs`, naming what was waited for. */
export async function within<T>(what: string, promise: Promise<T>, withinMs = PATIENCE_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${withinMs} ms for ${what}`)), withinMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
