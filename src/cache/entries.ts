// What an edge keeps: answers in memory, bounded by bytes, over rows for spaces that may be served stale. Whether one may be given is decided in cache.ts.

import { LRUCache } from "lru-cache";
import { spaceOf } from "../access/space.ts";
import type { Fault } from "../lib/fault.ts";
import type { Change } from "../log/changes.ts";
import type { EdgeRead } from "../operation/feature.ts";
import type { Store, Writer } from "../store/store.ts";
import type { Freshness, Moment } from "./freshness.ts";
import { keyOf, targetOfKey } from "./keys.ts";

/** The answer of a read in its canonical form (`EdgeRead.upstream`). */
export interface Kept {
  output: Readonly<Record<string, unknown>>;
  /** Everything up to this seq is in it. */
  seq: number;
  /** When it was surely true by itself, on the clock that counts sleep. */
  provenMs: number;
  /** Whether every change since came by the feed, so that it is as new as the feed. */
  sure: boolean;
}

/** That there was none: a 404 or 410. */
export interface Absent {
  fault: Fault;
  seq: number;
  provenMs: number;
  untilMs: number;
}

export interface EntriesOptions {
  /** Reads whose answers are kept. */
  reads: readonly EdgeRead[];
  store: Store;
  freshness: Freshness;
  /** Bytes in memory, and as many again in the file. */
  maxBytes: number;
  /** Whether answers of a space outlive the process. */
  keepsOnDisk: (space: string) => boolean;
  onEvicted: () => void;
  /** Hears why something could not be written. */
  onError: (error: unknown) => void;
}

interface Row extends Moment {
  id: string;
  seq: number;
  sure: number;
  output: string;
}

/** What an entry costs beside its text, about. */
const OVERHEAD_BYTES = 1024;
const MAX_ABSENT = 10_000;
const FLUSH_MS = 500;

/** The kept answers of an edge. */
export class Entries {
  readonly #options: EntriesOptions;
  readonly #reads: ReadonlyMap<string, EdgeRead>;
  readonly #memory: LRUCache<string, Kept>;
  readonly #absent = new LRUCache<string, Absent>({ max: MAX_ABSENT });
  readonly #unwritten = new Set<string>();
  #diskBytes: number;
  #flush: ReturnType<typeof setTimeout> | undefined;

  constructor(options: EntriesOptions) {
    this.#options = options;
    this.#reads = new Map(options.reads.map((read) => [read.operation, read]));
    this.#memory = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (kept, key) => this.#bytesOf(key, kept),
      dispose: (_kept, _id, reason) => {
        if (reason === "evict") options.onEvicted();
      },
    });
    this.#diskBytes =
      options.store.reader.get<{ bytes: number | null }>("SELECT SUM(bytes) AS bytes FROM cached")?.bytes ?? 0;
  }

  get count(): number {
    return this.#memory.size;
  }

  /** In memory. */
  get bytes(): number {
    return this.#memory.calculatedSize;
  }

  get diskBytes(): number {
    return this.#diskBytes;
  }

  find(key: string): Kept | undefined {
    return this.#memory.get(key) ?? this.#load(key);
  }

  absent(key: string): Absent | undefined {
    return this.#absent.get(key);
  }

  put(key: string, kept: Kept): void {
    this.#absent.delete(key);
    this.#memory.set(key, kept);
    if (!this.#keepsOnDisk(key)) return;
    this.#unwritten.add(key);
    this.#flush ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  putAbsent(key: string, absent: Absent): void {
    this.drop(key);
    this.#absent.set(key, absent);
  }

  /** Lets go of a key in memory; its row is older still and goes with the change that follows. */
  drop(key: string): void {
    this.#memory.delete(key);
    this.#absent.delete(key);
    this.#unwritten.delete(key);
    if (this.#keepsOnDisk(key)) this.#write((tx) => this.#forget(tx, "id = ?", key));
  }

  /** Drops what these changes made old: iff their seq is greater. In memory at once, in the file by the answered function. */
  changed(changes: readonly Change[]): (tx: Writer) => void {
    const stale = changes.flatMap(({ target, seq }) => this.keysOf(target).map((key) => ({ key, seq })));
    for (const { key, seq } of stale) {
      if ((this.#memory.peek(key)?.seq ?? seq) < seq) {
        this.#memory.delete(key);
        this.#unwritten.delete(key);
      }
      if ((this.#absent.peek(key)?.seq ?? seq) < seq) this.#absent.delete(key);
    }
    return (tx) => {
      for (const { key, seq } of stale) if (this.#keepsOnDisk(key)) this.#forget(tx, "id = ? AND seq < ?", key, seq);
    };
  }

  /** Keys of the answers that a change of this target makes old. */
  keysOf(target: string): string[] {
    return this.#options.reads.map(({ operation }) => keyOf(operation, target));
  }

  #keepsOnDisk(key: string): boolean {
    return this.#options.keepsOnDisk(spaceOf(targetOfKey(key)));
  }

  #bytesOf(key: string, { output }: Kept): number {
    return (this.#readOf(key)?.bytesOf(output) ?? 0) + OVERHEAD_BYTES;
  }

  #readOf(key: string): EdgeRead | undefined {
    return this.#reads.get(key.slice(0, key.indexOf(" ")));
  }

  /** Changes were missed: what is kept stays, but is as new as the feed was until now, and not sure. */
  doubt(): (tx: Writer) => void {
    const { freshness } = this.#options;
    const { provenMs } = freshness;
    for (const kept of this.#memory.values()) {
      if (kept.sure) kept.provenMs = Math.max(kept.provenMs, provenMs);
      kept.sure = false;
    }
    this.#absent.clear();
    const moment = freshness.write(provenMs);
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

  /** Drops everything of spaces that are not (any more) to be kept, in memory or in the file. */
  prune(mayKeep: (space: string) => boolean): (tx: Writer) => void {
    for (const key of [...this.#memory.keys()]) {
      if (mayKeep(spaceOf(targetOfKey(key)))) continue;
      this.#memory.delete(key);
      this.#unwritten.delete(key);
    }
    for (const key of [...this.#absent.keys()]) if (!mayKeep(spaceOf(targetOfKey(key)))) this.#absent.delete(key);
    return (tx) => {
      for (const { space } of tx.all<{ space: string }>("SELECT DISTINCT space FROM cached"))
        if (!mayKeep(space) || !this.#options.keepsOnDisk(space)) this.#forget(tx, "space = ?", space);
    };
  }

  clear(): (tx: Writer) => void {
    this.#memory.clear();
    this.#absent.clear();
    this.#unwritten.clear();
    return (tx) => this.#forget(tx, "1 = 1");
  }

  /** Writes what is to outlive the process. */
  flush(): void {
    clearTimeout(this.#flush);
    this.#flush = undefined;
    const keys = [...this.#unwritten];
    this.#unwritten.clear();
    if (keys.length === 0) return;
    this.#write((tx) => {
      for (const key of keys) {
        const kept = this.#memory.peek(key);
        if (kept !== undefined) this.#insert(tx, key, kept);
      }
      this.#makeRoom(tx);
    });
  }

  /** What cannot be written (a full disk) is only missing after a restart; a row that stays goes with the next change, whose take fails otherwise. */
  #write(body: (tx: Writer) => void): void {
    const before = this.#diskBytes;
    try {
      this.#options.store.transaction(body);
    } catch (error) {
      this.#diskBytes = before;
      this.#options.onError(error);
    }
  }

  #insert(tx: Writer, key: string, kept: Kept): void {
    this.#forget(tx, "id = ?", key);
    const { proven_wall, proven_clock, clock } = this.#options.freshness.write(kept.provenMs);
    const bytes = this.#bytesOf(key, kept);
    tx.run(
      "INSERT INTO cached (id, space, seq, sure, proven_wall, proven_clock, clock, bytes, output) VALUES (?,?,?,?,?,?,?,?,?)",
      key,
      spaceOf(targetOfKey(key)),
      kept.seq,
      kept.sure ? 1 : 0,
      proven_wall,
      proven_clock,
      clock,
      bytes,
      JSON.stringify(kept.output),
    );
    this.#diskBytes += bytes;
  }

  #makeRoom(tx: Writer): void {
    while (this.#diskBytes > this.#options.maxBytes) {
      const oldest = tx.get<{ id: string }>("SELECT id FROM cached ORDER BY proven_wall LIMIT 1");
      if (oldest === undefined) return;
      this.#forget(tx, "id = ?", oldest.id);
      this.#options.onEvicted();
    }
  }

  #forget(
    tx: Writer,
    where: "id = ?" | "id = ? AND seq < ?" | "space = ?" | "1 = 1",
    ...values: (string | number)[]
  ): void {
    const gone = tx.get<{ bytes: number | null }>(`SELECT SUM(bytes) AS bytes FROM cached WHERE ${where}`, ...values);
    if (gone?.bytes === null || gone?.bytes === undefined) return;
    tx.run(`DELETE FROM cached WHERE ${where}`, ...values);
    this.#diskBytes -= gone.bytes;
  }

  #load(key: string): Kept | undefined {
    if (!this.#keepsOnDisk(key)) return undefined;
    const row = this.#options.store.reader.get<Row>(
      "SELECT id, seq, sure, proven_wall, proven_clock, clock, output FROM cached WHERE id = ?",
      key,
    );
    if (row === undefined) return undefined;
    const output: Record<string, unknown> = JSON.parse(row.output);
    // SQLite keeps no checksums.
    if (this.#readOf(key)?.isIntact(output) !== true) {
      this.#write((tx) => this.#forget(tx, "id = ?", key));
      return undefined;
    }
    const kept = { output, seq: row.seq, sure: row.sure === 1, provenMs: this.#options.freshness.read(row) };
    this.#memory.set(key, kept);
    return kept;
  }
}
