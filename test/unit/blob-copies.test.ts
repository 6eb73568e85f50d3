// Copies of blobs on other members: before a put is acknowledged, after a loss, cut and damaged on the way.

import { describe, expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { join } from "node:path";
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

  test("of a blob that is lost takes its bytes again", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(500);
    await world.put(data);
    await world.call("context_put", { id: "team-a/x", content: "{}", metadata: { blobs: [sha256] } });
    world.leader.blobs.folder.remove(sha256);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 1 });
    const asked = { space, sha256, bytes: 500 };
    expect(await world.call("blob_put", asked)).toMatchObject({ received: 0, stored: false, holders: 0, wanted: 1 });
    expect(await world.put(data)).toMatchObject({ stored: true, holders: 1 });
    const { data: bytes } = await world.call("blob_get", { space, sha256 });
    expect(Buffer.from(String(bytes), "base64").equals(data)).toBe(true);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
  });

  test("of a known blob makes the copies that it asks for before it is stored", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(500);
    const asked = { space, sha256, bytes: 500 };
    await world.put(data, { copies: 1 });
    expect(await world.call("blob_put", { ...asked, copies: 3 })).toMatchObject({ stored: true, holders: 3 });
    expect(disks(world, sha256)).toEqual(["a", "b", "c"]);
    // The leader lost its own file, which is no reason to ask for the bytes.
    world.leader.blobs.folder.remove(sha256);
    expect(await world.call("blob_put", { ...asked, copies: 2 })).toMatchObject({ stored: true });
    named(world, "b").isAway = true;
    named(world, "c").blobs.folder.remove(sha256);
    expect(await world.call("blob_put", { ...asked, copies: 1 })).toMatchObject({ stored: false, received: 0 });
  });

  test("does not end with that of fewer copies which is under way", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(500);
    const asked = { space, sha256, bytes: 500, data: data.toString("base64") };
    const answers = [2, 3].map((copies) => world.call("blob_put", { ...asked, copies }));
    const [, more] = await Promise.all(answers);
    expect(more).toMatchObject({ stored: true, holders: 3 });
    expect(disks(world, sha256)).toEqual(["a", "b", "c"]);
  });

  test("counts members that have the bytes already, whatever their room", async () => {
    await using world = startBlobs(["b", "c"]);
    const { data, sha256 } = sampleBlob(5000);
    const { folder: full } = named(world, "b").blobs;
    full.freeBytes = () => 20_000;
    named(world, "c").blobs.folder.freeBytes = () => 10_000;
    await world.put(data, { copies: 2 });
    expect(disks(world, sha256)).toEqual(["a", "b"]);
    full.freeBytes = () => 10;
    expect(await world.put(data, { copies: 2, space: "team-b" })).toMatchObject({ stored: true, holders: 2 });
    expect(disks(world, sha256)).toEqual(["a", "b"]);
    const fault = await refusal(world.put(sampleBlob(15_000, 3).data, { copies: 3 }));
    expect(fault.message).toContain("b has no room for 15000 bytes");
    expect(fault.message).toContain("c has no room");
  });

  test("that races the removal of the blob makes no row without bytes", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(500);
    await world.put(data);
    const put = world.call("blob_put", { space, sha256, bytes: 500 });
    const [removed, state] = await Promise.all([world.call("blob_remove", { space, sha256 }), put]);
    expect(removed).toEqual({ removed: true });
    expect(state).toMatchObject({ stored: false, received: 0 });
    expect(await refusal(world.call("blob_stat", { space, sha256 }))).toMatchObject({ code: "not_found" });
    expect(await world.put(data)).toMatchObject({ stored: true });
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

  test("of the end of a file is a loss of the file", async () => {
    await using world = startBlobs(["b"]);
    const { data, sha256 } = sampleBlob(2000);
    await world.put(data);
    const cut = named(world, "b");
    truncateSync(join(cut.folder, "blobs", sha256.slice(0, 2), sha256), 10);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
    expect(cut.blobs.folder.sizeOf(sha256)).toBe(2000);
    truncateSync(join(world.leader.folder, "blobs", sha256.slice(0, 2), sha256), 10);
    expect(await world.keep.look(never)).toEqual({ degraded: 0, lost: 0 });
    expect(world.leader.blobs.folder.sizeOf(sha256)).toBe(2000);
  });

  test("of a member that is away costs a reader one wait, not one for each part", async () => {
    let nowMs = 1_700_000_000_000;
    await using world = startBlobs(["b", "c"], { nowMs: () => nowMs });
    const { data, sha256 } = sampleBlob(5000);
    await world.put(data, { copies: 3 });
    world.leader.blobs.folder.remove(sha256);
    const ask = world.leader.members.ask;
    const asked: string[] = [];
    world.leader.members.ask = (node, path, value, options) => {
      asked.push(node);
      return ask(node, path, value, options);
    };
    named(world, "b").isAway = true;
    const read = (offset: number) => world.call("blob_get", { space, sha256, offset, length: 500 });
    for (let at = 0; at < 2000; at += 500) await read(at);
    expect(asked).toEqual(["b", "c", "c", "c", "c"]);
    // The one that gave the last part is asked first, also where the other is back.
    named(world, "b").isAway = false;
    nowMs += 61_000;
    await read(2000);
    expect(asked.at(-1)).toBe("c");
    named(world, "c").isAway = true;
    await read(2500);
    await read(3000);
    expect(asked.slice(-3)).toEqual(["c", "b", "b"]);
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
