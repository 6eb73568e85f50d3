// Rows over a tailnet: the compiled file as a node of a real tailnet on loopback, read by another node of it, against a
// bare tsnet server in the same place; the duration of a start, and the memory of an idle node.

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { compile } from "../scripts/compile.ts";
import { ensureNative } from "../scripts/native.ts";
import { host } from "../scripts/targets.ts";
import { TestTailnet } from "../test/kit/tailnet.ts";
import { compare, rowOf } from "./compare.ts";
import { DOCUMENT } from "./ingress.ts";
import { type Line, memoryOf, type Program, startProgram } from "./processes.ts";
import { median, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

const root = dirname(import.meta.dir);
const KEY = "tskey-auth-bench";
const CONNECTIONS = 64;
const CONTEXTS = 256;

export async function overTailnet(bench: Bench): Promise<Row[]> {
  const { wanted, say } = bench;
  if (!wanted.has("tailnet") && !wanted.has("start")) return [];
  if (host === undefined) throw new Error(`no Go half for ${process.platform}-${process.arch}`);
  say("building the executable");
  const executable = join(root, "build", "bench", "cairn");
  mkdirSync(dirname(executable), { recursive: true });
  await compile({ target: host, entry: join(root, "src", "main.ts"), outfile: executable, commit: "bench" });
  await using tailnet = await TestTailnet.start();
  await tailnet.auth("key", { keys: [KEY] });
  const start = () => startNode(bench, executable, tailnet.controlUrl);
  const rows: Row[] = [];

  // The first start enrols the node; later measurements start with that state.
  let node = await start();
  if (wanted.has("tailnet")) rows.push(...(await getOverTailnet(bench, tailnet, node)));
  if (!wanted.has("start")) {
    await node.program.end();
    return rows;
  }
  const starts: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    await node.program.end();
    node = await start();
    starts.push(node.tookMs);
    say(`start ${round + 1}/${bench.rounds}: ${node.tookMs.toFixed(0)} ms`);
  }
  rows.push({
    what: "start → serving on the tailnet, warm state",
    against: "–",
    result: spread(starts, 0, " ms"),
    goal: "≤ 400 ms",
    met: median(starts) <= 400,
    detail: "the compiled file, from exec to its serving line",
  });
  await Bun.sleep(bench.idleMs);
  const { residentMb: memory, privateMb } = memoryOf(node.program.pid);
  await node.program.end();
  rows.push({
    what: "resident memory, idle node",
    against: "–",
    result: `${memory.toFixed(0)} MB`,
    goal: "≤ 120 MB",
    met: memory <= 120,
    detail: `${bench.idleMs / 1000} s after its start, ${CONTEXTS} contexts stored; ${privateMb.toFixed(0)} MB of it are no pages of files`,
  });
  return rows;
}

interface Running {
  program: Program;
  /** From exec to the line which says that it serves, in ms. */
  tookMs: number;
  ips: string[];
  socket: string;
}

async function startNode(bench: Bench, executable: string, controlUrl: string): Promise<Running> {
  const data = join(bench.data, "tailnet");
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const flags = {
    "--data": data,
    "--hostname": "cairn",
    "--control-url": controlUrl,
    "--limits-requests-per-minute": "0",
    "--log-level": "warning",
  };
  const began = performance.now();
  const program = startProgram([executable, "serve", "--private-tailnet", ...Object.entries(flags).flat()], {
    TS_AUTHKEY: KEY,
    TMPDIR: bench.sockets,
  });
  let ready: Line = {};
  const serving = await program.line((line) => {
    if (line["event"] === "ready") ready = line;
    return line["event"] === "serving" || (line["event"] === "ready" && line["state"] === "serving");
  });
  const tookMs = performance.now() - began;
  const ips = Array.isArray(serving["ips"]) ? serving["ips"].map(String) : [];
  return { program, tookMs, ips, socket: String(ready["socket"]) };
}

async function getOverTailnet(bench: Bench, tailnet: TestTailnet, node: Running): Promise<Row[]> {
  if (host === undefined) return [];
  const hello = startProgram([ensureNative(host, "hello")]);
  try {
    const dir = join(bench.data, "hello");
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    hello.send({ controlUrl: tailnet.controlUrl, hostname: "hello", dir, authKey: KEY, body: DOCUMENT });
    await hello.line((line) => line["event"] === "ready");
    const helloIp = (await tailnet.nodes()).find((found) => found.hostname === "hello")?.ips[0] ?? "";
    const client = await tailnet.client({ hostname: "reader" });
    for (const name of ["cairn", "hello"]) await tailnet.untilPath("reader", name, "direct");
    const ids = Array.from({ length: CONTEXTS }, (_, index) => `bench/context-${index}`);
    for (const id of ids) await put(node.socket, id);
    const requests = ids.map(
      (id) => `GET /contexts/${id} HTTP/1.1\r\nHost: HOST\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`,
    );
    const side = (ip: string, pid: number) => ({
      unix: client.proxy,
      connect: `${ip}:80`,
      pids: [pid],
      requests: requests.map((text) => text.replace("HOST", ip)),
    });
    const ours = side(node.ips[0] ?? "", node.program.pid);
    const theirs = side(helloIp, hello.pid);
    const rows: Row[] = [];
    for (const connections of [1, CONNECTIONS]) {
      const pairs = await compare(bench, `tailnet, ${connections}`, ours, theirs, connections);
      const many = connections === 1 ? "1 connection" : `${connections} connections`;
      rows.push(rowOf(`GET context over the tailnet, ${many}`, "bare Go tsnet hello server", 0.9, pairs));
    }
    return rows;
  } finally {
    await hello.end();
  }
}

async function put(socket: string, id: string): Promise<void> {
  const answer = await fetch(`http://cairn/contexts/${id}`, {
    method: "PUT",
    unix: socket,
    headers: { "Content-Type": "application/json" },
    body: DOCUMENT,
  });
  if (!answer.ok) throw new Error(`PUT ${id} was answered with ${answer.status}: ${await answer.text()}`);
}
