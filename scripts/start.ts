// npm start: a node from source. With a key in the environment it joins that tailnet; without one it gets a private tailnet on this machine, to try things.
// `npm start -- --nodes 3` starts three. Ctrl-C ends everything that was started.

import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { TAILNET_SECRET_NAMES } from "../src/config/secrets.ts";
import { clientLines } from "../src/lib/client-lines.ts";
import { LineSplitter } from "../src/tailnet/lines.ts";
import { TestTailnet } from "../test/kit/tailnet.ts";
import { BuildError, ensureNative } from "./native.ts";
import { host, planFor } from "./targets.ts";

const root = dirname(import.meta.dir);
const main = join(root, "src", "main.ts");
const MAX_NODES = 9;
const FIRST_PORT = 8470;
const END_MS = 15_000;

process.umask(0o077);
try {
  const engine = buildEngine();
  const hasKey =
    TAILNET_SECRET_NAMES.some((name) => process.env[name] || process.env[`${name}_FILE`]) ||
    process.env["CREDENTIALS_DIRECTORY"] !== undefined;
  process.exit(hasKey ? await startWithKey(engine) : await startPrivate(engine));
} catch (error) {
  const usage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!usage && !(error instanceof BuildError)) throw error;
  console.error(`cairn: ${(error as Error).message}`);
  process.exit(usage ? 2 : 1);
}

/** Builds the Go half: the library, or where there is no C compiler the sidecar, which needs Go alone. */
function buildEngine(): "library" | "sidecar" {
  if (host === undefined)
    throw new BuildError(`this machine (${process.platform}-${process.arch}) is none that Cairn is built for`);
  const plan = planFor(host);
  const engine = "missing" in plan ? "sidecar" : plan.engine;
  if ("missing" in plan)
    console.error(`cairn: there is no ${plan.missing}; the tailnet half runs as a child process instead`);
  ensureNative(host, engine);
  return engine;
}

/** A node on the tailnet that the key belongs to; all arguments go to `cairn serve`. */
async function startWithKey(engine: string): Promise<number> {
  const node = Bun.spawn({
    cmd: [process.execPath, main, "serve", "--tailnet-engine", engine, ...process.argv.slice(2)],
    stdio: ["inherit", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => node.kill(signal));
  return node.exited;
}

/** A control server, and nodes that join it with a random key. Contexts survive in .cache/start; the tailnet is new each time. */
async function startPrivate(engine: string): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { nodes: { type: "string", default: "1" }, data: { type: "string" }, port: { type: "string" } },
  });
  const count = Number(values.nodes);
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES)
    throw new BuildError(`--nodes should be a number from 1 to ${MAX_NODES}, and is "${values.nodes}"`);
  const firstPort = values.port === undefined ? FIRST_PORT : Number(values.port);
  const home = values.data ?? join(root, ".cache", "start");

  const ending = Promise.withResolvers<number>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.resolve(0));
  const tailnet = await TestTailnet.start();
  const nodes: PrivateNode[] = [];
  try {
    const key = `tskey-auth-${crypto.randomUUID().replaceAll("-", "")}`;
    await tailnet.auth("key", { keys: [key] });
    for (let at = 1; at <= count; at++) {
      const name = count === 1 ? "cairn" : `cairn-${at}`;
      nodes.push(
        spawnNode({
          name,
          engine,
          key,
          controlUrl: tailnet.controlUrl,
          dataDir: join(home, name),
          port: freePort(firstPort === 0 ? 0 : firstPort + at - 1),
        }),
      );
    }
    for (const node of nodes) void node.exited.then((code) => ending.resolve(code === 0 ? 1 : code));
    const started = await Promise.race([Promise.all(nodes.map((node) => node.serving)), ending.promise]);
    if (Array.isArray(started)) console.log(howToUse(started));
    return await ending.promise;
  } finally {
    for (const node of nodes) node.kill("SIGTERM");
    const late = setTimeout(() => nodes.forEach((node) => void node.kill("SIGKILL")), END_MS);
    await Promise.all(nodes.map((node) => node.exited));
    clearTimeout(late);
    await tailnet[Symbol.asyncDispose]();
  }
}

interface Serving {
  name: string;
  mcpUrl: string;
  localUrl: string;
  dataDir: string;
}

interface PrivateNode {
  serving: Promise<Serving>;
  exited: Promise<number>;
  kill: (signal: NodeJS.Signals) => void;
}

function spawnNode(node: {
  name: string;
  engine: string;
  key: string;
  controlUrl: string;
  dataDir: string;
  port: number;
}): PrivateNode {
  mkdirSync(node.dataDir, { recursive: true, mode: 0o700 });
  // The control server forgets everything when it ends, so the node's login is worth nothing any more; the store stays.
  rmSync(join(node.dataDir, "tailnet"), { recursive: true, force: true });
  const flags = {
    "--data": node.dataDir,
    "--hostname": node.name,
    "--control-url": node.controlUrl,
    "--tailnet-engine": node.engine,
    "--loopback": String(node.port),
    "--log-level": process.env["CAIRN_LOG_LEVEL"] ?? "warning",
  };
  const child = Bun.spawn({
    cmd: [process.execPath, main, "serve", "--private-tailnet", ...Object.entries(flags).flat()],
    env: { ...process.env, TS_AUTHKEY: node.key },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const serving = Promise.withResolvers<Serving>();
  serving.promise.catch(() => {});
  void followEvents(child.stdout, node, serving);
  return { serving: serving.promise, exited: child.exited, kill: (signal) => child.kill(signal) };
}

/** Reads the node's event lines until it ends; resolves when it serves on the tailnet. */
async function followEvents(
  stdout: ReadableStream<Uint8Array>,
  node: { name: string; dataDir: string },
  serving: PromiseWithResolvers<Serving>,
): Promise<void> {
  const lines = new LineSplitter(1024 * 1024);
  let localUrl = "";
  for await (const chunk of stdout) {
    for (const line of lines.push(chunk)) {
      const event: Record<string, unknown> = JSON.parse(new TextDecoder().decode(line));
      if (typeof event["localUrl"] === "string") localUrl = event["localUrl"];
      const serves = event["event"] === "serving" || (event["event"] === "ready" && event["state"] === "serving");
      if (serves)
        serving.resolve({ name: node.name, dataDir: node.dataDir, localUrl, mcpUrl: String(event["mcpUrl"]) });
      else if (event["event"] === "ready")
        console.error(`cairn: ${node.name} is not on the tailnet yet (${event["state"]})`);
    }
  }
}

/** The lines to copy: each works from any folder of this machine. */
function howToUse(nodes: readonly Serving[]): string {
  const several = nodes.length > 1;
  const parts = nodes.map((node) => {
    const target = {
      name: several ? node.name : "cairn",
      mcpUrl: `${node.localUrl}/mcp`,
      bridge: [process.execPath, main, "bridge", "--data", node.dataDir],
    };
    const agent = (transport: "http" | "stdio") => clientLines("claude-code", target, transport).steps[0]?.text ?? "";
    return [
      ...(several ? [`${node.name}:`] : []),
      `  page      ${node.localUrl}/`,
      `  MCP URL   ${node.localUrl}/mcp`,
      `  tailnet   ${node.mcpUrl} (only nodes of the private tailnet get there)`,
      `  agent     ${agent("http")}`,
      `  or        ${agent("stdio")}`,
      `  write     curl -X PUT ${node.localUrl}/contexts/hello/world -H 'Content-Type: text/plain' -d 'hello from curl'`,
      `  read      curl ${node.localUrl}/contexts/hello/world`,
      `  data      ${node.dataDir}`,
    ].join("\n");
  });
  return [
    `cairn runs ${several ? `as ${nodes.length} nodes ` : ""}on a private tailnet of this machine; set TS_AUTHKEY to join your own.`,
    ...(several ? ["Each node has its own store for now."] : []),
    "",
    parts.join("\n\n"),
    "",
    "Ctrl-C ends it.",
  ].join("\n");
}

/** That port of 127.0.0.1 if it is free, else 0, which lets the node take any. */
function freePort(port: number): number {
  if (port === 0) return 0;
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return port;
  } catch {
    return 0;
  }
}
