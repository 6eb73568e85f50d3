// Clients that write and read at random and record the history of a run. `Target` is how they reach a node; which
// faults happen meanwhile is up to the scenario.

import { eventually } from "../kit/eventually.ts";
import { OTHER_CONTENT, type Place, type Row } from "./history.ts";
import type { Random } from "./random.ts";

/** Outcome of one attempt. `fail` is certain: nothing was done, and nothing will be. */
export type Said =
  | {
      outcome: "ok";
      version: number;
      hash: string;
      /** As in Row. */
      body?: string;
      position: Place | undefined;
      ageMs?: number;
      cached?: boolean;
    }
  | { outcome: "fail"; code: string /** Whether the same may be asked again. */; again: boolean }
  | { outcome: "unknown"; code: string };

export interface PutAsk {
  key: string;
  content: string;
  /** As in Row. */
  condition: string | undefined;
  /** Absent: the write is not to be sent again once it may have been done. */
  idempotencyKey: string | undefined;
}

export interface GetAsk {
  key: string;
  consistency: "any" | "session" | "leader";
  shown: Place | undefined;
}

/** A node as clients reach it. Neither method rejects. */
export interface Target {
  readonly name: string;
  /** Used for writes only. */
  readonly writesOnly?: boolean;
  put(ask: PutAsk, signal: AbortSignal): Promise<Said>;
  get(ask: GetAsk, signal: AbortSignal): Promise<Said>;
}

export interface LoadOptions {
  random: Random;
  /**
   * Called for each attempt with the number of the client, so that nodes may come and go; while it returns none, the
   * client waits. All that one client gets reach the nodes as one caller.
   */
  targets: (client: number) => readonly Target[];
  /** Reports whether the caller of a client may only read. */
  isReader?: (client: number) => boolean;
  clients: number;
  /** Contexts `<prefix>k0` … that all clients use. */
  prefix: string;
  keys: number;
  /** Fraction of the requests that are writes; of those, fraction with a condition, and without idempotency key. */
  writes?: number;
  conditional?: number;
  unkeyed?: number;
  /** Kinds of reads; one is drawn for each. */
  consistencies?: readonly GetAsk["consistency"][];
  /** Longest pause of a client between two requests, in ms. */
  pauseMs?: number;
  /** How long a write is retried, with its key, before its client gives up. */
  patienceMs?: number;
  /** Additional letters in each document. */
  padding?: number;
}

/** How long a client waits for one response before it asks another node. */
const ATTEMPT_MS = 1_500;
const MAX_ROWS = 500_000;

/** A running load. */
export class Load {
  readonly rows: Row[] = [];
  readonly #options: Required<LoadOptions>;
  readonly #stopping = new AbortController();
  readonly #clients: Promise<void>[];
  readonly #run = crypto.randomUUID().slice(0, 8);

  constructor(options: LoadOptions) {
    this.#options = {
      writes: 0.5,
      conditional: 0.4,
      unkeyed: 0.25,
      isReader: () => false,
      consistencies: ["any", "session", "leader"],
      pauseMs: 5,
      patienceMs: 25_000,
      padding: 0,
      ...options,
    };
    this.#clients = Array.from({ length: options.clients }, (_, at) => this.#client(at, options.random.fork()));
  }

  /** Writes that were acknowledged so far. */
  get acknowledged(): number {
    return this.rows.reduce((sum, row) => sum + Number(row.operation === "put" && row.outcome === "ok"), 0);
  }

  /** Resolves when this many more writes are acknowledged; returns how long that took, in ms. */
  async more(count: number, withinMs = 30_000): Promise<number> {
    const started = performance.now();
    const wanted = this.acknowledged + count;
    const seen = () => JSON.stringify(this.rows.slice(-4));
    await eventually(`${wanted} acknowledged writes`, () => this.acknowledged >= wanted, { withinMs, seen });
    return performance.now() - started;
  }

  /** Stops it; requests in flight are recorded as unknown. */
  async stop(): Promise<Row[]> {
    this.#stopping.abort(new Error("the load ends"));
    await Promise.all(this.#clients);
    return this.rows;
  }

  async #client(number: number, random: Random): Promise<void> {
    const { prefix, keys, pauseMs, writes, isReader } = this.#options;
    const client: Client = {
      number,
      process: `${this.#run.slice(0, 4)}-c${number}`,
      ...(isReader(number) ? { rights: "read" as const } : {}),
      random,
      tags: new Map(),
      shown: undefined,
      asked: 0,
    };
    while (!this.#stopping.signal.aborted && this.rows.length < MAX_ROWS) {
      await Bun.sleep(random.next() * pauseMs);
      const key = `${prefix}k${random.between(0, keys - 1)}`;
      client.asked += 1;
      const row = random.chance(writes) ? await this.#put(client, key) : await this.#get(client, key);
      if (row === undefined) continue;
      this.rows.push(row);
      if (row.outcome !== "ok") {
        client.tags.delete(key);
        continue;
      }
      if (row.version > 0) client.tags.set(key, `${row.version}-${row.hash}`);
      // A session client presents the newest position that it saw.
      if (row.position !== undefined && row.consistency !== "any" && isNewer(row.position, client.shown))
        client.shown = row.position;
    }
  }

  async #put(client: Client, key: string): Promise<Row | undefined> {
    const { conditional, patienceMs, padding, unkeyed } = this.#options;
    const { process, random, rights } = client;
    const content = `${this.#run} ${process} ${client.asked} ${"x".repeat(padding)}`;
    const condition = random.chance(conditional) ? (client.tags.get(key) ?? "new") : undefined;
    const keyed = !random.chance(unkeyed);
    const idempotencyKey = keyed ? `${this.#run}-${process}-${client.asked}` : undefined;
    const ask = { key, content, condition, idempotencyKey };
    const invokeMs = performance.now();
    const deadline = invokeMs + patienceMs;
    const row = { process, operation: "put" as const, rights, keyed, key, invokeMs, condition, hash: hashOf(content) };
    let maybe = false;
    for (;;) {
      const target = this.#target(client, "put");
      if (target === undefined) {
        if (this.#stopping.signal.aborted && !maybe) return undefined;
      } else {
        const said = await target.put(ask, AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ATTEMPT_MS)]));
        const node = target.name;
        const completeMs = performance.now();
        // The key makes a certain outcome of one attempt certain for all attempts.
        if (said.outcome === "ok")
          return {
            ...row,
            ...said,
            hash: row.hash,
            node,
            completeMs,
            code: said.hash === row.hash ? "" : OTHER_CONTENT,
          };
        if (said.outcome === "fail" && !said.again)
          return { ...row, node, completeMs, outcome: "fail", code: said.code, version: 0, position: undefined };
        maybe ||= said.outcome === "unknown";
        if (completeMs > deadline || this.#stopping.signal.aborted || (maybe && !keyed)) {
          const outcome = maybe ? "unknown" : "fail";
          return { ...row, node, completeMs, outcome, code: said.code, version: 0, position: undefined };
        }
      }
      if (this.#stopping.signal.aborted)
        return {
          ...row,
          node: "",
          completeMs: performance.now(),
          outcome: "unknown",
          code: "",
          version: 0,
          position: undefined,
        };
      await Bun.sleep(10 + random.next() * 40);
    }
  }

  async #get(client: Client, key: string): Promise<Row | undefined> {
    const { process, random, rights } = client;
    const target = this.#target(client, "get");
    if (target === undefined) return undefined;
    const consistency = random.pick(this.#options.consistencies);
    const shown = consistency === "session" ? client.shown : undefined;
    const invokeMs = performance.now();
    const said = await target.get(
      { key, consistency, shown },
      AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ATTEMPT_MS)]),
    );
    const row = {
      process,
      operation: "get" as const,
      rights,
      key,
      invokeMs,
      completeMs: performance.now(),
      node: target.name,
      consistency,
      shown,
    };
    if (said.outcome === "ok") return { ...row, ...said, code: "" };
    return { ...row, outcome: "fail", code: said.code, version: 0, hash: "", position: undefined };
  }

  #target({ number, random }: Client, operation: Row["operation"]): Target | undefined {
    const targets = this.#options
      .targets(number)
      .filter(({ writesOnly }) => operation === "put" || writesOnly !== true);
    return targets.length === 0 || this.#stopping.signal.aborted ? undefined : random.pick(targets);
  }
}

interface Client {
  number: number;
  rights?: Row["rights"];
  process: string;
  random: Random;
  tags: Map<string, string>;
  shown: Place | undefined;
  asked: number;
}

/** Returns the first 12 hex digits of the SHA-256, as in ETags and in the checker. */
export function hashOf(content: string): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex").slice(0, 12);
}

/** Another history replaces the position: its seq cannot be compared. */
function isNewer(position: Place, shown: Place | undefined): boolean {
  return shown === undefined || position.epoch !== shown.epoch || position.seq > shown.seq;
}
