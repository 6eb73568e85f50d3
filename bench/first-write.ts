// Rows of the first write: how long a node that founds a fleet of one takes until a write is acknowledged.

import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { host } from "../scripts/targets.ts";
import { socketPaths } from "../src/config/paths.ts";
import { buildDist } from "../test/kit/dist.ts";
import { TestTailnet } from "../test/kit/tailnet.ts";
import { writeOne } from "./documents.ts";
import { DOCUMENT, request } from "./ingress.ts";
import { startProgram, startScript } from "./processes.ts";
import { median, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

const GOAL_MS = 200;
const FIRST_MS = 20_000;
const FIRST_RUN_MS = 500;
const KEY = "tskey-auth-bench";

export async function firstWrite(bench: Bench): Promise<Row[]> {
  const inside: number[] = [];
  const opened: number[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    const { sinceStartMs, sinceOpenMs } = await fromStart(bench, join(bench.data, `first-${round}`));
    inside.push(sinceStartMs);
    opened.push(sinceOpenMs);
  }
  bench.say(`first write: ${median(opened).toFixed(0)} ms after the engine was opened`);
  const fresh: number[] = [];
  const warm: number[] = [];
  if (host === undefined) throw new Error(`no Go half for ${process.platform}-${process.arch}`);
  const executable = await buildDist(host.name);
  await using tailnet = await TestTailnet.start();
  await tailnet.auth("key", { keys: [KEY] });
  for (let round = 0; round < bench.rounds; round += 1) {
    const data = join(bench.data, `compiled-${round}`);
    fresh.push(await fromExec(bench, executable, tailnet.controlUrl, data));
    warm.push(await fromExec(bench, executable, tailnet.controlUrl, data));
  }
  bench.say(`first write of the compiled file: ${median(fresh).toFixed(0)} ms, warm ${median(warm).toFixed(0)} ms`);
  return [
    {
      what: "engine opened → first acknowledged write, fleet of one, new data folder",
      against: "–",
      result: spread(opened, 0, " ms"),
      goal: `≤ ${GOAL_MS} ms`,
      met: median(opened) <= GOAL_MS,
      detail: `the raft folder is made, an election won, the doors opened, a client connected; ${spread(inside, 0, " ms")} from the first line of the start-up story, which loads the Go half and makes the store`,
    },
    {
      what: "exec → first acknowledged write, fleet of one, the compiled file",
      against: "–",
      result: spread(fresh, 0, " ms"),
      goal: undefined,
      met: undefined,
      detail: `new data folder, to which the library is copied; with the data of an earlier start ${spread(warm, 0, " ms")}`,
    },
  ];
}

/** The node of node.ts; all clocks are those of this machine. */
async function fromStart(bench: Bench, data: string) {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const { program, ready } = await startScript("node.ts", data, bench.sockets);
  try {
    const headers = String(ready["headers"]);
    const requests = [request("PUT", "/contexts/bench/first", headers, DOCUMENT)];
    const plan = { unix: String(ready["socket"]), pids: [program.pid], requests, connections: 1 };
    const { firstAtMs } = await bench.load.run({ ...plan, warmMs: 0, runMs: FIRST_RUN_MS });
    if (firstAtMs === 0) throw new Error(`the first write had no answer in ${FIRST_RUN_MS} ms`);
    // Making its folder is the engine's first action.
    const openedMs = statSync(join(data, "raft")).birthtimeMs;
    return { sinceStartMs: firstAtMs - Number(ready["begunMs"]), sinceOpenMs: firstAtMs - openedMs };
  } finally {
    await program.end();
  }
}

/** Sends requests from the exec on, until one is answered. */
async function fromExec(bench: Bench, executable: string, controlUrl: string, data: string): Promise<number> {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const { cairn } = socketPaths(data, { TMPDIR: bench.sockets });
  const flags = ["--data", data, "--hostname", "first", "--control-url", controlUrl, "--log-level", "warning"];
  const began = performance.now();
  const program = startProgram([executable, "serve", "--private-tailnet", ...flags], {
    TS_AUTHKEY: KEY,
    TMPDIR: bench.sockets,
  });
  try {
    for (;;) {
      try {
        await writeOne(cairn, "bench/first");
        return performance.now() - began;
      } catch (error) {
        if (performance.now() - began > FIRST_MS) throw error;
        await Bun.sleep(1);
      }
    }
  } finally {
    await program.end();
  }
}
