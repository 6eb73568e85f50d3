// Limits of time that hold on a busy machine too: neither loosens what is asserted, both leave out the time in which this
// process had no turn.

/** So many processes have to run after each other before a limit counts as exceeded. */
const OTHERS = 20;

/**
 * Returns what the promise resolves to; throws where that takes longer than `ms`. On a busy machine that is later: when
 * twenty processes more have begun and ended one after the other. What was due in time, and waits only for its turn, has had
 * it by then.
 */
export async function inTime<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(async () => {
    for (let count = 0; count < OTHERS; count++) await Bun.spawn(["true"]).exited;
    reject(new Error(`not within ${ms} ms`));
  }, ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    late.catch(() => {});
  }
}

/** Returns how long this thread has computed, in ms; what other threads and processes do does not count. */
export function computedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
