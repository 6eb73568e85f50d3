// The vectors of the rows of an index: in its file, and in memory while searches need them. They are of one model, and
// go with their row.

import { Fault } from "../../../lib/fault.ts";
import { pause } from "../../../lib/pause.ts";
import type { Store } from "../../../store/store.ts";
import { Vectors } from "./vectors.ts";

/** Rows that are read from the file at once. */
const LOADED = 500;
const FAR_BEHIND = 200;
/** Rows whose vectors are deleted at once. */
const TRIMMED = 256;

/** A row of the index. */
export interface IndexedRow {
  seq: number;
  kind: string;
  key: string;
}

/** A row and its vectors; none: it has nothing of which vectors could be made. */
export interface RowVectors {
  seq: number;
  space: string;
  pieces: readonly { start: number; vector: Int8Array }[];
}

/** The vectors of one index. */
export class VectorStore {
  readonly #store: Store;
  #loaded: Vectors | undefined;
  #loading: Vectors | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Those in memory; undefined while they are not all there. */
  get loaded(): Vectors | undefined {
    return this.#loaded;
  }

  /** Reports whether those of this model that there are can be compared with. */
  isReady(model: string): boolean {
    return this.#saved("model") === model && (this.#loaded !== undefined || this.#saved("width") === undefined);
  }

  /**
   * Begins with a model, or with none (""): deletes the vectors of another one in steps, as long as `isWanted`. One
   * that was cut short goes on at the next call.
   */
  async begin(model: string, isWanted: () => boolean): Promise<void> {
    if (this.#saved("model") === model) return;
    this.#loaded = undefined;
    this.#loading = undefined;
    this.#store.transaction((tx) => {
      tx.run("DELETE FROM state WHERE name IN ('model', 'width')");
    });
    for (let last: number | undefined = 0; last !== undefined; ) {
      last = this.#clearAfter(last);
      await pause(1);
      if (!isWanted()) return;
    }
    this.#store.transaction((tx) => {
      tx.run("INSERT INTO state (name, value) VALUES ('model', ?)", model);
    });
  }

  /** Deletes the vectors of the next rows. Returns the last of these. */
  #clearAfter(seq: number): number | undefined {
    return this.#store.transaction((tx) => {
      const sql = "SELECT MAX(seq) AS last FROM (SELECT seq FROM documents WHERE seq > ? ORDER BY seq LIMIT +?)";
      const last = tx.get<{ last: number | null }>(sql, seq, TRIMMED)?.last ?? undefined;
      if (last === undefined) return undefined;
      tx.run("DELETE FROM vectors WHERE seq > ? AND seq <= ?", seq, last);
      tx.run("UPDATE documents SET meaning = 0 WHERE seq > ? AND seq <= ?", seq, last);
      return last;
    });
  }

  /** Reads the vectors into memory, in steps, as long as `isWanted`. Does nothing where no row has had any yet. */
  async load(isWanted: () => boolean): Promise<void> {
    const width = Number(this.#saved("width") ?? 0);
    if (width === 0 || this.#loaded !== undefined) return;
    const vectors = new Vectors(width);
    this.#loading = vectors;
    for (let last = 0; ; ) {
      const rows = this.#store.reader.all<{ seq: number; space: string; vector: Uint8Array }>(
        "SELECT seq, space, vector FROM vectors WHERE seq IN " +
          "(SELECT DISTINCT seq FROM vectors WHERE seq > ? ORDER BY seq LIMIT +?) ORDER BY seq, piece",
        last,
        LOADED,
      );
      for (const [seq, own] of Map.groupBy(rows, ({ seq }) => seq)) {
        const pieces = own.map(({ vector }) => new Int8Array(vector));
        if (pieces.some(({ length }) => length !== width)) throw new Fault("data_corrupt", "A vector is cut");
        vectors.add(seq, own[0]?.space ?? "", pieces);
      }
      const next = rows.at(-1)?.seq;
      if (next === undefined) break;
      last = next;
      await pause(1);
      if (!isWanted()) return;
    }
    this.#loaded = vectors;
    this.#loading = undefined;
  }

  /** Returns rows whose vectors are to be made, the newest first. */
  waiting(limit: number): IndexedRow[] {
    return this.#store.reader.all<IndexedRow>(
      "SELECT seq, kind, key FROM documents WHERE meaning = 0 ORDER BY seq DESC LIMIT +?",
      limit,
    );
  }

  /** Reports whether so many rows wait for their vectors that it takes longer than anybody waits. */
  isFarBehind(): boolean {
    const sql = "SELECT COUNT(*) AS rows FROM (SELECT 1 FROM documents WHERE meaning = 0 LIMIT +?)";
    return (this.#store.reader.get<{ rows: number }>(sql, FAR_BEHIND)?.rows ?? 0) === FAR_BEHIND;
  }

  /** Returns the seq of the oldest row whose vectors are to be made. */
  firstWaiting(): number | undefined {
    const first = this.#store.reader.get<{ seq: number | null }>(
      "SELECT MIN(seq) AS seq FROM documents WHERE meaning = 0",
    );
    return first?.seq ?? undefined;
  }

  /** Returns where a piece of a row begins in its text. */
  startOf(seq: number, piece: number): number {
    const found = this.#store.reader.get<{ start: number }>(
      "SELECT start FROM vectors WHERE seq = ? AND piece = ?",
      seq,
      piece,
    );
    return found?.start ?? 0;
  }

  /**
   * Adds vectors of rows that are still there. Throws Fault `unavailable` where they are of another width than those
   * before.
   */
  add(rows: readonly RowVectors[]): void {
    const widths = new Set(rows.flatMap(({ pieces }) => pieces.map(({ vector }) => vector.length)));
    const [width = this.#loaded?.width ?? 0] = widths;
    const known = Number(this.#saved("width") ?? width);
    if (widths.size > 1 || known !== width) {
      throw new Fault("unavailable", `A vector has ${width} numbers, and those before have ${known}`, {
        hint: "If the model was changed, give it another name in the settings.",
      });
    }
    const there = rows.filter(({ seq }) => this.#has(seq));
    this.#store.transaction((tx) => {
      if (width > 0) tx.run("INSERT OR IGNORE INTO state (name, value) VALUES ('width', ?)", String(width));
      for (const { seq, space, pieces } of there) {
        tx.run("UPDATE documents SET meaning = ? WHERE seq = ?", pieces.length === 0 ? 2 : 1, seq);
        for (const [piece, { start, vector }] of pieces.entries())
          tx.run(
            "INSERT INTO vectors (seq, piece, start, space, vector) VALUES (?, ?, ?, ?, ?)",
            ...[seq, piece, start, space],
            new Uint8Array(vector.buffer, vector.byteOffset, vector.length),
          );
      }
    });
    if (width === 0) return;
    this.#loaded ??= new Vectors(width);
    try {
      for (const { seq, space, pieces } of there) {
        const vectors = pieces.map(({ vector }) => vector);
        if (vectors.length > 0) this.#loaded.add(seq, space, vectors);
      }
    } catch (error) {
      // The machine has no more memory: what is in the file is read again.
      this.#loaded = undefined;
      throw error;
    }
  }

  /** Removes vectors from memory: those in the file went with their rows. */
  forget(seqs: readonly number[]): void {
    for (const vectors of [this.#loaded, this.#loading]) for (const seq of seqs) vectors?.remove(seq);
  }

  /**
   * Takes the vectors of some of the oldest rows away, where all of them have more than `maxBytes`; what is older gets
   * none. Returns whether there is more to do.
   */
  trim(maxBytes: number): boolean {
    const loaded = this.#loaded;
    if (loaded === undefined || loaded.bytes <= maxBytes) return false;
    const oldest = this.#store.reader.all<{ seq: number }>(
      "SELECT DISTINCT seq FROM vectors ORDER BY seq LIMIT +?",
      TRIMMED,
    );
    const gone: number[] = [];
    for (const { seq } of oldest) {
      if (loaded.bytes <= maxBytes) break;
      loaded.remove(seq);
      gone.push(seq);
    }
    this.#store.transaction((tx) => {
      for (const seq of gone) {
        tx.run("DELETE FROM vectors WHERE seq = ?", seq);
        tx.run("UPDATE documents SET meaning = 2 WHERE seq = ?", seq);
      }
      tx.run("UPDATE documents SET meaning = 2 WHERE meaning = 0 AND seq < ?", gone.at(-1) ?? 0);
    });
    return gone.length === TRIMMED;
  }

  #has(seq: number): boolean {
    return this.#store.reader.get("SELECT 1 FROM documents WHERE seq = ? AND meaning = 0", seq) !== undefined;
  }

  #saved(name: string): string | undefined {
    return this.#store.reader.get<{ value: string }>("SELECT value FROM state WHERE name = ?", name)?.value;
  }
}
