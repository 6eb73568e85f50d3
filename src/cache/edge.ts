// An edge put together: its store, log and cache, the feed it follows, and what invoke asks of them. Who carries its calls to other nodes is handed in.

import { spaceOf } from "../access/space.ts";
import type { CacheReport } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { openSleepClock, type SleepClock } from "../lib/sleep-clock.ts";
import type { Answer } from "../operation/answer.ts";
import type { Operation } from "../operation/define.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { CachedCall, ForwardCall, Routing } from "../operation/routing.ts";
import type { Store } from "../store/store.ts";
import type { EdgeLog } from "./edge-log.ts";
import { EdgeState } from "./edge-state.ts";
import { FeedClient, type FeedClientOptions } from "./feed-client.ts";
import type { FeedTerms } from "./frames.ts";
import { Freshness } from "./freshness.ts";
import { keyOf } from "./keys.ts";
import { unseenWrite, WriteWitness } from "./write-witness.ts";

/** The settings of an edge. */
export interface EdgeSettings {
  /** Globs of the spaces to keep, of those that the member is enrolled for; none: all of them. */
  spaces: readonly string[];
  /** Bytes of documents in memory, and as many again in the file. */
  maxBytes: number;
  /** How old an answer of a space with mode `stale` may be, in ms. */
  maxStaleMs: number;
}

export interface EdgeOptions {
  /** With the tables of the log and of the cache. */
  store: Store;
  settings: EdgeSettings;
  /** Full members that may be followed, by StableNodeID. */
  nodes: () => readonly string[];
  /** Called with the terms whenever a node sends other ones. */
  onTerms?: (terms: FeedTerms, from: string) => void;
  ask: FeedClientOptions["ask"];
  roundTripMs: FeedClientOptions["roundTripMs"];
  /** Takes a call to the leader, or to the node that `upstream` names. */
  forward: Routing["forward"];
  /** Reads whose answers may be kept, from the manifests of the features. */
  reads: readonly EdgeRead[];
  /** Every write of this build. */
  writes: readonly Operation[];
  onUpstream?: FeedClientOptions["onChange"];
  /** Hears why something could not be written. */
  onError?: (error: unknown) => void;
  clock?: SleepClock;
  wallMs?: () => number;
  patienceMs?: number;
  /** How long a second full member may take to have a write, in ms. */
  witnessMs?: number;
}

/** After this time without an upstream calls for the leader are refused instead of tried for long, in ms. */
const CUT_OFF_MS = 5000;
/** How often that is looked at while a call is on its way, in ms. */
const LOOK_MS = 250;

/** An edge over its store; `start` it once it is a member, `stop` it before the store is closed. */
export class Edge {
  readonly state: EdgeState;
  readonly client: FeedClient;
  readonly #options: EdgeOptions;
  readonly #writes: ReadonlyMap<string, Operation>;
  readonly #freshness: Freshness;
  readonly #witness: WriteWitness;
  readonly #startedMs: number;

  constructor(options: EdgeOptions) {
    const { store, settings, ask, nodes, roundTripMs, onTerms, onUpstream, patienceMs, witnessMs } = options;
    this.#options = options;
    this.#writes = new Map(options.writes.map((operation) => [operation.name, operation]));
    this.#freshness = new Freshness(options.clock ?? openSleepClock(), options.wallMs ?? Date.now);
    this.#startedMs = this.#freshness.nowMs();
    this.state = new EdgeState({
      ...settings,
      store,
      spaces: settings.spaces.length === 0 ? ["*"] : settings.spaces,
      freshness: this.#freshness,
      onError: options.onError ?? (() => {}),
      away: () => this.client.away(),
      reads: options.reads,
      ...(onTerms === undefined ? {} : { onTerms }),
    });
    this.client = new FeedClient({
      state: this.state,
      freshness: this.#freshness,
      ask,
      nodes,
      roundTripMs,
      ...(onUpstream === undefined ? {} : { onChange: onUpstream }),
      ...(patienceMs === undefined ? {} : { patienceMs }),
    });
    this.#witness = new WriteWitness({
      log: this.log,
      client: this.client,
      ask,
      nodes,
      roundTripMs,
      ...(witnessMs === undefined ? {} : { withinMs: witnessMs }),
    });
  }

  get log(): EdgeLog {
    return this.state.log;
  }

  start(): void {
    this.client.start();
  }

  async stop(): Promise<void> {
    await this.client.stop();
    this.state.persist();
  }

  /** StableNodeID of the node that reads go to; undefined while none can be asked. */
  upstream(): string | undefined {
    return this.client.upstream()?.node;
  }

  /** For `Routing.answer`: reads of the newest version of a document; undefined for all others. The gate has said yes before. */
  async answer(call: CachedCall): Promise<Answer | undefined> {
    const read = this.#options.reads.find(({ operation }) => operation === call.operation);
    const target = read?.targetOf(call.parsed);
    if (read === undefined || target === undefined) return undefined;
    const space = spaceOf(target);
    if (this.state.terms !== undefined && !this.state.isEnrolled(space)) throw notEnrolled(space);
    const served = await this.state.cache.read({
      key: keyOf(read.operation, target),
      consistency: call.consistency,
      minPosition: call.minPosition,
      signal: call.signal,
      fetch: (minPosition, signal) => this.#fetch(call, { input: read.upstream(target), minPosition }, signal),
    });
    return { ...served, output: read.shape(served.output, call.parsed) };
  }

  /** For `Routing.refuseFollow`: the feed has no changes of spaces that this edge does not keep. Fault `forbidden`. */
  refuseFollow(spaces: readonly string[]): void {
    const missing = spaces.find((space) => !this.state.isEnrolled(space));
    if (this.state.terms !== undefined && missing !== undefined) throw notEnrolled(missing);
  }

  /** For `Routing.forward`: what this node writes is not answered from what it kept before. */
  async forward(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "local"> {
    const cut = to === "leader" ? nothingWritten() : cutOff();
    if (this.#isCutOff()) throw cut;
    const lost = new AbortController();
    const watch = setInterval(() => {
      if (this.#isCutOff()) lost.abort(to === "leader" ? lostOnTheWay(call.operation) : cut);
    }, LOOK_MS);
    const either = AbortSignal.any([signal, lost.signal]);
    try {
      return to === "leader" ? await this.#toLeader(call, either) : await this.#options.forward(call, to, either);
    } finally {
      clearInterval(watch);
    }
  }

  async #toLeader(call: ForwardCall, signal: AbortSignal): Promise<Answer | "local"> {
    const { forward } = this.#options;
    const operation = this.#writes.get(call.operation);
    if (operation === undefined) return forward(call, "leader", signal);
    const done = this.state.cache.writing(targetOfWrite(operation, call.input));
    let position: string | undefined;
    try {
      const answer = await forward(call, "leader", signal);
      if (answer === "local") return answer;
      const { by } = answer;
      if (by !== undefined && (await this.#witness.find(answer.position, by, signal)) === "unseen")
        throw unseenWrite(call.operation, by);
      position = answer.position;
      return answer;
    } finally {
      done(position);
    }
  }

  /** What `node_status`, the metrics and the page show. */
  report(): CacheReport {
    const { stats, cache, terms } = this.state;
    const ageMs = this.#freshness.ageOf(this.#freshness.provenMs);
    return {
      upstream: this.client.away() ? null : (this.upstream() ?? null),
      fresh: this.#freshness.isFresh(),
      age_seconds: Number.isFinite(ageMs) ? Math.ceil(ageMs / 1000) : null,
      spaces: [...(terms?.spaces ?? [])],
      stale_spaces: this.state.staleSpaces(),
      entries: cache.entries.count,
      bytes: cache.entries.bytes,
      max_bytes: this.#options.settings.maxBytes,
      disk_bytes: cache.entries.diskBytes,
      ...stats.counts,
    };
  }

  async #fetch(
    { operation, caller }: CachedCall,
    { input, minPosition }: { input: Record<string, unknown>; minPosition: string | undefined },
    signal: AbortSignal,
  ): Promise<{ output: Record<string, unknown>; position: string }> {
    const upstream = this.client.upstream();
    if (upstream === undefined) throw cutOff();
    const position = minPosition === undefined ? {} : { min_position: minPosition };
    const call: ForwardCall = {
      operation,
      input: { ...input, consistency: "session", ...position },
      caller,
      kind: "read",
    };
    try {
      const answer = await this.#options.forward(call, "upstream", AbortSignal.any([signal, upstream.given]));
      if (answer !== "local") return answer;
    } catch (error) {
      signal.throwIfAborted();
      if (!upstream.given.aborted || error instanceof Fault) throw error;
    }
    throw cutOff();
  }

  /** Nobody answered for so long that the leader need not be looked for for half a minute. */
  #isCutOff(): boolean {
    const lastMs = Math.max(this.#startedMs, this.#freshness.pongMs);
    return this.client.away() && this.#freshness.nowMs() - lastMs > CUT_OFF_MS;
  }
}

const CUT_OFF_HINT = "Try again when the network is back; `cairn status` shows what it looks for.";

/** The id that a write names, by its argument or an alias of that; undefined where it may touch any. */
function targetOfWrite(operation: Operation, input: Readonly<Record<string, unknown>>): string | undefined {
  const argument = operation.kind === "write" ? operation.target : undefined;
  if (argument === undefined) return undefined;
  const aliases = Object.entries(operation.aliases ?? {}).filter(([, name]) => name === argument);
  const found = [argument, ...aliases.map(([alias]) => alias)].map((name) => input[name]);
  return found.find((value) => typeof value === "string");
}

function cutOff(): Fault {
  return new Fault("unavailable", "This edge reaches no full node of its fleet now", {
    hint: CUT_OFF_HINT,
    details: { retryAfterSeconds: 5 },
  });
}

function nothingWritten(): Fault {
  return new Fault("unavailable", "This edge reaches no full node of its fleet now; nothing was written", {
    hint: CUT_OFF_HINT,
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 5 },
  });
}

/** The call was sent while a full node was in reach. */
function lostOnTheWay(operation: string): Fault {
  return new Fault("unavailable", `No full node answers this edge any more; whether ${operation} was done is unknown`, {
    hint: "Read before you write again, or repeat it with the same idempotency key when the network is back.",
    facts: { outcome: "unknown" },
    details: { retryAfterSeconds: 5 },
  });
}

function notEnrolled(space: string): Fault {
  return new Fault("forbidden", `This edge is not enrolled for the space ${JSON.stringify(space)}`, {
    hint: "Ask a full node of the fleet, or let the edge join with a ticket that names the space.",
    details: { space },
  });
}
