// Decides whether a cached output may be served (architecture.md 9, replication.md 28), and fetches it otherwise. The
// gate has judged the caller before: `invoke` asks the cache after it.

import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { Change } from "../log/changes.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import type { Answer } from "../operation/answer.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import { targetOfKey } from "./cache-key.ts";
import type { CacheState, CacheStats } from "./cache-stats.ts";
import type { EdgeLog } from "./edge-log.ts";
import { type DiskStep, Entries, type EntriesOptions, type Entry } from "./entries.ts";
import { ANY_KEY, type Fetched, Fetches, isNotFound } from "./fetches.ts";
import type { Freshness } from "./freshness.ts";
import type { AgentProof } from "./proved-agents.ts";

/** An upstream's answer. Its age is undefined where none is proved. */
export type Upstream = Pick<Answer, "output" | "position" | "ageSeconds">;

/** A read by a caller that the gate has admitted. */
export interface CacheRead {
  /** The read operation and its target (cache-key.ts). */
  key: string;
  /** Whom `fetch` asks as: caller and agent. */
  who: string;
  /** What is known of that agent: only of one that is proved the cache is enough. */
  agent: AgentProof;
  consistency: "any" | "session" | "leader";
  /** The answer must be at least as new as this position. */
  minPosition: string | undefined;
  signal: AbortSignal;
  /** Reads the canonical form from the upstream as this caller, at least as new as a position. */
  fetch: (minPosition: string | undefined, signal: AbortSignal) => Promise<Upstream>;
}

/** An answer, and how it was made. */
export interface Served {
  /** In the canonical form of the read. */
  output: Readonly<Record<string, unknown>>;
  position: string;
  cache: { state: CacheState; ageSeconds?: number };
}

export interface EdgeCacheOptions extends Pick<EntriesOptions, "store" | "reads" | "maxBytes" | "onError"> {
  log: EdgeLog;
  freshness: Freshness;
  stats: CacheStats;
  modeOf: (space: string) => EdgeMode;
  /** Highest age of an answer from a space with mode `stale`, in ms. */
  maxStaleMs: number;
  /** Reports whether rights of callers are new enough to serve them without asking an upstream. */
  rightsAreKnown: () => boolean;
  /** Reports whether no upstream responds at the moment. */
  isDisconnected: () => boolean;
}

/** How long a "not found" is cached. */
const NOT_FOUND_TTL_MS = 5000;
/** Time limits of a fetch: if a stale answer is available, usually, and while no upstream responds. */
const FETCH_OR_STALE_MS = 1500;
const FETCH_MS = 10_000;
const DISCONNECTED_FETCH_MS = 2000;

/** What a read allows, and what is cached for it. */
interface Candidate {
  entry: Entry | undefined;
  mode: EdgeMode;
  minSeq: number;
}

/** The cache of an edge. */
export class EdgeCache {
  readonly entries: Entries;
  readonly #options: EdgeCacheOptions;
  readonly #fetches: Fetches;

  constructor(options: EdgeCacheOptions) {
    const { log, freshness, stats, modeOf } = options;
    this.#options = options;
    this.entries = new Entries({
      ...options,
      isPersisted: (space) => modeOf(space) === "stale",
      onEvicted: () => stats.countEviction(),
    });
    this.#fetches = new Fetches({
      nowMs: () => freshness.nowMs(),
      feedSeq: () => log.position().seq,
      isForAll: (key, { output }) => this.entries.isForAll(key, output),
      store: (key, { output, seq, provenMs, position }) => {
        if (this.#modeOfKey(key) !== "never" && this.#isOfOwnEpoch(position))
          this.entries.put(key, { output, seq, provenMs, certain: true });
      },
      storeNotFound: (key, fault, { who, seq, sentMs }) => {
        if (this.#modeOfKey(key) === "never") return;
        const untilMs = sentMs + NOT_FOUND_TTL_MS;
        this.entries.putNotFound(key, { who, fault, seq, provenMs: freshness.provenMs, untilMs });
      },
    });
  }

  /**
   * Returns the answer: from the cache if that is good enough for this read, else from the upstream. Rejects with the
   * upstream's Fault, or with `unavailable`.
   */
  async read(read: CacheRead): Promise<Served> {
    const candidate = this.#candidate(read);
    const isProved = read.agent === "proved";
    const cached = candidate && isProved ? this.#serveNow(read, candidate) : undefined;
    if (cached !== undefined) return cached;
    try {
      // What another one was told proves no agent: such a fetch is its own.
      const found = await this.#fetch(read, isProved ? candidate : undefined);
      const isSame = candidate?.entry !== undefined && candidate.entry.output["etag"] === found.output["etag"];
      return this.#served(isSame ? "revalidated" : "miss", found);
    } catch (error) {
      read.signal.throwIfAborted();
      const mayBeStale = read.agent !== "unknown" && isUnavailable(error);
      const stale = candidate && mayBeStale ? this.#serveStaleAfterFetch(read, candidate) : undefined;
      if (stale !== undefined) return stale;
      if (isNotFound(error)) this.#options.stats.countAnswer("miss");
      throw error;
    }
  }

  /** Applies changes that the feed brought. */
  applyChanges(changes: readonly Change[]): DiskStep {
    this.#fetches.markUncacheable(changes.flatMap(({ target }) => this.entries.keysOf(target)));
    return this.entries.applyChanges(changes);
  }

  /** Records that the feed was applied up to a seq. */
  advanceTo(seq: number): void {
    this.#fetches.advanceTo(seq);
  }

  /** After missed changes: entries must be revalidated before they are fresh again. */
  markUncertain(): DiskStep {
    this.#fetches.markAllUncacheable();
    return this.entries.markUncertain();
  }

  /** Removes entries that missed changes and are older than a seq. */
  dropUncertain(before: number): DiskStep {
    this.#fetches.markAllUncacheable();
    return this.entries.dropUncertain(before);
  }

  /** Removes everything. */
  clear(): DiskStep {
    this.#fetches.markAllUncacheable();
    return this.entries.clear();
  }

  /** Applies new modes of spaces: removes what may no longer be cached. */
  retainSpaces(mayCache: (space: string) => boolean): DiskStep {
    this.#fetches.markAllUncacheable();
    return this.entries.retainSpaces(mayCache);
  }

  /**
   * Begins a write of this node to a target; undefined: it may touch any. Until the feed has brought the write, its
   * keys are neither served from the cache nor cached. Call the returned function at its end, with its position if it
   * has one.
   */
  beginWrite(target: string | undefined): (position?: string) => void {
    const keys = target === undefined ? [] : this.entries.keysOf(target);
    const releases = (target === undefined ? [ANY_KEY] : keys).map((key) => this.#fetches.guard(key));
    const markUncacheable = () =>
      target === undefined ? this.#fetches.markAllUncacheable() : this.#fetches.markUncacheable(keys);
    markUncacheable();
    return (position) => {
      markUncacheable();
      for (const release of releases) release(position === undefined ? undefined : parsePosition(position).seq);
      for (const key of keys) this.entries.drop(key);
    };
  }

  /** Returns what the cache has for a read; undefined if the cache may not serve the read. */
  #candidate({ key, consistency, minPosition }: CacheRead): Candidate | undefined {
    const mode = this.#modeOfKey(key);
    const minSeq = this.#minSeq(minPosition);
    if (mode === "never" || consistency === "leader" || minSeq === undefined) return undefined;
    return { entry: this.entries.find(key), mode, minSeq };
  }

  /** Returns what can be served without asking the upstream; throws a cached "not found". */
  #serveNow({ key, who, consistency }: CacheRead, candidate: Candidate): Served | undefined {
    const { freshness, isDisconnected } = this.#options;
    if (this.#fetches.isGuarded(key)) return undefined;
    const isFresh = freshness.isFresh();
    if (isFresh) this.#throwNotFound(key, who, candidate.minSeq);
    const { entry, minSeq } = candidate;
    if (entry === undefined || this.#seqOf(entry) < minSeq) return undefined;
    if (isFresh && entry.certain) return this.#serveEntry("hit", entry);
    const needNotAsk = consistency === "any" || isDisconnected();
    return needNotAsk && this.#mayServeStale(candidate) ? this.#serveEntry("stale", entry) : undefined;
  }

  /** Throws the "not found" of a key that is cached for a caller if it is new enough. */
  #throwNotFound(key: string, who: string, minSeq: number): void {
    const { freshness, log, stats } = this.#options;
    const notFound = this.entries.findNotFound(key);
    if (notFound === undefined || notFound.who !== who || freshness.nowMs() >= notFound.untilMs) return;
    if (Math.max(notFound.seq, log.position().seq) < minSeq) return;
    stats.countAnswer("hit");
    throw notFound.fault;
  }

  /** Returns a stale answer after a fetch failed. */
  #serveStaleAfterFetch({ key }: CacheRead, candidate: Candidate): Served | undefined {
    // Looked up again: a change may have removed the entry in the meantime.
    const entry = this.entries.find(key);
    if (entry === undefined || !this.#mayServeStale({ ...candidate, entry })) return undefined;
    return this.#serveEntry("stale", entry);
  }

  /** Reports whether an entry may be served although it is not known to be current. */
  #mayServeStale(candidate: Candidate | undefined): boolean {
    if (candidate?.entry === undefined || candidate.mode !== "stale") return false;
    const { entry, minSeq } = candidate;
    if (this.#seqOf(entry) < minSeq) return false;
    const { freshness, maxStaleMs, rightsAreKnown } = this.#options;
    return freshness.ageOf(this.#provenOf(entry)) <= maxStaleMs && rightsAreKnown();
  }

  /** Reads from the upstream: together with other callers and into the cache, unless the read excludes the cache. */
  async #fetch(read: CacheRead, candidate: Candidate | undefined): Promise<Fetched> {
    const { isDisconnected } = this.#options;
    const usualMs = isDisconnected() ? DISCONNECTED_FETCH_MS : FETCH_MS;
    const limitMs = this.#mayServeStale(candidate) ? FETCH_OR_STALE_MS : usualMs;
    const late = AbortSignal.timeout(limitMs);
    const signal = AbortSignal.any([read.signal, late]);
    const floor = this.#floorOf(read.minPosition);
    const send = (stop: AbortSignal): Promise<Fetched> => this.#send(read, floor, stop);
    try {
      if (candidate === undefined) return await send(signal);
      return await this.#fetches.fetch({ key: read.key, who: read.who, minSeq: candidate.minSeq, signal, send });
    } catch (error) {
      read.signal.throwIfAborted();
      if (!late.aborted || error instanceof Fault) throw error;
      throw new Fault("unavailable", `No full node responded to this edge within ${limitMs} ms`, {
        hint: "Try again in a moment, or ask a full node of the fleet.",
        details: { retryAfterSeconds: 1 },
      });
    }
  }

  async #send(read: CacheRead, floor: string | undefined, signal: AbortSignal): Promise<Fetched> {
    const { freshness } = this.#options;
    const sentMs = freshness.nowMs();
    const { output, position, ageSeconds } = await read.fetch(floor, signal);
    // Only the node that read the state knows how old it is (replication.md 28).
    const provenMs = ageSeconds === undefined ? Number.NEGATIVE_INFINITY : freshness.nowMs() - ageSeconds * 1000;
    return { output, position, seq: parsePosition(position).seq, sentMs, provenMs };
  }

  /**
   * Returns the position that a fetch must reach: what this edge may have served, as this upstream may be another one
   * than before. A position of a history that this edge does not know is the upstream's to judge.
   */
  #floorOf(minPosition: string | undefined): string | undefined {
    const { log } = this.#options;
    const minSeq = this.#minSeq(minPosition);
    if (minSeq === undefined || !log.ready()) return minPosition;
    return formatPosition(log.positionAt(Math.max(minSeq, log.position().seq)));
  }

  #serveEntry(state: CacheState, entry: Entry): Served {
    const position = formatPosition(this.#options.log.positionAt(this.#seqOf(entry)));
    return this.#served(state, { output: entry.output, position, provenMs: this.#provenOf(entry) });
  }

  #served(
    state: CacheState,
    { output, position, provenMs }: Pick<Fetched, "output" | "position" | "provenMs">,
  ): Served {
    this.#options.stats.countAnswer(state);
    const ageMs = this.#options.freshness.ageOf(provenMs);
    return { output, position, cache: { state, ...(Number.isFinite(ageMs) ? { ageSeconds: ageMs / 1000 } : {}) } };
  }

  /** Returns the seq of an entry; a certain one is as new as the feed. */
  #seqOf({ seq, certain }: Entry): number {
    return certain ? Math.max(seq, this.#options.log.position().seq) : seq;
  }

  #provenOf({ provenMs, certain }: Entry): number {
    return certain ? Math.max(provenMs, this.#options.freshness.provenMs) : provenMs;
  }

  #modeOfKey(key: string): EdgeMode {
    return this.#options.modeOf(spaceOf(targetOfKey(key)));
  }

  /** Returns the seq that an answer needs; undefined for a position of a history that this edge does not know. */
  #minSeq(position: string | undefined): number | undefined {
    if (position === undefined) return 0;
    const wanted = parsePosition(position);
    return this.#options.log.sameHistory(wanted) ? wanted.seq : undefined;
  }

  #isOfOwnEpoch(position: string): boolean {
    return parsePosition(position).epoch === this.#options.log.position().epoch;
  }
}

/** Reports whether the upstream did not respond, rather than refused. */
function isUnavailable(error: unknown): boolean {
  return error instanceof Fault && error.code === "unavailable";
}
