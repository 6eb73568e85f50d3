// Makes the vectors of what is in the index, behind it, and those of queries. Whatever fails here leaves searches by
// words as they are.

import { LRUCache } from "lru-cache";
import { pause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { Backoff } from "../../../lib/retry.ts";
import { formatPosition } from "../../../log/position.ts";
import type { Job } from "../../../operation/feature.ts";
import { RequestRefused } from "../../../operation/model-endpoint.ts";
import type { SearchedRow, SearchSource } from "../../../operation/search-source.ts";
import type { DiskGauge } from "../../../store/disk.ts";
import { isDamaged, type Reader } from "../../../store/store.ts";
import type { IndexStore } from "../index-store.ts";
import type { SearchIndex } from "../search-index.ts";
import type { Embedder } from "./embedder.ts";
import { piecesOf } from "./pieces.ts";
import type { IndexedRow, RowVectors } from "./vector-store.ts";
import { rounded, type Vectors } from "./vectors.ts";

/** Time for the vectors of a batch, and for that of a query. */
const BATCH_MS = 120_000;
const QUERY_MS = 20_000;
/** How long a search waits for the vector of its query. A child that starts may take longer: the next search has it. */
const WAIT_MS = 2000;
/** Between two batches. */
const REST_MS = 5;
/** Queries that wait for their vector at the same time. */
const MAX_QUERIES = 8;
/** Queries whose vectors are kept. */
const KEPT_QUERIES = 64;
/** A text that every model takes. */
const PLAIN_TEXT = "text";

export interface MeaningOptions {
  index: SearchIndex;
  /** The store of the node. */
  reader: Reader;
  sources: readonly SearchSource[];
  disk: Pick<DiskGauge, "refusal">;
  /** Returns what makes vectors now; undefined: nothing. The same object as long as nothing changes. */
  embedder: () => Embedder | undefined;
  /** Memory for vectors. */
  maxBytes: number;
  /** Called with what is wrong, and with "" once it is right again. */
  onState: (problem: string) => void;
  /** Waits after failures, shorter for tests. */
  firstRetryMs?: number;
}

/** The vectors that a search compares with. */
export interface OpenVectors {
  vectors: Vectors;
  startOf(seq: number, piece: number): number;
}

/** How far the vectors are. */
export interface MeaningState {
  model: string;
  /** Everything up to this position could be found by meaning, or has no vectors for good; undefined: not begun. */
  position: string | undefined;
}

/** Vectors for one index, from `start` to `stop`. */
export class Meaning implements Job {
  readonly name = "search by meaning";
  readonly #options: MeaningOptions;
  readonly #stop = new AbortController();
  readonly #queries = new LRUCache<string, Int8Array>({ max: KEPT_QUERIES });
  readonly #backoff: Backoff;
  #running: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();
  #waitingQueries = 0;
  /** Rows that are to be sent one by one, since the service refused them together. */
  #alone = 0;

  constructor(options: MeaningOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: options.firstRetryMs ?? 1000, lastMs: 300_000, jitter: 0.5 });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.changed();
    await this.#running;
    await this.#options.embedder()?.close();
  }

  /** To be called when what made vectors was taken away: deletes them. */
  async removed(): Promise<void> {
    this.#queries.clear();
    this.#options.onState("");
    this.changed();
    const index = this.#options.index.current();
    const isOpen = () => index === this.#options.index.current() && this.#options.embedder() === undefined;
    if (isOpen()) await index?.vectors.begin("", isOpen);
  }

  /** To be called when `embedder` returns another one. */
  changed(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Returns how far the vectors are; undefined where none are made. */
  state(): MeaningState | undefined {
    const embedder = this.#options.embedder();
    return embedder && { model: embedder.model, position: this.#position() };
  }

  /** Returns the vectors; undefined while there are none to compare with. */
  open(): OpenVectors | undefined {
    const store = this.#options.index.current()?.vectors;
    if (this.#options.embedder() === undefined || store?.loaded === undefined) return undefined;
    return { vectors: store.loaded, startOf: (seq, piece) => store.startOf(seq, piece) };
  }

  /** Returns the vector of a query; undefined where it cannot be had now. */
  async query(text: string): Promise<Int8Array | undefined> {
    const embedder = this.#options.embedder();
    if (embedder === undefined || embedder.isResting) return undefined;
    const key = `${embedder.identity}\n${text}`;
    const known = this.#queries.get(key);
    if (known !== undefined || this.#waitingQueries >= MAX_QUERIES) return known;
    const wait = new AbortController();
    const late = pause(WAIT_MS, wait.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      return await Promise.race([this.#makeQuery(embedder, key, text), late]);
    } finally {
      wait.abort();
    }
  }

  /** Makes the vector of a query, and keeps it. */
  async #makeQuery(embedder: Embedder, key: string, text: string): Promise<Int8Array | undefined> {
    this.#waitingQueries += 1;
    try {
      // Not ended with the call: the vector is kept for the next page.
      const [vector] = await embedder.embed([text.slice(0, embedder.chars)], QUERY_MS, this.#stop.signal);
      const made = vector && rounded(vector);
      if (made !== undefined) this.#queries.set(key, made);
      return made;
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.onState(reasonOf(error));
      return undefined;
    } finally {
      this.#waitingQueries -= 1;
    }
  }

  /**
   * Waits until every row up to a seq has its vectors. Returns false where that takes longer, or they are not made: at
   * once where it is bound to take longer.
   */
  async reach(seq: number, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const deadline = AbortSignal.timeout(withinMs);
    const late = Promise.withResolvers<void>();
    for (const end of [deadline, signal]) end.addEventListener("abort", () => late.resolve(), { once: true });
    while (!this.#has(seq)) {
      signal.throwIfAborted();
      const embedder = this.#options.embedder();
      if (deadline.aborted || embedder === undefined || embedder.isResting) return false;
      if (this.#options.index.current()?.vectors.isFarBehind() === true) return false;
      await Promise.race([this.#changed.promise, this.#options.index.nextWrite(), late.promise]);
    }
    return true;
  }

  #has(seq: number): boolean {
    const index = this.#options.index.current();
    const progress = index?.progress;
    if (index === undefined || progress === undefined || progress.building !== undefined) return false;
    if (!index.vectors.isReady(this.#options.embedder()?.identity ?? "")) return false;
    return progress.position.seq >= seq && (index.vectors.firstWaiting() ?? Number.POSITIVE_INFINITY) > seq;
  }

  #position(): string | undefined {
    const index = this.#options.index.current();
    const progress = index?.progress;
    if (index === undefined || progress === undefined) return undefined;
    if (!index.vectors.isReady(this.#options.embedder()?.identity ?? "")) return undefined;
    const { epoch, seq } = progress.position;
    const first = index.vectors.firstWaiting();
    return formatPosition({ epoch, seq: first === undefined ? seq : Math.min(seq, first - 1) });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#step(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (this.#options.index.discardDamaged(error)) continue;
        this.#options.onState(reasonOf(error));
        await this.#backoff.wait(signal).catch(() => {});
      }
    }
  }

  /** One batch, or a wait for something to do. */
  async #step(signal: AbortSignal): Promise<void> {
    const embedder = this.#options.embedder();
    const index = this.#options.index.current();
    if (embedder === undefined) return await this.#changed.promise;
    if (index?.progress === undefined) return await this.#next();
    const refusal = this.#options.disk.refusal();
    if (refusal !== undefined) throw refusal;
    const isOpen = () => index === this.#options.index.current() && embedder === this.#options.embedder();
    await index.vectors.begin(embedder.identity, isOpen);
    if (!isOpen()) return;
    await index.vectors.load(isOpen);
    await this.#trim(index, isOpen);
    this.changed();
    if (!isOpen()) return;
    const rows = index.vectors.waiting(this.#alone > 0 ? 1 : embedder.batch);
    if (rows.length === 0) {
      this.#settled();
      return await this.#next();
    }
    const made = await this.#vectorsOf(rows, embedder, signal);
    if (!isOpen()) return;
    index.vectors.add(made);
    await this.#trim(index, isOpen);
    this.#alone = Math.max(0, this.#alone - 1);
    this.#settled();
    this.changed();
    await pause(REST_MS, signal);
  }

  /** Waits until there may be something to do. */
  #next(): Promise<void> {
    // Ends the waits before this one: each would leave something behind at a promise that lasts.
    this.changed();
    return Promise.race([this.#changed.promise, this.#options.index.nextWrite()]);
  }

  /** Keeps the newest vectors that fit into memory. */
  async #trim({ vectors }: IndexStore, isOpen: () => boolean): Promise<void> {
    while (isOpen() && vectors.trim(this.#options.maxBytes)) await pause(REST_MS);
  }

  #settled(): void {
    this.#backoff.reset();
    this.#options.onState("");
  }

  /** Returns the vectors of the first of these rows: of as many as make a batch. */
  async #vectorsOf(rows: readonly IndexedRow[], embedder: Embedder, signal: AbortSignal): Promise<RowVectors[]> {
    const taken: { seq: number; space: string; pieces: { start: number; text: string }[] }[] = [];
    let texts = 0;
    for (const { seq, kind, key } of rows) {
      if (texts >= embedder.batch) break;
      const row = this.#row(kind, key);
      // One that was written again is removed from the index in a moment.
      const pieces = row?.seq === seq ? piecesOf(row.title, row.text(), embedder.chars) : [];
      taken.push({ seq, space: row?.space ?? "", pieces });
      texts += pieces.length;
    }
    const vectors: Float32Array[] = [];
    const all = taken.flatMap(({ pieces }) => pieces.map(({ text }) => text));
    for (let at = 0; at < all.length; at += embedder.batch) {
      const batch = all.slice(at, at + embedder.batch);
      const made = await this.#embed(batch, taken.length, embedder, signal);
      if (made === undefined) return taken.map(({ seq, space }) => ({ seq, space, pieces: [] }));
      vectors.push(...made);
    }
    return taken.map(({ seq, space, pieces }) => ({
      ...{ seq, space },
      pieces: pieces.map(({ start }) => ({ start, vector: rounded(vectors.shift() ?? new Float32Array()) })),
    }));
  }

  /** Returns undefined for the texts of one row that the service takes no vectors of, though it makes others. */
  async #embed(
    texts: readonly string[],
    rows: number,
    embedder: Embedder,
    signal: AbortSignal,
  ): Promise<Float32Array[] | undefined> {
    try {
      return await embedder.embed(texts, BATCH_MS, signal);
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      if (rows > 1) {
        this.#alone = rows;
        throw error;
      }
      await embedder.embed([PLAIN_TEXT], BATCH_MS, signal);
      return undefined;
    }
  }

  #row(kind: string, key: string): SearchedRow | undefined {
    try {
      return this.#options.sources.find((source) => source.kind === kind)?.row(this.#options.reader, key);
    } catch (error) {
      // The index says so.
      if (isDamaged(error)) return undefined;
      throw error;
    }
  }
}
