// Words of the index that are easily mistyped for a given one: the same first letter, one or two edits away. The
// vocabulary is that of all rows; which of its words a caller may know of is decided by the rows it may read.

import { setImmediate as nextTurn } from "node:timers/promises";
import { editDistance } from "../../lib/nearest.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { isUnspaced } from "./tokens.ts";

/** Shortest word that is taken for a mistyped one, and shortest with two edits. */
const MIN_LENGTH = 4;
const MIN_FOR_TWO = 8;
/** Words of the vocabulary that are read at once. */
const STEP = 1000;

/** Returns them, the nearest first. */
export async function nearWords(
  index: Reader,
  word: string,
  { spend, signal }: Pick<CallContext, "spend" | "signal">,
): Promise<string[]> {
  // Another number is another thing, and so is another pair of characters.
  if (word.length < MIN_LENGTH || /\p{N}/u.test(word) || isUnspaced(word)) return [];
  const most = word.length < MIN_FOR_TWO ? 1 : 2;
  const [first = ""] = word;
  const letters = lettersOf(word);
  const near: { term: string; distance: number }[] = [];
  for (let from = first; ; ) {
    const terms = index.all<{ term: string }>(
      "SELECT term FROM vocabulary WHERE term >= ? AND term < ? LIMIT +?",
      from,
      `${first}\u{10ffff}`,
      STEP,
    );
    spend(LOOK_AT_ROW * terms.length);
    for (const { term } of terms) {
      if (term === word || /\p{N}/u.test(term) || Math.abs(term.length - word.length) > most) continue;
      if (bitsOf(lettersOf(term) ^ letters) > 2 * most) continue;
      const distance = editDistance(word, term);
      if (distance <= most) near.push({ term, distance });
    }
    const last = terms.at(-1);
    if (terms.length < STEP || last === undefined) break;
    from = `${last.term}\u0001`;
    await nextTurn();
    signal.throwIfAborted();
  }
  return near.sort((a, b) => a.distance - b.distance || (a.term < b.term ? -1 : 1)).map(({ term }) => term);
}

/** Which letters a word has, as bits: an edit changes two of them at most. */
function lettersOf(word: string): number {
  let bits = 0;
  for (let at = 0; at < word.length; at += 1) bits |= 1 << (word.charCodeAt(at) & 31);
  return bits;
}

function bitsOf(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count += 1;
  return count;
}
