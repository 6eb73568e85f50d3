// Makes text by others harmless to look at: control characters that drive a terminal and bidi marks that reorder a line become visible escapes.

// C0 without tab and newline, DEL, C1, and the marks of Unicode that change direction or are invisible (Trojan Source).
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** `text` with each harmful character as `\u{hex}`; tab and newline stay. */
export function printable(text: string): string {
  return text.replace(HARMFUL, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same on one line: tab and newline are escaped too. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}
