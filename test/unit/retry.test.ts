// Waits between tries.

import { expect, test } from "bun:test";
import { pause } from "../../src/lib/pause.ts";
import { Backoff, backoffMs, retry } from "../../src/lib/retry.ts";

/** Waits that are only written down. */
function recorded() {
  const waits: number[] = [];
  const pauseFor = async (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    waits.push(ms);
  };
  return { waits, pauseFor };
}

test("waits double from the first to the longest, or stay the same", () => {
  const times = [1, 2, 3, 4, 5, 2000];
  expect(times.map((failures) => backoffMs(failures, { firstMs: 100, lastMs: 1000 }))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
  expect(times.map((failures) => backoffMs(failures, { firstMs: 100 }))).toEqual([100, 100, 100, 100, 100, 100]);
});

test("a jitter of a half spreads a wait from 75 to 125 percent", () => {
  const at = (random: number) => backoffMs(2, { firstMs: 100, lastMs: 1000, jitter: 0.5, random: () => random });
  expect([at(0), at(0.5), at(1)]).toEqual([150, 200, 250]);
});

test("a loop waits longer after each failure, and begins again after a reset", async () => {
  const { waits, pauseFor } = recorded();
  const backoff = new Backoff({ firstMs: 10, lastMs: 40 }, pauseFor);
  for (let i = 0; i < 4; i++) await backoff.wait();
  backoff.reset();
  await backoff.wait();
  expect(waits).toEqual([10, 20, 40, 40, 10]);
});

test("retry returns the first result and gives up by number, by error and by signal", async () => {
  const { waits, pauseFor } = recorded();
  const options = { firstMs: 10, lastMs: 100, mayRetry: (error: unknown) => String(error).includes("again"), pauseFor };
  const failing = (...messages: string[]) => {
    let calls = 0;
    const body = async () => {
      const message = messages[calls++];
      if (message !== undefined) throw new Error(message);
      return calls;
    };
    return { body, calls: () => calls };
  };
  expect(await retry(failing("again", "again").body, options)).toBe(3);
  expect(waits).toEqual([10, 20]);
  const often = failing("again 1", "again 2", "again 3");
  await expect(retry(often.body, { ...options, tries: 2 })).rejects.toThrow("again 2");
  expect(often.calls()).toBe(2);
  await expect(retry(failing("again", "never").body, options)).rejects.toThrow("never");
  const aborted = failing("again", "again");
  await expect(retry(aborted.body, { ...options, signal: AbortSignal.abort("gone") })).rejects.toBe("gone");
  expect(aborted.calls()).toBe(1);
});

test("a pause ends at its time, or at once with the signal's reason", async () => {
  const begun = performance.now();
  await pause(20);
  expect(performance.now() - begun).toBeGreaterThanOrEqual(19);
  const stop = new AbortController();
  const waiting = pause(60_000, stop.signal);
  stop.abort("gone");
  await expect(waiting).rejects.toBe("gone");
  await expect(pause(60_000, AbortSignal.abort("gone before"))).rejects.toBe("gone before");
  await pause(1, new AbortController().signal);
});
