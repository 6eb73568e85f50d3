// An edge put together: its store, log and cache, the feed that it follows, and what `invoke` asks of them. The caller
// provides what carries calls to other nodes.

import { callerName } from "../access/caller.ts";
import { spaceOf } from "../access/space.ts";
import type { CacheReport } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { openSleepClock, type SleepClock } from "../lib/sleep-clock.ts";
import type { Answer } from "../operation/answer.ts";
import type { Operation } from "../operation/define.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { CachedCall, ForwardCall, Routing } from "../operation/routing.ts";
import type { Store } from "../store/store.ts";
import { keyOf } from "./cache-key.ts";
import type { Upstream } from "./edge-cache.ts";
import type { EdgeLog } from "./edge-log.ts";
import { EdgeState } from "./edge-state.ts";
import { FeedClient, type FeedClientOptions } from "./feed-client.ts";
import type { FeedTerms } from "./feed-frames.ts";
import { Freshness } from "./freshness.ts";
import { ProvedAgents } from "./proved-agents.ts";
import { RightsAge } from "./rights-age.ts";
import { unseenWrite, WriteWitness } from "./write-witness.ts";

/** Settings of an edge. */
export interface EdgeSettings {
  /** Globs of the spaces to cache, of those the member is enrolled for; empty: all of them. */
  spaces: readonly string[];
  /** Bytes of documents in memory, and the same again in the file. */
  maxBytes: number;
  /** Highest age of an answer from a space with mode `stale`, in ms. */
  maxStaleMs: number;
  /** Longest time without full node and control server in which anything is served, in ms. */
  maxRightsAgeMs: number;
}

export interface EdgeOptions {
  /** With the tables of the log and of the cache (`edgeMigrations`). */
  store: Store;
  settings: EdgeSettings;
  /** Reports whether the control server of the tailnet answers now. */
  controlAnswers: () => boolean;
  /** Returns the full members that may be followed, by StableNodeID. */
  nodes: () => readonly string[];
  /** Called with new terms and the node that sent them. */
  onTerms?: (terms: FeedTerms, from: string) => void;
  ask: FeedClientOptions["ask"];
  roundTripMs: FeedClientOptions["roundTripMs"];
  /** Takes a call to the leader, or to the node that `upstream` returns. */
  forward: Routing["forward"];
  /** Reads whose outputs may be cached, from the manifests of the features. */
  reads: readonly EdgeRead[];
  /** Every write of this build. */
  writes: readonly Operation[];
  onUpstream?: FeedClientOptions["onChange"];
  /** Called with the reason if something could not be written. */
  onError?: (error: unknown) => void;
  clock?: SleepClock;
  wallMs?: () => number;
  graceMs?: number;
  /** How long a second full member may take to have a write, in ms. */
  witnessMs?: number;
}

/** After this time without an upstream, calls for the leader are refused at once instead of retried, in ms. */
const CUT_OFF_MS = 5000;
/** How often that is checked while a call is running, in ms. */
const CUT_OFF_CHECK_MS = 250;

/** An edge over its store. `start` it once it is a member, `stop` it before the store is closed. */
export class Edge {
  readonly state: EdgeState;
  readonly client: FeedClient;
  readonly #options: EdgeOptions;
  readonly #writes: ReadonlyMap<string, Operation>;
  readonly #freshness: Freshness;
  readonly #rights: RightsAge;
  readonly #agents: ProvedAgents;
  readonly #witness: WriteWitness;
  readonly #startedMs: number;

  constructor(options: EdgeOptions) {
    const { store, settings, ask, nodes, roundTripMs, onTerms, onUpstream, graceMs, witnessMs } = options;
    this.#options = options;
    this.#writes = new Map(options.writes.map((operation) => [operation.name, operation]));
    this.#freshness = new Freshness(options.clock ?? openSleepClock(), options.wallMs ?? Date.now);
    this.#startedMs = this.#freshness.nowMs();
    this.#agents = new ProvedAgents(() => this.#freshness.nowMs());
    this.#rights = new RightsAge({
      freshness: this.#freshness,
      controlAnswers: options.controlAnswers,
      maxStaleMs: settings.maxRightsAgeMs,
    });
    this.state = new EdgeState({
      ...settings,
      store,
      spaces: settings.spaces.length === 0 ? ["*"] : settings.spaces,
      freshness: this.#freshness,
      onError: options.onError ?? (() => {}),
      isDisconnected: () => this.client.isDisconnected(),
      rightsAreKnown: () => this.#rights.areKnown(),
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
      ...(graceMs === undefined ? {} : { graceMs }),
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
    this.#rights.stop();
    await this.client.stop();
    this.state.stop();
  }

  /** Returns the StableNodeID of the node to which reads go; undefined while none can be asked. */
  upstream(): string | undefined {
    return this.client.upstream()?.node;
  }

  /** Implements `Routing.readCached` for the reads of the manifests; undefined for every other call. */
  async readCached(call: CachedCall): Promise<Answer | undefined> {
    const read = this.#options.reads.find(({ operation }) => operation === call.operation);
    const target = read?.targetOf(call.parsed);
    if (read === undefined || target === undefined) return undefined;
    const space = spaceOf(target);
    if (this.state.terms !== undefined && !this.state.isEnrolled(space)) throw notEnrolled(space);
    return this.state.cache.read({
      key: keyOf(read.operation, target),
      who: whoOf(call),
      agent: call.agentKey === undefined ? "proved" : this.#agents.of(whoOf(call)),
      consistency: call.consistency,
      minPosition: call.minPosition,
      signal: call.signal,
      fetch: (minPosition, signal) => this.#fetch(call, { input: read.upstream(target), minPosition }, signal),
    });
  }

  /** Implements `Routing.refuseFollow`: the feed brings no changes of spaces that this edge does not cache. */
  refuseFollow(spaces: readonly string[]): void {
    const missing = spaces.find((space) => !this.state.isEnrolled(space));
    if (this.state.terms !== undefined && missing !== undefined) throw notEnrolled(missing);
  }

  /** Implements `Routing.forward`. Gives up as soon as this edge is cut off, and guards the cache during writes. */
  async forward(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "local"> {
    const refusal = to === "leader" ? nothingWritten() : cutOff();
    if (this.#isCutOff()) throw refusal;
    // A wait would go on at a node that is given up.
    const upstream = to === "upstream" ? this.client.upstream() : undefined;
    const abandoned = upstream === undefined ? [] : [upstream.abandoned];
    const lost = new AbortController();
    const watch = setInterval(() => {
      if (this.#isCutOff()) lost.abort(to === "leader" ? outcomeUnknown(call.operation) : refusal);
    }, CUT_OFF_CHECK_MS);
    const either = AbortSignal.any([signal, lost.signal, ...abandoned]);
    try {
      return to === "leader" ? await this.#toLeader(call, either) : await this.#send(call, to, either);
    } catch (error) {
      signal.throwIfAborted();
      if (upstream?.abandoned.aborted === true && !(error instanceof Fault)) throw cutOff();
      throw error;
    } finally {
      clearInterval(watch);
    }
  }

  /** Returns what `node_status`, the metrics and the page show. */
  report(): CacheReport {
    const { stats, cache, terms } = this.state;
    const ageMs = this.#freshness.ageOf(this.#freshness.provenMs);
    return {
      upstream: this.client.isDisconnected() ? null : (this.upstream() ?? null),
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

  async #toLeader(call: ForwardCall, signal: AbortSignal): Promise<Answer | "local"> {
    const operation = this.#writes.get(call.operation);
    if (operation === undefined) return this.#send(call, "leader", signal);
    const endWrite = this.state.cache.beginWrite(targetOfWrite(operation, call.input));
    let position: string | undefined;
    try {
      const answer = await this.#send(call, "leader", signal);
      if (answer === "local") return answer;
      const { by } = answer;
      // The write was sent: whatever goes wrong from here on, it may have been made.
      const seen =
        by === undefined ? "alone" : await this.#witness.find(answer.position, by, signal).catch(() => "unseen");
      if (by !== undefined && seen === "unseen") throw unseenWrite(call.operation, by);
      position = answer.position;
      return answer;
    } finally {
      endWrite(position);
    }
  }

  async #fetch(
    { operation, caller, agentKey }: CachedCall,
    { input, minPosition }: { input: Record<string, unknown>; minPosition: string | undefined },
    signal: AbortSignal,
  ): Promise<Upstream> {
    const upstream = this.client.upstream();
    if (upstream === undefined) throw cutOff();
    const position = minPosition === undefined ? {} : { min_position: minPosition };
    const call: ForwardCall = {
      operation,
      input: { ...input, consistency: "session", ...position },
      caller,
      kind: "read",
      ...(agentKey === undefined ? {} : { agentKey }),
    };
    try {
      const answer = await this.#send(call, "upstream", AbortSignal.any([signal, upstream.abandoned]));
      if (answer !== "local") return answer;
    } catch (error) {
      signal.throwIfAborted();
      if (!upstream.abandoned.aborted || error instanceof Fault) throw error;
    }
    throw cutOff();
  }

  /**
   * Sends a call, and learns from the answer whether its agent is one. A follower that does not know the agent may have
   * yet to apply its registration, so that only the leader can tell.
   */
  async #send(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "local"> {
    const sentMs = this.#freshness.nowMs();
    try {
      const answer = await this.#options.forward(call, to, signal);
      if (call.agentKey !== undefined && answer !== "local") this.#agents.prove(whoOf(call), sentMs);
      return answer;
    } catch (error) {
      if (error instanceof Fault && error.code === "agent_unknown") this.#agents.forget(whoOf(call));
      if (to === "upstream" && call.agentKey !== undefined && namesLeader(error))
        return this.#send(call, "leader", signal);
      throw error;
    }
  }

  /** Reports whether no upstream has responded for so long that looking for the leader is useless. */
  #isCutOff(): boolean {
    const lastMs = Math.max(this.#startedMs, this.#freshness.lastAnswerMs);
    return this.client.isDisconnected() && this.#freshness.nowMs() - lastMs > CUT_OFF_MS;
  }
}

/** Reports whether a node refused a call because only the leader that it names can run it. */
function namesLeader(error: unknown): boolean {
  if (!(error instanceof Fault) || error.code !== "unavailable") return false;
  return error.facts.leader !== undefined && error.facts.outcome === "not_done";
}

/** Returns as whom a call is made: caller and agent. */
function whoOf({ caller, agentKey = "" }: Pick<ForwardCall, "caller" | "agentKey">): string {
  return `${callerName(caller)}\n${agentKey}`;
}

/** Returns the id that a write names, by its argument or an alias; undefined if the write may touch any. */
function targetOfWrite(operation: Operation, input: Readonly<Record<string, unknown>>): string | undefined {
  const argument = operation.kind === "write" ? operation.target : undefined;
  if (argument === undefined) return undefined;
  const aliases = Object.entries(operation.aliases ?? {}).filter(([, name]) => name === argument);
  const found = [argument, ...aliases.map(([alias]) => alias)].map((name) => input[name]);
  return found.find((value) => typeof value === "string");
}

const CUT_OFF_HINT = "Try again when the network is back; `cairn status` shows what it waits for.";

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

/** The fault of a call that was sent before the edge was cut off. */
function outcomeUnknown(operation: string): Fault {
  return new Fault(
    "unavailable",
    `No full node responds to this edge any more; it is unknown whether ${operation} was done`,
    {
      hint: "Read before you write again, or repeat it with the same idempotency key when the network is back.",
      facts: { outcome: "unknown" },
      details: { retryAfterSeconds: 5 },
    },
  );
}

function notEnrolled(space: string): Fault {
  return new Fault("forbidden", `This edge is not enrolled for the space ${JSON.stringify(space)}`, {
    hint: "Ask a full node of the fleet, or let the edge join with a ticket that names the space.",
    details: { space },
  });
}
