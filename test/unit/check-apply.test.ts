// Apply code must be the same everywhere: the check finds what it may not reach, wherever that is imported.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { applyFiles, applyProblems } from "../../scripts/check-apply.ts";

const src = join(dirname(dirname(import.meta.dir)), "src");

function tree(): Map<string, string> {
  const files = [...new Bun.Glob("**/*.{ts,tsx}").scanSync({ cwd: src })];
  return new Map(files.map((file) => [file, readFileSync(join(src, file), "utf8")]));
}

const COMMAND =
  'import { stamp } from "./rows.ts";\nexport const put = write({ name: "put", apply(tx) { stamp(tx); } });';

/** A feature whose command calls into rows.ts, with that code there. */
function feature(rows: string, more: Record<string, string> = {}): Map<string, string> {
  return new Map(Object.entries({ "features/x/commands.ts": COMMAND, "features/x/rows.ts": rows, ...more }));
}

test("the files of apply are found, and the tree keeps the rule", () => {
  const found = applyFiles(tree());
  for (const file of [
    "put",
    "delete",
    "restore",
    "compaction",
    "import-versions",
    "many",
    "patch",
    "purge",
    "space-settings",
  ])
    expect(found).toContain(`features/context/${file}.ts`);
  for (const file of ["fleet/commands.ts", "fleet/join/join-command.ts", "fleet/join/ticket-command.ts"])
    expect(found).toContain(file);
  expect(found).toContain("log/apply-batch.ts");
  expect(found).not.toContain("operation/define.ts");
  expect(applyProblems(tree())).toEqual([]);
});

test.each([
  ["const now = Date.now();", "a clock (Date.now)"],
  ["const now = new Date().toISOString();", "a clock (newDate())"],
  ["const now = performance.now();", "a clock (performance)"],
  [`const id = \`v-\${Date.now()}\`;`, "a clock (Date.now)"],
  [`const id = \`\${\`\${Math.random()}\`}\`;`, "randomness (Math.random)"],
  ["const { now } = Date;", "a clock (=Date)"],
  ['const now = Date["now"]();', "a clock (=Date)"],
  ["const day = new Date(stamp.timeMs).getDate();", "the time zone (.getDate)"],
  ["const first = new Date(year, 0, 1);", "the time zone (newDate(year,)"],
  ["const { random } = Math;", "randomness (=Math)"],
  ["const { env } = process;", "the process (=process)"],
  ["const folder = import.meta.dir;", "the process (import.meta)"],
  ['const { readFileSync } = require("node:fs");', "a module (node:fs)"],
  ["const fs = await import(`node:fs`);", "a module (node:fs)"],
  ["const id = Math.random();", "randomness (Math.random)"],
  ["const id = crypto.randomUUID();", "randomness (crypto)"],
  ['await fetch("http://x");', "the network (fetch()"],
  ["setTimeout(() => {}, 5);", "a timer (setTimeout)"],
  ["if (process.platform === name) run();", "the process (process.)"],
  ["const text = Bun.file(path);", "Bun (Bun.file)"],
  ["ids.sort((a, b) => a.localeCompare(b));", "the locale (.localeCompare)"],
  ["const score = Math.log(count);", "a function of Math that differs by machine (Math.log)"],
  ['import { readFileSync } from "node:fs";', "a module (node:fs)"],
  ['import { connect } from "node:net";', "a module (node:net)"],
  ['import { randomBytes } from "node:crypto";', "a module (node:crypto)"],
  ['import { Database } from "bun:sqlite";', "a module (bun:sqlite)"],
] as const)("%s is found", (code, found) => {
  const problems = applyProblems(feature(`// Rows.\n${code}`));
  expect(problems).toContain(
    `features/x/rows.ts:2 uses ${found} in apply code: features/x/commands.ts → features/x/rows.ts`,
  );
});

test.each([
  "const then = new Date(stamp.timeMs).toISOString();",
  "// Date.now() would differ",
  'const words = "Math.random() and process.env";',
  'import type { Stats } from "../../lib/disk.ts";',
  'import { z } from "zod";',
  "const time = new Date(Date.UTC(2026, 0, 1)).toISOString();",
  `const words = \`Date.now() \${then} Math.random()\`;`,
  "const half = Math.floor(count / 2);",
])("%s is no breach", (code) => {
  expect(applyProblems(feature(code, { "lib/disk.ts": 'import "node:fs";' }))).toEqual([]);
});

test("a breach is found however far away it is, and not where apply does not reach", () => {
  const files = {
    "lib/ids.ts": 'export { newId } from "./random.ts";',
    "lib/random.ts": "export const newId = () => Math.random();",
    "features/x/schedule.ts": "export const due = () => Date.now();",
  };
  expect(applyProblems(feature('import { newId } from "../../lib/ids.ts";', files))).toEqual([
    "lib/random.ts:1 uses randomness (Math.random) in apply code: features/x/commands.ts → features/x/rows.ts → lib/ids.ts → lib/random.ts",
  ]);
});

test.each([
  ["generics", COMMAND.replace("write(", "write<I, O, C>(")],
  ["an apply from elsewhere", 'import { write } from "../../operation/define.ts";\nimport { apply } from "./rows.ts";'],
  ["another name", 'import { write as command } from "../../operation/define.ts";\nimport "./rows.ts";'],
  [
    "a factory",
    'import { make } from "./rows.ts";\nexport const put = make({ name: "put", apply(tx, { id }) { x(); } });',
  ],
  ["require", COMMAND.replace(/^import.*$/m, 'const { stamp } = require("./rows.ts");')],
])("a command is found in spite of %s", (_what, commands) => {
  expect(applyProblems(feature("Date.now();", { "features/x/commands.ts": commands }))).toHaveLength(1);
});

test.each([
  ["what follows from changes", "export function own(): AfterChanges {\n  return () => {};\n}"],
  ["a rule on changes", "export const mayRead: ChangeRule = () => true;"],
])("%s is code of apply", (_what, code) => {
  expect(
    applyProblems(feature("Date.now();", { "features/x/commands.ts": `import "./rows.ts";\n${code}` })),
  ).toHaveLength(1);
});

test("an exception is for one file and one use", () => {
  const hash = 'import { createHash, hash } from "node:crypto";';
  const rows = 'import { sha256Hex } from "../../lib/sha256.ts";';
  expect(applyProblems(feature(rows, { "lib/sha256.ts": hash }))).toEqual([]);
  expect(applyProblems(feature(rows, { "lib/sha256.ts": `${hash}\nBun.sleep(1);` }))).toHaveLength(1);
  expect(applyProblems(feature(hash))).toHaveLength(1);
});
