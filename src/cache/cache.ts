// Whether a kept answer may be given (architecture.md 9, replication.md 28), and what is asked for where it may not. The gate has judged the caller before: invoke asks here behind it.

import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { Change } from "../log/changes.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import type { EdgeMode } from "../operation/edge-modes.ts";
import type { Writer } from "../store/store.ts";
import type { EdgeLog } from "./edge-log.ts";
import { Entries, type EntriesOptions, type Kept } from "./entries.ts";
import { type Filled, Fills, saysAbsent } from "./fills.ts";
import type { Freshness } from "./freshness.ts";
import { targetOfKey } from "./keys.ts";
import type { CacheState, CacheStats } from "./stats.ts";

/** A read that may be kept, by a caller that the gate admitted. */
export interface Ask {
  /** The read and its target (keys.ts). */
  key: string;
  consistency: "any" | "session" | "leader";
  /** A position that the answer must be at least as new as. */
  minPosition: string | undefined;
  signal: AbortSignal;
  /** Reads it in its canonical form from the upstream for this caller, at least as new as a position. */
  fetch: (
    minPosition: string | undefined,
    signal: AbortSignal,
  ) => Promise<{ output: Record<string, unknown>; position: string }>;
}

/** An answer, and how it came to be. */
export interface Served {
  /** In the read's canonical form. */
  output: Readonly<Record<string, unknown>>;
  position: string;
  cache: { state: CacheState; ageSeconds?: number };
}

export interface EdgeCacheOptions extends Pick<EntriesOptions, "store" | "reads" | "maxBytes" | "onError"> {
  log: EdgeLog;
  freshness: Freshness;
  stats: CacheStats;
  modeOf: (space: string) => EdgeMode;
  /** How old an answer of a space with mode `stale` may be, in ms. */
  maxStaleMs: number;
  /** Whether no upstream answers at the moment. */
  away: () => boolean;
}

/** That there is no such document is believed this long at most, in ms. */
const ABSENT_MS = 5000;
/** Where a stale answer is at hand, the upstream has this long, in ms. */
const STALE_PATIENCE_MS = 1500;
const FETCH_MS = 10_000;
const AWAY_FETCH_MS = 2000;

export class EdgeCache {
  readonly entries: Entries;
  readonly #options: EdgeCacheOptions;
  readonly #fills: Fills;

  constructor(options: EdgeCacheOptions) {
    const { log, freshness, stats, modeOf } = options;
    this.#options = options;
    this.entries = new Entries({
      ...options,
      keepsOnDisk: (space) => modeOf(space) === "stale",
      onEvicted: () => stats.evicted(),
    });
    this.#fills = new Fills({
      nowMs: () => freshness.nowMs(),
      feedSeq: () => log.position().seq,
      keep: (key, found) => {
        if (modeOf(spaceOf(targetOfKey(key))) !== "never" && this.#isOurs(found.position))
          this.entries.put(key, { output: found.output, seq: found.seq, provenMs: found.provenMs, sure: true });
      },
      keepAbsent: (key, fault, { seq, sentMs }) => {
        if (modeOf(spaceOf(targetOfKey(key))) === "never") return;
        this.entries.putAbsent(key, { fault, seq, provenMs: freshness.provenMs, untilMs: sentMs + ABSENT_MS });
      },
    });
  }

  /** Answers from what is kept where that is good enough for this ask, else from the upstream. Rejects with what the upstream answered, or `unavailable`. */
  async read(ask: Ask): Promise<Served> {
    const { modeOf, stats } = this.#options;
    const mode = modeOf(spaceOf(targetOfKey(ask.key)));
    const minSeq = this.#minSeq(ask.minPosition);
    const usable = mode !== "never" && ask.consistency !== "leader" && minSeq !== undefined;
    const kept = usable ? this.entries.find(ask.key) : undefined;
    const now = usable ? this.#giveNow(ask, { kept, mode, minSeq }) : undefined;
    if (now !== undefined) return now;
    try {
      const found = await this.#ask(ask, usable ? minSeq : undefined, this.#maySpare(kept, mode, minSeq));
      const state = kept !== undefined && kept.output["etag"] === found.output["etag"] ? "revalidated" : "miss";
      return this.#served(state, found.output, { position: found.position, provenMs: found.provenMs });
    } catch (error) {
      ask.signal.throwIfAborted();
      // What is kept may have been dropped meanwhile, for a change that came.
      const left = usable ? this.entries.find(ask.key) : undefined;
      if (!saysAway(error) || left === undefined || !this.#maySpare(left, mode, minSeq)) {
        if (saysAbsent(error)) stats.answered("miss");
        throw error;
      }
      return this.#giveKept("stale", left);
    }
  }

  /** Changes that the feed brought; answers what of it belongs into the file. */
  changed(changes: readonly Change[]): (tx: Writer) => void {
    this.#fills.changed(changes.flatMap(({ target }) => this.entries.keysOf(target)));
    return this.entries.changed(changes);
  }

  /** The feed was processed up to a position. */
  reached(seq: number): void {
    this.#fills.passed(seq);
  }

  /** Changes were missed: what is kept must be asked for again. */
  doubt(): (tx: Writer) => void {
    this.#fills.spoilAll();
    return this.entries.doubt();
  }

  /** Forgets everything. */
  clear(): (tx: Writer) => void {
    this.#fills.spoilAll();
    return this.entries.clear();
  }

  /** Spaces may be kept in another way than before. */
  prune(mayKeep: (space: string) => boolean): (tx: Writer) => void {
    this.#fills.spoilAll();
    return this.entries.prune(mayKeep);
  }

  /** A write by this node to a context, or to what only it knows, begins; call the answered function at its end, with its position where there is one. */
  writing(target: string | undefined): (position?: string) => void {
    const keys = target === undefined ? [] : this.entries.keysOf(target);
    const releases = (target === undefined ? ["*"] : keys).map((key) => this.#fills.guard(key));
    const spoil = () => (target === undefined ? this.#fills.spoilAll() : this.#fills.changed(keys));
    spoil();
    return (position) => {
      spoil();
      for (const release of releases) release(position === undefined ? undefined : parsePosition(position).seq);
      for (const key of keys) this.entries.drop(key);
    };
  }

  /** What can be answered at once. */
  #giveNow(
    ask: Ask,
    { kept, mode, minSeq }: { kept: Kept | undefined; mode: EdgeMode; minSeq: number },
  ): Served | undefined {
    const { freshness, log, away } = this.#options;
    if (this.#fills.isGuarded(ask.key)) return undefined;
    const fresh = freshness.isFresh();
    const absent = this.entries.absent(ask.key);
    if (absent !== undefined && fresh && freshness.nowMs() < absent.untilMs) {
      if (Math.max(absent.seq, log.position().seq) >= minSeq) {
        this.#options.stats.answered("hit");
        throw absent.fault;
      }
    }
    if (kept === undefined || this.#seqOf(kept) < minSeq) return undefined;
    if (fresh && kept.sure) return this.#giveKept("hit", kept);
    if (!this.#maySpare(kept, mode, minSeq) || (ask.consistency !== "any" && !away())) return undefined;
    return this.#giveKept("stale", kept);
  }

  /** Whether what is kept may be given although nobody can say that it is still so. */
  #maySpare(kept: Kept | undefined, mode: EdgeMode, minSeq: number | undefined): boolean {
    if (kept === undefined || minSeq === undefined || mode !== "stale" || this.#seqOf(kept) < minSeq) return false;
    return this.#options.freshness.ageOf(this.#provenOf(kept)) <= this.#options.maxStaleMs;
  }

  async #ask(ask: Ask, minSeq: number | undefined, spare: boolean): Promise<Filled> {
    const { log, freshness, away } = this.#options;
    const patience = spare ? STALE_PATIENCE_MS : away() ? AWAY_FETCH_MS : FETCH_MS;
    const late = AbortSignal.timeout(patience);
    const signal = AbortSignal.any([ask.signal, late]);
    // Never below what this node has shown: the upstream may be another than the one before.
    const least =
      minSeq === undefined ? ask.minPosition : formatPosition(log.positionAt(Math.max(minSeq, log.position().seq)));
    const fetchOne = async (stop: AbortSignal): Promise<Filled> => {
      const sentMs = freshness.nowMs();
      // The upstream answers for at least the position of this edge, so what the feed had proved of that holds. What the upstream itself proved since is not known here.
      const { provenMs } = freshness;
      const { output, position } = await ask.fetch(log.ready() ? least : ask.minPosition, stop);
      return { output, position, seq: parsePosition(position).seq, sentMs, provenMs };
    };
    try {
      if (minSeq === undefined) return await fetchOne(signal);
      return await this.#fills.fetch({ key: ask.key, minSeq, signal, ask: fetchOne });
    } catch (error) {
      ask.signal.throwIfAborted();
      if (!late.aborted || error instanceof Fault) throw error;
      throw new Fault("unavailable", `No full node answered this edge within ${patience} ms`, {
        hint: "Try again in a moment, or ask a full node of the fleet.",
        details: { retryAfterSeconds: 1 },
      });
    }
  }

  #giveKept(state: CacheState, kept: Kept): Served {
    const position = formatPosition(this.#options.log.positionAt(this.#seqOf(kept)));
    return this.#served(state, kept.output, { position, provenMs: this.#provenOf(kept) });
  }

  #served(
    state: CacheState,
    found: Readonly<Record<string, unknown>>,
    { position, provenMs }: { position: string; provenMs: number },
  ): Served {
    this.#options.stats.answered(state);
    const ageMs = this.#options.freshness.ageOf(provenMs);
    return {
      output: found,
      position,
      cache: { state, ...(Number.isFinite(ageMs) ? { ageSeconds: ageMs / 1000 } : {}) },
    };
  }

  /** An answer that is sure is as new as the feed. */
  #seqOf(kept: Kept): number {
    return kept.sure ? Math.max(kept.seq, this.#options.log.position().seq) : kept.seq;
  }

  #provenOf(kept: Kept): number {
    return kept.sure ? Math.max(kept.provenMs, this.#options.freshness.provenMs) : kept.provenMs;
  }

  /** The seq to reach; undefined where the position is of a history that this edge does not know: the upstream may. */
  #minSeq(position: string | undefined): number | undefined {
    if (position === undefined) return 0;
    const wanted = parsePosition(position);
    return this.#options.log.sameHistory(wanted) ? wanted.seq : undefined;
  }

  #isOurs(position: string): boolean {
    return parsePosition(position).epoch === this.#options.log.position().epoch;
  }
}

/** Whether nobody answered, rather than answered with a refusal. */
function saysAway(error: unknown): boolean {
  return error instanceof Fault && error.code === "unavailable";
}
