// Judges a version of a context that declares something: whether it can be in force, or what is wrong with it.

import { parseObject } from "../../lib/json-object.ts";
import { describeIssue } from "../../lib/schema-issue.ts";
import { DECLARED_NAME, type DeclaredKind } from "../../operation/declared-kind.ts";

/** Largest text of a declaration, in bytes. */
export const MAX_DECLARED_BYTES = 64 * 1024;
/** Most declarations of a kind that are in force. */
export const MAX_DECLARED = 2000;
/** Most of a kind that are kept as wrong although no version of them is in force. */
export const MAX_WRONG = 500;
/** Longest problem that is kept, in characters. */
const MAX_PROBLEM = 300;

/** A value, or a problem. */
export type Judged<T> = { value: T } | { problem: string };

/** Returns the kind and the name that an id declares; undefined for a context that is no declaration. */
export function declaredBy(
  kinds: readonly DeclaredKind[],
  id: string,
): { kind: DeclaredKind; name: string } | undefined {
  for (const kind of kinds) {
    const place = `fleet/${kind.place}/`;
    if (id.startsWith(place)) return { kind, name: id.slice(place.length) };
  }
  return undefined;
}

/** Returns the problem of a name. */
function nameProblem(name: string): string | undefined {
  if (DECLARED_NAME.test(name)) return undefined;
  return "its name takes 1 to 64 of a-z, 0-9 and . _ - (not first)";
}

/** Judges the text of a version. */
export function judgeText<T>(kind: DeclaredKind<T>, name: string, text: string): Judged<T> {
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes > MAX_DECLARED_BYTES)
    return { problem: `it has ${bytes} bytes; a declaration has at most ${MAX_DECLARED_BYTES}` };
  const value = parseObject(text);
  return value === undefined ? { problem: "it is no JSON object" } : judgeValue(kind, name, value);
}

/** Judges the object that a version has. */
export function judgeValue<T>(
  kind: DeclaredKind<T>,
  name: string,
  value: Readonly<Record<string, unknown>>,
): Judged<T> {
  const unnamed = nameProblem(name);
  if (unnamed !== undefined) return { problem: unnamed };
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) return { problem: describeIssue(parsed.error.issues[0], value).text.slice(0, MAX_PROBLEM) };
  const problem = kind.problem?.(parsed.data, name);
  return problem === undefined ? { value: parsed.data } : { problem: problem.slice(0, MAX_PROBLEM) };
}
