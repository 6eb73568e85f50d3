// Which file of src/ imports which, type-only imports included, and the circles among them.

import { dirname, join, normalize } from "node:path";
import { withoutComments } from "./code-text.ts";

/** Path of a file, relative to src/ → the files that it imports. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Returns the graph of these files, given as path → source; imports of anything else are left out. */
export function importGraph(sources: ReadonlyMap<string, string>): ImportGraph {
  return new Map(
    [...sources].map(([path, source]) => [
      path,
      importsOf(withoutComments(source))
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => normalize(join(dirname(path), specifier)))
        .filter((target) => sources.has(target)),
    ]),
  );
}

/** Returns circles of imports, each as its files in order; at least one of every knot. */
export function circlesOf(graph: ImportGraph): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (done.has(file)) return;
    const at = path.indexOf(file);
    if (at >= 0) {
      circles.push(path.slice(at));
      return;
    }
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return circles;
}

/** Specifiers of all imports and re-exports, type-only ones included. */
export function importsOf(code: string): string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? "");
}
