// What an edge has been told and keeps, and how each answer of the feed changes it: log, cached answers and terms move together, in one transaction.

import { spaceOf } from "../access/space.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { Store, Writer } from "../store/store.ts";
import { EdgeCache } from "./cache.ts";
import { EdgeLog } from "./edge-log.ts";
import { isKept } from "./feed-server.ts";
import { type FeedAnswer, type FeedRequest, type FeedTerms, feedTerms } from "./frames.ts";
import type { Freshness, Moment } from "./freshness.ts";
import { CacheStats } from "./stats.ts";

export interface EdgeStateOptions {
  store: Store;
  /** Reads whose answers are kept. */
  reads: readonly EdgeRead[];
  freshness: Freshness;
  /** Of the spaces that it is enrolled for, those that it is to keep; globs. */
  spaces: readonly string[];
  maxBytes: number;
  maxStaleMs: number;
  /** Hears why something could not be written. */
  onError: (error: unknown) => void;
  /** Whether no upstream answers at the moment. */
  away: () => boolean;
  /** Hears the terms whenever an upstream tells other ones. */
  onTerms?: (terms: FeedTerms, from: string) => void;
}

/** The moment of the feed is written this often at most while nothing changes, in ms: a later start knows how old its answers are. */
const PERSIST_MS = 10_000;
const MAX_NAMED = 100;

export class EdgeState {
  readonly log: EdgeLog;
  readonly cache: EdgeCache;
  readonly stats = new CacheStats();
  readonly #options: EdgeStateOptions;
  #terms: FeedTerms | undefined;
  #modes: ReadonlyMap<string, EdgeMode> = new Map();
  #persistedMs = Number.NEGATIVE_INFINITY;
  /** Changes were missed: what comes next begins at the upstream's position. */
  #gap = false;

  constructor(options: EdgeStateOptions) {
    const { store, freshness } = options;
    this.#options = options;
    this.log = new EdgeLog(store);
    const row = store.reader.get<Moment & { terms: string }>("SELECT * FROM edge");
    if (row !== undefined) {
      this.#use(feedTerms.parse(JSON.parse(row.terms)));
      freshness.resume(freshness.read(row));
    }
    this.cache = new EdgeCache({
      ...options,
      log: this.log,
      stats: this.stats,
      modeOf: (space) => this.modeOf(space),
    });
  }

  get terms(): FeedTerms | undefined {
    return this.#terms;
  }

  isEnrolled(space: string): boolean {
    return this.#terms !== undefined && isKept(this.#terms, space);
  }

  modeOf(space: string): EdgeMode {
    if (!this.isEnrolled(space)) return "never";
    return this.#modes.get(space) ?? "fresh";
  }

  /** The first hundred spaces that may be served stale. */
  staleSpaces(): string[] {
    const named = [...this.#modes].filter(([space]) => this.modeOf(space) === "stale");
    return named.slice(0, MAX_NAMED).map(([space]) => space);
  }

  /** What to ask an upstream next. */
  request(holdMs: number): FeedRequest {
    const { epoch } = this.log.position();
    const goesOn = this.log.ready() && !this.#gap;
    return {
      since: goesOn ? `${epoch}-${this.log.position().seq}` : null,
      holdMs: goesOn ? holdMs : 0,
      epoch: this.log.ready() ? epoch : "",
      spaces: [...this.#options.spaces],
      terms: this.#terms?.id ?? "",
    };
  }

  /** Takes what the feed of the node `from` answered to a request that was sent at `sentMs` and took `tookMs`. */
  take(answer: FeedAnswer, { sentMs, tookMs, from }: { sentMs: number; tookMs: number; from: string }): void {
    const { freshness } = this.#options;
    if (answer.terms !== null && this.#terms !== undefined && answer.terms.fleet !== this.#terms.fleet) this.forget();
    const jumps = this.#gap || !this.log.ready();
    const forAll: ((tx: Writer) => void)[] = [];
    if (answer.epochs !== null) forAll.push(this.cache.clear());
    else if (jumps) forAll.push(this.cache.doubt());
    const widened = this.#takeTerms(answer, forAll);
    if (answer.items.length > 0) forAll.push(this.cache.changed(answer.items));
    const also = (tx: Writer): void => {
      for (const step of forAll) step(tx);
      if (answer.terms !== null) this.#write(tx);
    };
    // What came of spaces that were not followed until now is not there to be gone through: who follows begins anew.
    if (jumps || widened) this.log.skip(answer, also);
    else this.log.take(answer, forAll.length > 0 || answer.terms !== null ? also : undefined);
    this.#gap = false;
    const ageMs = answer.ageMs ?? Number.POSITIVE_INFINITY;
    if (!answer.more) freshness.pong(sentMs + Math.min(answer.heldMs, tookMs), ageMs);
    this.cache.reached(this.log.position().seq);
    if (freshness.nowMs() - this.#persistedMs >= PERSIST_MS) this.persist();
    if (answer.terms !== null) this.#options.onTerms?.(answer.terms, from);
  }

  /** The upstream no longer has what came after the position of this edge. */
  missed(): void {
    this.#gap = true;
  }

  /** The fleet's history is another, or this node is no member: nothing of what is kept may be given. */
  forget(): void {
    this.#options.freshness.lose();
    this.#gap = false;
    this.#use(undefined);
    const clear = this.cache.clear();
    this.log.forget((tx) => {
      clear(tx);
      tx.run("DELETE FROM edge");
    });
  }

  /** Writes how far and how new everything is. */
  persist(): void {
    this.cache.entries.flush();
    if (this.#terms === undefined || !this.log.ready()) return;
    this.#persistedMs = this.#options.freshness.nowMs();
    this.log.writePosition((tx) => this.#write(tx));
  }

  /** Answers whether spaces were added. */
  #takeTerms({ terms }: FeedAnswer, steps: ((tx: Writer) => void)[]): boolean {
    if (terms === null) return false;
    const before = this.#terms;
    this.#use(terms);
    steps.push(
      this.cache.prune((space) => this.modeOf(space) !== "never"),
      (tx) => this.#forgetChanges(tx),
    );
    if (before === undefined) return false;
    const isNew = (name: "spaces" | "wanted") => terms[name].some((space) => !before[name].includes(space));
    return isNew("spaces") || isNew("wanted");
  }

  /** Of spaces that this edge is not enrolled for any more. */
  #forgetChanges(tx: Writer): void {
    const gone = tx.all<{ target: string }>("SELECT DISTINCT target FROM changes");
    for (const { target } of gone)
      if (!this.isEnrolled(spaceOf(target))) tx.run("DELETE FROM changes WHERE target = ?", target);
  }

  #use(terms: FeedTerms | undefined): void {
    this.#terms = terms;
    this.#modes = new Map(terms?.modes ?? []);
  }

  #write(tx: Writer): void {
    const { freshness } = this.#options;
    const { proven_wall, proven_clock, clock } = freshness.write(freshness.provenMs);
    tx.run(
      "INSERT OR REPLACE INTO edge (one, terms, proven_wall, proven_clock, clock) VALUES (1,?,?,?,?)",
      JSON.stringify(this.#terms),
      proven_wall,
      proven_clock,
      clock,
    );
  }
}
