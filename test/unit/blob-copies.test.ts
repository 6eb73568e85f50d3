// Copies of blobs on other members: before a put is acknowledged, after a loss, cut and damaged on the way.

import { describe, expect, test } from "bun:test";
import { type BlobMember, sampleBlob, startBlobs } from "../kit/blobs.ts";
import { refusal } from "../kit/refusal.ts";

const PART = 4 << 20;
const space = "team-a";
const never = new AbortController().signal;

function named(world: ReturnType<typeof startBlobs>, name: string): BlobMember {
  const found = world.fleet.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

/** Returns the members on whose disk a blob is. */
function disks(world: ReturnType<typeof startBlobs>, sha256: string): string[] {
  return [...world.fleet.values()]
    .filter(({ blobs }) => blobs.folder.sizeOf(sha256) !== undefined)
    .map(({ name }) => name);
}

function rows(world: ReturnType<typeof startBlobs>, sha256: string): string[] {
  const sql = "SELECT member FROM blob_holders WHERE sha256 = ? ORDER BY member";
  return world.store.reader.all<{ member: string }>(sql, sha256).map(({ member }) => member);
}

describe("a put", () => {
  test("is stored once as many members hold it as asked", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(PART + 77);
    expect(await world.put(data, { copies: 3 })).toMatchObject({ stored: true, holders: 3 });
    expect(disks(world, sha256)).toEqual(["a", "b", "c"]);
    expect(rows(world, sha256)).toEqual(["a", "b", "c"]);
    // More than there are members: as many as there are.
    expect(await world.put(sampleBlob(10, 9).data, { copies: 5 })).toMatchObject({ stored: true, holders: 3 });
  });

  test("of too few members that answer is not stored, and goes on without its bytes", async () => {
    await using world = startBlobs(["b", "c"]);
    named(world, "b").isAway = true;
    named(world, "c").isAway = true;
    const { data, sha256 } = sampleBlob(1000);
    expect(await refusal(world.put(data))).toMatchObject({ code: "unavailable" });
    expect(rows(world, sha256)).toEqual([]);
    expect(await refusal(world.call("blob_get", { space, sha256 }))).toMatchObject({ code: "not_found" });
    named(world, "c").isAway = false;
    const again = await world.call("blob_put", { space, sha256, bytes: 1000 });
    expect(again).toMatchObject({ stored: true, holders: 2 });
    expect(disks(world, sha256)).toEqual(["a", "c"]);
  });

  test("goes to another member where the bytes break off or arrive damaged", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(3 * PART);
    world.leader.cutParts = 1;
    expect(await world.put(data)).toMatchObject({ stored: true, holders: 2 });
    world.leader.cutParts = 0;
    world.leader.isDamaged = true;
    const other = sampleBlob(PART, 5);
    const fault = await refusal(world.put(other.data, { copies: 3 }));
    expect(fault).toMatchObject({ code: "unavailable" });
    expect(fault.message).toContain("SHA-256");
    expect(disks(world, other.sha256)).toEqual(["a"]);
    expect(disks(world, sha256)).toHaveLength(2);
  });

  test("resumes a copy where it was cut", async () => {
    await using world = startBlobs(["b"]);
    const { data, sha256 } = sampleBlob(3 * PART);
    const { leader } = world;
    const part = leader.answer.bind(leader);
    let asked = 0;
    leader.answer = async (path, value, member) => {
      if (path === "blob_part") asked += 1;
      if (path === "blob_part" && asked === 3) leader.cutParts = 1;
      return part(path, value, member);
    };
    expect(await refusal(world.put(data))).toMatchObject({ code: "unavailable" });
    expect(await world.call("blob_put", { space, sha256, bytes: data.byteLength })).toMatchObject({ stored: true });
    expect(leader.parts).toEqual([0, PART, 2 * PART, 2 * PART]);
  });

  test("is given only to full members", async () => {
    await using world = startBlobs(["b"]);
    const { data, sha256 } = sampleBlob(10);
    await world.put(data);
    const edge = { role: "edge", spaces: ["*"], server: "" } as const;
    const asked = { sha256, offset: 0, length: 10 };
    expect(await refusal(world.leader.answer("blob_part", asked, edge))).toMatchObject({ code: "forbidden" });
  });
});

describe("a loss", () => {
  test("of a holder's disk is made good from another one", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(2000);
    await world.put(data);
    const [, holder = ""] = disks(world, sha256);
    named(world, holder).blobs.folder.remove(sha256);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
    expect(disks(world, sha256)).toHaveLength(2);
    expect(rows(world, sha256)).toEqual(disks(world, sha256));
  });

  test("of a member that is away is waited for, then made good", async () => {
    let nowMs = 1_700_000_000_000;
    await using world = startBlobs(["b", "c"], { nowMs: () => nowMs });
    const { data, sha256 } = sampleBlob(2000);
    await world.put(data);
    const [, holder = ""] = disks(world, sha256);
    await world.keep.look(never);
    named(world, holder).isAway = true;
    expect(await world.keep.look(never)).toEqual({ degraded: 1, lost: 0 });
    expect(world.conditions.of({}).has("blobs_degraded" as never)).toBe(true);
    nowMs += 11 * 60_000;
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
    expect(world.conditions.of({}).has("blobs_degraded" as never)).toBe(false);
    expect(rows(world, sha256)).not.toContain(holder);
    // What comes back counts again.
    named(world, holder).isAway = false;
    await world.keep.look(never);
    expect(rows(world, sha256)).toEqual(["a", "b", "c"]);
  });

  test("of the only copy is a condition and a clear error, and passes when it comes back", async () => {
    await using world = startBlobs(["b"]);
    const { data, sha256 } = sampleBlob(2000);
    await world.put(data);
    world.leader.blobs.folder.remove(sha256);
    named(world, "b").isAway = true;
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 1 });
    expect(world.conditions.of({}).has("blobs_lost" as never)).toBe(true);
    const fault = await refusal(world.call("blob_get", { space, sha256 }));
    expect(fault).toMatchObject({ code: "unavailable" });
    expect(fault.message).toContain("b:");
    expect((await world.http(`/blobs/${sha256}?space=${space}`)).status).toBe(503);
    named(world, "b").isAway = false;
    // Read from the other member, without a copy here.
    const { data: bytes } = await world.call("blob_get", { space, sha256 });
    expect(Buffer.from(String(bytes), "base64").equals(data)).toBe(true);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
    expect(disks(world, sha256)).toEqual(["a", "b"]);
    expect(world.conditions.of({}).has("blobs_lost" as never)).toBe(false);
  });
});
