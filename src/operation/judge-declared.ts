// Judges what a context would declare: whether it can be in force, or what is wrong with it.

import { describeIssue } from "../lib/schema-issue.ts";
import { DECLARED_NAME, type DeclaredKind } from "./declared-kind.ts";

/** Longest problem that is kept, in characters. */
const MAX_PROBLEM = 300;

/** A value, or a problem. */
export type Judged<T> = { value: T } | { problem: string };

/** Returns the problem of a name. */
function nameProblem(name: string): string | undefined {
  if (DECLARED_NAME.test(name)) return undefined;
  return "its name takes 1 to 64 of a-z, 0-9 and . _ - (not first)";
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
