// Scheduled backups of a real node: made in a child while it serves, sent through its egress to a bucket, brought back
// on another machine as a new history.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { type NodeOptions, spawnNode, startNode, type TestNode } from "../kit/node.ts";
import { commandLine, environment, processTree } from "../kit/processes.ts";
import { S3_BUCKET, S3_KEYS, TestS3 } from "../kit/s3.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let s3: TestS3;
let node: TestNode;

const KEYS = { CAIRN_S3_ACCESS_KEY_ID: S3_KEYS.accessKeyId, CAIRN_S3_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey };

function options(
  changes: { hostname: string; allow?: string } & Partial<NodeOptions>,
): NodeOptions & { tailnet: TestTailnet } {
  const { allow = s3.host, ...rest } = changes;
  const args = [
    ...["--backup-s3-url", `http://${s3.host}`, "--backup-s3-bucket", S3_BUCKET, "--backup-s3-prefix", "home"],
    ...["--outbound-allow", allow, "--log-level", "debug"],
  ];
  return { args, env: KEYS, ...rest, tailnet };
}

interface Shown {
  last: { name: string; position: string; in_bucket: boolean } | null;
  failed: { reason: string } | null;
  backups: { name: string; here: boolean; in_bucket: boolean | null }[];
}

async function shown(at: TestNode, ...words: string[]): Promise<Shown> {
  const { out, err, code } = await at.cli(["backup", ...words, "--json"]);
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

const call = async (at: TestNode, operation: string, input: object): Promise<Record<string, unknown>> => {
  const { out, err } = await at.cli(["call", operation, "-"], JSON.stringify(input));
  if (out === "") throw new Error(err);
  return JSON.parse(out);
};

/**
 * Returns the child that makes the copy, once it runs its own command. Until then the node waits for it (vfork(2)): one
 * stopped by a signal before that would stop the node.
 */
function copyingChild(at: TestNode): number | undefined {
  return processTree(at.pid).find((pid) => pid !== at.pid && !["", commandLine(at.pid)].includes(commandLine(pid)));
}

beforeAll(async () => {
  [tailnet, s3] = await Promise.all([TestTailnet.start(), TestS3.start()]);
  node = await startNode(options({ hostname: "first" }));
}, 120_000);
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await s3?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

test("a backup is made, checked, private, sent, and shown", async () => {
  await call(node, "context_put", { id: "team/plan", content: "one" });
  const { last } = await shown(node, "now");
  expect(last).toMatchObject({ in_bucket: true });
  const name = last?.name ?? "";
  const folder = join(node.dataDir, "backups");
  expect(readdirSync(folder)).toEqual([name]);
  const modes = ["", "cairn.db", "manifest.json"].map((file) =>
    (statSync(join(folder, name, file)).mode & 0o777).toString(8),
  );
  expect(modes).toEqual(["700", "600", "600"]);
  expect(s3.keys).toEqual([`home/${name}/cairn.db`, `home/${name}/manifest.json`]);
  expect(s3.objects.get(`home/${name}/cairn.db`)?.bytes.equals(readFileSync(join(folder, name, "cairn.db")))).toBe(
    true,
  );
  expect((await node.cli(["backup", join(folder, name), "--verify"])).code).toBe(0);
  expect((await shown(node, "list", "--remote")).backups).toMatchObject([{ name, here: true, in_bucket: true }]);
  // The facts, then the backups as a table of their own.
  expect((await node.cli(["backup", "list"])).out).toMatch(new RegExp(`^folder {5}\\S+$[^]*^$\\n^${name}  \\S`, "m"));
}, 60_000);

test("the node serves while a copy is made; killed in the middle it leaves nothing, and makes up what it missed", async () => {
  await using other = await startNode(options({ hostname: "second" }));
  const asking = other.cli(["backup", "now"]);
  const child = await eventually("the copying child", () => copyingChild(other));
  process.kill(child, "SIGSTOP");
  expect(commandLine(child)).toContain("backup");
  expect(Object.keys(environment(child)).filter((name) => /^(TS_|TAILSCALE|CAIRN_|BUN_|LD_|NODE_)/.test(name))).toEqual(
    [],
  );
  const began = performance.now();
  await call(other, "context_put", { id: "team/meanwhile", content: "x" });
  expect(performance.now() - began).toBeLessThan(5_000);
  other.kill("SIGKILL");
  await other.exited();
  process.kill(child, "SIGKILL");
  expect((await asking).code).not.toBe(0);
  const folder = join(other.dataDir, "backups");
  const state = join(other.dataDir, "backups.json");
  const { maker, ...rest } = JSON.parse(readFileSync(state, "utf8"));
  writeFileSync(join(folder, `${maker}.making`), "left");
  writeFileSync(state, JSON.stringify({ ...rest, maker, since_ms: Date.now() - 2 * 86_400_000 }));
  await using again = await other.again();
  await again.logged("backed up 1 context at");
  await again.logged("uploaded cairn-second-");
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^cairn-second-/)]);
  expect((await shown(again, "list")).last).toMatchObject({ in_bucket: true });
  // Stopped in the middle it ends at once, and so does the child.
  const late = again.cli(["backup", "now"]);
  const second = await eventually("the next child", () => copyingChild(again));
  process.kill(second, "SIGSTOP");
  await again.stop();
  expect((await late).code).not.toBe(0);
  expect(existsSync(`/proc/${second}`)).toBe(false);
  expect(readdirSync(folder)).toHaveLength(1);
}, 90_000);

test("a bucket that is not listed is not reached, and the reason is a condition", async () => {
  const before = s3.seen.length;
  await using other = await startNode(options({ hostname: "third", allow: "minio.lan:9000" }));
  const failed = await other.cli(["backup", "now"]);
  expect(failed.code).toBe(3);
  expect(failed.err).toContain("outbound.allow");
  expect(s3.seen).toHaveLength(before);
  expect((await shown(other, "list")).failed?.reason).toContain("refused to reach");
  expect(other.stderr).toContain("Backup failed");
}, 60_000);

test("on another machine it becomes a new history with all that was there", async () => {
  const first = await call(node, "context_put", { id: "team/plan", content: "two", idempotency_key: "once" });
  const { last } = await shown(node, "now");
  await call(node, "context_put", { id: "team/lost", content: "written after the backup" });
  const name = last?.name ?? "";
  const epoch = last?.position.split("-")[0] ?? "";

  await using fresh = await startNode(options({ hostname: "fresh" }));
  const missing = await fresh.cli(["backup", "fetch", name.replace(/\d$/, "9")]);
  expect(missing.code).toBe(4);
  const fetched = JSON.parse((await fresh.cli(["backup", "fetch", name, "--json"])).out);
  expect(fetched).toMatchObject({ path: join(fresh.dataDir, "backups", name), position: last?.position });
  await fresh.stop();
  const restored = await fresh.cli(["restore", fetched.path, "--aside"]);
  expect(restored).toMatchObject({ code: 0 });
  expect(restored.err).toContain("cairn import --missing-only");

  await using restarted = await fresh.again();
  await restarted.serving();
  expect((await restarted.cli(["context", "get", "team/plan"])).out).toBe("two");
  expect((await restarted.cli(["context", "get", "team/lost"])).code).toBe(4);
  expect((await restarted.cli(["audit", "--verify"])).code).toBe(0);
  // What was said before the backup is still true, what was said after it is of another history.
  const upTo = (position: string) => restarted.cli(["context", "get", "team/plan", "--min-position", position]);
  expect(await upTo(`${epoch}-1`)).toMatchObject({ code: 0, out: "two" });
  expect(await upTo(last?.position ?? "")).toMatchObject({ code: 0, out: "two" });
  const beyond = Number(last?.position.split("-")[1]) + 1;
  expect((await upTo(`${epoch}-${beyond}`)).code).toBe(5);
  const repeated = await call(restarted, "context_put", { id: "team/plan", content: "two", idempotency_key: "once" });
  expect(repeated).toMatchObject({ version: first["version"] });
  expect(await call(restarted, "context_put", { id: "team/plan", content: "three" })).toMatchObject({
    version: Number(first["version"]) + 1,
  });
  const { last: again } = await shown(restarted, "now");
  // What the leader observes of its fleet may be a change too.
  expect(Number(again?.position.split("-")[1])).toBeGreaterThanOrEqual(beyond);
  expect(again?.position).not.toStartWith(epoch);
}, 90_000);

test("a bucket without its keys, and a schedule that is none, are refused at the start", async () => {
  const bad: [Record<string, string>, string[], string][] = [
    [{}, ["--backup-s3-url", "https://s3.example", "--backup-s3-bucket", "abc"], "CAIRN_S3_ACCESS_KEY_ID"],
    [KEYS, ["--backup-s3-url", "https://s3.example"], "backup.s3_bucket"],
    [{}, ["--backup-schedule", "often"], "often"],
  ];
  for (const [env, args, words] of bad) {
    await using refused = await spawnNode({ tailnet, env, args });
    const { code, err } = await refused.exited();
    expect(code).toBe(20);
    expect(err).toContain(words);
  }
}, 60_000);
