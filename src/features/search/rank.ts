// One order of what was found. All numbers come from the rows that are ranked, which the caller may read: nothing in
// them depends on other rows.

import type { Looked } from "./look.ts";

/** By what rows were found. */
export type By = "words" | "meaning" | "both";

/** Shares of a score: words, meaning, the whole query as a part, how new it is. */
const WEIGHTS: Readonly<Record<By, Shares>> = {
  words: { words: 0.7, meaning: 0, part: 0.15, recent: 0.15 },
  meaning: { words: 0, meaning: 0.9, part: 0, recent: 0.1 },
  both: { words: 0.25, meaning: 0.55, part: 0.1, recent: 0.1 },
};
const SHARES = ["words", "meaning", "part", "recent"] as const;
/** The age at which a row counts half as recent, in ms. */
const HALF_LIFE_MS = 30 * 86_400_000;
/** The usual constants of BM25. */
const K1 = 1.2;
const B = 0.75;

/** A row with its score and the shares of that, from 0 to 1. */
export interface Ranked extends Looked {
  score: number;
  shares: Shares;
}

interface Shares {
  words: number;
  meaning: number;
  part: number;
  recent: number;
}

/** Returns rows, the best first. `cosineOf` says how near a row's meaning is; undefined: it is not known. */
export function ranked(
  rows: readonly Looked[],
  nowMs: number,
  by: By,
  cosineOf: (row: Looked) => number | undefined,
): Ranked[] {
  const weights = WEIGHTS[by];
  const bm25 = bm25Over(rows);
  const most = Math.max(...rows.map((row) => bm25(row)), Number.MIN_VALUE);
  return rows
    .map((row) => {
      const words = bm25(row) / most;
      const part = row.hasWhole ? 1 : row.hasPieces ? 0.5 : 0;
      const recent = Math.exp((-Math.LN2 * Math.max(0, nowMs - row.row.timeMs)) / HALF_LIFE_MS);
      const meaning = Math.min(1, Math.max(0, cosineOf(row) ?? 0));
      const shares = { words, meaning, part, recent };
      const score = SHARES.reduce((sum, share) => sum + weights[share] * shares[share], 0);
      return { ...row, score, shares };
    })
    .sort((a, b) => b.score - a.score || b.row.seq - a.row.seq);
}

function bm25Over(rows: readonly Looked[]): (row: Looked) => number {
  const having = new Map<string, number>();
  let length = 0;
  for (const row of rows) {
    length += row.length / rows.length;
    for (const word of row.counts.keys()) having.set(word, (having.get(word) ?? 0) + 1);
  }
  return ({ counts, length: own }) => {
    let sum = 0;
    for (const [word, count] of counts) {
      const n = having.get(word) ?? 0;
      const rarity = Math.log(1 + (rows.length - n + 0.5) / (n + 0.5));
      sum += (rarity * count * (K1 + 1)) / (count + K1 * (1 - B + (B * own) / Math.max(length, 1)));
    }
    return sum;
  };
}
