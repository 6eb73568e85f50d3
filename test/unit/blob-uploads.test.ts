// What uploads of blobs may take: places, disk and quota, before their blobs have a row.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { sampleBlob, startBlobs } from "../kit/blobs.ts";
import { granted } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

const space = "team-a";
const member = granted({ role: "member", spaces: ["team-*"] });
const other = { ...member, id: "nBOB", login: "bob@example.com" };
const third = { ...member, id: "nCYD", login: "cyd@example.com" };

function begun(world: ReturnType<typeof startBlobs>, seed: number, caller = member, where = space) {
  const { data, sha256 } = sampleBlob(3000, seed);
  const part = { space: where, sha256, bytes: 3000, data: data.subarray(0, 10).toString("base64") };
  return world.call("blob_put", part, caller);
}

describe("bytes without a row", () => {
  test("count for the caller and for the space while they arrive", async () => {
    await using world = startBlobs([], { limits: { callerBytes: 5000, spaceBytes: 8000 } });
    await begun(world, 1);
    expect(await refusal(begun(world, 2))).toMatchObject({
      code: "quota_exceeded",
      details: { quota: "blobs.caller_bytes" },
    });
    // The upload itself is not counted twice.
    expect(await begun(world, 1)).toMatchObject({ received: 10 });
    await begun(world, 2, other);
    expect(await refusal(begun(world, 3, third))).toMatchObject({ details: { quota: "blobs.space_bytes" } });
    expect(await begun(world, 3, third, "team-b")).toMatchObject({ received: 10 });
  });

  test("count while they wait for copies, and until their file is removed", async () => {
    let nowMs = Date.now();
    const limits = { callerBytes: 5000, spaceBytes: 0 };
    await using world = startBlobs(["b"], { limits, nowMs: () => nowMs });
    Object.assign(world.fleet.get("b") ?? {}, { isAway: true });
    expect(await refusal(world.put(sampleBlob(4000, 1).data, {}, member))).toMatchObject({ code: "unavailable" });
    expect(await refusal(world.put(sampleBlob(4000, 2).data, {}, member))).toMatchObject({ code: "quota_exceeded" });
    expect(world.leader.blobs.folder.list()).toHaveLength(1);
    nowMs += 3_700_000;
    world.sweepOf("a").sweep();
    expect(world.leader.blobs.folder.list()).toEqual([]);
    expect(await refusal(world.put(sampleBlob(4000, 2).data, {}, member))).toMatchObject({ code: "unavailable" });
  });

  test("are removed where their row is refused for good", async () => {
    const limits = { callerBytes: 5000, spaceBytes: 0 };
    await using world = startBlobs(["b"], { limits });
    const away = world.fleet.get("b");
    if (away === undefined) throw new Error("no b");
    away.isAway = true;
    const { data, sha256 } = sampleBlob(4000, 1);
    expect(await refusal(world.put(data, {}, member))).toMatchObject({ code: "unavailable" });
    away.isAway = false;
    limits.callerBytes = 3000;
    expect(await refusal(world.put(data, {}, member))).toMatchObject({ code: "quota_exceeded" });
    expect(world.leader.blobs.folder.sizeOf(sha256)).toBeUndefined();
    limits.callerBytes = 5000;
    expect(await world.call("blob_put", { space, sha256, bytes: 4000 }, member)).toMatchObject({ received: 0 });
  });

  test("end with the part that has more than was said", async () => {
    await using world = startBlobs();
    const asked = { space, sha256: sha256Hex("hello"), bytes: 5 };
    await world.call("blob_put", { ...asked, data: "aGU=" });
    const more = { ...asked, offset: 2, data: Buffer.from("llo!!").toString("base64") };
    expect(await refusal(world.call("blob_put", more))).toMatchObject({ code: "too_large" });
    expect(world.leader.blobs.incoming.size).toBe(0);
    expect(readdirSync(join(world.leader.folder, "blobs", "incoming"))).toEqual([]);
  });

  test("are given up an hour after the last that came, whatever is asked meanwhile", async () => {
    let nowMs = Date.now();
    await using world = startBlobs([], { nowMs: () => nowMs });
    await begun(world, 1);
    nowMs += 2_000_000;
    // Repeats a part that is there.
    expect(await begun(world, 1)).toMatchObject({ received: 10 });
    nowMs += 2_000_000;
    world.leader.blobs.incoming.giveUpIdle();
    expect(world.leader.blobs.incoming.size).toBe(0);
  });
});

test("only who sent all bytes, and only for that space, has the blob added", async () => {
  await using world = startBlobs(["b"]);
  const b = world.fleet.get("b");
  if (b === undefined) throw new Error("no b");
  b.isAway = true;
  const { data, sha256 } = sampleBlob(500);
  const asked = { space, sha256, bytes: 500 };
  expect(await refusal(world.put(data, {}, member))).toMatchObject({ code: "unavailable" });
  b.isAway = false;
  expect(await world.call("blob_put", asked, other)).toMatchObject({ received: 0, stored: false });
  const elsewhere = { ...asked, space: "team-b" };
  expect(await world.call("blob_put", elsewhere, member)).toMatchObject({ received: 0, stored: false });
  expect(await world.call("blob_put", asked, member)).toMatchObject({ stored: true, holders: 2 });
});

test("what was given up owes the disk nothing", async () => {
  await using world = startBlobs();
  const { folder } = world.leader.blobs;
  const most = Math.floor(folder.freeBytes() * 0.8);
  for (const name of ["a", "b"]) {
    const file = await folder.begin(name.repeat(64), most);
    expect(await refusal(folder.begin("c".repeat(64), most))).toMatchObject({ code: "storage_full" });
    await file.giveUp();
  }
});

test("places are of callers, not of their agents, and copies have their own", async () => {
  await using world = startBlobs();
  const { incoming } = world.leader.blobs;
  const add = (owner: string | undefined, n: number, agent = "") => {
    const key = JSON.stringify([owner ?? null, agent, n]);
    return incoming.add({ key, owner, space, sha256: sha256Hex(key), bytes: 10 }, 0, new Uint8Array(1));
  };
  for (let n = 0; n < 16; n += 1) await add("eve", n, `agent-${n % 4}`);
  expect(await refusal(add("eve", 16, "agent-9"))).toMatchObject({ code: "rate_limited" });
  for (const caller of ["ann", "bob", "cyd"]) for (let n = 0; n < 16; n += 1) await add(caller, n);
  expect(await refusal(add("dan", 1))).toMatchObject({ code: "rate_limited" });
  for (let n = 0; n < 64; n += 1) await add(undefined, n);
  expect((await refusal(add(undefined, 64))).message).toContain("64 copies");
});
