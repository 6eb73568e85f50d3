// What it costs to parse, change and write JSON, in units of work (work.ts).

/** Each character of a text that is parsed or written. */
const CHARACTER = 4;
/** Each value: parsed, and written again. */
const VALUE = 60;
/** Each key of an object: names that differ are looked up and stored one by one. */
const KEY = 300;
/** The same where numbers keep their digits (`parseExact`), which visits every value. */
const EXACT_VALUE = 300;
const EXACT_KEY = 800;
/** Numbers that `parseExact` may keep as text. */
const LONG_NUMBER = /[0-9.]{16}|[0-9][eE]/;

/** Visiting, copying and comparing a value, and a key with its value, that are parsed already. */
export const VISIT_VALUE = 50;
export const VISIT_KEY = 400;

/**
 * Returns the units for parsing the text and writing it again. Counts commas, brackets and colons, those within strings
 * too: cheap to compute, and never less than the values that are there.
 */
export function jsonTextWork(text: string): number {
  let values = 1;
  let keys = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x2c: // ,
      case 0x5b: // [
      case 0x7b: // {
        values++;
        break;
      case 0x3a: // :
        keys++;
        break;
    }
  }
  const exact = LONG_NUMBER.test(text);
  return CHARACTER * text.length + (exact ? EXACT_VALUE : VALUE) * values + (exact ? EXACT_KEY : KEY) * keys;
}

/** Returns what a JSON text of so many bytes costs at least, where the text itself is not at hand. */
export function leastJsonWork(bytes: number): number {
  return CHARACTER * leastCharacters(bytes);
}

/** Returns how many characters a text of so many bytes has at least: UTF-8 takes up to three for one. */
export function leastCharacters(bytes: number): number {
  return Math.floor(bytes / 3);
}
