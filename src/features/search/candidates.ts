// Finds the newest rows with given tokens that the caller may read: rights and filters come before anything is counted
// off, so what is not readable costs time and has no other effect.

import { setImmediate as nextTurn } from "node:timers/promises";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import type { SearchedRow, SearchSource } from "../../operation/search-source.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { mayRead } from "../../operation/visibility.ts";
import type { Reader } from "../../store/store.ts";
import type { Facets } from "./query.ts";
import { authorsOf } from "./tokens.ts";

/** A row that was found. */
export interface Candidate {
  kind: string;
  row: SearchedRow;
  /** Whether the index has the row as it is now. */
  isCurrent: boolean;
}

/** What a search is narrowed to, beside its words. */
export interface Filter {
  facets: Facets;
  /** In ms; log times. */
  sinceMs: number;
  untilMs: number;
  /** Rows that were written after this seq are left out. */
  lastSeq: number;
}

/** Whether a row is accepted; "enough": it is not, and no other one is looked at. */
type Judged = boolean | "enough";

/** Rows of the index that are read at once. */
const STEP = 200;
/** Numbers of changes that are looked through at once, at first. It grows while that makes a step little slower. */
const FIRST_WINDOW = 20_000;
const MAX_WINDOW = 100_000_000;
/** The time that looking through so many should take, in ms. */
const QUICK_MS = 2;
/** Work for a number that is looked through. */
const LOOK_AT_NUMBER = 5;

type Context = Pick<CallContext, "visible" | "viewer" | "spend" | "signal">;

/** The rows that one search may find. */
export class Candidates {
  readonly #store: Reader;
  readonly #index: Reader;
  readonly #sources: ReadonlyMap<string, SearchSource>;
  readonly #context: Context;
  readonly #filter: Filter;
  /** Who the caller is in a space; undefined: it may not read it. */
  readonly #viewers = new Map<string, Viewer | undefined>();

  constructor(
    readers: { store: Reader; index: Reader },
    sources: readonly SearchSource[],
    filter: Filter,
    context: Context,
  ) {
    this.#store = readers.store;
    this.#index = readers.index;
    this.#sources = new Map(sources.map((source) => [source.kind, source]));
    this.#filter = filter;
    this.#context = context;
  }

  /**
   * Takes the newest rows for an expression until `limit` are accepted, or one ends it by "enough". Returns how many
   * were accepted.
   */
  async newest(expression: string, limit: number, accepts: (found: Candidate) => Judged | Promise<Judged>) {
    let accepted = 0;
    if (expression === "") return accepted;
    const last = this.#index.get<{ seq: number | null }>("SELECT MAX(seq) AS seq FROM documents")?.seq ?? 0;
    const newest = Math.min(last, this.#filter.lastSeq);
    let window = FIRST_WINDOW;
    let beforeMs = Number.POSITIVE_INFINITY;
    for (let below = newest + 1; below > 0; ) {
      const from = Math.max(0, below - window);
      const startMs = performance.now();
      const rows = this.#index.all<{ seq: number; kind: string; key: string }>(
        "SELECT d.seq, d.kind, d.key FROM tokens JOIN documents d ON d.seq = tokens.rowid " +
          "WHERE tokens MATCH ? AND tokens.rowid >= ? AND tokens.rowid < ? ORDER BY tokens.rowid DESC LIMIT +?",
        expression,
        from,
        below,
        STEP,
      );
      const tookMs = performance.now() - startMs;
      this.#context.spend(LOOK_AT_ROW * rows.length + LOOK_AT_NUMBER * Math.min(window, newest));
      for (const { seq, kind, key } of rows) {
        const candidate = this.#readable(seq, kind, key);
        const judged = candidate !== undefined && (await accepts(candidate));
        if (judged === "enough") return accepted;
        if (!judged) continue;
        accepted += 1;
        if (accepted === limit) return accepted;
      }
      const oldest = rows.at(-1);
      below = rows.length === STEP && oldest !== undefined ? oldest.seq : from;
      // Where most of the time is for beginning, as with runs of three characters, only fewer steps take less of it.
      if (tookMs < QUICK_MS || tookMs < 1.5 * beforeMs) window = Math.min(MAX_WINDOW, window * 2);
      beforeMs = tookMs;
      await nextTurn();
      this.#context.signal.throwIfAborted();
    }
    return accepted;
  }

  /** Reports whether rows of a space may be among them. */
  hasSpace(space: string): boolean {
    const { facets } = this.#filter;
    return (
      this.#viewerIn(space) !== undefined && facets.every(([facet, value]) => facet !== "space" || value === space)
    );
  }

  /** Returns a row by the seq of its change, if it was not written again since. */
  at(seq: number): Candidate | undefined {
    this.#context.spend(LOOK_AT_ROW);
    const row = this.#index.get<{ kind: string; key: string }>("SELECT kind, key FROM documents WHERE seq = ?", seq);
    const candidate = row && this.#readable(seq, row.kind, row.key);
    return candidate?.isCurrent === true ? candidate : undefined;
  }

  /** Returns a row, if it is still there, the caller may read it, and it is what is looked for. */
  #readable(seq: number, kind: string, key: string): Candidate | undefined {
    const row = this.#sources.get(kind)?.row(this.#store, key);
    if (row === undefined) return undefined;
    const viewer = this.#viewerIn(row.space);
    if (viewer === undefined || (row.visible !== undefined && !mayRead(row.visible, viewer))) return undefined;
    const { facets, sinceMs, untilMs, lastSeq } = this.#filter;
    if (row.seq > lastSeq || row.timeMs < sinceMs || row.timeMs > untilMs) return undefined;
    if (!facets.every(([facet, value]) => valuesOf(facet, kind, row).includes(value))) return undefined;
    return { kind, row, isCurrent: row.seq === seq };
  }

  #viewerIn(space: string): Viewer | undefined {
    if (!this.#viewers.has(space)) {
      this.#viewers.set(space, this.#context.visible(space) ? this.#context.viewer(space) : undefined);
    }
    return this.#viewers.get(space);
  }
}

/** Returns the values of a facet that a row has. */
function valuesOf(facet: Facets[number][0], kind: string, row: SearchedRow): readonly (string | undefined)[] {
  switch (facet) {
    case "kind":
      return [kind];
    case "space":
      return [row.space];
    case "session":
      return [row.shown.session];
    case "tag":
      return row.tags;
    case "from":
      return authorsOf(row);
  }
}
