// A text as the pieces of which vectors are made.

/** Most pieces of a text: what is beyond them is not found by meaning. */
export const MAX_PIECES = 16;
/** A piece ends at white space where there is some in its last part. */
const LAST_PART = 0.25;

/** A piece, and where it begins in the text. */
export interface Piece {
  start: number;
  text: string;
}

/** Returns the pieces of a text, of at most so many characters each; none where it is blank. Each has the title. */
export function piecesOf(title: string, text: string, chars: number): Piece[] {
  const head = title.trim() === "" ? "" : `${title.trim().slice(0, chars / 4)}\n`;
  const pieces: Piece[] = [];
  const room = chars - head.length;
  for (let start = 0; start < text.length && pieces.length < MAX_PIECES; ) {
    const end = endOf(text, start, room);
    const piece = text.slice(start, end).trim();
    if (piece !== "") pieces.push({ start, text: (head + piece).toWellFormed() });
    start = end;
  }
  if (pieces.length === 0 && head !== "") pieces.push({ start: 0, text: head.trim().toWellFormed() });
  return pieces;
}

function endOf(text: string, start: number, room: number): number {
  if (text.length - start <= room) return text.length;
  const most = start + room;
  for (let end = most; end > most - room * LAST_PART; end -= 1) if (/\s/.test(text.charAt(end))) return end;
  return most;
}
