// Templates: JSON text with `{{data.title}}` in it. What is put in is escaped for the place where it stands, so that no
// event can change the form of the text: within quotes as part of that text, outside of them as a JSON value.

import { parseExact } from "../../../lib/json-value.ts";
import type { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import { type EventRecord, type Field, fieldOf, fieldValue, MAX_FIELD } from "./record.ts";

type Piece = string | { readonly field: Field; readonly isQuoted: boolean };

/** A template that was read. */
export interface Template {
  readonly pieces: readonly Piece[];
}

/** Units of effort (effort.ts) of a character: to write it, and to parse it. */
const MADE_CHARACTER = 10;

const OPEN = "{{";
const CLOSE = "}}";

/** Reads a template, or returns a text that says what is wrong: with null for each field it must be JSON. */
export function readTemplate(text: string): Template | string {
  const pieces: Piece[] = [];
  let isQuoted = false;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith(OPEN, at)) {
      const end = text.indexOf(CLOSE, at);
      if (end < 0) return `has a ${OPEN} without its ${CLOSE}`;
      const name = text.slice(at + OPEN.length, end).trim();
      const field = name.length > MAX_FIELD ? "a name is too long" : fieldOf(name);
      if (typeof field === "string") return `names a field that is none: ${field}`;
      pieces.push(text.slice(from, at), { field, isQuoted });
      from = end + CLOSE.length;
      at = from - 1;
    } else if (isQuoted && text[at] === "\\") at++;
    else if (text[at] === '"') isQuoted = !isQuoted;
  }
  pieces.push(text.slice(from));
  const sample = pieces.map((piece) => (typeof piece === "string" ? piece : piece.isQuoted ? "" : "null")).join("");
  try {
    parseExact(sample);
    return { pieces };
  } catch {
    return "is not JSON with {{fields}} in it: text stands in quotes";
  }
}

/** Returns the value that a template makes of an event, of at most `maxCharacters` of JSON. Throws `RuleFailure`. */
export function fillTemplate(
  { pieces }: Template,
  record: EventRecord,
  maxCharacters: number,
  effort: Effort,
): unknown {
  let text = "";
  for (const piece of pieces) {
    const part = typeof piece === "string" ? piece : shown(fieldValue(record, piece.field), piece.isQuoted);
    effort.spend(MADE_CHARACTER * part.length);
    text += part;
    if (text.length > maxCharacters) throw new RuleFailure("the template gives more than an event may hold");
  }
  return parseExact(text);
}

/**
 * Returns a value as JSON, or as part of a JSON text: what is no text there as its JSON, what is missing as nothing.
 */
function shown(value: unknown, isQuoted: boolean): string {
  if (!isQuoted) return JSON.stringify(value ?? null);
  if (value === undefined || value === null) return "";
  return JSON.stringify(typeof value === "string" ? value : JSON.stringify(value)).slice(1, -1);
}
