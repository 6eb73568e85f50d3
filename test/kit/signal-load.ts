// A process that does at once everything that has ever broken a Go library inside a JavaScript engine: calls into Go,
// WebAssembly, garbage collection in another thread, spawned children, the sampling profiler (which suspends threads by
// signal). Run by signals.test.ts and scripts/soak.ts: `bun signal-load.ts '<LoadOptions as JSON>'`; writes one JSON
// line of LoadResult at its end. Its parent detects a hang.

import { samplingProfilerStackTraces, startSamplingProfiler } from "bun:jsc";
import { join } from "node:path";
import { openTailnet, type UpParams } from "../../src/tailnet/index.ts";

declare module "bun:jsc" {
  // Exists since startSamplingProfiler does, and is missing in the types.
  function samplingProfilerStackTraces(): { traces: unknown[] };
}

export interface LoadOptions {
  seconds: number;
  dataDir: string;
  /** Joins a test tailnet with these, serves on port 80 there, and keeps serving until the end. */
  up?: UpParams;
}

export interface LoadResult {
  calls: number;
  wasmRuns: number;
  children: number;
  failedChildren: number;
  collections: number;
  samples: number;
  requests: number;
  /** Longest time in which the event loop did not run, in ms. */
  maxLagMs: number;
  residentBytes: number;
}

// (func (export "sum") (param i32) (result i32)): adds n, n-1, … 1 in a loop, long enough to be compiled while it runs.
const SUM_WASM = Buffer.from(
  "0061736d0100000001060160017f017f030201000707010373756d00000a1b01190101" +
    "7f034020012000" +
    "6a210120004101" +
    "6b22000d000b20010b",
  "hex",
);
const DRAIN_MS = 1000;
const LAG_STEP_MS = 20;

async function load(options: LoadOptions): Promise<LoadResult> {
  const result: LoadResult = {
    calls: 0,
    wasmRuns: 0,
    children: 0,
    failedChildren: 0,
    collections: 0,
    samples: 0,
    requests: 0,
    maxLagMs: 0,
    residentBytes: 0,
  };
  const tailnet = await openTailnet({ engine: "library", dataDir: options.dataDir, log: () => {} });
  if (options.up !== undefined) await serve(options.up, result);

  const until = performance.now() + options.seconds * 1000;
  const running = (): boolean => performance.now() < until;
  startSamplingProfiler();
  const collector = new Worker(join(import.meta.dir, "signal-load-worker.ts"));
  collector.onmessage = () => {
    result.collections++;
  };

  let turned = performance.now();
  const lag = setInterval(() => {
    result.maxLagMs = Math.max(result.maxLagMs, performance.now() - turned - LAG_STEP_MS);
    turned = performance.now();
  }, LAG_STEP_MS);
  // Taken as they come: the traces of ten minutes would be most of the memory that is measured.
  const takeSamples = (): void => {
    result.samples += samplingProfilerStackTraces().traces.length;
  };
  const drain = setInterval(takeSamples, DRAIN_MS);

  async function callGo(): Promise<void> {
    while (running()) {
      // Without `up` the call is refused, which crosses the channel all the same.
      await tailnet.status().catch(() => {});
      result.calls++;
    }
  }
  async function runWasm(): Promise<void> {
    while (running()) {
      const { instance } = await WebAssembly.instantiate(SUM_WASM);
      const sum = instance.exports["sum"];
      if (typeof sum !== "function") throw new Error("the WebAssembly module exports no sum");
      for (let turn = 0; turn < 20; turn++)
        if (sum(10_000) !== 50_005_000) throw new Error("WebAssembly counted wrong");
      result.wasmRuns++;
      await Bun.sleep(1);
    }
  }
  async function spawnChildren(): Promise<void> {
    while (running()) {
      const child = Bun.spawn(["true"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      result.children++;
      if ((await child.exited) !== 0) result.failedChildren++;
    }
  }
  await Promise.all([callGo(), callGo(), runWasm(), spawnChildren()]);

  clearInterval(lag);
  clearInterval(drain);
  collector.terminate();
  takeSamples();
  result.residentBytes = process.memoryUsage.rss();
  await tailnet.close();
  return result;

  async function serve(up: UpParams, counted: LoadResult): Promise<void> {
    Bun.serve({
      unix: up.target,
      fetch: async (request) => {
        counted.requests++;
        return new Response(await request.bytes());
      },
    });
    await tailnet.up(up);
    while ((await tailnet.status()).state !== "Running") await Bun.sleep(20);
    await tailnet.listen(80, { tls: false });
    process.stderr.write("serving\n");
  }
}

const options: LoadOptions = JSON.parse(process.argv[2] ?? "");
process.stdout.write(`${JSON.stringify(await load(options))}\n`);
process.exit(0);
