// The syntax of context ids and space names: the one place that says what an id may be. access/space.ts derives the
// space from an id.

import { z } from "zod";
import { shownValue } from "../../lib/schema-issue.ts";

/** Most characters of an id (UTF-16 code units, as JSON counts them), and most bytes in UTF-8. */
export const MAX_ID = 256;
const MAX_ID_BYTES = 512;

/** Longest cursor with an id in it: JSON of an id of quotation marks and some numbers, in base64. */
export const MAX_ID_CURSOR = 2048;

/**
 * The fleet level from which ids may have other characters than those of a space, and reserved words before the last
 * segment: builds before take no such id in a call.
 */
const WIDE_LEVEL = 3;

/** Last segments that are, or may become, routes below a context. */
const RESERVED_SEGMENTS = new Set(["metadata", "versions", "diff", "restore", "stream", "process"]);

/** The characters of a space. */
const PLAIN = /^[A-Za-z0-9._~:@-]+$/;
/** Letters, marks, numbers, punctuation, symbols and the space of ASCII: what names are made of. */
const NAMED = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u;
/** What one does not see, or takes for the end of a segment. U+FFFD is the mark of a text that was decoded wrongly. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\u2800\uFFFC\uFFFD]/u;
/** An id that was encoded twice would be another id. */
const ENCODED = /%[0-9A-Fa-f]{2}/;
const SLASH_LIKE = /[\\\u2044\u2215\u29F8\uFF0F]/;

/** Returns what is wrong with an id in NFC; undefined for a valid one. */
export function idProblem(id: string): string | undefined {
  if (id.length < 1 || id.length > MAX_ID) return `an id has 1 to ${MAX_ID} characters`;
  if (Buffer.byteLength(id, "utf8") > MAX_ID_BYTES) return `an id has at most ${MAX_ID_BYTES} bytes in UTF-8`;
  const segments = id.split("/");
  const isInSpace = segments.length > 1;
  for (const [index, segment] of segments.entries()) {
    const problem = isInSpace && index === 0 ? spaceProblem(segment) : segmentProblem(segment);
    if (problem !== undefined) return problem;
  }
  return endProblem(segments);
}

/** The ends of ids are those of routes: `…/metadata`, `…/versions/3`. */
function endProblem(segments: readonly string[]): string | undefined {
  const last = segments.at(-1) ?? "";
  if (RESERVED_SEGMENTS.has(last))
    return `the last segment must not be ${JSON.stringify(last)}, which is reserved for a route; add a word to it`;
  if (segments.length > 2 && segments.at(-2) === "versions" && /^[0-9]+$/.test(last))
    return "an id must not end with /versions/ and a number, which is reserved for a route";
  return undefined;
}

function spaceProblem(segment: string): string | undefined {
  if (segment === "") return "an id must not have an empty segment";
  if (PLAIN.test(segment)) return dotProblem(segment);
  return "the space, which is the part before the first /, consists of ASCII letters, digits and . _ ~ : @ -";
}

function segmentProblem(segment: string): string | undefined {
  if (segment === "") return "an id must not have an empty segment";
  if (PLAIN.test(segment)) return dotProblem(segment);
  const unseen = UNSEEN.exec(segment)?.[0];
  if (unseen !== undefined) return `an id must not have the invisible character ${codePoint(unseen)}`;
  const slash = SLASH_LIKE.exec(segment)?.[0];
  if (slash !== undefined)
    return `an id must not have "${slash}", ${codePoint(slash)}, which looks like / or stands for it elsewhere`;
  if (!NAMED.test(segment)) {
    const other = [...segment].find((character) => !NAMED.test(character)) ?? "";
    return `an id consists of letters, digits, punctuation, symbols and single spaces; ${codePoint(other)} is none`;
  }
  const encoded = ENCODED.exec(segment)?.[0];
  if (encoded !== undefined) return `an id consists of letters and the like as they are, and not encoded (${encoded})`;
  if (segment.startsWith(" ") || segment.endsWith(" ") || segment.includes("  "))
    return "a segment must not begin or end with a space, or have two in a row";
  if (/^\p{M}/u.test(segment)) return "a segment must not begin with a combining mark";
  if (segment.normalize("NFC") !== segment) return "an id is in the Unicode form NFC";
  return undefined;
}

function dotProblem(segment: string): string | undefined {
  return segment === "." || segment === ".." ? `an id must not have the segment ${JSON.stringify(segment)}` : undefined;
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Returns the fleet level from which an id may be written. */
export function levelOfId(id: string): number {
  const isPlain = id.split("/").every((segment) => PLAIN.test(segment) && !RESERVED_SEGMENTS.has(segment));
  return isPlain ? 1 : WIDE_LEVEL;
}

/** Names that agents try for the id of a context. */
export const idAliases = { key: "id", name: "id", path: "id" } as const;

/** The argument `id`, which is taken in any Unicode form: file names of macOS are in NFD. */
export const contextId = z
  .string()
  .normalize("NFC")
  .superRefine((id, context) => {
    const problem = idProblem(id);
    if (problem !== undefined)
      context.addIssue({
        code: "custom",
        message: `${shownValue(id)} is not a context id: ${problem}`,
      });
  })
  .describe("Id of the context, such as team-a/plan; the part before the first / is its space.");

/** The argument `prefix`: the beginning of ids. */
export const idPrefix = z.string().max(MAX_ID).normalize("NFC").describe("Only ids that start with this text.");

/** Longest name of a space, in characters. */
export const MAX_SPACE = 256;

/** The name of a space as an argument: the part of an id before its first `/`. */
export const spaceName = z
  .string()
  .max(MAX_SPACE)
  .refine((name) => spaceProblem(name) === undefined, "must be the part of a context id before its first /");
