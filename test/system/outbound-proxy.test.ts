// Backups to S3 through a CONNECT proxy of the settings: with TLS to the bucket, credentials from a file, and variables
// of the environment that name another proxy.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ConnectProxy, startConnectProxy } from "../kit/connect-proxy.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { S3_BUCKET, S3_KEYS, TestS3 } from "../kit/s3.ts";
import { TestTailnet } from "../kit/tailnet.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const NAME = "s3.bucket.example.com";
const CREDENTIALS = "ann:proxy-canary0815";

let tailnet: TestTailnet;
let s3: TestS3;
let proxy: ConnectProxy;
let node: TestNode;

beforeAll(async () => {
  [tailnet, s3] = await Promise.all([TestTailnet.start(), TestS3.start()]);
  proxy = await startConnectProxy(NAME, s3.host);
  const file = join(temporaryFolder(), "credentials");
  writeFileSync(file, `${CREDENTIALS}\n`, { mode: 0o600 });
  node = await startNode({
    tailnet,
    hostname: "proxied",
    args: [
      ...["--backup-s3-url", `https://${NAME}`, "--backup-s3-bucket", S3_BUCKET],
      ...["--outbound-proxy", proxy.url, "--log-level", "debug"],
    ],
    env: {
      CAIRN_S3_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
      CAIRN_S3_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
      CAIRN_OUTBOUND_PROXY_CREDENTIALS_FILE: file,
      SSL_CERT_FILE: proxy.certificate,
      HTTPS_PROXY: "http://127.0.0.1:9",
      NO_PROXY: "*",
    },
  });
}, 120_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await s3?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

test("a backup reaches the bucket through the proxy, and nothing shows the credentials", async () => {
  const made = await node.cli(["backup", "now", "--json"]);
  expect([made.code, made.err]).toEqual([0, ""]);
  expect(JSON.parse(made.out)).toMatchObject({ last: { in_bucket: true } });
  expect(s3.keys).toHaveLength(2);
  const basic = `Basic ${Buffer.from(CREDENTIALS).toString("base64")}`;
  expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT ${NAME}:443 ${basic}`]));
  const shown = await node.cli(["config", "show"]);
  expect(shown.out).toMatch(/^CAIRN_OUTBOUND_PROXY_CREDENTIALS +set, not shown$/m);
  expect(`${shown.out}${node.stdout}${node.stderr}`).not.toContain("canary0815");
}, 60_000);

test("a proxy that refuses is named with its status and the way out", async () => {
  proxy.refuse(407);
  const before = s3.seen.length;
  const failed = await node.cli(["backup", "now"]);
  expect(failed.code).toBe(3);
  expect(failed.err).toContain(`did not connect to ${NAME}:443: 407 Proxy Authentication Required`);
  expect(failed.err).toContain("CAIRN_OUTBOUND_PROXY_CREDENTIALS");
  expect(s3.seen).toHaveLength(before);
}, 60_000);
