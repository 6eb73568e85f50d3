// One text for each JSON value, however it was written: for comparing what callers sent.

import { MAX_JSON_DEPTH } from "./json-text.ts";
import { numberText } from "./json-value.ts";

/** Deeper than any argument that an operation takes. */
const MAX_DEPTH = 2 * MAX_JSON_DEPTH;

/**
 * Returns the text: keys in order, members without a value left out, equal numbers written the same. Throws an Error
 * for a value that is deeper than any argument may be.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > MAX_DEPTH) throw new Error("a value that is too deep");
  if (typeof value === "string") return JSON.stringify(value);
  const number = numberText(value);
  if (number !== undefined) return number;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(",")}]`;
  const members = Object.entries(value).filter(([, item]) => item !== undefined);
  members.sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item, depth + 1)}`).join(",")}}`;
}
