// The kit's limits of time: they must let through what is in time and find what is not.

import { expect, test } from "bun:test";
import { computedMs, inTime } from "../kit/in-time.ts";

test("inTime() returns what comes in time, and passes a refusal on", async () => {
  expect(await inTime(1_000, Promise.resolve("done"))).toBe("done");
  await expect(inTime(1_000, Promise.reject(new Error("refused")))).rejects.toThrow("refused");
});

test("inTime() throws for what does not come", async () => {
  await expect(inTime(10, new Promise(() => {}))).rejects.toThrow("not within 10 ms");
});

test("inTime() lets through what was due in time when this process stood still", async () => {
  const due = Bun.sleep(20).then(() => "done");
  const waiting = inTime(40, due);
  Bun.sleepSync(200);
  expect(await waiting).toBe("done");
});

test("computedMs() counts computing and no waiting", () => {
  const before = computedMs();
  Bun.sleepSync(200);
  const waited = computedMs() - before;
  const until = performance.now() + 50;
  while (performance.now() < until);
  expect(waited).toBeLessThan(50);
  expect(computedMs() - before).toBeGreaterThan(waited);
});
