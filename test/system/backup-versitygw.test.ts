// Backups against versitygw, an S3 service that others wrote: it checks signatures and checksums by AWS's rules, so it
// shows what our own test server (kit/s3.ts) would have in common with our client. Installed by .ci/run as a Go module.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { nameOf, parseName } from "../../src/features/backup/backup-name.ts";
import { Bucket } from "../../src/features/backup/bucket.ts";
import { S3 } from "../../src/features/backup/s3.ts";
import type { Manifest } from "../../src/store/backup.ts";
import { eventually } from "../kit/eventually.ts";
import { freePort } from "../kit/free-port.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const KEYS = { accessKeyId: "AKIDVERSITY", secretAccessKey: "versity-secret/+0815" };
/** The least that S3 takes as a part, except for the last. */
const PART = 5 * 1024 * 1024;
const MAKER = "0123abcd";
const signal = new AbortController().signal;
const program = [Bun.which("versitygw"), join(process.env["GOPATH"] ?? join(homedir(), "go"), "bin", "versitygw")].find(
  (path) => path !== null && existsSync(path),
);

describe.skipIf(program === undefined)("versitygw [needs versitygw]", () => {
  let child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  let endpoint: string;
  let stored: string;

  beforeAll(async () => {
    const home = temporaryFolder();
    stored = join(home, "backups");
    mkdirSync(stored);
    const port = freePort();
    endpoint = `http://127.0.0.1:${port}`;
    child = Bun.spawn({
      cmd: [program ?? "", "--port", `127.0.0.1:${port}`, "posix", home],
      env: { PATH: "/usr/bin:/bin", ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    await eventually("versitygw", () =>
      fetch(endpoint).then(
        () => true,
        () => undefined,
      ),
    );
  }, 60_000);

  afterAll(async () => {
    child.kill();
    await child.exited;
  });

  const bucketOf = (keys = KEYS, strip: readonly string[] = []) =>
    new Bucket({
      s3: new S3({
        endpoint,
        bucket: "backups",
        region: "us-east-1",
        keys,
        outbound: (url, init) => {
          const known = Object.keys(init.headers ?? {}).find((name) => strip.includes(name));
          if (known === undefined) return fetch(url, { ...init, redirect: "manual", keepalive: false });
          return Promise.resolve(new Response(`<Error><Code>NotImplemented</Code></Error>`, { status: 501 }));
        },
        nowMs: Date.now,
        retryMs: 1,
      }),
      prefix: "fleet/home",
      maker: MAKER,
      partBytes: PART,
    });

  const CHECKSUMS = ["x-amz-checksum-sha256", "x-amz-checksum-algorithm", "x-amz-checksum-mode"];

  test.each([
    [10, []],
    [2 * PART + 1, []],
    [10, CHECKSUMS],
    [2 * PART + 1, CHECKSUMS],
  ] as const)(
    "%d bytes are sent, checked, listed, fetched and removed, without the headers %j",
    async (bytes, strip) => {
      const bucket = bucketOf(KEYS, strip);
      const name = nameOf({ hostname: "mini", maker: MAKER, atMs: Date.UTC(2026, 0, 1), position: "aaaaaaaaaa-1" });
      const { folder, manifest, content } = madeOf(bytes);
      await bucket.upload(name, folder, manifest, signal);
      expect(readFileSync(join(stored, "fleet/home", name, "cairn.db")).equals(content)).toBe(true);
      const { complete } = await bucket.list(signal);
      expect(complete.map((found) => found.name)).toEqual([name]);
      expect(await bucket.manifestOf(name, signal)).toEqual(manifest);
      const path = join(temporaryFolder(), "fetched");
      await bucket.downloadFile(name, path, manifest, signal);
      expect(readFileSync(path).equals(content)).toBe(true);
      const parsed = parseName(name);
      if (parsed !== undefined) await bucket.remove(parsed, signal);
      expect((await bucket.list(signal)).complete).toEqual([]);
    },
  );

  test("another secret is refused by the signature", async () => {
    const wrong = await refusal(bucketOf({ ...KEYS, secretAccessKey: "other" }).list(signal));
    expect(wrong.message).toContain("SignatureDoesNotMatch");
  });
});

function madeOf(bytes: number): { folder: string; manifest: Manifest; content: Buffer } {
  const folder = join(temporaryFolder(), "backup");
  mkdirSync(folder);
  const content = Buffer.alloc(bytes, "0123456789abcde");
  writeFileSync(join(folder, "cairn.db"), content);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const file = { name: "cairn.db" as const, bytes, sha256 };
  return {
    folder,
    manifest: { format: 1, created_at: "2026-01-01T00:00:00.000Z", schema: 3, file, content: { position: "a-1" } },
    content,
  };
}
