// Keeps the index of a node up to date: reads what was there before, then follows the changes, in slices between which
// other work gets its turn. Whatever is wrong with the index, it is deleted and built again.

import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Cursor } from "../../log/changes.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { formatPosition, type Position } from "../../log/position.ts";
import { purgeState } from "../../log/purge-state.ts";
import type { Job } from "../../operation/feature.ts";
import type { SearchSource } from "../../operation/search-source.ts";
import type { DiskGauge } from "../../store/disk.ts";
import { isDamaged, isStorageFull, type Reader, type Store } from "../../store/store.ts";
import { type Entry, IndexStore, type Progress, SEARCH_FOLDER } from "./index-store.ts";
import { tokensOf } from "./tokens.ts";

/** Rows that are written at once: fewer where they take long, since nothing else runs meanwhile. */
const MIN_BATCH = 4;
const MAX_BATCH = 128;
/** How long a batch, or the making of its tokens, should take at most, in ms. */
const BATCH_MS = 3;
/** Least time between two steps, in ms. */
const REST_MS = 1;
/** A step rests so many times as long as it took: the node has other work too, and later changes join the next step. */
const REST_SHARE = 3;
/** Changes that come within this time, in ms, are followed together: a write to the index costs more than its rows. */
const GATHER_MS = 10;
/** Changes that are read in one turn, and that are followed together: a row that many of them alter is read once. */
const READ_CHANGES = 256;
const MAX_CHANGES = 4096;
/** How long an erasure waits for the index to follow, before it says that it is behind. */
const FOLLOW_MS = 5000;
/** How often the position is noted while only changes come that alter no row, in ms. */
const NOTE_MS = 60_000;
/** Until the next attempt after an error, in ms. */
const RETRY_MS = 1000;

/** Faults of an index that is of another history, or too old to follow the changes: nothing is wrong with the node. */
const OUTDATED: ReadonlySet<string> = new Set(["history_forked", "below_floor"]);
/** Faults of an index that cannot be read. */
const UNREADABLE: ReadonlySet<string> = new Set(["data_corrupt", "data_newer"]);

export interface SearchIndexOptions {
  /** The data folder of the node. */
  data: string;
  store: Store;
  log: () => Log;
  sources: readonly SearchSource[];
  /** The disk of the data folder. */
  disk: Pick<DiskGauge, "refusal">;
  /** Called with what is wrong, once for each reason in a row. */
  onError: (message: string) => void;
}

/** A row that is to be read. */
interface Row {
  source: SearchSource;
  key: string;
}

/** What a search reads. */
export interface OpenIndex {
  reader: Reader;
  /** The position up to which everything is in it; while it is built, where that began. */
  position: string;
  isBuilding: boolean;
}

/** The index of one node, from `start` to `stop`. */
export class SearchIndex implements Job {
  readonly name = "search index";
  readonly #options: SearchIndexOptions;
  readonly #folder: string;
  readonly #stop = new AbortController();
  #index: IndexStore | undefined;
  #running: Promise<void> | undefined;
  /** Resolved and replaced after each batch. */
  #written = Promise.withResolvers<void>();
  /** Aborted when the index is deleted, so that the loop looks again. */
  #discarded = new AbortController();
  #lastError = "";
  #batch = MIN_BATCH;
  /** How long the last step held up the node, in ms. */
  #tookMs = 0;

  constructor(options: SearchIndexOptions) {
    this.#options = options;
    this.#folder = join(options.data, SEARCH_FOLDER);
    options.store.alsoErase(() => this.#erase());
  }

  get sources(): readonly SearchSource[] {
    return this.#options.sources;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#index?.close();
    this.#index = undefined;
  }

  /** The open index; undefined while there is none. */
  current(): IndexStore | undefined {
    return this.#index;
  }

  /** Resolves when rows were written next. */
  nextWrite(): Promise<void> {
    return this.#written.promise;
  }

  /** Returns what there is to search in. Throws Fault `unavailable` while there is nothing. */
  open(): OpenIndex {
    const index = this.#index;
    const progress = index?.progress;
    if (index === undefined || progress === undefined) throw this.#notReady();
    const isBuilding = progress.building !== undefined;
    return { reader: index.reader, position: formatPosition(this.#reached(progress)), isBuilding };
  }

  /** Waits until every change up to a seq is in the index. Rejects with Fault `unavailable` after `withinMs`. */
  reach(seq: number, withinMs: number, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#has(seq), withinMs, signal);
  }

  /** Waits until there is something to search in. Rejects with Fault `unavailable` after `withinMs`. */
  begun(withinMs: number, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#index?.progress !== undefined, withinMs, signal);
  }

  async #until(isReady: () => boolean, withinMs: number, signal: AbortSignal): Promise<void> {
    if (isReady()) return;
    const deadline = AbortSignal.timeout(withinMs);
    const late = Promise.withResolvers<void>();
    deadline.addEventListener("abort", () => late.resolve(), { once: true });
    while (!isReady()) {
      if (deadline.aborted) throw this.#notReady();
      await Promise.race([this.#written.promise, late.promise]);
      signal.throwIfAborted();
    }
  }

  /** For a search that failed: deletes an index that is damaged and begins a new one. Reports whether it did. */
  discardDamaged(error: unknown): boolean {
    if (!isDamaged(error)) return false;
    this.#report(`the search index is damaged and is built again: ${reasonOf(error)}`);
    this.#discard();
    return true;
  }

  #has(seq: number): boolean {
    const progress = this.#index?.progress;
    return progress !== undefined && progress.building === undefined && this.#reached(progress).seq >= seq;
  }

  /** Returns the position up to which a whole index has everything: no change after it that is not its own counts. */
  #reached({ position, building }: Progress): Position {
    if (building !== undefined) return position;
    const log = this.#options.log();
    if (!log.sameHistory(position) || log.changes.cursor(position.seq).isBehind()) return position;
    const head = log.changes.head();
    return head.seq > position.seq ? head : position;
  }

  #notReady(): Fault {
    return new Fault("unavailable", "The search index of this node is not ready", {
      hint: "It is behind, or being built: try again in a moment, or search without min_position.",
      details: { retryAfterSeconds: 2 },
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#step(signal);
        this.#lastError = "";
      } catch (error) {
        if (signal.aborted) return;
        this.#recover(error);
        await pause(RETRY_MS, signal).catch(() => {});
      }
    }
  }

  /** One batch, or a wait for changes. */
  async #step(signal: AbortSignal): Promise<void> {
    const refusal = this.#options.disk.refusal();
    if (refusal !== undefined) throw refusal;
    const index = this.#opened();
    const progress = index.progress;
    this.#tookMs = 0;
    if (progress === undefined) this.#begin(index);
    else if (progress.building === undefined) await this.#follow(index, progress, signal);
    else await this.#build(index, progress);
    await this.#rest();
    while (index === this.#index && this.#timed(() => index.merge())) await this.#rest();
  }

  /** Runs what nothing else runs beside, and notes how long it took. */
  #timed<T>(work: () => T): T {
    const startMs = performance.now();
    try {
      return work();
    } finally {
      this.#tookMs = performance.now() - startMs;
    }
  }

  #rest(): Promise<void> {
    return pause(Math.max(REST_MS, REST_SHARE * this.#tookMs), this.#stop.signal);
  }

  #opened(): IndexStore {
    const log = this.#options.log();
    const kinds = this.sources.map(({ kind }) => kind);
    this.#index ??= IndexStore.open(this.#folder, kinds, this.#options.onError);
    const { progress } = this.#index;
    const isOurs =
      progress === undefined || (log.sameHistory(progress.position) && progress.position.seq <= log.position().seq);
    if (isOurs) return this.#index;
    this.#discard();
    return this.#opened();
  }

  #begin(index: IndexStore): void {
    const building = Object.fromEntries(this.sources.map(({ kind }) => [kind, ""]));
    this.#write(index, [], { position: this.#options.log().position(), building });
  }

  /** Reads the next rows of the first source that is not read to its end. */
  async #build(index: IndexStore, { position, building = {} }: Progress): Promise<void> {
    const [source] = this.sources.filter(({ kind }) => building[kind] !== undefined);
    if (source === undefined) return this.#write(index, [], { position, building: undefined });
    const { kind } = source;
    const { reader } = this.#options.store;
    const batch = this.#batch;
    const keys = levelOf(reader) < source.level ? [] : source.keysAfter(reader, building[kind] ?? "", batch);
    const { [kind]: _, ...others } = building;
    const last = keys.length < batch ? undefined : keys.at(-1);
    const left = last === undefined ? others : { ...building, [kind]: last };
    const rows = keys.map((key) => ({ source, key }));
    this.#write(index, await this.#entries(rows), { position, building: left });
  }

  async #follow(index: IndexStore, { position }: Progress, signal: AbortSignal): Promise<void> {
    const log = this.#options.log();
    const cursor = log.changes.cursor(position.seq);
    if (!cursor.isBehind()) return this.#wait(index, cursor, signal);
    const { epoch } = log.position();
    const rows = await this.#altered(cursor);
    const last = { epoch, seq: cursor.seq };
    // The position is noted with the last rows: one that is read twice is the same.
    for (let next = 0; next < rows.length && index === this.#index; ) {
      const batch = rows.slice(next, next + this.#batch);
      next += batch.length;
      const entries = await this.#entries(batch);
      this.#write(index, entries, { position: next < rows.length ? position : last, building: undefined });
      if (next < rows.length) await this.#rest();
    }
    if (rows.length === 0) this.#write(index, [], { position: last, building: undefined });
  }

  /** Waits for changes, and notes the position where none of them is followed: the table keeps them for a time only. */
  async #wait(index: IndexStore, cursor: Cursor, signal: AbortSignal): Promise<void> {
    const before = cursor.seq;
    await cursor.wait(signal, AbortSignal.any([this.#discarded.signal, AbortSignal.timeout(NOTE_MS)]));
    if (cursor.isBehind()) return pause(GATHER_MS, signal);
    cursor.next(1);
    const position = { epoch: this.#options.log().position().epoch, seq: cursor.seq };
    if (position.seq > before) this.#write(index, [], { position, building: undefined });
  }

  /** Reads the next changes, and returns the rows that they may have altered. */
  async #altered(cursor: Cursor): Promise<Row[]> {
    const { store } = this.#options;
    const level = levelOf(store.reader);
    const sources = this.sources.filter((source) => source.level <= level);
    const altered = new Map(sources.map((source) => [source, new Set<string>()]));
    for (let read = 0; read < MAX_CHANGES; ) {
      const found = cursor.next(READ_CHANGES);
      for (const [source, keys] of altered)
        for (const change of found) for (const key of source.changedBy(store.reader, change)) keys.add(key);
      read += found.length;
      if (!cursor.isBehind()) break;
      await nextTurn();
    }
    return [...altered].flatMap(([source, keys]) => [...keys].map((key) => ({ source, key })));
  }

  async #entries(rows: readonly Row[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    let startMs = performance.now();
    for (const { source, key } of rows) {
      entries.push({ kind: source.kind, key, row: await this.#tokensOf(source.kind, key, source.row) });
      const tookMs = performance.now() - startMs;
      if (tookMs < BATCH_MS) continue;
      await pause(REST_SHARE * tookMs, this.#stop.signal);
      startMs = performance.now();
    }
    return entries;
  }

  async #tokensOf(kind: string, key: string, rowOf: SearchSource["row"]): Promise<Entry["row"]> {
    try {
      const row = rowOf(this.#options.store.reader, key);
      return row && { seq: row.seq, tokens: await tokensOf(kind, row) };
    } catch (error) {
      if (!isDamaged(error)) throw error;
      this.#report(`the ${kind} ${key} cannot be found: ${reasonOf(error)}`);
      return undefined;
    }
  }

  #write(index: IndexStore, entries: readonly Entry[], progress: Progress): void {
    // A search found it damaged meanwhile.
    if (index !== this.#index) return;
    this.#timed(() => index.write(entries, progress));
    const isLong = this.#tookMs > BATCH_MS;
    this.#batch = isLong ? Math.max(MIN_BATCH, this.#batch >> 1) : Math.min(MAX_BATCH, this.#batch * 2);
    this.#written.resolve();
    this.#written = Promise.withResolvers();
  }

  #recover(error: unknown): void {
    const code = error instanceof Fault ? error.code : "";
    const isOutdated = OUTDATED.has(code);
    if (!isOutdated) this.#report(`the search index is behind: ${reasonOf(error)}`);
    if (isOutdated || UNREADABLE.has(code) || (code === "" && !isStorageFull(error))) this.#discard();
  }

  #discard(): void {
    const index = this.#index;
    this.#index = undefined;
    this.#discarded.abort();
    this.#discarded = new AbortController();
    try {
      index?.close();
    } catch (error) {
      this.#report(reasonOf(error));
    }
    IndexStore.remove(this.#folder);
  }

  /** Removes purged texts from the file (security.md 23). Returns why it could not, or "". */
  async #erase(): Promise<string> {
    const { purged } = purgeState(this.#options.store.reader);
    const isFull = this.#options.disk.refusal() !== undefined;
    if (!isFull) await this.reach(purged, FOLLOW_MS, this.#stop.signal).catch(() => {});
    const index = this.#index;
    if (!this.#has(purged) || index === undefined) {
      if (!isFull) return "the search index is behind";
      // It could not be written for as long as the disk is full.
      this.#discard();
      return "";
    }
    const isOpen = () => index === this.#index && !this.#stop.signal.aborted;
    for (let toOne = true; isOpen() && index.merge(toOne); toOne = false) await pause(REST_MS);
    if (isOpen() && (await index.erase())) return "";
    return "the search index is in use";
  }

  #report(message: string): void {
    if (message !== this.#lastError) this.#options.onError(message);
    this.#lastError = message;
  }
}
