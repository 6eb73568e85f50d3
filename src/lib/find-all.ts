// Finds all occurrences of a text in another, in linear time for any input (Knuth, Morris, Pratt).

/** Up to this length the engine's own search is used: it is faster, and its worst case is small. */
export const SHORT = 64;

/** Returns the start indexes of `needle` in `text`, left to right and not overlapping. `needle` must not be empty. */
export function findAll(text: string, needle: string): number[] {
  return needle.length <= SHORT ? findShort(text, needle) : findLong(text, needle);
}

function findShort(text: string, needle: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) found.push(at);
  return found;
}

function findLong(text: string, needle: string): number[] {
  const found: number[] = [];
  const border = bordersOf(needle);
  let matched = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = border[matched - 1] ?? 0;
    if (needle.charCodeAt(matched) === unit) matched++;
    if (matched < needle.length) continue;
    found.push(at - needle.length + 1);
    matched = 0;
  }
  return found;
}

/** Returns, for each prefix, the length of its longest proper border. */
function bordersOf(needle: string): Int32Array {
  const border = new Int32Array(needle.length);
  let length = 0;
  for (let at = 1; at < needle.length; at++) {
    while (length > 0 && needle.charCodeAt(length) !== needle.charCodeAt(at)) length = border[length - 1] ?? 0;
    if (needle.charCodeAt(length) === needle.charCodeAt(at)) length++;
    border[at] = length;
  }
  return border;
}
