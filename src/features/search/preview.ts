// The piece of a text around what was found, with the places of it.

import type { Looked } from "./look.ts";
import type { Query } from "./query.ts";

/** Characters before the first place, and in all. */
const BEFORE = 60;
const LENGTH = 240;

/** A piece of a text on one line. Marks are pairs of start and end in it, in UTF-16 units. */
export interface Preview {
  preview: string;
  marks: [number, number][];
}

/** Returns the piece of a row's text that a search shows. */
export function previewOf({ text, places, start: piece }: Looked, { whole, pieces }: Query): Preview {
  const found = places.length > 0 ? places : partPlaces(text, [whole, ...pieces]);
  const [first = piece + BEFORE] = found[0] ?? [];
  const start = boundary(text, Math.max(0, first - BEFORE));
  const end = boundary(text, Math.min(text.length, start + LENGTH));
  const [before, after] = [start > 0 ? "…" : "", end < text.length ? "…" : ""];
  const shift = before.length - start;
  return {
    preview: before + text.slice(start, end).replace(/\s/gu, " ") + after,
    marks: found.filter(([from, to]) => from >= start && to <= end).map(([from, to]) => [from + shift, to + shift]),
  };
}

/** Returns where a part is in the text, if case is all that differs. */
function partPlaces(text: string, parts: readonly string[]): [number, number][] {
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [];
  for (const part of parts) {
    const at = part === "" ? -1 : lower.indexOf(part);
    if (at >= 0) return [[at, at + part.length]];
  }
  return [];
}

/** Returns a place that splits no character. */
function boundary(text: string, at: number): number {
  const isSecondHalf = /^[\udc00-\udfff]/.test(text.charAt(at));
  return isSecondHalf ? at - 1 : at;
}
