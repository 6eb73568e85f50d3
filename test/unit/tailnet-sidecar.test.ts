// The sidecar engine against children that misbehave; shell scripts stand for the Go half. The real one is in the
// contract suite.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../src/lib/fault.ts";
import { openTailnet, type Tailnet } from "../../src/tailnet/index.ts";
import { inTime } from "../kit/in-time.ts";

const HELLO = `echo '{"event":"hello","protocol":1,"tailscale":"1.2.3","go":"go1.26"}'`;

let base: string;
let logs: string[];
const log = (_: string, message: string) => logs.push(message);

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "cairn-sidecar-"));
  logs = [];
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function open(script: string): Promise<Tailnet> {
  const path = join(base, "script");
  const text = `#!/bin/sh\n${script}\n`;
  writeFileSync(path, text);
  const sha256 = createHash("sha256").update(text).digest("hex");
  return openTailnet({ artifact: { engine: "sidecar", path, sha256, suffix: ".sidecar" }, dataDir: base, log });
}

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Fault)) throw new Error(`expected a Fault, got ${String(error)}`);
  return error;
}

/** Resolves when the log has a line with this text; the test's own deadline bounds it. */
async function logged(text: string): Promise<void> {
  while (!logs.some((line) => line.includes(text))) await Bun.sleep(5);
}

/** Returns the process id that the child wrote to its stderr. */
async function loggedPid(): Promise<number> {
  for (;;) {
    const pid = logs.map((line) => /^sidecar: (\d+)$/.exec(line)?.[1]).find((found) => found !== undefined);
    if (pid !== undefined) return Number(pid);
    await Bun.sleep(5);
  }
}

test("the child sees only the allowed part of our environment", async () => {
  const planted = { TS_AUTHKEY: "tskey-canary", BUN_OPTIONS: "", LD_CANARY: "1", NODE_OPTIONS: "", CAIRN_CANARY: "1" };
  const allowed = { HTTPS_PROXY: "http://127.0.0.1:1", no_proxy: "example.com" };
  const before = { ...process.env };
  Object.assign(process.env, planted, allowed);
  try {
    const tailnet = await open(`${HELLO}; env >&2; echo done >&2; read line; echo '{"id":1,"result":{}}'`);
    await logged("sidecar: done");
    await tailnet.close();
  } finally {
    for (const name of Object.keys({ ...planted, ...allowed })) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
  const names = logs.map((line) => /^sidecar: ([A-Za-z_]+)=/.exec(line)?.[1]).filter((name) => name !== undefined);
  expect(names).toContain("HTTPS_PROXY");
  expect(names).toContain("no_proxy");
  // PWD and the like are the shell's own.
  const strangers = names.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name) && !SEEN.has(name));
  expect(strangers).toEqual([]);
});
const SEEN = new Set(
  ["HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR"].concat(
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]),
  ),
);

test("a child that ends before it greets is an error with its code and its last words in the log", async () => {
  const fault = await faultOf(open("echo 'no such luck' >&2; exit 7"));
  expect(fault.code).toBe("library_failed");
  expect(fault.message).toContain("code 7");
  await logged("no such luck");
});

test("another protocol is an error with both numbers, and the child is ended", async () => {
  const fault = await faultOf(
    open(`echo $$ >&2; echo '{"event":"hello","protocol":9,"tailscale":"1","go":"1"}'; exec cat >/dev/null`),
  );
  expect(fault.code).toBe("library_failed");
  expect(fault.message).toMatch(/protocol 9.* 1/);
  const pid = await loggedPid();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("a child that dies: fatal once, with its signal; waiting and later calls are refused", async () => {
  const tailnet = await open(`${HELLO}; read line; kill -SEGV $$`);
  const fatal: string[] = [];
  tailnet.on("fatal", (message) => fatal.push(message));
  const [first, second] = await Promise.all([faultOf(tailnet.status()), faultOf(tailnet.peers())]);
  expect(first.message).toContain("SIGSEGV");
  expect(second.message).toContain("SIGSEGV");
  expect((await faultOf(tailnet.status())).code).toBe("tailnet_failed");
  expect(fatal).toHaveLength(1);
  await tailnet.close();
  expect(fatal).toHaveLength(1);
});

test("a fatal event and the end that follows it are one fatal, with the event's words", async () => {
  const tailnet = await open(`${HELLO}; read line; echo '{"event":"fatal","message":"the disk is full"}'`);
  const fatal: string[] = [];
  tailnet.on("fatal", (message) => fatal.push(message));
  expect((await faultOf(tailnet.status())).message).toContain("the disk is full");
  await tailnet.close();
  expect(fatal).toEqual(["the disk is full"]);
});

test("a child that does not end when its stdin does is killed", async () => {
  const tailnet = await open(`${HELLO}; echo $$ >&2; read line; echo '{"id":1,"result":{}}'; exec sleep 600`);
  const pid = await loggedPid();
  await inTime(4_000, tailnet.close());
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("endless stderr is dropped, not collected", async () => {
  const tailnet = await open(
    `${HELLO}; head -c 100000 /dev/zero >&2; echo end >&2; read line; echo '{"id":1,"result":{}}'`,
  );
  await logged("was dropped");
  await tailnet.close();
  expect(Math.max(...logs.map((line) => line.length))).toBeLessThan(20_000);
});

test("a child that reads no more is ended, and that is fatal", async () => {
  const tailnet = await open(`${HELLO}; exec 0<&-; exec sleep 600`);
  const { promise, resolve } = Promise.withResolvers<string>();
  tailnet.on("fatal", resolve);
  // Only a write after the child has closed its end finds the pipe broken.
  const asking = setInterval(() => void tailnet.status().catch(() => {}), 20);
  expect(await promise).toContain("SIGKILL");
  clearInterval(asking);
  await tailnet.close();
});
