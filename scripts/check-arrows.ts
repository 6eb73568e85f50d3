// Which folder of src/ may import which, that no files import each other in a circle, and which calls belong to one
// file alone. The table is the architecture: change it on purpose or not at all.

import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { applyProblems } from "./check-apply.ts";
import { withoutComments } from "./code-text.ts";
import { circlesOf, importGraph, importsOf } from "./import-graph.ts";

/**
 * Module → modules below it that it may import. A module is a folder of src/; `features/<name>` and `log/engine/<name>`
 * are modules of their own, and `features/*` is every feature. `main.ts` is the module `main`.
 */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  main: ["cli", "features/process"],
  cli: [
    ...["bridge", "simulate", "folder", "node", "membership", "datadir", "features", "features/*"],
    ...["fleet", "operation"],
    ...["store", "tailnet", "observe", "config", "lib"],
  ],
  bridge: ["datadir", "store", "tailnet", "observe", "config", "lib"],
  simulate: ["lib"],
  folder: ["features/*", "store", "lib"],
  node: [
    ...["membership", "datadir", "api", "mcp", "web", "features", "features/*", "fleet", "cache", "operation", "peer"],
    ...["access", "log", "log/engine/*", "store", "tailnet", "observe", "config", "lib"],
  ],
  membership: [
    ...[
      "datadir",
      "features",
      "features/*",
      "fleet",
      "cache",
      "operation",
      "peer",
      "access",
      "log",
      "log/engine/*",
      "store",
    ],
    ...["tailnet", "observe", "config", "lib"],
  ],
  datadir: [
    ...["features", "features/*", "fleet", "operation", "access", "log", "log/engine/*", "store", "tailnet", "observe"],
    ...["config", "lib"],
  ],
  api: ["operation", "access", "log", "lib"],
  mcp: ["operation", "access", "log", "observe", "lib"],
  web: ["page", "operation", "access", "lib"],
  features: ["features/*", "fleet", "cache", "operation", "access", "log", "store", "observe", "config", "lib"],
  // `process` is a mechanism and no feature.
  "features/*": ["features/process", "page", "operation", "peer", "access", "log", "store", "observe", "config", "lib"],
  cache: ["fleet", "operation", "peer", "access", "log", "store", "observe", "config", "lib"],
  fleet: ["page", "operation", "peer", "access", "log", "store", "tailnet", "observe", "config", "lib"],
  operation: ["peer", "access", "log", "store", "observe", "config", "lib"],
  page: ["lib"],
  peer: ["access", "observe", "lib"],
  access: ["store", "lib"],
  "log/engine/*": ["log", "store", "lib"],
  log: ["store", "lib"],
  store: ["lib"],
  tailnet: ["lib"],
  observe: ["lib"],
  config: ["lib"],
  lib: [],
};

/**
 * Modules that others enter only by their index; `cli` also by `commands.ts`, so that a command does not load the
 * feature with all that it is made of.
 */
const CLOSED: readonly string[] = [
  ...["bridge", "simulate", "folder", "node", "membership", "datadir", "api", "mcp", "web"],
  ...["features/*", "tailnet", "fleet"],
  "log/engine/*",
];

interface Reserved {
  what: string;
  pattern: RegExp;
  /** Files, or folders that end with `/`, where it may occur. */
  allowed: readonly string[];
}

/** Looked for in code without comments. */
export const RESERVED: readonly Reserved[] = [
  { what: "bun:ffi", pattern: /["'`]bun:ffi["'`]/, allowed: ["tailnet/", "lib/continuous-clock.ts"] },
  { what: "bun:sqlite", pattern: /["'`](?:bun|node):sqlite["'`]/, allowed: ["store/"] },
  {
    // The other rules look for `Bun.…`, and the arrows for literal paths.
    what: "Bun under another name",
    pattern: /\bfrom\s*["']bun["']|=\s*(?:globalThis\.)?Bun\s*[;,)]/,
    allowed: [],
  },
  {
    what: "an import whose path is computed",
    pattern: /(?<![.\w])import\s*\(\s*(?!["']|`[^`$]*`)|\brequire\s*\(\s*(?!["']|`[^`$]*`)/,
    allowed: [],
  },
  {
    // SQL runs in apply and in migrations, which give the same rows everywhere.
    what: "a clock or randomness in SQL",
    pattern:
      /\bCURRENT_(?:TIME|DATE|TIMESTAMP)\b|\b(?:unixepoch|julianday|randomblob)\s*\(|'now'|\b(?:SELECT|BY|VALUES|SET|WHERE|DEFAULT)\b[^;"`]*(?<![.\w])random\s*\(\s*\)/i,
    allowed: [],
  },
  {
    what: "Bun.serve",
    pattern: /\bBun\s*\.\s*(serve|listen)\b|["']node:(https?|http2|net|tls|dgram)["']/,
    // The transport of NATS begins TLS on a connection that the checked way out has opened.
    allowed: [
      ...["node/listeners/listen.ts", "node/tailnet/outbound-connection.ts"],
      "features/event/jetstream/transport.ts",
    ],
  },
  {
    what: "fsync",
    pattern: /\bf(?:data)?syncSync\b|\bf(?:data)?sync\s*(?:\(|[,}][^;"']*\bfrom\b)/,
    allowed: ["lib/atomic-file.ts"],
  },
  {
    what: "a sleep of its own",
    pattern:
      /\bBun\s*\.\s*sleep(?:Sync)?\b|(?:\bsetTimeout\b[^;]*|\bimport\s+(?:\w+|\*\s*as\s+\w+)\s+)\bfrom\s*["']node:timers\/promises["']|\bnew\s+Promise\b[^;]*=>\s*\{?\s*setTimeout\s*\(\s*\w+\s*,/,
    allowed: ["lib/pause.ts"],
  },
  { what: "a back-off by hand", pattern: /\b2 \*\* [a-zA-Z(]/, allowed: ["lib/retry.ts"] },
  {
    what: "a stream without back-pressure",
    pattern: /\bnew\s+(?:globalThis\.)?ReadableStream\b|\bReadableStream\s*\.\s*from\b/,
    allowed: ["lib/outlet.ts"],
  },
  {
    what: "a hash by hand",
    pattern: /\bcreateHash\b|\bCryptoHasher\b|\bsubtle\s*\.\s*digest\b|\bhash\b[^;]*\bfrom\s*["']node:crypto["']/,
    // The handshake of a WebSocket proves itself by SHA-1.
    allowed: ["lib/sha256.ts", "lib/dialed-socket.ts"],
  },
  {
    what: "the text of an error by hand",
    pattern: /\b([\w.]+) instanceof Error\s*\?\s*\1\.message\s*:\s*String\(/,
    allowed: ["lib/reason-of.ts"],
  },
  {
    what: "the test for an object by hand",
    pattern: /typeof (\S+) === "object" && \1 !== null && !Array\.isArray\(\1\)/,
    allowed: ["lib/json-object.ts", "lib/json-value.ts"],
  },
  {
    what: "the table meta",
    pattern: /\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:main\s*\.\s*)?["`[\\]*meta\b/i,
    allowed: ["log/meta.ts"],
  },
  {
    what: "a bare fetch(",
    pattern:
      /(?:\b(?:await|return|void|yield)|=>|[=(,:?|&[!])\s*(?:globalThis\.)?fetch\s*\(|(?:^|[;{}])\s*fetch\s*\((?!\s*(?:\w+\??\s*:|\)))|\bBun\s*\.\s*fetch\b|=\s*fetch\s*[;,)]/m,
    allowed: ["lib/direct-fetch.ts"],
  },
  {
    what: "an outgoing request",
    pattern: /\bfrom\s*["'][^"']*direct-fetch\.ts["']/,
    allowed: [
      ...["cli/client.ts", "bridge/endpoint.ts", "peer/link.ts", "node/tailnet/outbound.ts"],
      "features/service/loopback.ts",
      // Of the command line, where no node need run.
      "cli/upgrade/release.ts",
    ],
  },
  {
    what: "an outgoing WebSocket",
    pattern: /\bdialSocket\b|\bnew\s+(?:globalThis\.)?WebSocket\b/,
    allowed: ["lib/dialed-socket.ts", "peer/link.ts", "features/service/loopback.ts"],
  },
  {
    // Code decides by `facts`; `details` are what clients are shown.
    what: "the details of a fault",
    pattern:
      /(?<!\.\.)\.\s*details\b|\[\s*["']details["']\s*\]|\{[^{}]*\bdetails\b[^{}]*\}\s*(?::\s*Fault\b|=\s*\w*(?:[Ff]ault|[Ee]rror|[Cc]ause|\be|\berr)\b)/,
    allowed: ["lib/fault.ts", "lib/problem.ts", "api/problem.ts", "lib/failed-result.ts", "peer/fault-frame.ts"],
  },
  {
    // Other modules ask `Rights`, `Access` or `spaceAmong`.
    what: "the judgement of a grant or a glob",
    pattern:
      /\b(?:allows|allowsSomewhere|capAllows|globMatches|refusedPart)\b[^;"']*\bfrom\s*["'][^"']*access\/|["'][^"']*access\/glob\.ts["']|(?:\*[^;"']*\bfrom|\bimport\s*\()\s*["'][^"']*access\/|\bgrants\s*\??\.\s*(?:some|every|find|findIndex|filter|reduce)\s*\(|\bof\s+[\w.#]*\brights\.grants\s*\)/,
    allowed: ["access/"],
  },
];

/** What is wrong with one file; `path` is relative to src/. */
export function arrowProblems(path: string, source: string): string[] {
  const problems: string[] = [];
  const code = withoutComments(source);
  const module = moduleOf(path);
  for (const specifier of importsOf(code)) {
    if (!specifier.startsWith(".")) continue;
    const target = normalize(join(dirname(path), specifier));
    if (target.startsWith("..")) {
      if (target !== "../package.json") problems.push(`${path} imports ${specifier}, which lies outside src/`);
      continue;
    }
    const into = moduleOf(target);
    if (into === module) continue;
    const allowed = ARROWS[module] ?? ARROWS[familyOf(module)] ?? [];
    if (!allowed.includes(into) && !allowed.includes(familyOf(into)))
      problems.push(`${path} imports ${specifier}: ${module} may not import ${into}`);
    else if (
      (CLOSED.includes(into) || CLOSED.includes(familyOf(into))) &&
      target !== `${into}/index.ts` &&
      !(module === "cli" && target === `${into}/commands.ts`)
    )
      problems.push(`${path} imports ${specifier}: ${into} is entered by ${into}/index.ts`);
  }
  for (const { what, pattern, allowed } of RESERVED) {
    const found =
      pattern.test(code) && !allowed.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
    const owner = allowed.length === 0 ? "is refused everywhere" : `belongs to src/${allowed.join(" and src/")}`;
    if (found) problems.push(`${path} uses ${what}, which ${owner}`);
  }
  return problems;
}

/**
 * Names each circle of files that import each other, type-only imports included; `sources` by path, relative to src/.
 */
export function circleProblems(sources: ReadonlyMap<string, string>): string[] {
  return circlesOf(importGraph(sources)).map((circle) => `a circle of imports: ${[...circle, circle[0]].join(" → ")}`);
}

/** Checks every file of src/. */
export function checkArrows(root: string): string[] {
  const src = join(root, "src");
  const files = [...new Bun.Glob("**/*.{ts,tsx}").scanSync({ cwd: src })].sort();
  const sources = new Map(files.map((file) => [file, readFileSync(join(src, file), "utf8")]));
  return [
    ...[...sources].flatMap(([file, source]) => arrowProblems(file, source)),
    ...circleProblems(sources),
    ...applyProblems(sources),
    ...[...new Bun.Glob("**/*.sql").scanSync({ cwd: src })].flatMap((file) =>
      arrowProblems(file, readFileSync(join(src, file), "utf8")),
    ),
  ];
}

/** The module of a file of src/. */
function moduleOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] === "features" && parts.length > 2) return parts.slice(0, 2).join("/");
  if (parts[0] === "log" && parts[1] === "engine") return parts.slice(0, 3).join("/");
  return (parts[0] ?? "").replace(/\.tsx?$/, "");
}

/** `features/context` → `features/*`; other modules as they are. */
function familyOf(module: string): string {
  const parts = module.split("/");
  return parts.length === 1 ? module : [...parts.slice(0, -1), "*"].join("/");
}
