// The mutants of a source as text, and their run over a small tree of which one line is tested and one is not.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyTree, MutantRuns, testsOf } from "../../scripts/mutant-runs.ts";
import { mutantsOf, sample } from "../../scripts/mutate-lines.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const changes = (source: string) => mutantsOf(source).map(({ line, from, to }) => `${line}: ${from} → ${to}`);

test("operators, defaults, truth values and lone refusals are changed, one at a time", () => {
  expect(changes("const a = b === c && d < e;")).toEqual(["1: === → !==", "1: && → ||", "1: < → <="]);
  expect(changes("f(x ?? 0, true);\nreturn n + 1 + 10;")).toEqual(["1: ?? 0 → ", "1: true → false", "2: + 1 → "]);
  const [swapped, removed] = mutantsOf('if (!isIn) throw new Error("x > y");\nMath.min(a, b);').toReversed();
  expect(swapped?.source).toBe('if (!isIn) throw new Error("x > y");\nMath.max(a, b);');
  expect(removed).toEqual({
    line: 1,
    from: 'if (!isIn) throw new Error("x > y");',
    to: "",
    source: "\nMath.min(a, b);",
  });
});

test("comments, literals, imports and types are left as they are", () => {
  expect(
    changes(
      '// a === b\nconst s = "a && b" + `a < b`;\nimport { a } from "./true.ts";\ntype T = Map<string, true>;\nlet m: Map<A, B>;',
    ),
  ).toEqual([]);
});

test("a sample is the same with the same seed, in order, and another with another", () => {
  const values = Array.from({ length: 100 }, (_, n) => n);
  const drawn = sample(values, 10, 7);
  expect(drawn).toHaveLength(10);
  expect(drawn).toEqual(drawn.toSorted((one, other) => one - other));
  expect(sample(values, 10, 7)).toEqual(drawn);
  expect(sample(values, 10, 8)).not.toEqual(drawn);
  expect(sample(values, Number.POSITIVE_INFINITY, 1)).toEqual(values);
});

test("what a test sees is killed, what none sees survives, and the tree is untouched", async () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "src"));
  mkdirSync(join(root, "test/unit"), { recursive: true });
  const source = "export const over = (n: number) => n > 2;\nexport const under = (n: number) => n < 2;\n";
  writeFileSync(join(root, "src/limits.ts"), source);
  const header = 'import { expect, test } from "bun:test";\nimport { over, under } from "../../src/limits.ts";\n';
  const limits = "expect([over(2), over(3), under(1), under(3)]).toEqual([false, true, true, false])";
  writeFileSync(join(root, "test/unit/limits.test.ts"), `${header}test("x", () => ${limits});`);
  writeFileSync(join(root, "test/unit/broken.test.ts"), `${header}test("x", () => expect(over(1)).toBe(true));`);
  writeFileSync(join(root, "test/unit/apart.test.ts"), "");
  using copy = copyTree(root);
  const tests = testsOf(copy.root, "src/limits.ts");
  expect(tests).toEqual(["test/unit/limits.test.ts", "test/unit/broken.test.ts"]);
  const runs = new MutantRuns(copy.root, "src/limits.ts");
  expect(await runs.begin(tests)).toEqual(["test/unit/broken.test.ts"]);
  const verdicts = [];
  for (const mutant of mutantsOf(source)) verdicts.push([mutant.line, await runs.judge(mutant, source)]);
  expect(verdicts).toEqual([
    [1, "killed"],
    [2, "survived"],
  ]);
  expect(readFileSync(join(root, "src/limits.ts"), "utf8")).toBe(source);
  expect(readFileSync(join(copy.root, "src/limits.ts"), "utf8")).toBe(source);
});

test("a test that names an export comes before one with fewer imports between", () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "src"));
  mkdirSync(join(root, "test/unit"), { recursive: true });
  writeFileSync(join(root, "src/limits.ts"), "export function over(n: number) {\n  return n > 2;\n}\n");
  writeFileSync(join(root, "src/user.ts"), 'import { over } from "./limits.ts";\nexport const used = over(3);\n');
  writeFileSync(join(root, "src/index.ts"), 'export { used } from "./user.ts";\nexport { over } from "./limits.ts";\n');
  writeFileSync(join(root, "test/unit/a.test.ts"), 'import { used } from "../../src/user.ts";\nused;\n');
  writeFileSync(join(root, "test/unit/b.test.ts"), 'import { over } from "../../src/index.ts";\nover(1);\n');
  expect(testsOf(root, "src/limits.ts")).toEqual(["test/unit/b.test.ts", "test/unit/a.test.ts"]);
});
