// Blobs on one member: upload in parts, rights, quotas, references, collection, and the routes.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { blobFeature } from "../../src/features/blob/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { formatPosition } from "../../src/log/position.ts";
import { expiringOf } from "../../src/operation/derive.ts";
import { ExpireDuty } from "../../src/operation/expire-duty.ts";
import { sampleBlob, startBlobs } from "../kit/blobs.ts";
import { granted } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { refusal } from "../kit/refusal.ts";

const HOUR_MS = 3_600_000;
const PART = 4 << 20;
const member = granted({ role: "member", spaces: ["team-a"] });
const stranger = granted({ role: "admin", spaces: ["team-b"] });

/** Looks for blobs that are due, as the leader does. */
function collector({ store, log }: ReturnType<typeof startBlobs>) {
  const duty = new ExpireDuty({
    ...{ reader: store.reader, log, expiring: expiringOf([blobFeature]) },
    onError: (error) => {
      throw error;
    },
  });
  return () => duty.look(new AbortController().signal);
}

describe("an upload", () => {
  test("of several parts goes on where it stopped, and the bytes come back", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(2 * PART + 1234);
    const asked = { space: "team-a", sha256, bytes: data.byteLength };
    const first = await world.call("blob_put", { ...asked, data: data.subarray(0, PART).toString("base64") });
    expect(first).toMatchObject({ received: PART, stored: false, holders: 0 });
    // A part that is repeated, and one that leaves a gap, are not taken.
    const same = { ...asked, offset: 0, data: data.subarray(0, PART).toString("base64") };
    expect(await world.call("blob_put", same)).toMatchObject({ received: PART, stored: false });
    const gap = { ...asked, offset: 2 * PART, data: data.subarray(2 * PART).toString("base64") };
    expect(await world.call("blob_put", gap)).toMatchObject({ received: PART, stored: false });
    expect(await world.call("blob_put", asked)).toMatchObject({ received: PART, stored: false });
    const second = { ...asked, offset: PART, data: data.subarray(PART, 2 * PART).toString("base64") };
    expect(await world.call("blob_put", second)).toMatchObject({ received: 2 * PART });
    expect(await world.call("blob_put", gap)).toMatchObject({ received: data.byteLength, stored: true, holders: 1 });
    const parts: Buffer[] = [];
    for (let at = 0; at < data.byteLength; at += PART) {
      const { data: part } = await world.call("blob_get", { space: "team-a", sha256, offset: at });
      parts.push(Buffer.from(String(part), "base64"));
    }
    expect(sha256Hex(Buffer.concat(parts))).toBe(sha256);
    expect(world.unexpected).toEqual([]);
  });

  test("with another hash, a wrong size or no base64 is refused and leaves nothing", async () => {
    await using world = startBlobs();
    const { data } = sampleBlob(1000);
    const { sha256 } = sampleBlob(1000, 2);
    const asked = { space: "team-a", sha256, bytes: 1000, data: data.toString("base64") };
    expect(await refusal(world.call("blob_put", asked))).toMatchObject({ code: "invalid_input" });
    expect(await refusal(world.call("blob_put", { ...asked, bytes: 999 }))).toMatchObject({ code: "too_large" });
    const broken = { ...asked, data: `${asked.data.slice(0, -4)}!!!!` };
    expect(await refusal(world.call("blob_put", broken))).toMatchObject({ code: "invalid_input" });
    const begun = { ...asked, data: data.subarray(0, 10).toString("base64") };
    await world.call("blob_put", begun);
    expect(await refusal(world.call("blob_put", { ...begun, bytes: 2000 }))).toMatchObject({ code: "invalid_input" });
    await eventually(
      "the upload to be given up",
      () => readdirSync(join(world.leader.folder, "blobs", "incoming")).length === 0,
    );
    expect(await world.call("blob_list", {})).toEqual({ blobs: [] });
  });

  test("takes a hash for nothing else than a hash", async () => {
    await using world = startBlobs();
    for (const sha256 of ["../../etc/passwd", "a".repeat(63), "A".repeat(64), `${"a".repeat(62)}/.`, "%2e%2e"]) {
      const fault = await refusal(world.call("blob_put", { space: "team-a", sha256, bytes: 1, data: "YQ==" }));
      expect(fault).toMatchObject({ code: "invalid_input" });
    }
    const found = await world.http("/blobs/..%2f..%2fetc%2fpasswd?space=team-a");
    expect([400, 404]).toContain(found.status);
    expect(existsSync(join(world.leader.folder, "blobs"))).toBe(false);
  });

  test("is refused while the node takes no writes", async () => {
    const full = new Fault("storage_full", "The disk is full", { hint: "Free space." });
    let refused: Fault | undefined;
    await using world = startBlobs([], { writesRefused: () => refused });
    const { data, sha256 } = sampleBlob(100);
    refused = full;
    expect(await refusal(world.put(data))).toMatchObject({ code: "storage_full" });
    expect(world.leader.blobs.incoming.size).toBe(0);
    expect(world.leader.blobs.folder.sizeOf(sha256)).toBeUndefined();
    refused = undefined;
    expect(await world.put(data)).toMatchObject({ stored: true });
  });

  test("is answered with the position of its row, which says who sent it and through what", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(100);
    const signal = new AbortController().signal;
    const input = { space: "team-a", sha256, bytes: 100, data: data.toString("base64") };
    const answer = await world.invoker.invoke({
      ...{ operation: "blob_put", input, caller: member, client: "uploader/1", signal, surface: "peer" },
      forwarded: { via: "nFOLLOWER", role: "member", spaces: ["*"] },
    });
    expect(answer.output).toMatchObject({ stored: true });
    expect(answer.position).toBe(formatPosition(world.log.position()));
    const [row] = world.store.reader.all("SELECT * FROM changes ORDER BY seq DESC LIMIT 1");
    expect(row).toMatchObject({ target: `team-a/blob:${sha256}`, via: "nFOLLOWER", client: "uploader/1" });
  });

  test("of a known hash with another size is refused, and one that asks for less keeps what was promised", async () => {
    await using world = startBlobs(["b"]);
    const { data, sha256 } = sampleBlob(500);
    await world.put(data, { keep_hours: 100, copies: 2 });
    const other = { space: "team-a", sha256, bytes: 501 };
    expect(await refusal(world.call("blob_put", other))).toMatchObject({ code: "invalid_input" });
    const before = await world.call("blob_stat", { space: "team-a", sha256 });
    await world.put(data, { keep_hours: 1, copies: 1 });
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toEqual(before);
    expect(before).toMatchObject({ copies: 2, holders: 2 });
  });

  test("of no bytes is a blob too", async () => {
    await using world = startBlobs();
    const state = await world.call("blob_put", { space: "team-a", sha256: sha256Hex(""), bytes: 0 });
    expect(state).toMatchObject({ stored: true, bytes: 0 });
    const found = await world.http(`/blobs/${sha256Hex("")}?space=team-a`);
    expect([found.status, await found.text()]).toEqual([200, ""]);
  });
});

describe("rights", () => {
  test("belong to the space, and a hash says nothing of other spaces", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(100);
    await world.put(data, {}, member);
    for (const operation of ["blob_get", "blob_stat", "blob_remove"])
      expect(await refusal(world.call(operation, { space: "team-a", sha256 }, stranger))).toMatchObject({
        code: "forbidden",
      });
    const known = await refusal(world.call("blob_stat", { space: "team-b", sha256 }, stranger));
    const unknown = await refusal(world.call("blob_stat", { space: "team-b", sha256: sha256Hex("x") }, stranger));
    expect(known.message.replaceAll(sha256, "")).toBe(unknown.message.replaceAll(sha256Hex("x"), ""));
    expect(await world.call("blob_list", {}, stranger)).toEqual({ blobs: [] });
    // Who knows the hash alone gets nothing stored by it: the bytes are asked for as of any other blob.
    const claim = { space: "team-b", sha256, bytes: 100 };
    expect(await world.call("blob_put", claim, stranger)).toMatchObject({ received: 0, stored: false });
    expect(await refusal(world.call("blob_get", { space: "team-b", sha256 }, stranger))).toMatchObject({
      code: "not_found",
    });
    await world.put(data, { space: "team-b" }, stranger);
    expect(await world.call("blob_remove", { space: "team-a", sha256 }, member)).toEqual({ removed: true });
    expect(world.store.reader.all("SELECT space FROM blobs_free")).toEqual([{ space: "team-b" }]);
    expect(await world.call("blob_stat", { space: "team-b", sha256 }, stranger)).toMatchObject({ holders: 1 });
    expect(world.sweepOf("a").sweep()).toBe(0);
    expect(await world.call("blob_get", { space: "team-b", sha256 }, stranger)).toMatchObject({ bytes: 100 });
  });

  test("end with the quota of the caller and of the space, and with the size", async () => {
    await using world = startBlobs([], { limits: { maxBytes: 10_000, callerBytes: 5000, spaceBytes: 8000 } });
    await world.put(sampleBlob(3000, 1).data, {}, member);
    expect(await refusal(world.put(sampleBlob(3000, 2).data, {}, member))).toMatchObject({ code: "quota_exceeded" });
    const other = granted({ role: "member", spaces: ["team-*"] });
    await world.put(sampleBlob(3000, 2).data, {}, { ...other, id: "nBOB", login: "bob@example.com" });
    const third = { ...other, id: "nCYD", login: "cyd@example.com" };
    expect(await refusal(world.put(sampleBlob(3000, 3).data, {}, third))).toMatchObject({ code: "quota_exceeded" });
    expect(await refusal(world.put(sampleBlob(10_001, 3).data, {}, third))).toMatchObject({ code: "too_large" });
    await world.call("blob_remove", { space: "team-a", sha256: sampleBlob(3000, 1).sha256 }, member);
    expect(await world.put(sampleBlob(3000, 4).data, {}, member)).toMatchObject({ stored: true });
  });
});

test("a page of the list begins behind the one before, over spaces", async () => {
  await using world = startBlobs();
  for (const [seed, space] of [
    [1, "team-a"],
    [2, "team-a"],
    [3, "team-b"],
  ] as const)
    await world.put(sampleBlob(10, seed).data, { space });
  const found: unknown[] = [];
  let cursor: unknown;
  do {
    const page = await world.call("blob_list", { limit: 1, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...(page["blobs"] as { sha256: string }[]).map(({ sha256 }) => sha256));
    cursor = page["cursor"];
  } while (cursor !== undefined && found.length < 9);
  const inA = [1, 2].map((seed) => sampleBlob(10, seed).sha256).sort();
  expect(found).toEqual([...inA, sampleBlob(10, 3).sha256]);
});

describe("what no context refers to", () => {
  test("is removed after the grace, and its bytes with it", async () => {
    let nowMs = 1_700_000_000_000;
    await using world = startBlobs([], { nowMs: () => nowMs });
    const collect = collector(world);
    const { data, sha256 } = sampleBlob(500);
    await world.put(data);
    const sweep = world.sweepOf("a");
    nowMs += 23 * HOUR_MS;
    await collect();
    sweep.sweep();
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 0, holders: 1 });
    nowMs += 2 * HOUR_MS;
    await collect();
    expect(await refusal(world.call("blob_stat", { space: "team-a", sha256 }))).toMatchObject({ code: "not_found" });
    expect(sweep.sweep()).toBe(1);
    expect(world.leader.blobs.folder.list()).toEqual([]);
    expect(world.store.reader.all("SELECT * FROM blob_usage")).toEqual([]);
    expect(world.store.reader.all("SELECT * FROM blob_holders")).toEqual([]);
  });

  test("is kept while a context names it, and a whole grace longer", async () => {
    let nowMs = 1_700_000_000_000;
    await using world = startBlobs([], { nowMs: () => nowMs });
    const collect = collector(world);
    const { data, sha256 } = sampleBlob(500);
    await world.put(data);
    await world.call("context_put", { id: "team-a/release", content: "{}", metadata: { blobs: [sha256, "no hash"] } });
    await world.call("context_put", { id: "team-b/release", content: "{}", metadata: { blobs: [sha256] } });
    for (let day = 0; day < 5; day += 1) {
      nowMs += 25 * HOUR_MS;
      await collect();
    }
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 1 });
    expect(await refusal(world.call("blob_remove", { space: "team-a", sha256 }))).toMatchObject({ code: "in_use" });
    // A context that not everyone may read keeps it too, and is not counted.
    const whispered = { id: "team-a/mine", content: "{}", metadata: { blobs: [sha256] }, visibility: "private" };
    await world.call("context_put", whispered);
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 1 });
    // It is counted once everyone may read it, and no longer than it names the blob.
    await world.call("context_put", { ...whispered, content: "[]", visibility: "public" });
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 2 });
    await world.call("context_put", { ...whispered, content: "1", visibility: "public", metadata: { blobs: [] } });
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 1 });
    await world.call("context_delete", { id: "team-a/mine" });
    // Another version without metadata of its own keeps the reference; a deletion ends it.
    await world.call("context_put", { id: "team-a/release", content: "[]" });
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 1 });
    await world.call("context_delete", { id: "team-a/release" });
    await collect();
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 0 });
    nowMs += 25 * HOUR_MS;
    await collect();
    nowMs += 23 * HOUR_MS;
    await collect();
    expect(await world.call("blob_stat", { space: "team-a", sha256 })).toMatchObject({ references: 0 });
    nowMs += 2 * HOUR_MS;
    await collect();
    expect(await refusal(world.call("blob_stat", { space: "team-a", sha256 }))).toMatchObject({ code: "not_found" });
  });

  test("is purged by an operator although a context names it", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(500);
    await world.put(data, {}, member);
    await world.call("context_put", { id: "team-a/x", content: "{}", metadata: { blobs: [sha256] } });
    const sweep = world.sweepOf("a");
    sweep.sweep();
    expect(await refusal(world.call("blob_purge", { space: "team-a", sha256 }, member))).toMatchObject({
      code: "forbidden",
    });
    expect(await world.call("blob_purge", { space: "team-a", sha256 })).toEqual({ removed: true });
    expect(await world.call("blob_purge", { space: "team-a", sha256 })).toEqual({ removed: false });
    await Bun.sleep(2);
    expect(sweep.sweep()).toBe(1);
  });
});

describe("the routes", () => {
  test("take parts by Content-Range and give bytes whole, by ranges and by conditions", async () => {
    await using world = startBlobs();
    const { data, sha256 } = sampleBlob(PART + 500);
    const path = `/blobs/${sha256}?space=team-a`;
    const put = (from: number, to: number) =>
      world.http(path, {
        method: "PUT",
        headers: { "content-type": "image/png", "content-range": `bytes ${from}-${to - 1}/${data.byteLength}` },
        body: new Uint8Array(data.subarray(from, to)),
      });
    const begun = await put(0, PART);
    expect([begun.status, await begun.json()]).toMatchObject([202, { received: PART, stored: false, holders: 0 }]);
    const state = { method: "PUT", headers: { "content-range": `bytes */${data.byteLength}` } };
    expect(await (await world.http(path, state)).json()).toMatchObject({ received: PART });
    const last = await put(PART, data.byteLength);
    expect([last.status, await last.json()]).toMatchObject([200, { stored: true, holders: 1, wanted: 1 }]);
    const wrong = await world.http(path, {
      method: "PUT",
      headers: { "content-range": "bytes 0-9/10" },
      body: "abc",
    });
    expect(wrong.status).toBe(400);

    const whole = await world.http(path);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("content-type")).toBe("application/octet-stream");
    expect(whole.headers.get("cairn-content-type")).toBe("image/png");
    expect(whole.headers.get("content-disposition")).toBe("attachment");
    expect(whole.headers.get("etag")).toBe(`"${sha256}"`);
    expect(sha256Hex(await whole.bytes())).toBe(sha256);
    const get = (headers: Record<string, string>, method = "GET") => world.http(path, { method, headers });
    for (const [range, from, to] of [
      ["bytes=0-0", 0, 1],
      [`bytes=${PART - 3}-`, PART - 3, data.byteLength],
      ["bytes=-10", data.byteLength - 10, data.byteLength],
      ["bytes=5-999999999", 5, data.byteLength],
    ] as const) {
      const part = await get({ range });
      expect([part.status, part.headers.get("content-range")]).toEqual([
        206,
        `bytes ${from}-${to - 1}/${data.byteLength}`,
      ]);
      expect(Buffer.from(await part.bytes()).equals(data.subarray(from, to))).toBe(true);
    }
    expect((await get({ range: `bytes=${data.byteLength}-` })).status).toBe(416);
    expect((await get({ range: "bytes=9-5" })).status).toBe(200);
    expect((await get({ range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
    expect((await get({ range: "bytes=0-1", "if-range": `"${sha256}"` })).status).toBe(206);
    expect((await get({ "if-none-match": `"${sha256}"` })).status).toBe(304);
    expect((await get({ range: "Bytes=0-1" })).status).toBe(206);
    expect((await get({ "if-match": `"${sha256}"` })).status).toBe(200);
    expect((await get({ "if-match": '"other"' })).status).toBe(412);
    for (const headers of [{}, { range: "bytes=0-1" }, { range: `bytes=${data.byteLength}-` }]) {
      const head = await get(headers, "HEAD");
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(data.byteLength)]);
    }
    expect((await world.http(path, {}, stranger)).status).toBe(403);
    expect((await world.http(path, { method: "DELETE" })).status).toBe(200);
    expect((await world.http(path)).status).toBe(404);
  });
});
