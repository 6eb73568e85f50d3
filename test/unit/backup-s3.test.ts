// Backups in a bucket: AWS's own test vectors for signatures, and sending, checking, keeping and fetching against an S3
// that checks what it gets and fails as told.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nameOf, parseName } from "../../src/features/backup/backup-name.ts";
import { Bucket } from "../../src/features/backup/bucket.ts";
import { S3 } from "../../src/features/backup/s3.ts";
import { signed } from "../../src/features/backup/signature.ts";
import { xmlText } from "../../src/features/backup/xml.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import type { Manifest } from "../../src/store/backup.ts";
import { inTime } from "../kit/in-time.ts";
import { S3_BUCKET, S3_KEYS, TestS3 } from "../kit/s3.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const EMPTY = sha256Hex("");

test.each([
  // AWS's Signature Version 4 test suite.
  [
    "get-vanilla",
    "GET",
    "https://example.amazonaws.com/",
    {},
    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  ],
  [
    "get-vanilla-query-order-key-case",
    "GET",
    "https://example.amazonaws.com/?Param2=value2&Param1=value1",
    {},
    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  ],
  [
    "post-vanilla",
    "POST",
    "https://example.amazonaws.com/",
    {},
    "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  ],
] as const)("the signature of AWS's vector %s", (_name, method, url, headers, expected) => {
  const keys = {
    accessKeyId: "AKIDEXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "service",
  };
  const sent = signed(
    { method, url: new URL(url), headers, bodyHash: EMPTY, atMs: Date.UTC(2015, 7, 30, 12, 36) },
    keys,
  );
  expect(sent["authorization"]).toEndWith(`Signature=${expected}`);
});

test.each([
  // The examples of the S3 API's page on signing.
  ["GET", "/test.txt", { range: "bytes=0-9" }, "", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"],
  [
    "PUT",
    "/test$file.text",
    { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
    "Welcome to Amazon S3.",
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  ],
  ["GET", "/?lifecycle", {}, "", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
  ["GET", "/?max-keys=2&prefix=J", {}, "", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
] as const)("the signature of S3's example %s %s", (method, path, headers, body, expected) => {
  const keys = {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "s3",
  };
  const url = new URL(`https://examplebucket.s3.amazonaws.com${path}`);
  const bodyHash = sha256Hex(body);
  const all = { ...headers, "x-amz-content-sha256": bodyHash };
  const sent = signed({ method, url, headers: all, bodyHash, atMs: Date.UTC(2013, 4, 24) }, keys);
  expect(sent["authorization"]).toEndWith(`Signature=${expected}`);
});

const PART = 1000;
const signal = new AbortController().signal;

function bucketAt(
  s3: TestS3,
  options: { maker?: string; keys?: typeof S3_KEYS; region?: string; nowMs?: () => number } = {},
): Bucket {
  const service = new S3({
    endpoint: `http://${s3.host}`,
    bucket: S3_BUCKET,
    region: options.region ?? "us-east-1",
    keys: options.keys ?? S3_KEYS,
    outbound: (url, init) => fetch(url, { ...init, redirect: "manual", keepalive: false }),
    nowMs: options.nowMs ?? Date.now,
    retryMs: 1,
  });
  return new Bucket({ s3: service, prefix: "fleet/home", maker: options.maker ?? "0123abcd", partBytes: PART });
}

const name = (day: number, maker = "0123abcd"): string =>
  nameOf({ hostname: "mini", maker, atMs: Date.UTC(2026, 0, day), position: `aaaaaaaaaa-${day}` });

/** A folder that looks like a backup with a file of so many bytes. */
function madeOf(bytes: number): { folder: string; manifest: Manifest; content: Buffer } {
  const folder = join(temporaryFolder(), "backup");
  mkdirSync(folder);
  const content = Buffer.from(Array.from({ length: bytes }, (_, index) => (index * 31) % 251));
  writeFileSync(join(folder, "cairn.db"), content);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const manifest: Manifest = {
    format: 1,
    created_at: "2026-01-01T00:00:00.000Z",
    schema: 3,
    file: { name: "cairn.db", bytes, sha256 },
    content: { position: "aaaaaaaaaa-1" },
  };
  return { folder, manifest, content };
}

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Fault) return error;
  throw new Error(`no Fault but ${String(error)}`);
}

test.each([0, 1, PART, PART + 1, 5 * PART])(
  "a backup of %d bytes is sent, listed and fetched as it was",
  async (bytes) => {
    await using s3 = await TestS3.start();
    const bucket = bucketAt(s3);
    const { folder, manifest, content } = madeOf(bytes);
    await bucket.upload(name(1), folder, manifest, signal);
    expect(s3.keys).toEqual([`fleet/home/${name(1)}/cairn.db`, `fleet/home/${name(1)}/manifest.json`]);
    expect(s3.objects.get(`fleet/home/${name(1)}/cairn.db`)?.bytes.equals(content)).toBe(true);
    expect((await bucket.list(signal)).complete.map((found) => found.name)).toEqual([name(1)]);
    expect(await bucket.manifestOf(name(1), signal)).toEqual(manifest);
    const path = join(temporaryFolder(), "fetched");
    await bucket.downloadFile(name(1), path, manifest, signal);
    expect(readFileSync(path).equals(content)).toBe(true);
  },
);

test("errors that pass are tried again, and a cut connection costs one part", async () => {
  await using s3 = await TestS3.start();
  const { folder, manifest, content } = madeOf(3 * PART);
  s3.faults.push(
    { fits: /^PUT .*partNumber=1/, fault: "500" },
    { fits: /^PUT .*partNumber=1/, fault: "503" },
    { fits: /^PUT .*partNumber=2/, fault: "cut" },
    { fits: /^PUT .*partNumber=3/, fault: "slow" },
    { fits: /^HEAD /, fault: "500" },
    { fits: /^PUT .*manifest/, fault: "cut" },
  );
  await bucketAt(s3).upload(name(1), folder, manifest, signal);
  expect(s3.faults).toEqual([]);
  expect(s3.objects.get(`fleet/home/${name(1)}/cairn.db`)?.bytes.equals(content)).toBe(true);
  expect(s3.seen.filter((what) => what.includes("partNumber=1"))).toHaveLength(3);
  expect(s3.seen.filter((what) => what.includes("partNumber=2"))).toHaveLength(2);
});

test("what stays wrong ends after four tries, with the service's own words and no backup", async () => {
  await using s3 = await TestS3.start();
  const { folder, manifest } = madeOf(PART);
  for (let count = 0; count < 4; count += 1) s3.faults.push({ fits: /^PUT .*cairn\.db/, fault: "500" });
  const fault = await faultOf(bucketAt(s3).upload(name(1), folder, manifest, signal));
  expect(fault).toMatchObject({ code: "unavailable" });
  expect(fault.message).toContain("500 InternalError: try again");
  expect(s3.seen.filter((what) => what.startsWith("PUT"))).toHaveLength(4);
  expect((await bucketAt(s3).list(signal)).complete).toEqual([]);
});

test.each([
  ["another secret", { keys: { ...S3_KEYS, secretAccessKey: "wrong-secret" } }, "SignatureDoesNotMatch"],
  ["another id", { keys: { ...S3_KEYS, accessKeyId: "AKIDOTHER" } }, "InvalidAccessKeyId"],
  ["another region", { region: "eu-1" }, "expecting 'us-east-1'"],
  ["a clock of yesterday", { nowMs: () => Date.now() - 86_400_000 }, "RequestTimeTooSkewed"],
])("%s is refused at once, in words, without the keys", async (_name, options, words) => {
  await using s3 = await TestS3.start();
  const { folder, manifest } = madeOf(10);
  const fault = await faultOf(bucketAt(s3, options).upload(name(1), folder, manifest, signal));
  expect(fault.message).toContain(words);
  expect(`${fault.message}${fault.hint}`).not.toMatch(/wrong-secret|s3-canary/);
  // The question for old uploads, and the file: neither is tried twice.
  expect(s3.seen).toHaveLength(2);
});

test.each(["corrupt", "wrong-checksum"] as const)(
  "what is stored differently than it was sent (%s) is found and removed",
  async (fault) => {
    await using s3 = await TestS3.start();
    const { folder, manifest } = madeOf(10);
    s3.faults.push({ fits: /^PUT .*cairn\.db/, fault });
    const found = await faultOf(bucketAt(s3).upload(name(1), folder, manifest, signal));
    expect(found.message).toContain("differently than it was sent");
    expect(s3.keys).toEqual([]);
  },
);

test("a file that changed since it was made is not sent", async () => {
  await using s3 = await TestS3.start();
  for (const bytes of [10, 3 * PART]) {
    const { folder, manifest, content } = madeOf(bytes);
    content[3] = 255;
    writeFileSync(join(folder, "cairn.db"), content);
    expect(await faultOf(bucketAt(s3).upload(name(1), folder, manifest, signal))).toMatchObject({
      code: "data_corrupt",
    });
  }
  expect(s3.keys).toEqual([]);
});

test("a fetched file that is not what its manifest says is refused", async () => {
  await using s3 = await TestS3.start();
  const { folder, manifest } = madeOf(PART + 1);
  await bucketAt(s3).upload(name(1), folder, manifest, signal);
  s3.objects.get(`fleet/home/${name(1)}/cairn.db`)?.bytes.fill(0, 3, 4);
  const path = join(temporaryFolder(), "fetched");
  expect(await faultOf(bucketAt(s3).downloadFile(name(1), path, manifest, signal))).toMatchObject({
    code: "data_corrupt",
  });
  expect(await faultOf(bucketAt(s3).manifestOf(name(9), signal))).toMatchObject({ code: "not_found" });
});

test("only what this maker made is removed, and its uploads that never ended are ended", async () => {
  await using s3 = await TestS3.start();
  const { folder, manifest } = madeOf(3 * PART);
  s3.uploads.set("own", { key: `fleet/home/${name(1)}/cairn.db`, headers: {}, parts: new Map() });
  s3.uploads.set("other", { key: `fleet/home/${name(1, "ffffffff")}/cairn.db`, headers: {}, parts: new Map() });
  await bucketAt(s3, { maker: "ffffffff" }).upload(name(2, "ffffffff"), folder, manifest, signal);
  expect([...s3.uploads.keys()]).toEqual(["own"]);
  const bucket = bucketAt(s3);
  for (let day = 1; day <= 5; day += 1) await bucket.upload(name(day), folder, manifest, signal);
  expect(s3.uploads.size).toBe(0);
  // Six backups are twelve objects: more than a page.
  const { complete } = await bucket.list(signal);
  expect(complete).toHaveLength(6);
  const [own, other] = [parseName(name(3)), parseName(name(2, "ffffffff"))];
  if (own === undefined || other === undefined) throw new Error("no names");
  await bucket.remove(own, signal);
  expect((await bucket.list(signal)).complete.map((found) => found.name)).not.toContain(name(3));
  await expect(bucket.remove(other, signal)).rejects.toThrow("another node");
  s3.objects.delete(`fleet/home/${name(4)}/manifest.json`);
  expect((await bucket.list(signal)).incomplete.map((found) => found.name)).toEqual([name(4)]);
});

test("an answer that leads elsewhere is an error, and no one goes there", async () => {
  await using s3 = await TestS3.start();
  await using elsewhere = await TestS3.start();
  s3.redirectTo = `http://${elsewhere.host}/`;
  s3.faults.push({ fits: /^PUT/, fault: "redirect" });
  const { folder, manifest } = madeOf(10);
  expect((await faultOf(bucketAt(s3).upload(name(1), folder, manifest, signal))).message).toContain("307");
  expect(elsewhere.seen).toEqual([]);
});

test("an end stops a slow request at once", async () => {
  await using s3 = await TestS3.start();
  s3.slowMs = 5_000;
  s3.faults.push({ fits: /^PUT/, fault: "slow" });
  const { folder, manifest } = madeOf(10);
  const end = new AbortController();
  const sending = bucketAt(s3).upload(name(1), folder, manifest, end.signal);
  setTimeout(() => end.abort(), 50);
  await expect(inTime(2_000, sending)).rejects.toMatchObject({ name: "AbortError" });
});

test("texts in XML are unescaped, hostile ones too", () => {
  expect(xmlText("<Key>a&amp;b&#x2F;&#47;&lt;&unknown;&#x110000;</Key>", "Key")).toBe("a&b//<&unknown;&#x110000;");
  expect(xmlText("<Other/>", "Key")).toBe("");
});

test.each([1, PART, 3 * PART + 1])(
  "a service that refuses checksums gets %d bytes without them, remembers it, and is read back",
  async (bytes) => {
    for (const refusal of ["501", "400"] as const) {
      await using s3 = await TestS3.start();
      s3.refusesChecksums = refusal;
      const bucket = bucketAt(s3);
      const { folder, manifest, content } = madeOf(bytes);
      await bucket.upload(name(1), folder, manifest, signal);
      const refused = s3.seen.filter((what) => /^(PUT|POST) .*cairn\.db/.test(what)).length;
      s3.seen.length = 0;
      await bucket.upload(name(2), folder, manifest, signal);
      // The second upload sends one request less: that which was refused.
      expect(s3.seen.filter((what) => /^(PUT|POST) .*cairn\.db/.test(what))).toHaveLength(refused - 1);
      expect(s3.seen.filter((what) => what.startsWith("GET fleet"))).toHaveLength(Math.ceil(bytes / PART));
      expect(s3.objects.get(`fleet/home/${name(2)}/cairn.db`)?.bytes.equals(content)).toBe(true);
    }
  },
);

test("a service that drops checksums and metadata is read back, and what differs is removed", async () => {
  await using s3 = await TestS3.start();
  s3.dropsHeaders = true;
  for (const bytes of [10, 2 * PART]) {
    const { folder, manifest } = madeOf(bytes);
    await bucketAt(s3).upload(name(1), folder, manifest, signal);
    expect(s3.keys).toHaveLength(2);
    await bucketAt(s3).remove({ ...(parseName(name(1)) ?? fail()), maker: "0123abcd" }, signal);
  }
  const { folder, manifest } = madeOf(10);
  s3.faults.push({ fits: /^PUT .*cairn\.db/, fault: "altered" });
  const found = await faultOf(bucketAt(s3).upload(name(1), folder, manifest, signal));
  expect(found.message).toContain("differently than it was sent");
  expect(s3.keys).toEqual([]);
});

test("501 is not tried again: what a service does not know it will not know in a second", async () => {
  await using s3 = await TestS3.start();
  s3.faults.push({ fits: /^GET /, fault: "501" });
  const fault = await faultOf(bucketAt(s3).list(signal));
  expect(fault.message).toContain("501 NotImplemented");
  expect(s3.seen).toHaveLength(1);
});

function fail(): never {
  throw new Error("no name");
}
