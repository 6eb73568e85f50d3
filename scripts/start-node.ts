// One node of npm start's private tailnet as a process, and calls of its command line.

import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { LineSplitter } from "../src/tailnet/lines.ts";
import { finished } from "./finished.ts";
import { BuildError } from "./native.ts";

/** The command that runs the executable from source. */
export const CAIRN: readonly string[] = [process.execPath, join(dirname(import.meta.dir), "src", "main.ts")];
const READY_STEP_MS = 100;

export type Role = "central" | "regional" | "edge";

export interface Serving {
  name: string;
  role: Role;
  mcpUrl: string;
  localUrl: string;
  dataDir: string;
}

export interface PrivateNode {
  name: string;
  role: Role;
  dataDir: string;
  /** Resolves when it serves calls: it is on its tailnet and a member of the fleet. */
  serving: Promise<Serving>;
  exited: Promise<number>;
  kill: (signal: NodeJS.Signals) => void;
}

export interface NodeWish {
  name: string;
  role: Role;
  engine: string;
  key: string;
  controlUrl: string;
  dataDir: string;
  /** Port on 127.0.0.1; 0 takes any. */
  port: number;
  joins?: { place: string; ticket: string } | undefined;
}

export function spawnNode(node: NodeWish): PrivateNode {
  mkdirSync(node.dataDir, { recursive: true, mode: 0o700 });
  // The control server keeps nothing when it ends, so the node's login is worthless afterwards; the store is kept.
  rmSync(join(node.dataDir, "tailnet"), { recursive: true, force: true });
  const flags = {
    "--data": node.dataDir,
    "--hostname": node.name,
    "--role": node.role,
    ...(node.joins === undefined ? {} : { "--join": node.joins.place }),
    "--control-url": node.controlUrl,
    "--tailnet-engine": node.engine,
    "--loopback": String(node.port),
    "--log-level": process.env["CAIRN_LOG_LEVEL"] ?? "warning",
  };
  const child = Bun.spawn({
    cmd: [...CAIRN, "serve", "--private-tailnet", ...Object.entries(flags).flat()],
    env: {
      ...process.env,
      TS_AUTHKEY: node.key,
      ...(node.joins === undefined ? {} : { CAIRN_JOIN_TICKET: node.joins.ticket }),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const serving = Promise.withResolvers<Serving>();
  serving.promise.catch(() => {});
  void followEvents(child.stdout, node, serving);
  const { name, role, dataDir } = node;
  return { name, role, dataDir, serving: serving.promise, exited: child.exited, kill: (signal) => child.kill(signal) };
}

/** Reads the node's event lines until it ends; resolves when it serves on the tailnet and is ready. */
async function followEvents(
  stdout: ReadableStream<Uint8Array>,
  { name, role, dataDir }: NodeWish,
  serving: PromiseWithResolvers<Serving>,
): Promise<void> {
  const lines = new LineSplitter(1024 * 1024);
  let localUrl = "";
  for await (const chunk of stdout) {
    for (const line of lines.push(chunk)) {
      const event: Record<string, unknown> = JSON.parse(new TextDecoder().decode(line));
      if (typeof event["localUrl"] === "string") localUrl = event["localUrl"];
      const serves = event["event"] === "serving" || (event["event"] === "ready" && event["state"] === "serving");
      if (serves) {
        const found = { name, role, dataDir, localUrl, mcpUrl: String(event["mcpUrl"]) };
        void untilReady(localUrl).then(() => serving.resolve(found));
      } else if (event["event"] === "ready")
        console.error(`cairn: ${name} is not on the tailnet yet (${event["state"]})`);
    }
  }
}

/** A joiner listens before it is a member. Rejects when the node ends, which ends the script. */
async function untilReady(localUrl: string): Promise<void> {
  for (;;) {
    const ready = await fetch(`${localUrl}/ready`, { proxy: false }).catch(() => undefined);
    await ready?.body?.cancel();
    if (ready?.ok === true) return;
    await Bun.sleep(READY_STEP_MS);
  }
}

/**
 * Runs `cairn` with these arguments, and these variables over its own, and returns its stdout; a failure ends the
 * script.
 */
export async function cairn(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = Bun.spawn({
    cmd: [...CAIRN, ...words],
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const { out, err, code } = await finished(child);
  if (code !== 0) throw new BuildError(`cairn ${words.join(" ")} ended with ${code}: ${err.trim()}`);
  return out;
}

/** Returns that port of 127.0.0.1 if it is free, else 0, which lets the node take any. */
export function freePort(port: number): number {
  if (port === 0) return 0;
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return port;
  } catch {
    return 0;
  }
}
