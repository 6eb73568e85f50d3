// A text as the numbers of its word pieces, as BERT without case takes it: words and punctuation without case and
// accents, each as the longest pieces of the vocabulary.

import vocabulary from "./vocabulary.txt" with { type: "text" };

const UNKNOWN = 100;
const BEGIN = 101;
const END = 102;
/** A longer word is unknown. */
const MAX_WORD = 100;

/** Marks white space around each character of a script without spaces, and each mark. */
const ALONE =
  /[\u{3400}-\u{4dbf}\u{4e00}-\u{9fff}\u{f900}-\u{faff}\u{20000}-\u{2ceaf}\u{2f800}-\u{2fa1f}]|[!-/:-@[-`{-~]|\p{P}/gu;
/** Neither seen nor white space. */
const UNSEEN = /[\u{fffd}\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu;

let numbers: ReadonlyMap<string, number> | undefined;

/** Returns the numbers, at most `most` of them, with those that begin and end a text. */
export function wordPieces(text: string, most: number): number[] {
  const pieces = [BEGIN];
  for (const word of wordsOf(text)) {
    pieces.push(...piecesOf(word));
    if (pieces.length >= most) break;
  }
  return [...pieces.slice(0, most - 1), END];
}

function wordsOf(text: string): string[] {
  const plain = text
    .replace(/[\t\n\r\p{Zs}]/gu, " ")
    .replace(UNSEEN, "")
    .toLowerCase()
    .normalize("NFD")
    .replace(/\p{Mn}/gu, "");
  return plain
    .replace(ALONE, " $& ")
    .split(" ")
    .filter((word) => word !== "");
}

function piecesOf(word: string): number[] {
  const letters = [...word];
  const known = numbersOfPieces();
  if (letters.length > MAX_WORD) return [UNKNOWN];
  const pieces: number[] = [];
  for (let from = 0; from < letters.length; ) {
    let to = letters.length;
    let piece: number | undefined;
    for (; to > from && piece === undefined; to -= 1)
      piece = known.get((from > 0 ? "##" : "") + letters.slice(from, to).join(""));
    if (piece === undefined) return [UNKNOWN];
    pieces.push(piece);
    from = to + 1;
  }
  return pieces;
}

function numbersOfPieces(): ReadonlyMap<string, number> {
  numbers ??= new Map(
    vocabulary
      .trimEnd()
      .split("\n")
      .map((piece, at) => [piece, at]),
  );
  return numbers;
}
