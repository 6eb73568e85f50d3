// Time limits that hold on a busy machine too. Neither loosens what is asserted; both leave out the time in which this
// process was not scheduled.

/** This many processes have to run after each other before a limit counts as exceeded. */
const OTHERS = 20;

/**
 * Returns what the promise resolves to; throws where that takes longer than `ms`. On a busy machine the limit is later:
 * when twenty more processes have started and ended one after the other. By then everything that was due in time has
 * run.
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

/** Returns the CPU time of this thread so far, in ms; other threads and processes do not count. */
export function computedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
