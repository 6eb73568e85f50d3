// Which folder of src/ may import which, and which calls belong to one file alone. The table is the architecture: change it on purpose or not at all.

import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Folder → folders below it that it may import. `main.ts` is the folder `main`. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  main: ["cli", "observe"],
  cli: ["node", "simulate", "fleet", "context", "store", "tailnet", "observe", "config", "lib"],
  node: [
    "api",
    "mcp",
    "web",
    "backup",
    "cache",
    "fleet",
    "peer",
    "context",
    "operation",
    "log",
    "access",
    "store",
    "tailnet",
    "observe",
    "config",
    "lib",
  ],
  api: ["context", "operation", "log", "access", "lib"],
  mcp: ["context", "operation", "log", "access", "observe", "lib"],
  web: ["fleet", "context", "operation", "log", "access", "observe", "lib"],
  cache: ["peer", "fleet", "context", "operation", "log", "access", "store", "observe", "config", "lib"],
  fleet: ["context", "operation", "peer", "log", "access", "store", "tailnet", "observe", "config", "lib"],
  backup: ["operation", "log", "store", "observe", "config", "lib"],
  context: ["operation", "log", "access", "store", "lib"],
  operation: ["log", "access", "store", "lib"],
  peer: ["access", "observe", "lib"],
  log: ["store", "lib"],
  access: ["store", "lib"],
  store: ["lib"],
  tailnet: ["lib"],
  observe: ["lib"],
  config: ["lib"],
  simulate: ["lib"],
  lib: [],
};

/** Folders that others enter only by their index. */
const CLOSED = new Set(["simulate", "api", "mcp", "web", "context", "tailnet", "fleet", "backup"]);

interface Reserved {
  what: string;
  pattern: RegExp;
  /** Files, or folders that end with `/`, where it may stand. */
  allowed: readonly string[];
}

/** Looked for in code without comments. */
export const RESERVED: readonly Reserved[] = [
  { what: "bun:ffi", pattern: /["']bun:ffi["']/, allowed: ["tailnet/"] },
  { what: "bun:sqlite", pattern: /["']bun:sqlite["']/, allowed: ["store/"] },
  {
    what: "Bun.serve",
    pattern: /\bBun\s*\.\s*(serve|listen)\b|["']node:(http|https|net)["']/,
    allowed: ["node/listen.ts"],
  },
  {
    what: "a bare fetch(",
    pattern: /(?:\b(?:await|return|void|yield)|=>|[=(,:?|&])\s*(?:globalThis\.)?fetch\s*\(/,
    allowed: ["cli/client.ts", "cli/bridge/place.ts", "peer/link.ts", "node/tailnet/outbound.ts"],
  },
];

/** What is wrong with one file; `path` is relative to src/. */
export function arrowProblems(path: string, source: string): string[] {
  const problems: string[] = [];
  const code = withoutComments(source);
  const folder = folderOf(path);
  for (const specifier of importsOf(code)) {
    if (!specifier.startsWith(".")) continue;
    const target = normalize(join(dirname(path), specifier));
    if (target.startsWith("..")) {
      if (target !== "../package.json") problems.push(`${path} imports ${specifier}, which lies outside src/`);
      continue;
    }
    const into = folderOf(target);
    if (into === folder) continue;
    if (ARROWS[folder]?.includes(into) !== true)
      problems.push(`${path} imports ${specifier}: ${folder} may not import ${into}`);
    else if (CLOSED.has(into) && target !== `${into}/index.ts`)
      problems.push(`${path} imports ${specifier}: ${into} is entered by ${into}/index.ts`);
  }
  for (const { what, pattern, allowed } of RESERVED) {
    const found =
      pattern.test(code) && !allowed.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
    if (found) problems.push(`${path} uses ${what}, which belongs to src/${allowed.join(" and src/")}`);
  }
  return problems;
}

/** Checks every file of src/. */
export function checkArrows(root: string): string[] {
  const src = join(root, "src");
  const files = [...new Bun.Glob("**/*.{ts,tsx}").scanSync({ cwd: src })].sort();
  return files.flatMap((file) => arrowProblems(file, readFileSync(join(src, file), "utf8")));
}

function folderOf(path: string): string {
  const [first = ""] = path.split("/");
  return first.replace(/\.tsx?$/, "");
}

/** Specifiers of all imports and re-exports, type-only ones included. */
export function importsOf(code: string): string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? "");
}

/** The code with comments blanked; strings and templates stay as they are. */
export function withoutComments(source: string): string {
  const pattern = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return source.replace(pattern, (found) => (found.startsWith("/") ? " " : found));
}
