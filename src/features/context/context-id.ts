// Context ids and names of spaces as arguments: the syntax of ids (lib/id-syntax.ts), without the ends that are routes.

import { z } from "zod";
import { idSyntaxProblem, isPlainSegment, MAX_ID, spaceProblem } from "../../lib/id-syntax.ts";
import { shownValue } from "../../lib/schema-issue.ts";

/** Longest cursor with an id in it: JSON of an id of quotation marks and some numbers, in base64. */
export const MAX_ID_CURSOR = 2048;

/**
 * The fleet level from which ids may have other characters than those of a space, and reserved words before the last
 * segment: builds before take no such id in a call.
 */
const WIDE_LEVEL = 3;

/** Last segments that are, or may become, routes below a context. */
const RESERVED_SEGMENTS = new Set(["metadata", "versions", "diff", "restore", "stream", "process"]);

/** Returns what is wrong with an id in NFC; undefined for a valid one. */
export function idProblem(id: string): string | undefined {
  return idSyntaxProblem(id) ?? endProblem(id.split("/"));
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

/** Returns the fleet level from which an id may be written. */
export function levelOfId(id: string): number {
  const isPlain = id.split("/").every((segment) => isPlainSegment(segment) && !RESERVED_SEGMENTS.has(segment));
  return isPlain ? 1 : WIDE_LEVEL;
}

/** Names that agents try for the id of a context. */
export const idAliases = { key: "id", name: "id", path: "id" } as const;

/** An id, which is taken in any Unicode form: file names of macOS are in NFD. */
export const otherId = z
  .string()
  .normalize("NFC")
  .superRefine((id, context) => {
    const problem = idProblem(id);
    if (problem !== undefined)
      context.addIssue({
        code: "custom",
        message: `${shownValue(id)} is not a context id: ${problem}`,
      });
  });

/** The argument `id`. */
export const contextId = otherId.describe("Id, such as team-a/plan; the part before the first / is its space.");

/** The argument `prefix`: the beginning of ids. */
export const idPrefix = z.string().max(MAX_ID).normalize("NFC").describe("Only ids that start with this text.");

/** Longest name of a space, in characters. */
export const MAX_SPACE = 256;

/** The name of a space as an argument: the part of an id before its first `/`. */
export const spaceName = z
  .string()
  .max(MAX_SPACE)
  .refine((name) => spaceProblem(name) === undefined, "must be the part of a context id before its first /");
