// Names of files and ids of contexts, each from the other. Most are the same but for the `.md`. What an id must
// not have is `~{hex}` in it; what a file of a folder must not have (a dot at the beginning) is `%{hex}` in its name.

import { idProblem } from "../features/context/index.ts";
import { idSyntaxProblem } from "../lib/id-syntax.ts";

/** How the files end. */
export const EXTENSION = ".md";

const ESCAPE = /~\{([0-9a-f]{1,6})\}/g;
/** In a segment that is judged: the character after the first one is what it may not have. */
const PROBE_SPACE = "s/";

/**
 * Returns the id of a file below a prefix: of its path in NFC, relative to the folder, with `/`, and with its `.md`.
 */
export function idOfPath(prefix: string, path: string): string {
  const names = path.normalize("NFC").slice(0, -EXTENSION.length).split("/");
  const segments = names.map(idOfName);
  const id = [prefix, ...segments].join("/");
  // The last segment alone may still be the name of a route.
  if (idProblem(id) === undefined || idSyntaxProblem(id) !== undefined) return id;
  const last = segments.at(-1) ?? "";
  return [prefix, ...segments.slice(0, -1), `${escaped(last)}${last.slice(1)}`].join("/");
}

/** Returns the path of the file of an id below the prefix. */
export function pathOfId(prefix: string, id: string): string {
  const segments = id.slice(prefix.length + 1).split("/");
  const folders = segments.slice(0, -1).map(nameOfSegment);
  const last = segments.at(-1) ?? "";
  const candidates = [unescapedOf(last), nameOfSegment(last)].map(
    (name) => `${[...folders, name].join("/")}${EXTENSION}`,
  );
  return candidates.find((path) => isUsable(path) && idOfPath(prefix, path) === id) ?? candidates.at(-1) ?? "";
}

/** Returns the segment of an id for a name. */
function idOfName(name: string): string {
  const decoded = decodedOf(name);
  if (decoded !== name && nameOfSegment(decoded) === name && idSyntaxProblem(`${PROBE_SPACE}${decoded}`) === undefined)
    return decoded;
  return escapedName(name);
}

/** Returns the name for a segment of an id: that of which it is the escaped form, else the segment itself. */
function nameOfSegment(segment: string): string {
  if (segment.includes("~{")) {
    const raw = unescapedOf(segment);
    const isName = !raw.includes("/") && isUsable(raw);
    if (isName && raw.length < segment.length && idOfName(raw) === segment) return raw;
  }
  return encodedOf(segment);
}

/** What no name of a file may be, have, or begin with: dot files, and names that are no UTF-8, are not looked at. */
function isUsable(name: string): boolean {
  return name
    .split("/")
    .every((part) => part !== "" && !part.startsWith(".") && !/[\0\uFFFD]/.test(part) && part.isWellFormed());
}

function encodedOf(segment: string): string {
  return segment.replaceAll("%{", "%{25}{").replaceAll("~{", "%{7e}{").replace(/^\./, "%{2e}");
}

function decodedOf(name: string): string {
  return name
    .replace(/^%\{2e\}/, ".")
    .replaceAll("%{7e}{", "~{")
    .replaceAll("%{25}{", "%{");
}

/** Returns a name with what no id may have as `~{hex}`. */
function escapedName(name: string): string {
  let id = "";
  const characters = [...name];
  for (const [at, character] of characters.entries()) {
    const next = characters[at + 1] ?? "";
    const after = characters[at + 2] ?? "";
    const isMark = character === "~" && next === "{";
    const isPercent = character === "%" && (next === "{" || /^[0-9A-Fa-f]{2}$/.test(next + after));
    const isSpace = character === " " && (at === 0 || next === "" || characters[at - 1] === " ");
    id += isMark || isPercent || isSpace || !isAllowed(character, at === 0) ? escaped(character) : character;
  }
  return id;
}

function isAllowed(character: string, isFirst: boolean): boolean {
  if (character === " ") return true;
  return (
    idSyntaxProblem(
      `${PROBE_SPACE}${isFirst ? "" : "a"}${character}${isFirst && character === "." ? "a" : ""}`.normalize("NFC"),
    ) === undefined
  );
}

function escaped(text: string): string {
  return `~{${(text.codePointAt(0) ?? 0).toString(16)}}`;
}

function unescapedOf(segment: string): string {
  return segment.replace(ESCAPE, (found, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : found;
  });
}
