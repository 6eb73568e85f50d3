// The cached outputs of an edge: in memory, bounded by bytes, and as rows of a file for spaces that may be served
// stale. edge-cache.ts decides whether one may be served.

import { LRUCache } from "lru-cache";
import { spaceOf } from "../access/space.ts";
import type { Fault } from "../lib/fault.ts";
import type { Change } from "../log/changes.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { Store, Writer } from "../store/store.ts";
import { keyOf, operationOfKey, targetOfKey } from "./cache-key.ts";
import type { Freshness, StoredMoment } from "./freshness.ts";

/** A cached output, in the canonical form of its read (`EdgeRead.upstream`). */
export interface Entry {
  output: Readonly<Record<string, unknown>>;
  /** The output includes everything up to this seq. */
  seq: number;
  /** A moment for which the output itself is proven, on the clock that counts sleep. */
  provenMs: number;
  /** Whether the feed was followed without a gap since: then the output is as new as the feed. */
  certain: boolean;
}

/** A cached "not found": a 404 or 410. */
export interface NotFoundEntry {
  /** Who were told so. Others may be told otherwise. */
  who: string;
  fault: Fault;
  seq: number;
  provenMs: number;
  untilMs: number;
}

/** The part of a change to the cache that belongs into the file; run it in a transaction. */
export type DiskStep = (tx: Writer) => void;

export interface EntriesOptions {
  /** Reads whose outputs are cached. */
  reads: readonly EdgeRead[];
  store: Store;
  freshness: Freshness;
  /** Most bytes in memory, and the same again in the file. */
  maxBytes: number;
  /** Reports whether outputs of a space are written to the file. */
  isPersisted: (space: string) => boolean;
  onEvicted: () => void;
  /** Called with the reason if something could not be written. */
  onError: (error: unknown) => void;
}

interface Row extends StoredMoment {
  id: string;
  seq: number;
  sure: number;
  output: string;
}

/** Approximate cost of an entry beside its text. */
const OVERHEAD_BYTES = 1024;
const MAX_NOT_FOUND = 10_000;
const FLUSH_MS = 500;

/** The cached outputs of an edge. */
export class Entries {
  readonly #options: EntriesOptions;
  readonly #reads: ReadonlyMap<string, EdgeRead>;
  readonly #memory: LRUCache<string, Entry>;
  readonly #notFound = new LRUCache<string, NotFoundEntry>({ max: MAX_NOT_FOUND });
  /** Keys in memory that still have to be written to the file. */
  readonly #unwritten = new Set<string>();
  #diskBytes: number;
  #flushTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: EntriesOptions) {
    this.#options = options;
    this.#reads = new Map(options.reads.map((read) => [read.operation, read]));
    this.#memory = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (entry, key) => this.#bytesOf(key, entry),
      dispose: (_entry, _key, reason) => {
        if (reason === "evict") options.onEvicted();
      },
    });
    this.#diskBytes =
      options.store.reader.get<{ bytes: number | null }>("SELECT SUM(bytes) AS bytes FROM cached")?.bytes ?? 0;
  }

  /** Entries in memory. */
  get count(): number {
    return this.#memory.size;
  }

  /** Bytes in memory. */
  get bytes(): number {
    return this.#memory.calculatedSize;
  }

  get diskBytes(): number {
    return this.#diskBytes;
  }

  /** Returns the entry of a key, from memory or from the file. */
  find(key: string): Entry | undefined {
    return this.#memory.get(key) ?? this.#load(key);
  }

  findNotFound(key: string): NotFoundEntry | undefined {
    return this.#notFound.get(key);
  }

  /** Keeps an output in place of the one before, unless it is one that is not to be kept. */
  put(key: string, entry: Entry): void {
    if (!this.isForAll(key, entry.output) || this.#readOf(key)?.mayKeep?.(entry.output) === false) {
      this.drop(key);
      return;
    }
    this.#notFound.delete(key);
    this.#memory.set(key, entry);
    if (!this.#isPersisted(key)) return;
    this.#unwritten.add(key);
    this.#flushTimer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  /** Reports whether an output is for all callers that may read its space. */
  isForAll(key: string, output: Entry["output"]): boolean {
    return this.#readOf(key)?.isForAll?.(output) !== false;
  }

  putNotFound(key: string, entry: NotFoundEntry): void {
    this.drop(key);
    this.#notFound.set(key, entry);
  }

  /** Removes a key from memory and from the file. */
  drop(key: string): void {
    this.#dropFromMemory(key);
    this.#notFound.delete(key);
    if (this.#isPersisted(key)) this.#write((tx) => this.#deleteRows(tx, "id = ?", key));
  }

  /**
   * Removes what these changes made old: entries with a smaller seq. From memory at once, from the file by the step.
   */
  applyChanges(changes: readonly Change[]): DiskStep {
    const changed = changes.flatMap(({ target, seq }) => this.keysOf(target).map((key) => ({ key, seq })));
    for (const { key, seq } of changed) {
      if ((this.#memory.peek(key)?.seq ?? seq) < seq) this.#dropFromMemory(key);
      if ((this.#notFound.peek(key)?.seq ?? seq) < seq) this.#notFound.delete(key);
    }
    return (tx) => {
      for (const { key, seq } of changed)
        if (this.#isPersisted(key)) this.#deleteRows(tx, "id = ? AND seq < ?", key, seq);
    };
  }

  /** Returns the keys that a change of this target makes old. */
  keysOf(target: string): string[] {
    return this.#options.reads.map(({ operation }) => keyOf(operation, target));
  }

  /** After missed changes: keeps the entries as proven until now, but no longer as new as the feed. */
  markUncertain(): DiskStep {
    const { freshness } = this.#options;
    const { provenMs } = freshness;
    for (const entry of this.#memory.values()) {
      if (entry.certain) entry.provenMs = Math.max(entry.provenMs, provenMs);
      entry.certain = false;
    }
    this.#notFound.clear();
    const moment = freshness.toStored(provenMs);
    return (tx) => {
      tx.run(
        "UPDATE cached SET proven_wall = ?, proven_clock = ?, clock = ? WHERE sure = 1 AND proven_wall < ?",
        moment.proven_wall,
        moment.proven_clock,
        moment.clock,
        moment.proven_wall,
      );
      tx.run("UPDATE cached SET sure = 0");
    };
  }

  /** Removes entries that missed changes and are older than a seq: those changes may have purged them. */
  dropUncertain(before: number): DiskStep {
    for (const [key, { seq, certain }] of [...this.#memory.entries()])
      if (!certain && seq < before) this.#dropFromMemory(key);
    return (tx) => this.#deleteRows(tx, "sure = 0 AND seq < ?", before);
  }

  /** Removes the entries of spaces that may no longer be cached, in memory or in the file. */
  retainSpaces(mayCache: (space: string) => boolean): DiskStep {
    const isGone = (key: string): boolean => !mayCache(spaceOf(targetOfKey(key)));
    for (const key of [...this.#memory.keys()].filter(isGone)) this.#dropFromMemory(key);
    for (const key of [...this.#notFound.keys()].filter(isGone)) this.#notFound.delete(key);
    return (tx) => {
      for (const { space } of tx.all<{ space: string }>("SELECT DISTINCT space FROM cached"))
        if (!mayCache(space) || !this.#options.isPersisted(space)) this.#deleteRows(tx, "space = ?", space);
    };
  }

  /** Removes everything. */
  clear(): DiskStep {
    this.#memory.clear();
    this.#notFound.clear();
    this.#unwritten.clear();
    return (tx) => this.#deleteRows(tx, "1 = 1");
  }

  /** Writes the new entries of persisted spaces to the file. */
  flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    const keys = [...this.#unwritten];
    this.#unwritten.clear();
    if (keys.length === 0) return;
    this.#write((tx) => {
      for (const key of keys) {
        const entry = this.#memory.peek(key);
        if (entry !== undefined) this.#insert(tx, key, entry);
      }
      this.#evictRows(tx);
    });
  }

  #isPersisted(key: string): boolean {
    return this.#options.isPersisted(spaceOf(targetOfKey(key)));
  }

  #bytesOf(key: string, { output }: Entry): number {
    return (this.#readOf(key)?.bytesOf(output) ?? 0) + OVERHEAD_BYTES;
  }

  #readOf(key: string): EdgeRead | undefined {
    return this.#reads.get(operationOfKey(key));
  }

  #dropFromMemory(key: string): void {
    this.#memory.delete(key);
    this.#unwritten.delete(key);
  }

  /**
   * Runs a transaction and reports an error. What could not be written (a full disk) is missing after a restart. A row
   * that could not be removed goes with the next change of it: applying that fails as long as the disk is full.
   */
  #write(body: DiskStep): void {
    const before = this.#diskBytes;
    try {
      this.#options.store.transaction(body);
    } catch (error) {
      this.#diskBytes = before;
      this.#options.onError(error);
    }
  }

  #insert(tx: Writer, key: string, entry: Entry): void {
    this.#deleteRows(tx, "id = ?", key);
    const { proven_wall, proven_clock, clock } = this.#options.freshness.toStored(entry.provenMs);
    const bytes = this.#bytesOf(key, entry);
    tx.run(
      "INSERT INTO cached (id, space, seq, sure, proven_wall, proven_clock, clock, bytes, output) VALUES (?,?,?,?,?,?,?,?,?)",
      key,
      spaceOf(targetOfKey(key)),
      entry.seq,
      entry.certain ? 1 : 0,
      proven_wall,
      proven_clock,
      clock,
      bytes,
      JSON.stringify(entry.output),
    );
    this.#diskBytes += bytes;
  }

  #evictRows(tx: Writer): void {
    while (this.#diskBytes > this.#options.maxBytes) {
      const oldest = tx.get<{ id: string }>("SELECT id FROM cached ORDER BY proven_wall LIMIT 1");
      if (oldest === undefined) return;
      this.#deleteRows(tx, "id = ?", oldest.id);
      this.#options.onEvicted();
    }
  }

  #deleteRows(
    tx: Writer,
    where: "id = ?" | "id = ? AND seq < ?" | "space = ?" | "sure = 0 AND seq < ?" | "1 = 1",
    ...values: (string | number)[]
  ): void {
    const gone = tx.get<{ bytes: number | null }>(`SELECT SUM(bytes) AS bytes FROM cached WHERE ${where}`, ...values);
    if (gone?.bytes === null || gone?.bytes === undefined) return;
    tx.run(`DELETE FROM cached WHERE ${where}`, ...values);
    this.#diskBytes -= gone.bytes;
  }

  #load(key: string): Entry | undefined {
    if (!this.#isPersisted(key)) return undefined;
    const row = this.#options.store.reader.get<Row>(
      "SELECT id, seq, sure, proven_wall, proven_clock, clock, output FROM cached WHERE id = ?",
      key,
    );
    if (row === undefined) return undefined;
    const output: Record<string, unknown> = JSON.parse(row.output);
    // SQLite has no checksums.
    if (this.#readOf(key)?.isIntact(output) !== true) {
      this.#write((tx) => this.#deleteRows(tx, "id = ?", key));
      return undefined;
    }
    const provenMs = this.#options.freshness.fromStored(row);
    const entry: Entry = { output, seq: row.seq, certain: row.sure === 1, provenMs };
    this.#memory.set(key, entry);
    return entry;
  }
}
