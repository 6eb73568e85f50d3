// Clients that write and read at random and record the history of a run. `Target` is how they reach a node, draws.ts
// what they ask for; which faults happen meanwhile is up to the scenario.

import { eventually } from "../kit/eventually.ts";
import type { Answered, ReadAsk, Said, Target } from "./asks.ts";
import { type Draw, drawRead, drawWrite, type Known } from "./draws.ts";
import { isWrite, OTHER_CONTENT, OTHER_PART, type Place, type Row } from "./history.ts";
import type { Random } from "./random.ts";

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
  /** What the clients ask for; each is drawn with its weight. */
  draws?: Readonly<Partial<Record<Draw, number>>>;
  /** Kinds of reads; one is drawn for each. */
  consistencies?: readonly ReadAsk["consistency"][];
  /** Longest pause of a client between two requests, in ms. */
  pauseMs?: number;
  /** How long a write is retried, with its key, before its client gives up. */
  patienceMs?: number;
  /** How long a client waits for one response before it asks another node, in ms. */
  attemptMs?: number;
  /** Additional letters in each document. */
  padding?: number;
}

/** Half of the writes replace a document and half of the reads are of one, as in the work of agents. */
const DRAWS: Readonly<Record<Draw, number>> = {
  put: 10,
  patch: 5,
  delete: 2,
  restore: 1,
  many: 2,
  get: 10,
  version: 1,
  at: 1,
  metadata: 2,
  history: 2,
  list: 3,
};

/** `attemptMs` of a load without one. */
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
      draws: DRAWS,
      consistencies: ["any", "session", "leader"],
      pauseMs: 5,
      patienceMs: 25_000,
      attemptMs: ATTEMPT_MS,
      padding: 0,
      ...options,
    };
    this.#clients = Array.from({ length: options.clients }, (_, at) => this.#client(at, options.random.fork()));
  }

  /** Writes that were acknowledged so far; each part of a batch is one. */
  get acknowledged(): number {
    return this.rows.reduce((sum, row) => sum + Number(isWrite(row) && row.outcome === "ok"), 0);
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
      keys: Array.from({ length: keys }, (_, at) => `${prefix}k${at}`),
      tags: new Map(),
      tokens: new Map(),
      shown: undefined,
      after: undefined,
      asked: 0,
    };
    while (!this.#stopping.signal.aborted && this.rows.length < MAX_ROWS) {
      await Bun.sleep(random.next() * pauseMs);
      client.asked += 1;
      const rows = random.chance(writes) ? await this.#write(client) : await this.#read(client);
      for (const row of rows) {
        this.rows.push(row);
        learn(client, row);
      }
    }
  }

  /** Returns a row for each part of the write. */
  async #write(client: Client): Promise<Row[]> {
    const { patienceMs, unkeyed } = this.#options;
    const { process, random, rights } = client;
    const token = `${this.#run}-${process}-${client.asked}`;
    const drawn = drawWrite(client, { ...this.#options, token });
    const keyed = !random.chance(unkeyed);
    const ask = { parts: drawn.map(({ part }) => part), idempotencyKey: keyed ? token : undefined };
    const invokeMs = performance.now();
    const batch = drawn.length > 1 ? token : undefined;
    const blanks = drawn.map(({ part: { operation, key, condition, named }, row }) => ({
      ...{ process, operation, rights, keyed, batch, key, condition, named, invokeMs },
      ...row,
    }));
    const deadline = invokeMs + patienceMs;
    const endWith = (
      node: string,
      outcome: "fail" | "unknown",
      said: { code: string; current?: string; index?: number },
    ) =>
      blanks.map((blank, at): Row => {
        // The state of its own context decided about the part that was refused, and about no other.
        const own = said.index === undefined || said.index === at;
        const { code, current } = own ? said : { code: OTHER_PART };
        return {
          ...blank,
          node,
          completeMs: performance.now(),
          outcome,
          code,
          current,
          version: 0,
          position: undefined,
        };
      });
    let maybe = false;
    for (;;) {
      const target = this.#target(client, true);
      if (target === undefined) {
        if (this.#stopping.signal.aborted && !maybe) return [];
      } else {
        const said = await target.write(ask, this.#within());
        // The key makes a certain outcome of one attempt certain for all attempts.
        if (said.outcome === "ok") return acknowledgedRows(blanks, said, target.name);
        if (said.outcome === "fail" && !said.again) return endWith(target.name, "fail", said);
        maybe ||= said.outcome === "unknown";
        if (performance.now() > deadline || this.#stopping.signal.aborted || (maybe && !keyed))
          return endWith(target.name, maybe ? "unknown" : "fail", { code: said.code });
      }
      if (this.#stopping.signal.aborted) return endWith("", "unknown", { code: "" });
      await Bun.sleep(10 + random.next() * 40);
    }
  }

  async #read(client: Client): Promise<Row[]> {
    const { process, random, rights } = client;
    const target = this.#target(client, false);
    if (target === undefined) return [];
    const consistency = random.pick(this.#options.consistencies);
    const shown = consistency === "session" ? client.shown : undefined;
    const ask: ReadAsk = { ...drawRead(client, this.#options), consistency, shown };
    const invokeMs = performance.now();
    const said = await target.read(ask, this.#within());
    return [{ ...rowOfRead(ask, said), process, rights, invokeMs, completeMs: performance.now(), node: target.name }];
  }

  #within(): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(this.#options.attemptMs)]);
  }

  #target({ number, random }: Client, writes: boolean): Target | undefined {
    const targets = this.#options.targets(number).filter(({ writesOnly }) => writes || writesOnly !== true);
    return targets.length === 0 || this.#stopping.signal.aborted ? undefined : random.pick(targets);
  }
}

interface Client extends Known {
  number: number;
  rights?: Row["rights"];
  process: string;
  shown: Place | undefined;
  asked: number;
}

/** What a row has before there is a response. */
type Blank = Omit<Row, "completeMs" | "node" | "outcome" | "code" | "version" | "position">;

/** The parts of a batch have consecutive positions; the response names the last one. */
function acknowledgedRows(blanks: readonly Blank[], { parts, position, ...said }: Answered, node: string): Row[] {
  const completeMs = performance.now();
  return blanks.map((blank, at) => {
    const { version, hash } = parts?.[at] ?? said;
    const seq = (position?.seq ?? 0) - (blanks.length - 1 - at);
    // The hash of a put is known before.
    const isOther = blank.hash !== "" && blank.hash !== hash;
    return {
      ...blank,
      ...{ node, completeMs, outcome: "ok", code: isOther ? OTHER_CONTENT : "", version },
      hash: blank.hash === "" ? hash : blank.hash,
      position: position && { ...position, seq },
    };
  });
}

/** Returns the row of a read without its client, node and times. */
export function rowOfRead(
  { operation, key, consistency, shown, named, at, known, after, limit }: ReadAsk,
  said: Said,
): Omit<Row, "process" | "invokeMs" | "completeMs" | "node"> {
  const row = { operation, key, consistency, shown, named, at, known, after, limit };
  if (said.outcome === "ok") {
    const { parts: _, ...answered } = said;
    return { ...row, ...answered, code: "" };
  }
  return { ...row, outcome: "fail", code: said.code, version: 0, hash: "", position: undefined };
}

/** Keeps what the next requests of a client refer to. */
function learn(client: Client, row: Row): void {
  if (row.outcome !== "ok") {
    if (row.current === undefined || row.current === "none") client.tags.delete(row.key);
    else client.tags.set(row.key, row.current);
    return;
  }
  if (row.operation === "delete" || row.absent !== undefined) client.tags.delete(row.key);
  else if ((isWrite(row) || row.operation === "get") && row.version > 0)
    client.tags.set(row.key, `${row.version}-${row.hash}`);
  if (row.token !== undefined) client.tokens.set(row.key, row.token);
  if (row.operation === "list") client.after = row.more === true ? row.listed?.at(-1)?.key : undefined;
  // A session client presents the newest position that it saw.
  if (row.position !== undefined && row.consistency !== "any" && isNewer(row.position, client.shown))
    client.shown = row.position;
}

/** Another history replaces the position: its seq cannot be compared. */
function isNewer(position: Place, shown: Place | undefined): boolean {
  return shown === undefined || position.epoch !== shown.epoch || position.seq > shown.seq;
}
