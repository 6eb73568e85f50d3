// The state of an edge and how each feed answer changes it: log, cached outputs and terms move together, in one
// transaction.

import { spaceOf } from "../access/space.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { Store, Writer } from "../store/store.ts";
import { Acknowledged } from "./acknowledged.ts";
import { CacheStats } from "./cache-stats.ts";
import { EdgeCache } from "./edge-cache.ts";
import { EdgeErasure } from "./edge-erasure.ts";
import { EdgeLog } from "./edge-log.ts";
import type { DiskStep } from "./entries.ts";
import { type FeedAnswer, type FeedRequest, type FeedTerms, feedTerms } from "./feed-frames.ts";
import { isWanted } from "./feed-server.ts";
import type { Freshness, StoredMoment } from "./freshness.ts";

export interface EdgeStateOptions {
  store: Store;
  /** Reads whose outputs are cached. */
  reads: readonly EdgeRead[];
  freshness: Freshness;
  /** Globs of the spaces to cache, of those the edge is enrolled for. */
  spaces: readonly string[];
  maxBytes: number;
  maxStaleMs: number;
  /** Called with the reason if something could not be written. */
  onError: (error: unknown) => void;
  /** Reports whether rights of callers are new enough to serve them without asking an upstream. */
  rightsAreKnown: () => boolean;
  /** Reports whether no upstream responds at the moment. */
  isDisconnected: () => boolean;
  /** Called with new terms and the node that sent them. */
  onTerms?: (terms: FeedTerms, from: string) => void;
}

/** How often the proven moment is written while nothing changes, in ms, so that the next run knows ages. */
const PERSIST_MS = 10_000;
const MAX_STALE_SPACES = 100;

/** Log, cache and terms of an edge. */
export class EdgeState {
  readonly log: EdgeLog;
  readonly cache: EdgeCache;
  readonly stats = new CacheStats();
  readonly erasure: EdgeErasure;
  readonly acknowledged: Acknowledged;
  readonly #options: EdgeStateOptions;
  #terms: FeedTerms | undefined;
  #modes: ReadonlyMap<string, EdgeMode> = new Map();
  #persistedMs = Number.NEGATIVE_INFINITY;
  /** Changes were missed: the next answer begins at the upstream's position. */
  #hasGap = false;

  constructor(options: EdgeStateOptions) {
    const { store, freshness } = options;
    this.#options = options;
    this.log = new EdgeLog(store);
    const row = store.reader.get<StoredMoment & { terms: string }>("SELECT * FROM edge");
    if (row !== undefined) {
      this.#setTerms(feedTerms.parse(JSON.parse(row.terms)));
      freshness.resume(freshness.fromStored(row));
    }
    this.cache = new EdgeCache({
      ...options,
      log: this.log,
      stats: this.stats,
      modeOf: (space) => this.modeOf(space),
    });
    this.erasure = new EdgeErasure({
      store,
      seq: () => this.log.position().seq,
      dropUncertain: (before) => this.cache.dropUncertain(before),
      onError: options.onError,
    });
    this.acknowledged = new Acknowledged({ store, log: this.log, freshness, onError: options.onError });
  }

  /** Undefined before the first answer of an upstream. */
  get terms(): FeedTerms | undefined {
    return this.#terms;
  }

  /** Reports whether this edge may cache a space and follow its changes. */
  isEnrolled(space: string): boolean {
    return this.#terms !== undefined && isWanted(this.#terms, space);
  }

  modeOf(space: string): EdgeMode {
    if (!this.isEnrolled(space)) return "never";
    return this.#modes.get(space) ?? "fresh";
  }

  /** Returns the first hundred spaces that may be served stale. */
  staleSpaces(): string[] {
    const named = [...this.#modes].filter(([space]) => this.modeOf(space) === "stale");
    return named.slice(0, MAX_STALE_SPACES).map(([space]) => space);
  }

  /** Returns the next request for an upstream. */
  request(holdMs: number): FeedRequest {
    const { epoch, seq } = this.log.position();
    const isReady = this.log.ready();
    const canResume = isReady && !this.#hasGap;
    return {
      since: canResume ? `${epoch}-${seq}` : null,
      holdMs: canResume ? holdMs : 0,
      epoch: isReady ? epoch : "",
      spaces: [...this.#options.spaces],
      terms: this.#terms?.id ?? "",
    };
  }

  /** Applies the answer of the node `from` to a request that was sent at `sentMs` and took `tookMs`. */
  apply(answer: FeedAnswer, { sentMs, tookMs, from }: { sentMs: number; tookMs: number; from: string }): void {
    const { freshness, onTerms } = this.#options;
    if (answer.terms !== null && this.#terms !== undefined && answer.terms.fleet !== this.#terms.fleet) this.reset();
    const jumps = this.#hasGap || !this.log.ready();
    const steps: DiskStep[] = [];
    if (answer.epochs !== null) steps.push(this.cache.clear());
    else if (jumps) steps.push(this.cache.markUncertain());
    const widened = answer.terms !== null && this.#applyTerms(answer.terms, steps);
    if (answer.items.length > 0) steps.push(this.cache.applyChanges(answer.items));
    if (answer.terms !== null) steps.push((tx) => this.#write(tx));
    const also: DiskStep = (tx) => {
      for (const step of steps) step(tx);
    };
    // After a jump, and in spaces that are new to this edge, earlier changes are missing: followers have to restart.
    if (jumps || widened) this.log.skipTo(answer, also);
    else this.log.apply(answer, steps.length > 0 || this.acknowledged.isAheadOfFile() ? also : undefined);
    this.#hasGap = false;
    const ageMs = answer.ageMs ?? Number.POSITIVE_INFINITY;
    if (!answer.more) freshness.recordAnswer(sentMs + Math.min(answer.heldMs, tookMs), ageMs);
    this.cache.advanceTo(this.log.position().seq);
    this.acknowledged.isCurrent();
    if (freshness.nowMs() - this.#persistedMs >= PERSIST_MS) this.persist();
    if (answer.terms !== null) onTerms?.(answer.terms, from);
  }

  /** Records that the upstream no longer has the changes after this edge's position. */
  markGap(): void {
    this.#hasGap = true;
  }

  /** Removes everything: the fleet has another history, or this node is no member. */
  reset(): void {
    this.#options.freshness.reset();
    this.#hasGap = false;
    this.#setTerms(undefined);
    const clear = this.cache.clear();
    this.log.reset((tx) => {
      clear(tx);
      this.erasure.reset(tx);
      this.acknowledged.reset(tx);
      tx.run("DELETE FROM edge");
    });
  }

  /** Writes entries, position and proven moment to the file. */
  persist(): void {
    this.cache.entries.flush();
    if (this.#terms === undefined || !this.log.ready()) return;
    this.#persistedMs = this.#options.freshness.nowMs();
    this.log.writePosition((tx) => this.#write(tx));
  }

  /** Writes all of it, at a planned stop. */
  stop(): void {
    this.persist();
    this.acknowledged.stop();
  }

  /** Takes over new terms. Returns whether spaces were added to earlier ones. */
  #applyTerms(terms: FeedTerms, steps: DiskStep[]): boolean {
    const before = this.#terms;
    this.#setTerms(terms);
    steps.push(
      this.cache.retainSpaces((space) => this.modeOf(space) !== "never"),
      (tx) => this.#deleteUnenrolledChanges(tx),
    );
    if (before === undefined) return false;
    const isWider = (name: "spaces" | "wanted") => terms[name].some((space) => !before[name].includes(space));
    return isWider("spaces") || isWider("wanted");
  }

  #deleteUnenrolledChanges(tx: Writer): void {
    const targets = tx.all<{ target: string }>("SELECT DISTINCT target FROM changes");
    for (const { target } of targets)
      if (!this.isEnrolled(spaceOf(target))) tx.run("DELETE FROM changes WHERE target = ?", target);
  }

  #setTerms(terms: FeedTerms | undefined): void {
    this.#terms = terms;
    this.#modes = new Map(terms?.modes ?? []);
  }

  #write(tx: Writer): void {
    const { freshness } = this.#options;
    const { proven_wall, proven_clock, clock } = freshness.toStored(freshness.provenMs);
    tx.run(
      "INSERT OR REPLACE INTO edge (one, terms, proven_wall, proven_clock, clock) VALUES (1,?,?,?,?)",
      JSON.stringify(this.#terms),
      proven_wall,
      proven_clock,
      clock,
    );
  }
}
