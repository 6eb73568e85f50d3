// Runs signal-load.ts as a node of a test tailnet while a peer sends it requests; detects a hang by its own clock. For
// signals.test.ts and scripts/soak.ts.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import type { LoadOptions, LoadResult } from "./signal-load.ts";
import { clientFetch, TestTailnet } from "./tailnet.ts";

/** How long after its time the load may take to end, in ms; later it counts as hung. */
const GRACE_MS = 20_000;
const START_MS = 20_000;
const SENDERS = 4;
const CAPABILITY = "example.com/cap/soak";
const MAX_FAILURES = 20;

export interface SoakResult {
  load: LoadResult;
  traffic: { requests: number; failures: string[] };
}

/**
 * `onProgress` receives the number of responses once a minute. Throws when the load hangs or crashes, with its last
 * output.
 */
export async function soak(options: { seconds: number; onProgress?: (requests: number) => void }): Promise<SoakResult> {
  if (host === undefined) throw new Error("this machine is none that Cairn is built for");
  ensureNative(host, "library");
  const base = mkdtempSync(join(tmpdir(), "cairn-soak-"));
  await using tailnet = await TestTailnet.start();
  try {
    const peer = await tailnet.client({ hostname: "peer" });
    await tailnet.grants([{ src: ["*"], dst: ["*"], app: { [CAPABILITY]: [{ role: "member", spaces: ["*"] }] } }]);
    const child = startLoad(base, tailnet.controlUrl, options.seconds);
    const kill = (): void => child.kill("SIGKILL");
    process.on("exit", kill);
    const timer = setTimeout(kill, START_MS + options.seconds * 1000 + GRACE_MS);
    const output = new Response(child.stdout).text();
    const serving = Promise.withResolvers<void>();
    const lastWords = readWords(child.stderr, (text) => text.includes("serving") && serving.resolve());
    await Promise.race([serving.promise, child.exited, Bun.sleep(START_MS)]);

    const traffic = { requests: 0, failures: [] as string[] };
    const until = performance.now() + options.seconds * 1000 - 1_000;
    const progress = setInterval(() => options.onProgress?.(traffic.requests), 60_000);
    await Promise.all(Array.from({ length: SENDERS }, () => send(peer.proxy, until, traffic)));
    clearInterval(progress);
    await child.exited;
    clearTimeout(timer);
    process.off("exit", kill);
    const text = await output;
    if (child.exitCode !== 0) {
      throw new Error(
        `the load ended with ${child.signalCode ?? child.exitCode}, after ${traffic.requests} requests:\n${await lastWords}`,
      );
    }
    return { load: JSON.parse(text) as LoadResult, traffic };
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function startLoad(base: string, controlUrl: string, seconds: number) {
  const socketDir = join(base, "sockets");
  mkdirSync(socketDir, { mode: 0o700 });
  const load: LoadOptions = {
    seconds,
    dataDir: base,
    up: {
      stateDir: join(base, "state"),
      hostname: "soak",
      controlUrl,
      capability: CAPABILITY,
      socketDir,
      target: join(socketDir, "ingress.sock"),
      ingressSecret: "ab".repeat(32),
      egressSecret: "cd".repeat(32),
      shared: "none",
      allowedHosts: [],
      allowedOrigins: [],
      maxBodyBytes: 1_000_000,
      testMode: true,
    },
  };
  const cmd = [process.execPath, join(import.meta.dir, "signal-load.ts"), JSON.stringify(load)];
  return Bun.spawn({ cmd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

/** Echoes bodies of many sizes until the time is over, and compares every byte. */
async function send(proxy: string, until: number, traffic: { requests: number; failures: string[] }): Promise<void> {
  for (let turn = 0; performance.now() < until && traffic.failures.length < MAX_FAILURES; turn++) {
    const body = Buffer.alloc((turn % 50) * 4_000, turn);
    try {
      const signal = AbortSignal.timeout(10_000);
      const response = await clientFetch(proxy, "http://soak/echo", { method: "POST", body, signal });
      const echoed = await response.bytes();
      if (response.status !== 200 || !Buffer.from(echoed).equals(body))
        traffic.failures.push(`turn ${turn}: status ${response.status}`);
      traffic.requests++;
    } catch (error) {
      traffic.failures.push(`turn ${turn}: ${String(error)}`);
    }
  }
}

async function readWords(stream: ReadableStream<Uint8Array>, onText: (text: string) => void): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text = (text + decoder.decode(chunk, { stream: true })).slice(-8_192);
    onText(text);
  }
  return text;
}
