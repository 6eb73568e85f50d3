// store_growth: moments of the change log, whatever its length, for those who may read all spaces.

import { expect, test } from "bun:test";
import { contextOperations } from "../../src/features/context/index.ts";
import { storeGrowth } from "../../src/fleet/growth.ts";
import { granted, startCore } from "../kit/core.ts";

interface Growth {
  points: { time: string; changes: number }[];
  bytes: number;
}

function start() {
  let nowMs = Date.parse("2026-01-01T00:00:00Z");
  const core = startCore({ operations: [...contextOperations, storeGrowth], nowMs: () => nowMs });
  const put = async (count: number) => {
    for (let index = 0; index < count; index++) {
      nowMs += 60_000;
      await core.call("context_put", { id: `team-a/c${index}`, content: `${nowMs}` });
    }
  };
  const growth = async () => (await core.call("store_growth", {})) as unknown as Growth;
  return { core, put, growth, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

test("an empty store has no moments, a new one each change", async () => {
  await using store = start();
  expect((await store.growth()).points).toEqual([]);
  await store.put(1);
  expect((await store.growth()).points).toEqual([{ time: "2026-01-01T00:01:00.000Z", changes: 1 }]);
  await store.put(2);
  expect((await store.growth()).points.map(({ changes }) => changes)).toEqual([1, 2, 3]);
});

test("a long log is shown by few moments, from the first kept change to the newest", async () => {
  await using store = start();
  await store.put(200);
  const { points, bytes } = await store.growth();
  expect(points).toHaveLength(48);
  expect([points[0]?.changes, points.at(-1)?.changes]).toEqual([1, 200]);
  for (const [index, { time, changes }] of points.entries()) {
    expect(changes).toBeGreaterThan(points[index - 1]?.changes ?? 0);
    expect(Date.parse(time)).toBe(Date.parse("2026-01-01T00:00:00Z") + changes * 60_000);
  }
  expect(bytes).toBeGreaterThan(10_000);
});

test("one who may read some spaces only is refused", async () => {
  await using store = start();
  await store.put(1);
  const call = (...grants: unknown[]) => store.core.call("store_growth", {}, granted(...grants));
  await expect(call({ role: "admin", spaces: ["team-*"] })).rejects.toMatchObject({ code: "forbidden" });
  await expect(call({ role: "reader", spaces: ["a*"] }, { role: "reader", spaces: ["b*"] })).rejects.toMatchObject({
    code: "forbidden",
  });
  expect((await call({ role: "reader", spaces: ["*"] }))["points"]).toHaveLength(1);
});
