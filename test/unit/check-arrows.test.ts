// The gate's own rules: each must find what it is for, and nothing else.

import { describe, expect, test } from "bun:test";
import { dirname } from "node:path";
import { ARROWS, arrowProblems, checkArrows, circleProblems } from "../../scripts/check-arrows.ts";
import {
  anchorProblems,
  linkProblems,
  missingDocs,
  pathProblems,
  sourceProblems,
  wordProblems,
} from "../../scripts/check-docs.ts";

const root = dirname(dirname(import.meta.dir));

test.each([
  ["store/store.ts", 'import { x } from "../lib/fault.ts";', 0],
  ["store/store.ts", 'import { x } from "../features/context/index.ts";', 1],
  ["store/store.ts", 'import type { X } from "../features/context/index.ts";', 1],
  ["store/store.ts", 'export { x } from "../log/log.ts";', 1],
  ["lib/a.ts", 'const x = await import("../store/store.ts");', 1],
  ["lib/a.ts", "const x = await import(`../store/store.ts`);", 1],
  ["lib/a.ts", 'const x = require("../store/store.ts");', 1],
  ["lib/a.ts", "const x = await import(path);", 1],
  ["lib/a.ts", `const x = await import(\`../store/\${name}.ts\`);`, 1],
  ["lib/a.ts", "const x = this.import(path);", 0],
  ["lib/a.ts", '// import { x } from "../store/store.ts";', 0],
  ["lib/a.ts", '/* import { x } from "../store/store.ts"; */', 0],
  ["api/a.ts", 'import { x } from "../mcp/index.ts";', 1],
  ["mcp/a.ts", 'import { x } from "../features/context/index.ts";', 1],
  ["api/a.ts", 'import { x } from "../features/context/rows.ts";', 1],
  ["api/a.ts", 'import { x } from "../features/context/index.ts";', 1],
  ["store/store.ts", 'import { x } from "../../scripts/a.ts";', 1],
  ["log/history.ts", 'import { x } from "./engine/raft/applied-state.ts";', 1],
  ["fleet/commands.ts", 'import { x } from "../log/engine/raft/index.ts";', 1],
  ["datadir/a.ts", 'import { x } from "../log/engine/raft/index.ts";', 0],
  ["datadir/a.ts", 'import { x } from "../log/engine/raft/raft-log.ts";', 1],
  ["fleet/commands.ts", 'import { x } from "../log/meta.ts";', 0],
  ["cli/a.ts", 'const x = await import("../features/lease/commands.ts");', 0],
  ["cli/a.ts", 'const x = await import("../features/lease/rows.ts");', 1],
  ["node/a.ts", 'import { x } from "../features/lease/commands.ts";', 1],
  ["newfolder/a.ts", 'import { x } from "../lib/fault.ts";', 1],
] as const)("%s with %s has %d problems", (path, source, count) => {
  expect(arrowProblems(path, source)).toHaveLength(count);
});

test.each([
  ["tailnet/ffi.ts", 'import { dlopen } from "bun:ffi";', 0],
  ["node/a.ts", 'import { dlopen } from "bun:ffi";', 1],
  ["lib/continuous-clock.ts", 'import { dlopen } from "bun:ffi";', 0],
  ["lib/sleep-clock.ts", 'import { dlopen } from "bun:ffi";', 1],
  ["store/store.ts", 'import { Database } from "bun:sqlite";', 0],
  ["context/a.ts", 'import { Database } from "bun:sqlite";', 1],
  ["node/listeners/listen.ts", "Bun.serve({})", 0],
  ["api/a.ts", "Bun . serve({})", 1],
  ["api/a.ts", 'import { serve } from "bun";', 1],
  ["api/a.ts", "const { serve } = Bun;", 1],
  ["api/a.ts", 'import { connect } from "node:tls";', 1],
  ["api/a.ts", 'import { DatabaseSync } from "node:sqlite";', 1],
  ["api/a.ts", "await new Promise((resolve) => setTimeout(resolve, 5));", 1],
  ["api/a.ts", "await new Promise((resolve) => setTimeout(resolve));", 0],
  ["api/a.ts", 'import * as timers from "node:timers/promises";', 1],
  ["api/a.ts", "const waitMs = 2 ** failures * FIRST_MS;", 1],
  ["api/a.ts", "const mebibyte = 1024 ** 2 * 2 ** 10;", 0],
  ["api/a.ts", "return ReadableStream.from(parts);", 1],
  ["api/a.ts", 'import { hash } from "node:crypto";', 1],
  ["store/a.ts", 'import { fsync } from "node:fs";', 1],
  ["features/x/schema.sql", "CREATE TABLE a (time TEXT DEFAULT CURRENT_TIMESTAMP);", 1],
  ["features/x/a.ts", 'tx.run("UPDATE a SET time = unixepoch()");', 1],
  ["features/x/a.ts", "tx.run(\"UPDATE a SET time = datetime('now')\");", 1],
  ["features/x/a.ts", 'tx.all("SELECT id FROM a ORDER BY random()");', 1],
  ["features/x/a.ts", 'tx.all("SELECT id FROM a ORDER BY id"); const x = random();', 0],
  ["api/a.ts", 'import { createServer } from "node:http";', 1],
  ["api/a.ts", "const why = error instanceof Error ? error.message : String(error);", 1],
  ["api/a.ts", "const why = error instanceof Error ? error.stack : String(error);", 0],
  ["api/a.ts", 'typeof body === "object" && body !== null && !Array.isArray(body)', 1],
  ["api/a.ts", "await Bun.sleep(5);", 1],
  ["api/a.ts", 'import { setTimeout as pause } from "node:timers/promises";', 1],
  ["api/a.ts", 'import { setImmediate as nextTurn } from "node:timers/promises";\nsetTimeout(end, 5);', 0],
  ["api/a.ts", "const waitMs = Math.min(FIRST_MS * 2 ** failures, LAST_MS);", 1],
  ["api/a.ts", "const body = new ReadableStream({});", 1],
  ["lib/outlet.ts", "const body = new ReadableStream({});", 0],
  ["api/a.ts", 'import { createHash } from "node:crypto";', 1],
  ["store/a.ts", 'import { fsyncSync } from "node:fs";', 1],
  ["log/meta.ts", 'tx.run("UPDATE meta SET value = 1");', 0],
  ["log/level.ts", "reader.get(\"SELECT value FROM meta WHERE key = 'fleet_level'\")", 1],
  ["features/context/a.ts", 'tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES (1, 2)")', 1],
  ["fleet/a.ts", 'tx.run("DELETE\nFROM  meta")', 1],
  ["fleet/a.ts", 'tx.run(`DELETE FROM main."meta"`)', 1],
  ["fleet/a.ts", 'tx.run("DELETE FROM members") // FROM meta', 0],
  ["api/a.ts", "const answer = await fetch(url);", 1],
  ["api/a.ts", "return globalThis.fetch(url)", 1],
  ["api/a.ts", "await Promise.all([fetch(url)]);", 1],
  ["api/a.ts", "begin();\n  fetch(url).then(done);", 1],
  ["api/a.ts", "const get = fetch;", 1],
  ["api/a.ts", "await Bun.fetch(url);", 1],
  ["api/a.ts", "interface Surface {\n  fetch(request: Request): Promise<Response>;\n}", 0],
  ["api/a.ts", "run(() => fetch(url))", 1],
  ["api/a.ts", "const answer = await surface.fetch(request);", 0],
  ["api/a.ts", "async function fetch(request: Request) {}", 0],
  ["api/a.ts", "return { fetch: async (request) => app.fetch(request) }", 0],
  ["cli/client.ts", "await fetch(url)", 1],
  ["peer/link.ts", "dialSocket(dial)", 0],
  ["features/event/a.ts", "dialSocket(dial)", 1],
  ["web/a.ts", "new WebSocket(url)", 1],
  ["lib/direct-fetch.ts", "return fetch(url, { ...init, proxy: false });", 0],
  ["cli/client.ts", 'import { directFetch } from "../lib/direct-fetch.ts";', 0],
  ["features/backup/a.ts", 'import { directFetch } from "../../lib/direct-fetch.ts";', 1],
  ["operation/a.ts", 'if (error.details["outcome"] === "unknown") return;', 1],
  ["operation/a.ts", 'if (error["details"] !== undefined) return;', 1],
  ["operation/a.ts", "const { applied } = error.details;", 1],
  ["operation/a.ts", "new Fault(error.code, words, { details: { ...error\n  .details, index } })", 1],
  ["operation/a.ts", "function isFinal({ code, details }: Fault): boolean {}", 1],
  ["operation/a.ts", "const { code, details } = lastError;", 1],
  ["operation/a.ts", 'new Fault("unavailable", words, { facts, details: { limit } })', 0],
  ["cli/a.ts", "const { code, ...details } = body;", 0],
  ["api/problem.ts", 'const retryAfter = fault.details["retryAfterSeconds"];', 0],
  ["mcp/a.ts", 'import { allows } from "../access/rights.ts";', 1],
  ["mcp/a.ts", 'import {\n  type Rights,\n  refusedPart as why,\n} from "../access/rights.ts";', 1],
  ["cache/a.ts", 'import { globMatches } from "../access/glob.ts";', 1],
  ["cache/a.ts", 'import * as glob from "../access/glob.ts";', 1],
  ["cache/a.ts", 'import * as rights from "../access/rights.ts";', 1],
  ["cache/a.ts", 'const { allows } = await import("../access/rights.ts");', 1],
  ["web/a.ts", "for (const grant of caller.rights.grants) if (grant.role === role) return true;", 1],
  ["web/a.ts", "rights.grants?.some((grant) => grant.role === role)", 1],
  ["web/a.ts", "rights.grants.some((grant) => grant.role === role)", 1],
  ["access/a.ts", 'import { globMatches } from "./glob.ts";', 0],
  ["mcp/a.ts", 'import type { Rights } from "../access/rights.ts";', 0],
  ["mcp/a.ts", 'const allows = true;\nimport { spaceOf } from "../access/space.ts";', 0],
  ["web/a.ts", "whoami.grants.map((grant) => grant.role)", 0],
] as const)("reserved: %s with %s has %d problems", (path, source, count) => {
  expect(arrowProblems(path, source)).toHaveLength(count);
});

test("files that import each other in a circle are named, by types alone too", () => {
  const breach = new Map([
    ["store/store.ts", 'import { readerOf } from "./turns.ts";'],
    ["store/turns.ts", 'import type { Reader } from "./open.ts";'],
    ["store/open.ts", 'import { x } from "node:fs";\nexport type { Store } from "./store.ts";'],
    ["store/lock.ts", 'import { Store } from "./store.ts";'],
    ["features/context/a.ts", 'import { b } from "./b.ts"; // import "./c.ts"'],
    ["features/context/b.ts", 'import { c } from "./c.ts";'],
    ["features/context/c.ts", 'import { readerOf } from "../../store/turns.ts";'],
  ]);
  expect(circleProblems(breach)).toEqual([
    "a circle of imports: store/store.ts → store/turns.ts → store/open.ts → store/store.ts",
  ]);
  breach.set("store/open.ts", "");
  expect(circleProblems(breach)).toEqual([]);
  breach.set("features/context/c.ts", 'const a = await import("./a.ts");');
  expect(circleProblems(breach)).toHaveLength(1);
});

test("the table has no cycles", () => {
  const above = (folder: string, seen: readonly string[]): void => {
    if (seen.includes(folder)) throw new Error(`cycle: ${[...seen, folder].join(" → ")}`);
    for (const below of ARROWS[folder] ?? []) above(below, [...seen, folder]);
  };
  for (const folder of Object.keys(ARROWS)) above(folder, []);
});

test("the tree keeps its own arrows", () => {
  expect(checkArrows(root)).toEqual([]);
});

test("a file without a first comment, or too long, is named", () => {
  expect(sourceProblems("a.ts", "// What it is for.\nconst x = 1;\n")).toEqual([]);
  expect(sourceProblems("a.ts", "const x = 1;\n")).toHaveLength(1);
  expect(sourceProblems("a.ts", `// Long.\n${"x\n".repeat(449)}`)).toEqual([]);
  expect(sourceProblems("a.ts", `// Long.\n${"x\n".repeat(450)}`)).toHaveLength(1);
});

test("an export that another folder uses needs a doc comment", () => {
  const user = ["src/b/user.ts", 'import { type Thing, make } from "../a/thing.ts";'] as const;
  const bare = [
    "src/a/thing.ts",
    "export function* make() {}\nexport interface Thing {}\nexport const unused = 1;",
  ] as const;
  const documented = [
    "src/a/thing.ts",
    "/** Makes. */\nexport function make() {}\n/** A thing. */\n// biome-ignore lint/x: y\nexport interface Thing {}",
  ] as const;
  expect(missingDocs([user, bare])).toHaveLength(2);
  expect(missingDocs([user, documented])).toEqual([]);
});

test("words that mean nothing elsewhere are named with their line", () => {
  expect(wordProblems("a.ts", `// one\n// see /${"home"}/ann/x`)[0]).toStartWith("a.ts:2");
  expect(wordProblems("a.ts", `// ${"TO"}${"DO"} later`)).toHaveLength(1);
  expect(wordProblems("a.ts", `// as ${"issue"} 12 says`)).toHaveLength(1);
  expect(wordProblems("a.ts", "// GET /contexts answers 200; an issue of taste")).toEqual([]);
});

test("links of pages must lead somewhere", () => {
  expect(
    linkProblems(root, "README.md", "[a](package.json) [b](https://example.com) `../elsewhere/x.md` [c](nowhere.md)"),
  ).toEqual([
    "README.md points to nowhere.md, which is not there",
    "README.md points to ../elsewhere/x.md, which is not there",
  ]);
});

test("links to headings must lead to one", () => {
  const page = "# One page\n## 4. `a/b`: two, 3\n## Same\n## Same\n";
  const links =
    "[a](#4-ab-two-3) [b](#same-1) [c](#one-page) [d](docs/security.md#5-all-spaces-are-declared-the-gate-is-first)";
  expect(anchorProblems(root, "README.md", page + links)).toEqual([]);
  expect(anchorProblems(root, "README.md", `${page}[a](#same-2) [b](docs/security.md#5-nothing)`)).toEqual([
    "README.md:5 points to a heading #same-2, which is not there",
    "README.md:5 points to a heading docs/security.md#5-nothing, which is not there",
  ]);
  expect(linkProblems(root, "README.md", "[a]: docs/nowhere.md")).toHaveLength(1);
});

describe("paths in pages", () => {
  test.each([
    ["README.md", "`src/nowhere/x.ts`", "src/nowhere/x.ts"],
    ["README.md", "`docs/nowhere.md`", "docs/nowhere.md"],
    ["README.md", "`./docs/nowhere.md`", "./docs/nowhere.md"],
    ["README.md", "`src/nowhere/x.ts:12`", "src/nowhere/x.ts"],
    ["README.md", "`bun scripts/nowhere.ts`", "scripts/nowhere.ts"],
    ["src/fleet/DESIGN.md", "`nowhere/DESIGN.md`", "nowhere/DESIGN.md"],
    ["README.md", "`src/nowhere/`", "src/nowhere/"],
    ["docs/tables.md", "`test/unit/nowhere*.test.ts`", "test/unit/nowhere*.test.ts"],
    ["src/fleet/DESIGN.md", "`lead/nowhere.ts`", "lead/nowhere.ts"],
    ["native/DESIGN.md", "`raftlog/nowhere.go`", "raftlog/nowhere.go"],
  ])("%s must not name %s", (file, text, path) => {
    expect(pathProblems(root, file, `one\n${text}`)).toEqual([`${file}:2 names ${path}, which is not there`]);
  });

  test.each([
    ["README.md", "`src/main.ts` `docs/` `native/raftlog/logstore.go` `native/core/raft*.go` `src/features/<name>/`"],
    ["src/fleet/DESIGN.md", "`lead/plan.ts` `src/fleet/lead/plan.ts` `fleet/lead/plan.ts` `log/engine/*/index.ts`"],
    ["README.md", "`/openapi.json` `GET /docs/x` `raft/pending.json` `team-a/plan` src/nowhere.ts `a/b`"],
    ["README.md", "```\n`src/nowhere.ts`\n```"],
  ])("%s may say %s", (file, text) => {
    expect(pathProblems(root, file, text)).toEqual([]);
  });
});
