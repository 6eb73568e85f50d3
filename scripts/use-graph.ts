// Which files of the project a file uses: what it imports, and what it names by a path, such as the program of a child
// process or a page that it reads. scripts/test-changed.ts asks it which tests a change can reach.

import { readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { withoutComments } from "./code-text.ts";

/** The executable's entry. A path to it starts the whole product, so it says nothing about a single change. */
const PRODUCT = "src/main.ts";
const TYPESCRIPT = /\.tsx?$/;
/** Imports are read by the transpiler, which leaves out those of types alone: they do nothing when a test runs. */
const IMPORTS = /\b(?:from|import)\s*\(?\s*["'][^"'\n]+["']/g;

/** Files of a project, by their paths from its root. */
export interface ProjectFiles {
  /** Returns the text of a file, undefined where there is none. */
  read: (path: string) => string | undefined;
  isFolder: (path: string) => boolean;
}

/** Returns the files under `root`. */
export function filesUnder(root: string): ProjectFiles {
  const statOf = (path: string) => {
    try {
      return statSync(join(root, path));
    } catch {
      return undefined;
    }
  };
  return {
    read: (path) => (statOf(path)?.isFile() ? readFileSync(join(root, path), "utf8") : undefined),
    isFolder: (path) => statOf(path)?.isDirectory() === true,
  };
}

/** The files of a project and what each uses; read when asked for, each once. */
export class UseGraph {
  readonly #files: ProjectFiles;
  readonly #uses = new Map<string, readonly string[]>();

  constructor(files: ProjectFiles) {
    this.#files = files;
  }

  /** Returns what a file imports or names by a path: files, and folders with a slash at the end. */
  usesOf(file: string): readonly string[] {
    const known = this.#uses.get(file);
    if (known !== undefined) return known;
    const source = TYPESCRIPT.test(file) ? this.#files.read(file) : undefined;
    const uses = source === undefined ? [] : [...this.#imports(file, source), ...this.#named(file, source)];
    const others = [...new Set(uses)].filter((path) => path !== PRODUCT && path !== file);
    this.#uses.set(file, others);
    return others;
  }

  /** Returns the shortest way from a file to one of `targets`, both included; undefined where there is none. */
  wayTo(file: string, targets: ReadonlySet<string>): readonly string[] | undefined {
    const from = new Map<string, string | undefined>([[file, undefined]]);
    for (const at of from.keys()) {
      if (targets.has(at)) {
        const way: string[] = [];
        for (let step: string | undefined = at; step !== undefined; step = from.get(step)) way.unshift(step);
        return way;
      }
      for (const next of this.usesOf(at)) if (!from.has(next)) from.set(next, at);
    }
    return undefined;
  }

  #imports(file: string, source: string): string[] {
    const transpiler = new Bun.Transpiler({ loader: file.endsWith("x") ? "tsx" : "ts" });
    return transpiler
      .scanImports(source)
      .filter(({ path }) => path.startsWith("."))
      .map(({ path }) => normalize(join(dirname(file), path)));
  }

  /** Returns what string literals name, alone or as the last parts of a path that `join` puts together. */
  #named(file: string, source: string): string[] {
    const folder = dirname(file);
    const bases = [folder, dirname(folder), ".", "test/kit"];
    const code = withoutComments(source).replaceAll(IMPORTS, "");
    return literalPaths(code).flatMap((path) => {
      const places = bases.map((base) => normalize(join(base, path))).filter((place) => /^\w/.test(place));
      const found = places.find((place) => this.#files.read(place) !== undefined);
      if (found !== undefined) return [found];
      const named = places.find((place) => place.includes("/") && this.#files.isFolder(place));
      return named === undefined || folder.startsWith(named) ? [] : [`${named}/`];
    });
  }
}

/**
 * Returns what may be a path: each string literal, and those with only commas between them as one, as far as they are
 * known.
 */
function literalPaths(code: string): string[] {
  const literal = "(?:\"[^\"\\n]*\"|'[^'\\n]*'|`[^`\\n]*`)";
  return [...code.matchAll(new RegExp(`${literal}(?:\\s*,\\s*${literal})*`, "g"))].flatMap(([run]) => {
    const parts = [...run.matchAll(new RegExp(literal, "g"))].map(([text]) =>
      text.slice(1, -1).replace(/^\$\{[^}]*\}\//, ""),
    );
    const unknown = parts.findIndex((part) => part.includes("${"));
    const whole = parts.slice(0, unknown < 0 ? undefined : unknown).join("/");
    return [...new Set([...parts, whole])]
      .map((path) => path.replace(/\/+$/, ""))
      .filter((path) => /^[\w.][\w./-]*$/.test(path) && /[./]/.test(path) && /\w/.test(path));
  });
}
