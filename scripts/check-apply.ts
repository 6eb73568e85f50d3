// Apply must be deterministic: the same entries give the same state on every node and in every replay. So the files
// that define commands, and all that they import, hold no clock, no randomness, no I/O and nothing that differs by
// machine.

import { codeOnly, lineAt, withoutComments } from "./code-text.ts";
import { importGraph, reachableFrom } from "./import-graph.ts";

interface Forbidden {
  what: string;
  pattern: RegExp;
}

/** Looked for in code without comments and literals. */
const FORBIDDEN: readonly Forbidden[] = [
  {
    what: "a clock",
    pattern:
      /\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bnew\s+Date\b(?!\s*\()|\bDate\s*\(\s*\)|[=(,]\s*Date\b(?!\s*[.(])|\bDate\s*\[|\bperformance\b|\bTemporal\s*\.\s*Now\b/g,
  },
  {
    what: "the time zone",
    pattern:
      /\.\s*(?:[gs]et(?:Hours|Minutes|Seconds|Milliseconds|Date|Day|Month|FullYear)|getTimezoneOffset|to(?:Date|Time)String)\b|\bnew\s+Date\s*\([^(),]*,/g,
  },
  {
    what: "randomness",
    pattern:
      /\bMath\s*\.\s*random\b|[=(,]\s*Math\b(?!\s*\.)|\bMath\s*\[|\bcrypto\b|\brandom(?:UUID|Bytes|Int)\b|\bgetRandomValues\b/g,
  },
  { what: "the network", pattern: /\bfetch\s*\(|\bWebSocket\b/g },
  { what: "a timer", pattern: /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/g },
  {
    what: "the process",
    pattern: /\bprocess\s*(?:\.|\[)|=\s*process\b|\bimport\s*\.\s*meta\b|\bnavigator\s*\./g,
  },
  { what: "Bun", pattern: /\bBun\s*(?:\.\s*\w+)*/g },
  { what: "the locale", pattern: /\bIntl\b|\.\s*toLocale\w+|\.\s*localeCompare\b/g },
  {
    what: "a function of Math that differs by machine",
    pattern: /\bMath\s*\.\s*(?:a?(?:sin|cos|tan)h?|atan2|exp|expm1|log|log2|log10|log1p|pow|cbrt|hypot)\b/g,
  },
];

/** Packages that only work on values. The last one is reached by schemas, which judge expressions before the log. */
const PURE_PACKAGES: readonly string[] = ["zod", "msgpackr", "@marcbachmann/cel-js"];

interface Exception {
  path: string;
  uses: string;
  why: string;
}

/** What is allowed although it looks like one of the above. */
const EXCEPTIONS: readonly Exception[] = [
  { path: "lib/sha256.ts", uses: "node:crypto", why: "a hash is a function of its bytes" },
  { path: "log/entry.ts", uses: "Bun.hash.crc32", why: "a checksum is a function of its bytes" },
  { path: "features/context/rows.ts", uses: "Bun.zstdDecompressSync", why: "decompression is a function of its bytes" },
];

/** An import of `write` from operation/define.ts, under whatever name. */
const IMPORTS_WRITE = /\{[^{}]*(?<!\btype\s+)\bwrite\b[^{}]*\}\s*from\s*["'][^"']*\bdefine\.ts["']/;
/** A method `apply` over a transaction, with its body. */
const APPLIES = /\bapply\s*\(\s*_?tx\b[^)]*\)\s*(?::[^={;]*)?\{/;

/** What runs after a command, and the rules on changes that it asks. */
const FOLLOWS = /\)\s*:\s*AfterChanges\s*\{|:\s*ChangeRule\s*=/;

/**
 * Paths of the files that hold apply code: those that define a command or what follows from its changes, and the batch
 * that runs them.
 */
export function applyFiles(sources: ReadonlyMap<string, string>): string[] {
  const defines = (code: string) =>
    APPLIES.test(code) || (/\bwrite\s*(?:<[^()]*>)?\s*\(\s*\{/.test(code) && /\bapply\s*[(:]/.test(code));
  return [...sources].flatMap(([path, source]) =>
    path === "log/apply-batch.ts" ||
    IMPORTS_WRITE.test(withoutComments(source)) ||
    defines(codeOnly(source)) ||
    FOLLOWS.test(codeOnly(source))
      ? [path]
      : [],
  );
}

/**
 * Names each use of a clock, of randomness or of I/O that apply code can reach; `sources` by path, relative to src/.
 */
export function applyProblems(sources: ReadonlyMap<string, string>): string[] {
  const reached = reachableFrom(applyFiles(sources), importGraph(sources, { types: false }));
  const wayTo = (path: string): string => {
    const from = reached.get(path);
    return from === undefined ? path : `${wayTo(from)} → ${path}`;
  };
  return [...reached.keys()].flatMap((path) =>
    usesIn(sources.get(path) ?? "")
      .filter(({ uses }) => !EXCEPTIONS.some((each) => each.path === path && each.uses === uses))
      .map(({ what, uses, line }) => `${path}:${line} uses ${what} (${uses}) in apply code: ${wayTo(path)}`),
  );
}

function usesIn(source: string): { what: string; uses: string; line: number }[] {
  const code = codeOnly(source);
  const found = FORBIDDEN.flatMap(({ what, pattern }) =>
    [...code.matchAll(pattern)].map((match) => ({
      what,
      uses: match[0].replaceAll(/\s/g, ""),
      line: lineAt(code, match.index),
    })),
  );
  const imports = /\b(?:from|import|require)\s*\(?\s*["'`]([@\w][\w@:/.-]*)["'`]/g;
  const packages = [...withoutComments(source).matchAll(imports)]
    .map((match) => ({ what: "a module", uses: match[1] ?? "", line: lineAt(source, match.index) }))
    .filter(({ uses }) => !PURE_PACKAGES.includes(uses));
  return [...found, ...packages];
}
