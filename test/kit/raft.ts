// Raft members for tests: driver processes, each with its store and its engine in this process, and writes that are
// retried until one is acknowledged.

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { DIGEST_TABLES, MIGRATIONS } from "../../src/features/index.ts";
import { digestOf } from "../../src/log/digest.ts";
import { RaftLog, type RaftOptions } from "../../src/log/engine/raft/raft-log.ts";
import { fleetOf } from "../../src/log/history.ts";
import type { Command } from "../../src/log/log.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Store } from "../../src/store/store.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";

export const applyContexts = applierOf(contextOperations);

/** Returns a put as the operation prepares it. */
export function putCommand(id: string, content: unknown, key = ""): Command {
  const operation = contextOperations.find(({ name }) => name === "context_put");
  if (operation?.kind !== "write") throw new Error("no operation context_put");
  const input = operation.prepare(operation.input.parse({ id, content }), DEFAULT_WRITE_LIMITS);
  return { name: operation.name, v: operation.v, input, caller: "user:a", via: "", key };
}

/** Returns a hash of everything that is replicated. */
export function digestOfStore(store: Store): string {
  return digestOf(store.reader, DIGEST_TABLES);
}

type Replies = Map<number, (reply: { ok: unknown; error?: string }) => void>;

export interface DriverOptions {
  folder: string;
  bootstrap?: boolean;
  flags?: readonly string[];
  /** Path of another build of the driver. */
  program?: string;
  /** File to which the log of raft is appended; without it raft logs nothing. */
  logTo?: string;
}

/** A running driver. */
export class Driver {
  readonly server: string;
  readonly address: string;
  readonly socketPath: string;
  readonly #child: ReturnType<typeof spawnDriver>;
  readonly #waiting: Replies;
  #last = 0;

  private constructor(
    child: ReturnType<typeof spawnDriver>,
    said: { server: string; address: string },
    socketPath: string,
    waiting: Replies,
  ) {
    this.#child = child;
    this.server = said.server;
    this.address = said.address;
    this.socketPath = socketPath;
    this.#waiting = waiting;
  }

  static async start({ folder, bootstrap = false, flags = [], program, logTo }: DriverOptions): Promise<Driver> {
    if (host === undefined) throw new Error("this machine is none that Cairn is built for");
    const socketPath = join(folder, `raft-${crypto.randomUUID().slice(0, 8)}.sock`);
    const cmd = [
      program ?? ensureNative(host, "raftnode"),
      `--folder=${join(folder, "raft")}`,
      `--socket=${socketPath}`,
      ...(bootstrap ? ["--bootstrap"] : []),
      ...(logTo === undefined ? [] : ["--verbose"]),
      ...flags,
    ];
    const child = spawnDriver(cmd, logTo);
    const waiting: Replies = new Map();
    const listening = Promise.withResolvers<{ server: string; address: string }>();
    const read = async () => {
      let rest = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const said = JSON.parse(line);
          if (said.event === "listening") listening.resolve(said);
          else waiting.get(said.id)?.(said);
        }
      }
      listening.reject(new Error("the driver ended before it listened"));
      for (const tell of waiting.values()) tell({ ok: undefined, error: "the driver ended" });
    };
    void read();
    return new Driver(child, await listening.promise, socketPath, waiting);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async command<T = unknown>(command: { do: string } & Record<string, unknown>): Promise<T> {
    this.#last += 1;
    const id = this.#last;
    const { promise, resolve } = Promise.withResolvers<{ ok: unknown; error?: string }>();
    this.#waiting.set(id, resolve);
    this.#child.stdin.write(`${JSON.stringify({ ...command, id })}\n`);
    this.#child.stdin.flush();
    const { ok, error } = await promise;
    this.#waiting.delete(id);
    if (error !== undefined) throw new Error(`${command.do}: ${error}`);
    return ok as T;
  }

  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(name);
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

function spawnDriver(cmd: string[], logTo: string | undefined) {
  const log = logTo === undefined ? undefined : openSync(logTo, "a");
  try {
    return Bun.spawn({ cmd, stdin: "pipe", stdout: "pipe", stderr: log ?? "inherit" });
  } finally {
    if (log !== undefined) closeSync(log);
  }
}

/** One member: driver, store and engine. */
export interface Member {
  folder: string;
  driver: Driver;
  store: Store;
  log: RaftLog;
  fatal: unknown[];
}

export async function startMember(
  options: DriverOptions & {
    nowMs?: () => number;
    apply?: RaftOptions["apply"];
    cleanCopy?: RaftOptions["cleanCopy"];
    onJoined?: RaftOptions["onJoined"];
    peers?: readonly Member[];
    /** The fleet that it will become a member of; without it that of its store. */
    of?: Member;
    sync?: "commit" | "checkpoint";
    migrations?: typeof MIGRATIONS;
  },
): Promise<Member> {
  const driver = await Driver.start(options);
  for (const peer of options.peers ?? []) await introduce(driver, peer.driver);
  const store = Store.open({
    folder: join(options.folder, "store"),
    migrations: options.migrations ?? MIGRATIONS,
    log: () => {},
    sync: options.sync ?? "checkpoint",
  });
  const fatal: unknown[] = [];
  try {
    const log = new RaftLog({
      store,
      apply: options.apply ?? applyContexts,
      stampMs: options.nowMs ?? Date.now,
      onFatal: (error) => fatal.push(error),
      unknownAfterMs: 4000,
      ...(options.cleanCopy === undefined ? {} : { cleanCopy: options.cleanCopy }),
      ...(options.onJoined === undefined ? {} : { onJoined: options.onJoined }),
    });
    await log.start({
      socketPath: driver.socketPath,
      ...fleetOf((options.of?.store ?? store).reader),
      signal: AbortSignal.timeout(20_000),
    });
    return { folder: options.folder, driver, store, log, fatal };
  } catch (error) {
    await driver.end();
    store.close();
    throw error;
  }
}

async function introduce(one: Driver, other: Driver): Promise<void> {
  await one.command({ do: "peer", server: other.server, address: other.address });
  await other.command({ do: "peer", server: one.server, address: one.address });
}

export async function stopMember(member: Member): Promise<void> {
  await member.log.close();
  await member.driver.end();
  member.store.close();
}
