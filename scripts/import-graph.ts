// Which file of src/ imports which, type-only imports included, and the circles among them.

import { dirname, join, normalize } from "node:path";
import { withoutComments } from "./code-text.ts";

/** Path of a file, relative to src/ → the files that it imports. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

export interface GraphOptions {
  /** Whether `import type` and `export type` count, which leave no code behind; they do where nothing is said. */
  types?: boolean;
}

/** Returns the graph of these files, given as path → source; imports of anything else are left out. */
export function importGraph(sources: ReadonlyMap<string, string>, { types = true }: GraphOptions = {}): ImportGraph {
  return new Map(
    [...sources].map(([path, source]) => [
      path,
      importsOf(types ? withoutComments(source) : withoutTypeImports(withoutComments(source)))
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => normalize(join(dirname(path), specifier)))
        .filter((target) => sources.has(target)),
    ]),
  );
}

/**
 * Returns all files that these files import, directly or not, themselves included; each with the one that led to it.
 */
export function reachableFrom(roots: readonly string[], graph: ImportGraph): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>(roots.map((root) => [root, undefined]));
  // What is added while this runs is visited too.
  for (const file of found.keys())
    for (const next of graph.get(file) ?? []) if (!found.has(next)) found.set(next, file);
  return found;
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

function withoutTypeImports(code: string): string {
  return code.replace(/\b(?:import|export)\s+type\b[^;"']*?\bfrom\s*["'][^"']+["']/g, "");
}

/** Returns the specifiers of all imports, re-exports and `require` calls, type-only ones included. */
export function importsOf(code: string): string[] {
  const pattern = /\b(?:from|import|require)\s*\(?\s*["']([^"']+)["']|\b(?:import|require)\s*\(\s*`([^`$]+)`/g;
  return [...code.matchAll(pattern)].map(([, quoted, template]) => quoted ?? template ?? "");
}
