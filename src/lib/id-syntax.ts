// The syntax of ids: contexts, and whatever else is named like them. What an id must not end with, because that is a
// route, is up to the feature; access/space.ts derives the space from an id.

/** Most characters of an id (UTF-16 code units, as JSON counts them), and most bytes in UTF-8. */
export const MAX_ID = 256;
const MAX_ID_BYTES = 512;

/** A space as declarations name it. */
export const DECLARED_SPACE = /^[a-z0-9][a-z0-9._-]{0,63}$/;

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
export function idSyntaxProblem(id: string): string | undefined {
  if (id.length < 1 || id.length > MAX_ID) return `an id has 1 to ${MAX_ID} characters`;
  if (Buffer.byteLength(id, "utf8") > MAX_ID_BYTES) return `an id has at most ${MAX_ID_BYTES} bytes in UTF-8`;
  const segments = id.split("/");
  const isInSpace = segments.length > 1;
  for (const [index, segment] of segments.entries()) {
    const problem = isInSpace && index === 0 ? spaceProblem(segment) : segmentProblem(segment);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Reports whether a segment has only characters that a space may have. */
export function isPlainSegment(segment: string): boolean {
  return PLAIN.test(segment);
}

/** Returns what is wrong with the name of a space; undefined for a valid one. */
export function spaceProblem(segment: string): string | undefined {
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
