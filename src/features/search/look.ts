// Reads a found row: which words and pieces of a query it has, how often, and where the first one is.

import type { Candidate } from "./candidates.ts";
import type { Query } from "./query.ts";
import { flat, wordsIn } from "./tokens.ts";

/** What a word in title and tags counts, beside one in the text. */
const IN_TITLE = 4;
const IN_TAGS = 3;
/** What a word counts that was taken for another one. */
const MISTYPED = 0.6;

/** Which words of a row count for a word of the query: the word itself, and those it may be mistyped for. */
export type Meanings = ReadonlyMap<string, { word: string; isExact: boolean }>;

/** A row with what the query has in common with it. */
export interface Looked extends Candidate {
  text: string;
  /** Word of the query → how often it is there, weighted. */
  counts: ReadonlyMap<string, number>;
  /** Word of the query → word of the row that it was taken for. */
  corrected: ReadonlyMap<string, string>;
  /** Words of the row, weighted. */
  length: number;
  /** Whether the whole query is a part of it, and whether each of its pieces is. */
  hasWhole: boolean;
  hasPieces: boolean;
  /** Where words of the query are in the text. */
  places: readonly (readonly [number, number])[];
  /** Where the piece begins whose meaning is nearest to the query; 0 where it was found by words. */
  start: number;
}

/** Most places that are kept for the preview. */
const MAX_PLACES = 64;

/** How a row is looked at. */
export interface Looking {
  query: Query;
  meanings: Meanings;
  /** Most characters of the text that are read. */
  maxChars: number;
  /** The words of the query that the index says are there: of a text that is not read to its end it is believed. */
  believed: readonly string[];
}

/** Looks at a row: at its text, title and tags, and the id of a context. */
export function look(candidate: Candidate, { query, meanings, maxChars, believed }: Looking): Looked {
  const { row, isCurrent } = candidate;
  const text = row.text();
  const counts = new Map<string, number>();
  const corrected = new Map<string, string>();
  const places: [number, number][] = [];
  let length = 0;
  const read = (part: string, weight: number, onFound?: (start: number, end: number) => void) => {
    for (const { start, end, words, gram } of wordsIn(part)) {
      // The length in pairs: a character that is in one does not count again.
      if (gram !== "in pair") length += 1;
      for (const each of words) {
        const meaning = meanings.get(each);
        if (meaning === undefined) continue;
        counts.set(meaning.word, (counts.get(meaning.word) ?? 0) + weight * (meaning.isExact ? 1 : MISTYPED));
        if (!meaning.isExact) corrected.set(meaning.word, each);
        onFound?.(start, end);
      }
    }
  };
  read(`${row.shown.id ?? ""} ${row.title}`, IN_TITLE);
  for (const tag of row.tags) read(tag, IN_TAGS);
  const counted = text.length <= maxChars ? text : text.slice(0, maxChars);
  read(counted, 1, (start, end) => {
    const last = places.at(-1);
    // Pairs of characters overlap.
    if (last !== undefined && start < last[1]) last[1] = Math.max(end, last[1]);
    else if (places.length < MAX_PLACES) places.push([start, end]);
  });
  if (isCurrent && counted !== text) for (const word of believed) if (!counts.has(word)) counts.set(word, 1);
  const parts = [row.shown.id ?? "", row.title, ...row.tags, counted].map(flat);
  const has = (piece: string) => parts.some((part) => part.includes(piece));
  return {
    ...{ ...candidate, text, counts, corrected, length, places, start: 0 },
    hasWhole: query.whole.length >= 3 && has(query.whole),
    hasPieces: query.pieces.length > 0 && query.pieces.every(has),
  };
}
