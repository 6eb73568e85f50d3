// Makes untrusted text safe to display: control characters that drive a terminal and bidi marks that reorder a line
// become visible escapes.

// C0 without tab and newline, DEL, C1; Unicode marks that change direction or are invisible (Trojan Source); fillers
// that look empty; the variation selectors that no emoji needs and the tag characters, which can both carry hidden
// text; lone surrogates.
const HARMFUL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: single code points are meant
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;

/** Returns `text` with each harmful character as `\u{hex}`; tab and newline stay. */
export function printable(text: string): string {
  return text.replace(HARMFUL, escaped);
}

/** Returns the same in pieces, so that a page can tell an escape from text that looks like one. */
export function printableParts(text: string): { text: string; escaped: boolean }[] {
  const parts: { text: string; escaped: boolean }[] = [];
  let at = 0;
  for (const match of text.matchAll(HARMFUL)) {
    if (match.index > at) parts.push({ text: text.slice(at, match.index), escaped: false });
    parts.push({ text: escaped(match[0]), escaped: true });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), escaped: false });
  return parts;
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Returns the same on one line: tab and newline are escaped too. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/**
 * Returns JSON on one line in which every harmful character is an escape: the same data for a program, nothing hidden
 * from a person or a model.
 */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value).replace(HARMFUL, (found) =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(
      "",
    ),
  );
}
