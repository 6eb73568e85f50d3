// One search. By words it goes from the narrowest meaning of its query to wider ones: all words, words that may have
// been meant, parts of words; any word, where nothing else was found. By meaning it takes the nearest rows.

import { setImmediate as nextTurn } from "node:timers/promises";
import { READ_BYTE } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import type { Candidate, Candidates, Filter } from "./candidates.ts";
import { type Looked, look, type Meanings } from "./look.ts";
import type { Scan } from "./meaning/vectors.ts";
import { nearWords } from "./near-words.ts";
import { allOf, partsOf, type Query } from "./query.ts";
import { MAX_PART_CHARS } from "./tokens.ts";

/** Most rows that are ranked: the newest of each meaning. */
export const MAX_RANKED = 200;
/** So many rows are enough for no wider meaning to be tried; a word that so many have is taken as it is. */
const ENOUGH = 5;
/** Most rows that are looked at for a part of a word: that they have its runs of three characters is no proof. */
const MAX_LOOKED = 20_000;
const MAX_LOOKED_BESIDE = 1000;
/** Most words of a query that may be mistyped, and most meanings of one. */
const MAX_MISTYPED = 4;
const MAX_MEANINGS = 5;
/** Characters of texts that one search reads; after them, so many of each text. */
const MAX_CHARS = 4 * 1024 * 1024;
const MIN_CHARS = 4096;
/** Characters that are read before other work gets a turn. */
const STEP_CHARS = 256 * 1024;
/** Reading a character for its words, in units of READ_BYTE. */
const LOOK_AT_CHAR = 25;

/** Most rows that are found by meaning alone. */
const MAX_NEAR = 100;
/** Farther rows have nothing to do with a query: so far in all, and beside the nearest one. */
const MIN_COSINE = 0.2;
const MIN_SHARE = 0.5;
/** Rows that may not be read, or are not what is looked for, before other work gets a turn. */
const STEP_ROWS = 50;

/** What a search found. */
export interface Finds {
  rows: readonly Looked[];
  /** Whether there may be more rows than were looked at. */
  hasMore: boolean;
}

/** A comparison of the query with the meaning of rows, and where in a row's text a piece begins. */
export interface Compared {
  scan: Scan;
  startOf(seq: number, piece: number): number;
}

/** One search. */
export class Search {
  readonly #index: Reader;
  readonly #candidates: Candidates;
  readonly #query: Query;
  readonly #filter: Filter;
  readonly #context: CallContext;
  readonly #found = new Map<number, Looked>();
  #charsLeft = MAX_CHARS;
  #charsInTurn = 0;
  #hasMore = false;

  constructor(index: Reader, candidates: Candidates, query: Query, filter: Filter, context: CallContext) {
    this.#index = index;
    this.#candidates = candidates;
    this.#query = query;
    this.#filter = filter;
    this.#context = context;
  }

  /** All that was found. */
  finds(): Finds {
    return { rows: [...this.#found.values()], hasMore: this.#hasMore };
  }

  /** Finds the rows whose meaning is near: those that the caller may read, so that nothing depends on others. */
  async near({ scan, startOf }: Compared): Promise<void> {
    const exact = meaningsOf(this.#query.words.map((word) => [word, []]));
    let nearest: number | undefined;
    let taken = 0;
    let looked = 0;
    for await (const { seq, piece, cosine } of scan.nearest()) {
      if (cosine < Math.max(MIN_COSINE, (nearest ?? 0) * MIN_SHARE)) return;
      looked += 1;
      if (looked % STEP_ROWS === 0) await nextTurn();
      this.#context.signal.throwIfAborted();
      const candidate = this.#candidates.at(seq);
      if (candidate === undefined) continue;
      nearest ??= cosine;
      const found = this.#found.get(seq) ?? (await this.#look(candidate, exact, []));
      this.#found.set(seq, { ...found, start: startOf(seq, piece) });
      taken += 1;
      if (taken < MAX_NEAR) continue;
      this.#hasMore = true;
      return;
    }
  }

  /** Finds rows by words; at least `wanted`, where there are so many. */
  async run(wanted: number): Promise<void> {
    const { words, pieces } = this.#query;
    const { facets } = this.#filter;
    const exact = meaningsOf(words.map((word) => [word, []]));
    const isFound = ({ counts }: Looked) => counts.size > 0;
    if (words.length > 0) await this.#take(allOf(words, facets), exact, words, isFound);
    const rare = this.#found.size < ENOUGH ? await this.#rareWords() : new Set<string>();
    if (rare.size > 0) {
      const near = await this.#nearWords(rare);
      const all = near.map(([word, others]) => [word, ...others]);
      if (near.some(([, others]) => others.length > 0))
        await this.#take(allOf(all, facets), meaningsOf(near), [], isFound);
    }
    const hasNone = this.#found.size === 0;
    if (hasNone || (rare.size > 0 && this.#found.size < wanted)) {
      const most = hasNone ? MAX_LOOKED : MAX_LOOKED_BESIDE;
      await this.#take(partsOf(pieces, facets), exact, [], ({ hasPieces }) => hasPieces, most);
    }
    if (words.length > 1 && this.#found.size === 0) await this.#take(allOf([words], facets), exact, [], isFound);
  }

  /** Takes the newest rows that are accepted, after a look at `maxLooked` at most. */
  async #take(
    expression: string,
    meanings: Meanings,
    believed: readonly string[],
    accepts: (row: Looked) => boolean,
    maxLooked = Number.POSITIVE_INFINITY,
  ) {
    let left = maxLooked;
    const taken = await this.#candidates.newest(expression, MAX_RANKED, async (candidate) => {
      if (left === 0) return "enough";
      left -= 1;
      if (this.#found.has(candidate.row.seq)) return true;
      const looked = await this.#look(candidate, meanings, believed);
      if (!accepts(looked)) return false;
      this.#found.set(candidate.row.seq, looked);
      return true;
    });
    if (taken === MAX_RANKED || left === 0) this.#hasMore = true;
  }

  async #look(candidate: Candidate, meanings: Meanings, believed: readonly string[]): Promise<Looked> {
    const maxChars = Math.min(MAX_PART_CHARS, Math.max(MIN_CHARS, this.#charsLeft));
    const looked = look(candidate, { query: this.#query, meanings, maxChars, believed });
    const chars = Math.min(looked.text.length, maxChars);
    this.#context.spend(READ_BYTE * (looked.text.length + LOOK_AT_CHAR * chars));
    this.#charsLeft -= chars;
    this.#charsInTurn += looked.text.length;
    if (this.#charsInTurn > STEP_CHARS) {
      this.#charsInTurn = 0;
      await nextTurn();
      this.#context.signal.throwIfAborted();
    }
    return looked;
  }

  /** Returns the words of the query that few of the rows have that the caller may find. */
  async #rareWords(): Promise<Set<string>> {
    const rare = new Set<string>();
    for (const word of this.#query.words) if (!(await this.#isFindable(word, ENOUGH))) rare.add(word);
    return rare;
  }

  /** Returns, for each word, those that may have been meant and that are in a row that the caller may find. */
  async #nearWords(rare: ReadonlySet<string>): Promise<[string, string[]][]> {
    const near: [string, string[]][] = [];
    let mistyped = 0;
    for (const word of this.#query.words) {
      const others: string[] = [];
      if (rare.has(word) && mistyped < MAX_MISTYPED) {
        for (const other of await nearWords(this.#index, word, this.#context)) {
          if (others.length === MAX_MEANINGS) break;
          if (await this.#isFindable(other, 1)) others.push(other);
        }
      }
      if (others.length > 0) mistyped += 1;
      near.push([word, others]);
    }
    return near;
  }

  /** Reports whether so many rows have a word that the caller may find. */
  async #isFindable(word: string, rows: number): Promise<boolean> {
    return (await this.#candidates.newest(allOf([word], this.#filter.facets), rows, () => true)) === rows;
  }
}

function meaningsOf(words: readonly (readonly [string, readonly string[]])[]): Meanings {
  const meanings = new Map<string, { word: string; isExact: boolean }>();
  for (const [word, others] of words) for (const other of others) meanings.set(other, { word, isExact: false });
  for (const [word] of words) meanings.set(word, { word, isExact: true });
  return meanings;
}
