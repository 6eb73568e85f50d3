// The limit on the length of functions is biome's own rule; this shows that biome.json turns it on, and how an
// exception is written.

import { expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = dirname(dirname(import.meta.dir));
const RULE = "lint/complexity/noExcessiveLinesPerFunction";

interface Report {
  diagnostics: { category: string; location: { path: string } }[];
}

/** Names the files for which biome reports the rule, in a folder that has only them and our biome.json. */
async function refused(files: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-functions-"));
  try {
    cpSync(join(root, "biome.json"), join(folder, "biome.json"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const biome = join(root, "node_modules", ".bin", "biome");
    const child = Bun.spawn([biome, "lint", "--reporter=json", "--max-diagnostics=none"], {
      cwd: folder,
      stderr: "ignore",
    });
    const report = JSON.parse(await new Response(child.stdout).text()) as Report;
    return report.diagnostics
      .filter(({ category }) => category === RULE)
      .map(({ location }) => location.path)
      .sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const ofLines = (count: number): string =>
  ["export function planted(): void {", ...Array.from({ length: count }, (_, at) => `  call(${at});`), "}", ""].join(
    "\n",
  );

test("a function with more than 60 lines is refused in src/ and scripts/, not in tests", async () => {
  expect(
    await refused({
      "src/lib/planted.ts": ofLines(61),
      "scripts/planted.ts": ofLines(61),
      "test/unit/planted.test.ts": ofLines(61),
      "src/lib/allowed.ts": ofLines(60),
    }),
  ).toEqual(["scripts/planted.ts", "src/lib/planted.ts"]);
});

test("the line above can say why a function is longer", async () => {
  expect(await refused({ "src/lib/planted.ts": `// biome-ignore ${RULE}: one table\n${ofLines(61)}` })).toEqual([]);
});
