// The file of the index: rows with their tokens, and how far it is. It is a store of its own, with the same checks, and
// is deleted when it is not exactly what this build makes.

import { rmSync } from "node:fs";
import { formatPosition, type Position, parsePosition } from "../../log/position.ts";
import { type Reader, Store, type Writer } from "../../store/store.ts";
import { VectorStore } from "./meaning/vector-store.ts";
import schema from "./schema.sql" with { type: "text" };

/** The folder in a data folder. */
export const SEARCH_FOLDER = "search";
/** What tokens mean. Raise it when tokens.ts makes others of the same text. */
const TOKENS = "3";

/** How far an index is. */
export interface Progress {
  /** Every change up to it is in the index, once `building` is undefined. */
  position: Position;
  /** The last key that was read of each source, while rows from before the index are read. */
  building: Record<string, string> | undefined;
}

/** A row for the index. */
export interface Entry {
  kind: string;
  key: string;
  /** Undefined: the row is not there any more. */
  row: { seq: number; tokens: string } | undefined;
}

/** An open index. */
export class IndexStore {
  readonly #store: Store;
  /** The vectors of its rows. */
  readonly vectors: VectorStore;
  #progress: Progress | undefined;

  private constructor(store: Store, sources: string) {
    this.#store = store;
    this.vectors = new VectorStore(store);
    this.#progress = savedProgress(store.reader, sources);
  }

  /**
   * Opens the index in a folder, for sources of these kinds. What is no index, or one of other tokens or sources, is
   * deleted first. Throws Faults of the store.
   */
  static open(folder: string, kinds: readonly string[], log: (message: string) => void): IndexStore {
    const sources = [TOKENS, ...kinds].join(" ");
    const open = () =>
      new IndexStore(
        Store.open({
          ...{ folder, sync: "checkpoint", log: (level, message) => (level === "warning" ? log(message) : undefined) },
          migrations: [{ id: 1, level: 1, name: "search", sql: schema }],
        }),
        sources,
      );
    let index: IndexStore;
    try {
      index = open();
    } catch {
      IndexStore.remove(folder);
      index = open();
    }
    if (index.#progress === undefined) {
      index.#store.transaction((tx) => clear(tx, sources));
    }
    return index;
  }

  /** Deletes an index that is not open. */
  static remove(folder: string): void {
    rmSync(folder, { recursive: true, force: true });
  }

  get reader(): Reader {
    return this.#store.reader;
  }

  /** Undefined: nothing is in it. */
  get progress(): Progress | undefined {
    return this.#progress;
  }

  /** Adds, replaces and removes rows, and notes how far the index is then. */
  write(entries: readonly Entry[], progress: Progress): void {
    const removed: number[] = [];
    this.#store.transaction((tx) => {
      // FTS5 writes a batch at once as long as the numbers of its rows grow.
      for (const { kind, key, row } of entries.toSorted((a, b) => (a.row?.seq ?? 0) - (b.row?.seq ?? 0))) {
        const old = tx.get<{ seq: number }>("SELECT seq FROM documents WHERE kind = ? AND key = ?", kind, key)?.seq;
        if (old !== undefined) tx.run("DELETE FROM tokens WHERE rowid = ?", old);
        // One that was not written again has the same text, so its vectors stay.
        if (old !== undefined && old !== row?.seq) {
          tx.run("DELETE FROM documents WHERE seq = ?", old);
          tx.run("DELETE FROM vectors WHERE seq = ?", old);
          removed.push(old);
        }
        if (row === undefined) continue;
        tx.run("INSERT OR IGNORE INTO documents (seq, kind, key) VALUES (?, ?, ?)", row.seq, kind, key);
        tx.run("INSERT INTO tokens (rowid, list) VALUES (?, ?)", row.seq, row.tokens);
      }
      save(tx, "position", formatPosition(progress.position));
      save(tx, "building", progress.building === undefined ? "" : JSON.stringify(progress.building));
    });
    this.#progress = progress;
    this.vectors.forget(removed);
  }

  /**
   * Does a step of merging segments where there are several of one size. Returns whether there is more to do. `toOne`:
   * begins to merge all of them into one, which holds nothing of removed rows.
   */
  merge(toOne = false): boolean {
    return this.#store.transaction((tx) => {
      const before = changesSoFar(tx);
      tx.run("INSERT INTO tokens (tokens, rank) VALUES ('merge', ?)", toOne ? -MERGE_PAGES : MERGE_PAGES);
      // The statement itself counts as one.
      return changesSoFar(tx) - before >= 2;
    });
  }

  /** Removes from the file what deleted rows left there. Returns false where another process reads it. */
  erase(): Promise<boolean> {
    return this.#store.erase();
  }

  close(): void {
    this.#store.close();
  }
}

/** Pages that one step of a merge writes. */
const MERGE_PAGES = 8;
/** So many segments of one size FTS5 merges at once by itself: never, since `merge` comes before. */
const CRISIS_SEGMENTS = 200;
/** So many segments of one size are merged. More would make searches slow, fewer each row be merged more often. */
const SEGMENTS = 8;

function changesSoFar(tx: Writer): number {
  return tx.get<{ n: number }>("SELECT total_changes() AS n")?.n ?? 0;
}

function save(tx: Writer, name: string, value: string): void {
  tx.run(
    "INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    name,
    value,
  );
}

/** Empties an index. */
function clear(tx: Writer, sources: string): void {
  tx.run("DELETE FROM state");
  tx.run("DELETE FROM documents");
  tx.run("DELETE FROM vectors");
  tx.run("INSERT INTO tokens (tokens) VALUES ('delete-all')");
  // Merging within a write would take as long as it takes.
  tx.run("INSERT INTO tokens (tokens, rank) VALUES ('automerge', 0)");
  tx.run("INSERT INTO tokens (tokens, rank) VALUES ('crisismerge', ?)", CRISIS_SEGMENTS);
  tx.run("INSERT INTO tokens (tokens, rank) VALUES ('usermerge', ?)", SEGMENTS);
  save(tx, "sources", sources);
}

/** Returns how far an index is; undefined where it is empty, or has other sources or tokens. */
function savedProgress(reader: Reader, sources: string): Progress | undefined {
  const rows = reader.all<{ name: string; value: string }>("SELECT name, value FROM state");
  const saved = new Map(rows.map(({ name, value }) => [name, value]));
  const position = saved.get("position");
  if (saved.get("sources") !== sources || position === undefined) return undefined;
  const building = saved.get("building") ?? "";
  return { position: parsePosition(position), building: building === "" ? undefined : JSON.parse(building) };
}
