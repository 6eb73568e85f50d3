// The vectors of an index in memory, in one flat list: which of them are nearest to another one. Who may know of them
// is decided by whoever reads the order.

import { setImmediate as nextTurn } from "node:timers/promises";
import { type Arena, LANES, openArena } from "./dot-kernel.ts";

/** Bytes of vectors that are compared before other work gets a turn: about a millisecond. */
const STEP_BYTES = 8 * 1024 * 1024;
/** Vectors that are put in order at once, and that are looked through before other work gets a turn. */
const ORDERED = 512;
const STEP_VECTORS = 64 * 1024;
const MIN_CAPACITY = 64;

/** The nearest vector of a row. */
export interface Near {
  seq: number;
  /** Which of the vectors of its row it is. */
  piece: number;
  /** From -1 to 1. */
  cosine: number;
}

/** Returns a vector as 8-bit numbers, which keep its direction and not its length. Throws where it has no direction. */
export function rounded(vector: Float32Array): Int8Array {
  let most = 0;
  for (const value of vector) most = Math.max(most, Math.abs(value));
  if (!Number.isFinite(most) || most === 0) throw new RangeError("the vector has no direction");
  return Int8Array.from(vector, (value) => Math.round((value / most) * 127));
}

/** The vectors of one index. */
export class Vectors {
  /** Numbers of a vector. */
  readonly width: number;
  readonly #stride: number;
  readonly #arena: Arena;
  #capacity = MIN_CAPACITY;
  #used = 0;
  #free: number[] = [];
  /** By slot; seq 0: free. */
  #seqs = new Float64Array(MIN_CAPACITY);
  #pieces = new Uint16Array(MIN_CAPACITY);
  #spaces = new Uint32Array(MIN_CAPACITY);
  #lengths = new Float32Array(MIN_CAPACITY);
  readonly #slots = new Map<number, number[]>();
  readonly #spaceNumbers = new Map<string, number>();
  #scans = 0;

  constructor(width: number, withSimd?: boolean) {
    this.width = width;
    this.#stride = Math.ceil(width / LANES) * LANES;
    this.#arena = openArena(this.#rowsAt + this.#capacity * this.#stride, withSimd);
  }

  /** Rows that have vectors. */
  get rows(): number {
    return this.#slots.size;
  }

  /** Bytes of all vectors. */
  get bytes(): number {
    return (this.#used - this.#free.length) * this.#stride;
  }

  /** Returns the rows, in no order. */
  seqs(): number[] {
    return [...this.#slots.keys()];
  }

  /** Adds the vectors of a row that has none. */
  add(seq: number, space: string, vectors: readonly Int8Array[]): void {
    const number = this.#spaceNumbers.get(space) ?? this.#spaceNumbers.size;
    this.#spaceNumbers.set(space, number);
    const slots = vectors.map((vector, piece) => {
      const slot = this.#slot();
      const row = this.#row(slot);
      row.fill(0);
      row.set(vector);
      this.#seqs[slot] = seq;
      this.#pieces[slot] = piece;
      this.#spaces[slot] = number;
      this.#lengths[slot] = lengthOf(vector);
      return slot;
    });
    this.#slots.set(seq, slots);
  }

  /** Removes the vectors of a row, also from scans that are under way. */
  remove(seq: number): void {
    for (const slot of this.#slots.get(seq) ?? []) {
      this.#row(slot).fill(0);
      this.#seqs[slot] = 0;
      this.#free.push(slot);
    }
    this.#slots.delete(seq);
  }

  /**
   * Compares a vector with all in spaces that `isWanted`, and calls `read` with what came out, which is valid until
   * that ends.
   */
  async scan<T>(
    vector: Int8Array,
    isWanted: (space: string) => boolean,
    signal: AbortSignal,
    read: (scan: Scan) => Promise<T>,
  ): Promise<T> {
    // Slots that become free now are not given to other rows before the end.
    this.#scans += 1;
    try {
      return await read(await this.#compare(vector, isWanted, signal));
    } finally {
      this.#scans -= 1;
    }
  }

  async #compare(vector: Int8Array, isWanted: (space: string) => boolean, signal: AbortSignal): Promise<Scan> {
    const count = this.#used;
    const wanted = new Set([...this.#spaceNumbers].flatMap(([space, number]) => (isWanted(space) ? [number] : [])));
    const cosines = new Float32Array(count).fill(Number.NaN);
    const length = lengthOf(vector);
    const step = this.#step;
    for (let from = 0; from < count; from += step) {
      const many = Math.min(step, count - from);
      // Other scans use the same place for their vector, in other turns.
      new Int16Array(this.#arena.buffer, 0, this.#stride).fill(0).set(vector);
      this.#arena.dots(0, this.#rowsAt + from * this.#stride, many, this.#stride, 2 * this.#stride);
      const products = new Int32Array(this.#arena.buffer, 2 * this.#stride, many);
      for (let at = 0; at < many; at += 1) {
        const slot = from + at;
        if (!wanted.has(this.#spaces[slot] ?? 0)) continue;
        cosines[slot] = (products[at] ?? 0) / (length * (this.#lengths[slot] ?? 1));
      }
      await nextTurn();
      signal.throwIfAborted();
    }
    const seqs = this.#seqs.slice(0, count);
    return new Scan(cosines, seqs, this.#pieces, {
      isThere: (slot) => seqs[slot] !== 0 && this.#seqs[slot] === seqs[slot],
      slotsOf: (seq) => this.#slots.get(seq) ?? [],
      signal,
    });
  }

  get #step(): number {
    return Math.max(1, Math.floor(STEP_BYTES / this.#stride));
  }

  /** Before the rows: the vector that they are compared with, and the products of one step. */
  get #rowsAt(): number {
    return Math.ceil((2 * this.#stride + 4 * this.#step) / LANES) * LANES;
  }

  #row(slot: number): Int8Array {
    return new Int8Array(this.#arena.buffer, this.#rowsAt + slot * this.#stride, this.#stride);
  }

  #slot(): number {
    const free = this.#scans === 0 ? this.#free.pop() : undefined;
    if (free !== undefined) return free;
    if (this.#used === this.#capacity) this.#grow();
    this.#used += 1;
    return this.#used - 1;
  }

  #grow(): void {
    // Not twice as large: memory is what a large index is short of.
    this.#capacity = Math.ceil(this.#capacity * 1.5);
    this.#arena.grow(this.#rowsAt + this.#capacity * this.#stride);
    const longer = <T extends Float64Array | Float32Array | Uint32Array | Uint16Array>(made: T, old: T): T => {
      made.set(old);
      return made;
    };
    this.#seqs = longer(new Float64Array(this.#capacity), this.#seqs);
    this.#pieces = longer(new Uint16Array(this.#capacity), this.#pieces);
    this.#spaces = longer(new Uint32Array(this.#capacity), this.#spaces);
    this.#lengths = longer(new Float32Array(this.#capacity), this.#lengths);
  }
}

interface ScanParts {
  /** Reports whether a slot still has the vector that was compared. */
  isThere(slot: number): boolean;
  slotsOf(seq: number): readonly number[];
  signal: AbortSignal;
}

/** What came out of a comparison. */
export class Scan {
  readonly #cosines: Float32Array;
  readonly #seqs: Float64Array;
  readonly #pieces: Uint16Array;
  readonly #parts: ScanParts;

  constructor(cosines: Float32Array, seqs: Float64Array, pieces: Uint16Array, parts: ScanParts) {
    this.#cosines = cosines;
    this.#seqs = seqs;
    this.#pieces = pieces;
    this.#parts = parts;
  }

  /** Returns how near the nearest vector of a row is; undefined where it has none. */
  cosineOf(seq: number): number | undefined {
    const found = this.#parts.slotsOf(seq).map((slot) => this.#cosines[slot] ?? Number.NaN);
    const there = found.filter((cosine) => !Number.isNaN(cosine));
    return there.length === 0 ? undefined : Math.max(...there);
  }

  /** Returns the rows, the nearest first, each once; of equally near ones the newer first. */
  async *nearest(): AsyncGenerator<Near> {
    const given = new Set<number>();
    for (let last: number | undefined; ; ) {
      const slots = await this.#after(last);
      for (const slot of slots) {
        const seq = this.#seqs[slot] ?? 0;
        if (given.has(seq) || !this.#parts.isThere(slot)) continue;
        given.add(seq);
        yield { seq, piece: this.#pieces[slot] ?? 0, cosine: this.#cosines[slot] ?? 0 };
      }
      last = slots.at(-1);
      if (last === undefined) return;
    }
  }

  /** Returns the next slots in the order. */
  async #after(last: number | undefined): Promise<number[]> {
    let best: number[] = [];
    let worst: number | undefined;
    const cosines = this.#cosines;
    const most = last === undefined ? Number.POSITIVE_INFINITY : (cosines[last] ?? Number.NaN);
    let least = Number.NEGATIVE_INFINITY;
    for (let slot = 0; slot < this.#cosines.length; slot += 1) {
      if (slot % STEP_VECTORS === STEP_VECTORS - 1) {
        await nextTurn();
        this.#parts.signal.throwIfAborted();
      }
      const cosine = cosines[slot] ?? Number.NaN;
      // False for those that were not compared too.
      if (!(cosine >= least && cosine <= most) || this.#seqs[slot] === 0) continue;
      if (last !== undefined && this.#compare(slot, last) <= 0) continue;
      if (worst !== undefined && this.#compare(slot, worst) > 0) continue;
      best.push(slot);
      if (best.length < 2 * ORDERED) continue;
      best = this.#sorted(best);
      worst = best.at(-1);
      if (worst !== undefined) least = cosines[worst] ?? least;
    }
    return this.#sorted(best);
  }

  #sorted(slots: readonly number[]): number[] {
    return slots.toSorted((a, b) => this.#compare(a, b)).slice(0, ORDERED);
  }

  /** Below 0 where slot `a` comes before `b`. */
  #compare(a: number, b: number): number {
    return (
      (this.#cosines[b] ?? 0) - (this.#cosines[a] ?? 0) ||
      (this.#seqs[b] ?? 0) - (this.#seqs[a] ?? 0) ||
      (this.#pieces[a] ?? 0) - (this.#pieces[b] ?? 0)
    );
  }
}

function lengthOf(vector: Int8Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}
