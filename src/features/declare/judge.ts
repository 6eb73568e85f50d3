// Which contexts declare something, and the judgement of the text of their versions.

import { parseObject } from "../../lib/json-object.ts";
import type { DeclaredKind } from "../../operation/declared-kind.ts";
import { type Judged, judgeValue } from "../../operation/judge-declared.ts";

/** Largest text of a declaration, in bytes. */
export const MAX_DECLARED_BYTES = 64 * 1024;
/** Most declarations of a kind that are in force. */
export const MAX_DECLARED = 2000;
/** Most of a kind that are kept as wrong although no version of them is in force. */
export const MAX_WRONG = 500;
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

/** Judges the text of a version. */
export function judgeText<T>(kind: DeclaredKind<T>, name: string, text: string): Judged<T> {
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes > MAX_DECLARED_BYTES)
    return { problem: `it has ${bytes} bytes; a declaration has at most ${MAX_DECLARED_BYTES}` };
  const value = parseObject(text);
  return value === undefined ? { problem: "it is no JSON object" } : judgeValue(kind, name, value);
}
