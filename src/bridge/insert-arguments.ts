// Adds arguments to the text of a tool call. Only text is inserted; the rest of the message stays byte for byte, since
// numbers and member order in it are the agent's.

import { parseMessage } from "./json-rpc.ts";

/** Returns a `tools/call` with these arguments added; unchanged where it has no object of arguments. */
export function withArguments(text: string, added: Readonly<Record<string, string>>): string {
  const names = Object.keys(added);
  if (names.length === 0) return text;
  const params = memberStart(text, skipSpace(text, 0), "params");
  const open = params === undefined ? undefined : memberStart(text, params, "arguments");
  if (open === undefined || text[open] !== "{") return text;
  const empty = text[skipSpace(text, open + 1)] === "}";
  const inserted = JSON.stringify(added).slice(1, -1);
  const made = `${text.slice(0, open + 1)}${inserted}${empty ? "" : ","}${text.slice(open + 1)}`;
  return parseMessage(made) === undefined ? text : made;
}

/**
 * Returns where the value of a key begins in the object that begins at `at`. Of repeated keys the last one counts, as
 * for JSON.parse. The text is known to be JSON.
 */
function memberStart(text: string, at: number, key: string): number | undefined {
  if (text[at] !== "{") return undefined;
  let found: number | undefined;
  let place = skipSpace(text, at + 1);
  while (text[place] === '"') {
    const end = endOfValue(text, place);
    const name: unknown = JSON.parse(text.slice(place, end));
    const value = skipSpace(text, skipSpace(text, end) + 1);
    if (name === key) found = value;
    place = skipSpace(text, endOfValue(text, value));
    if (text[place] === ",") place = skipSpace(text, place + 1);
  }
  return found;
}

/** Returns the index just after the value that begins at `at`. */
function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at);
  let depth = 0;
  for (let place = at; place < text.length; place++) {
    switch (text[place]) {
      case '"':
        place = endOfString(text, place) - 1;
        break;
      case "{":
      case "[":
        depth++;
        break;
      case "}":
      case "]":
        if (depth === 0) return place;
        depth--;
        if (depth === 0) return place + 1;
        break;
      case ",":
        if (depth === 0) return place;
        break;
    }
  }
  return text.length;
}

/** Returns the index just after the string that begins at `at`. */
function endOfString(text: string, at: number): number {
  let place = at + 1;
  while (place < text.length && text[place] !== '"') place += text[place] === "\\" ? 2 : 1;
  return place + 1;
}

function skipSpace(text: string, at: number): number {
  let place = at;
  while (text[place] === " " || text[place] === "\t" || text[place] === "\n" || text[place] === "\r") place++;
  return place;
}
