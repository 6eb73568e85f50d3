// Conditions that name entity tags (RFC 9110 8.8.3, 13.1.1, 13.1.2): parses and compares If-Match and If-None-Match.
// What an ETag consists of is up to its resource.

import { Fault } from "./fault.ts";

/** One entity tag of a condition, without quotes. */
export interface Tag {
  weak: boolean;
  value: string;
}

/**
 * Reads `*` or a list of entity tags as If-Match and If-None-Match carry them; a bare `7-1f3a9c0b22de` counts as
 * quoted. `name` is used in messages. Fault `invalid_input`.
 */
export function parseCondition(text: string, name: string): "*" | Tag[] {
  const trimmed = text.trim();
  if (trimmed === "*") return "*";
  const tags: Tag[] = [];
  let rest = trimmed;
  while (rest !== "") {
    const match = /^(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"|([0-9]+-[0-9a-f]{12}))\s*(?:,\s*|$)/.exec(rest);
    if (match === null || tags.length >= 100) {
      throw new Fault("invalid_input", `${name} holds ${text.slice(0, 100)}, which is no list of ETags`, {
        hint:
          "Give an ETag as you read it, such as 7-1f3a9c0b22de (a number, a hyphen and 12 hexadecimal digits), with or " +
          "without double quotes; several with commas between them, or *.",
      });
    }
    // A content coding marks its ETag with a suffix; conditions are about the content without it (architecture.md 8).
    tags.push({ weak: match[1] !== undefined, value: (match[2] ?? match[3] ?? "").replace(/\+(gzip|zstd)$/, "") });
    rest = rest.slice(match[0].length);
  }
  if (tags.length === 0)
    throw new Fault("invalid_input", `${name} is empty`, { hint: "Leave it out, or give an ETag or *." });
  return tags;
}

/** Compares strongly, for If-Match: a weak tag never matches. `current` is undefined where there is no resource. */
export function matchesStrongly(condition: "*" | Tag[], current: string | undefined): boolean {
  if (current === undefined) return false;
  return condition === "*" || condition.some((tag) => !tag.weak && tag.value === current);
}

/** Compares weakly, for If-None-Match. `current` is undefined where there is no resource. */
export function matchesWeakly(condition: "*" | Tag[], current: string | undefined): boolean {
  if (current === undefined) return false;
  return condition === "*" || condition.some((tag) => tag.value === current);
}
