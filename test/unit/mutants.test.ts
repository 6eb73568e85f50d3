// The mutants of a source as text, and their run over a small tree of which one line is tested and one is not.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GoMutantRuns } from "../../scripts/go-mutant-runs.ts";
import { copyTree, MutantRuns } from "../../scripts/mutant-runs.ts";
import { acceptedMutants, reasonFor } from "../../scripts/mutants-accepted.ts";
import { mutantsOf, sample } from "../../scripts/mutate-lines.ts";
import { TestReach, testsOfLine } from "../../scripts/test-reach.ts";
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
    before: 'if (!isIn) throw new Error("x > y");',
    after: "",
    source: "\nMath.min(a, b);",
    at: 0,
    length: 36,
  });
});

test("comments, literals, imports and types are left as they are", () => {
  expect(
    changes(
      '// a === b\nconst s = "a && b" + `a < b`;\nimport { a } from "./true.ts";\ntype T = Map<string, true>;\nlet m: Map<A, B>;',
    ),
  ).toEqual([]);
});

test("Go has its own operators, and a condition that only leaves is never true", () => {
  const source = [
    "func f(a []int, b int) error {",
    '\tif err := g("a == b"); a == nil || err != nil {',
    "\t\treturn err",
    "\t}",
    "\tif err := g(`x`); err != nil {",
    "\t\treturn err",
    "\t}",
    "\treturn h(admin(b), min(b, a[b+1]+10))",
    "}",
  ].join("\n");
  const found = mutantsOf(source, "Go");
  expect(found.map(({ line, after }) => `${line}: ${after}`)).toEqual([
    '2: if err := g("a == b"); false && (a == nil || err != nil) {',
    '2: if err := g("a == b"); a != nil || err != nil {',
    '2: if err := g("a == b"); a == nil && err != nil {',
    '2: if err := g("a == b"); a == nil || err == nil {',
    "5: if err := g(`x`); err == nil {",
    "8: return h(admin(b), max(b, a[b+1]+10))",
    "8: return h(admin(b), min(b, a[b]+10))",
  ]);
  expect(found.every(({ before, line }) => before === source.split("\n")[line - 1]?.trim())).toBe(true);
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
  const runs = new MutantRuns(copy.root);
  const tests = runs.testsOf("src/limits.ts");
  expect(tests).toEqual(["test/unit/limits.test.ts", "test/unit/broken.test.ts"]);
  const { judge, failing } = await runs.begin("src/limits.ts", [1, 2]);
  expect(failing).toEqual(["test/unit/broken.test.ts"]);
  const verdicts = [];
  for (const mutant of mutantsOf(source)) verdicts.push([mutant.line, await judge(mutant)]);
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
  expect(new MutantRuns(root).testsOf("src/limits.ts")).toEqual(["test/unit/b.test.ts", "test/unit/a.test.ts"]);
  // The one with its name comes first, also behind the name of its folder.
  writeFileSync(join(root, "test/unit/c-limits.test.ts"), 'import { used } from "../../src/user.ts";\nused;\n');
  expect(new MutantRuns(root).testsOf("src/limits.ts")[0]).toBe("test/unit/c-limits.test.ts");
});

test("of tests that are equally near those of test/unit come first", () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "src"));
  writeFileSync(join(root, "src/limits.ts"), "export function over(n: number) {\n  return n > 2;\n}\n");
  for (const part of ["contract", "unit"]) {
    mkdirSync(join(root, "test", part), { recursive: true });
    writeFileSync(join(root, "test", part, "a.test.ts"), 'import { over } from "../../src/limits.ts";\nover(1);\n');
  }
  expect(new MutantRuns(root).testsOf("src/limits.ts")).toEqual(["test/unit/a.test.ts", "test/contract/a.test.ts"]);
});

test("a mutant is judged by the tests that run its line, however far away they are", async () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "src"));
  mkdirSync(join(root, "test/unit"), { recursive: true });
  const source = [
    "export function over(n: number) {",
    "  return n > 2;",
    "}",
    "export function under(n: number) {",
    "  return n < 2;",
    "}",
    "",
  ].join("\n");
  writeFileSync(join(root, "src/limits.ts"), source);
  writeFileSync(join(root, "src/user.ts"), 'import { over } from "./limits.ts";\nexport const used = () => over(2);\n');
  const test = 'import { expect, test } from "bun:test";\n';
  // Nearer ones, which run nothing of it that is changed.
  for (const name of ["a", "b", "c"])
    writeFileSync(
      join(root, `test/unit/${name}.test.ts`),
      `${test}import { over } from "../../src/limits.ts";\ntest("x", () => expect(over).toBeFunction());`,
    );
  const far = `${test}import { used } from "../../src/user.ts";\ntest("x", () => expect(used()).toBe(false));`;
  writeFileSync(join(root, "test/unit/z.test.ts"), far);
  const runs = new MutantRuns(root);
  expect(runs.testsOf("src/limits.ts").slice(0, 1)).toEqual(["test/unit/a.test.ts"]);
  const { judge, failing } = await runs.begin("src/limits.ts", [2, 5], 1);
  expect(failing).toEqual([]);
  const verdicts = [];
  for (const mutant of mutantsOf(source)) verdicts.push([mutant.line, await judge(mutant)]);
  expect(verdicts).toEqual([
    [2, "killed"],
    [5, "survived"],
  ]);
});

test("what a test runs is measured again when the test or the source has changed", async () => {
  const root = temporaryFolder();
  for (const [name, text] of Object.entries({ "a.ts": "a", "b.ts": "b", "x.test.ts": "x", "y.test.ts": "y" }))
    writeFileSync(join(root, name), text);
  const asked: string[] = [];
  const reach = () =>
    new TestReach(root, join(root, "kept"), async (test, flags) => {
      asked.push(test);
      const folder = flags.at(-1)?.replace("--coverage-dir=", "") ?? "";
      mkdirSync(folder, { recursive: true });
      const report = "TN:\nSF:a.ts\nDA:1,0\nDA:2,4\nend_of_record\nSF:gone.ts\nDA:1,1\nend_of_record\n";
      writeFileSync(join(folder, "lcov.info"), report);
      return test !== "y.test.ts";
    });
  const tests = ["x.test.ts", "y.test.ts"];
  const a = { known: new Set([1, 2]), ran: new Set([2]) };
  expect(await reach().of("a.ts", tests)).toEqual(new Map([["x.test.ts", a]]));
  expect(asked.splice(0)).toEqual(["x.test.ts", "y.test.ts"]);
  // A test that failed is asked again, the other one not, also for a source that it does not load.
  expect(await reach().of("a.ts", tests)).toEqual(new Map([["x.test.ts", a]]));
  expect(asked.splice(0)).toEqual(["y.test.ts"]);
  expect(await reach().of("b.ts", ["x.test.ts"])).toEqual(
    new Map([["x.test.ts", { known: new Set(), ran: new Set() }]]),
  );
  expect(asked.splice(0)).toEqual(["x.test.ts"]);
  expect((await reach().of("b.ts", ["x.test.ts"])).size).toBe(1);
  expect(asked.splice(0)).toEqual([]);
  for (const changed of ["b.ts", "x.test.ts"]) {
    writeFileSync(join(root, changed), "other");
    await reach().of("b.ts", ["x.test.ts"]);
    expect(asked.splice(0)).toEqual(["x.test.ts"]);
  }
});

test("a line that coverage does not know belongs to the one before it", () => {
  const reach = new Map([
    ["x", { known: new Set([1, 3]), ran: new Set([1]) }],
    ["y", { known: new Set([1, 3]), ran: new Set([1, 3]) }],
  ]);
  expect([1, 2, 3, 4].map((line) => testsOfLine(reach, ["x", "y"], line))).toEqual([
    ["x", "y"],
    ["x", "y"],
    ["y"],
    ["y"],
  ]);
  expect(testsOfLine(new Map(), ["x"], 1)).toEqual([]);
});

test("a mutant that loops for ever is late, and what it started is ended", async () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "src"));
  mkdirSync(join(root, "test/unit"), { recursive: true });
  const body = "  for (let at = 0; ; at += 1) {\n    if (at === n) return at;\n  }\n";
  writeFileSync(join(root, "src/count.ts"), `export function count(n: number) {\n${body}}\n`);
  const header = 'import { expect, test } from "bun:test";\nimport { count } from "../../src/count.ts";\n';
  writeFileSync(join(root, "test/unit/count.test.ts"), `${header}test("x", () => expect(count(3)).toBe(3));`);
  const { judge } = await new MutantRuns(root, 2_000).begin("src/count.ts", [2, 3]);
  const [mutant] = mutantsOf(readFileSync(join(root, "src/count.ts"), "utf8")).filter(({ after }) => after === "");
  if (mutant === undefined) throw new Error("the lone return is no mutant");
  expect(await judge(mutant)).toBe("timed out");
});

const goSource = `package limits

import "slices"

func Over(n int) bool { return n > 2 }

func Count(n int) int {
\tfor at := 0; ; at++ {
\t\tif at == n {
\t\t\treturn at
\t\t}
\t}
}

func Unseen(n int) bool { return n < 2 }

func Later(n int) (func() int, bool) {
\treturn func() int {
\t\treturn n
\t}, true
}

func Pair(a, b int) [2]int { return [1 + 1]int{a, b} }

func Within(n int, all []int) bool {
\treturn n == 0 || len(all) < 3 && slices.ContainsFunc(all, func(one int) bool {
\t\tif one > n {
\t\t\treturn false
\t\t}
\t\treturn one+1 > n
\t}) // "both"
}

type Answer bool

// No switch has this type: it is built alone.
func Typed(n int) Answer { return n > 2 }
`;
const goTests = `package limits

import "testing"

func TestOver(t *testing.T) {
\tif Over(2) || !Over(3) {
\t\tt.Error("wrong")
\t}
}

func TestLater(t *testing.T) {
\tif _, ok := Later(3); !ok {
\t\tt.Error("wrong")
\t}
}

func TestCount(t *testing.T) {
\tif Count(3) != 3 {
\t\tt.Error("wrong")
\t}
}

func TestWithin(t *testing.T) {
\tif !Within(0, nil) || Within(1, nil) || !Within(1, []int{1}) || Within(1, []int{2}) || Within(1, []int{1, 2, 3}) {
\t\tt.Error("wrong")
\t}
}

func TestTyped(t *testing.T) {
\tif Typed(2) {
\t\tt.Error("wrong")
\t}
}

func TestBroken(t *testing.T) {
\tif Over(3) {
\t\tt.Error("wrong")
\t}
}
`;

test.skipIf(Bun.which("go") === null)(
  "mutants of Go: seen, not seen, without end, without a build [needs Go]",
  async () => {
    const root = temporaryFolder();
    const folder = join(root, "native/limits");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(root, "native/go.mod"), "module example.test/native\n\ngo 1.26\n");
    writeFileSync(join(folder, "limits.go"), goSource);
    writeFileSync(join(folder, "limits_test.go"), goTests);
    const { runs, failing } = await GoMutantRuns.begin(root, "native/limits", 2_000);
    expect(failing).toEqual(["TestBroken"]);
    const judge = runs.judge("native/limits/limits.go");
    const verdicts = [];
    for (const mutant of mutantsOf(goSource, "Go")) verdicts.push([mutant.line, mutant.to, await judge(mutant)]);
    expect(verdicts).toEqual([
      [5, ">=", "killed"],
      [9, "false && (at == n)", "timed out"],
      [9, "!=", "killed"],
      [15, "<=", "survived"],
      [20, "false", "killed"],
      [23, "", "no build"],
      [26, "!=", "killed"],
      [26, "&&", "killed"],
      [26, "<=", "killed"],
      [26, "||", "killed"],
      [27, "false && (one > n)", "killed"],
      [27, ">=", "killed"],
      [28, "true", "killed"],
      [30, "", "killed"],
      [30, ">=", "survived"],
      [37, ">=", "killed"],
    ]);
    expect(readFileSync(join(folder, "limits.go"), "utf8")).toBe(goSource);
  },
  // It builds five programs.
  240_000,
);

test("accepted mutants have a reason and fit a line of their source", () => {
  const root = join(import.meta.dir, "../..");
  const stale = Object.entries(acceptedMutants(root)).flatMap(([source, entries]) => {
    const found = mutantsOf(readFileSync(join(root, source), "utf8"), source.endsWith(".go") ? "Go" : "TypeScript");
    return entries.flatMap(({ before, after, reason }) => {
      const isFound = (text: string) => found.some((mutant) => mutant.before === before && mutant.after === text);
      return reason !== "" && [after].flat().every(isFound) ? [] : [`${source}: ${before}`];
    });
  });
  expect(stale).toEqual([]);
});

test("an accepted mutant is known by its line before and after", () => {
  const [mutant] = mutantsOf("const isOver = n > 2;");
  if (mutant === undefined) throw new Error("no mutant");
  const accept = (before: string, after: string | string[]) => ({ "a.ts": [{ before, after, reason: "why" }] });
  expect(reasonFor(accept("const isOver = n > 2;", "const isOver = n >= 2;"), "a.ts", mutant)).toBe("why");
  expect(reasonFor(accept("const isOver = n > 2;", ["", "const isOver = n >= 2;"]), "a.ts", mutant)).toBe("why");
  expect(reasonFor(accept("const isOver = n > 2;", "const isOver = n >= 2;"), "b.ts", mutant)).toBeUndefined();
  expect(reasonFor(accept("const isOver = n > 2;", "const isOver = n < 2;"), "a.ts", mutant)).toBeUndefined();
  expect(reasonFor(accept("const isOver = n > 3;", "const isOver = n >= 2;"), "a.ts", mutant)).toBeUndefined();
});
