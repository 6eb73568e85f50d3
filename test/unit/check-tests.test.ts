// The gate's rules for tests, each with a breach that it must find and with what it must leave alone.

import { expect, test } from "bun:test";
import { dirname } from "node:path";
import { checkTests, testProblems } from "../../scripts/check-tests.ts";
import { codeOnly, withoutComments } from "../../scripts/code-text.ts";

const root = dirname(dirname(import.meta.dir));
const PROMISE = "(Promise.reject(new Error())).rejects.toThrow()";

test.each([
  [`expect${PROMISE};`, 1],
  [`x();\nexpect${PROMISE};`, 1],
  [`if (x) expect${PROMISE};`, 1],
  [`for (const x of []) { expect${PROMISE}; }`, 1],
  [`void expect${PROMISE};`, 1],
  ["expect(\n  call({ a: [1] }),\n).not.resolves.toBe(1);", 1],
  ["// await\nexpect(call()).resolves.toBe(1);", 1],
  [`calls.forEach((call) => expect${PROMISE});`, 1],
  [`await Promise.all(calls.map((call) => expect${PROMISE}));`, 0],
  [`await expect${PROMISE};`, 0],
  [`await Promise.all([expect${PROMISE}, expect${PROMISE}]);`, 0],
  [`test("x", () => expect${PROMISE});`, 0],
  [`const later = expect${PROMISE};`, 0],
  [`return expect${PROMISE};`, 0],
  [`// expect${PROMISE};\nconst text = \`\${1} expect${PROMISE}\`;`, 0],
  ["expect(value).toBe(1);", 0],
] as const)("a promise that is not awaited: %j has %d", (source, count) => {
  expect(testProblems("a.test.ts", source)).toHaveLength(count);
});

test.each([
  ["test.only('x', () => {});", 1],
  ["describe\n  .only('x', () => {});", 1],
  ["test.each([1]).only('x', () => {});", 1],
  ["test.serial.only('x', () => {});", 1],
  ["const alone = test.only;", 1],
  ["only.test('x');", 0],
  ["// test.only('x')", 0],
] as const)("a test that runs alone: %j has %d", (source, count) => {
  expect(testProblems("a.test.ts", source)).toHaveLength(count);
});

test.each([
  ["test.skipIf(no())('x', () => {});", 1],
  ["test.skipIf(no())('x [needs root]', () => {});", 0],
  ["test\n  .skipIf(no(1, [2]))\n  .each([['a', 1]])('x %s', () => {});", 1],
  ["test\n  .skipIf(no(1, [2]))\n  .each([['a', 1]])('x %s [needs fish]', () => {});", 0],
  ["test.if(yes).each(['a'] as const)(\n  '%s',\n  () => {});", 1],
  [`describe.skipIf(no)(\`x [needs \${what(1, 2)}]\`, () => {});`, 0],
  ["test.skip('x', () => {});", 1],
  ["test.each([1]).skip('x', () => {});", 1],
  ["xtest('x', () => {});", 1],
  ["xdescribe('x [needs root]', () => {});", 0],
  ["test.todo('x [needs a clock to set]');", 0],
] as const)("a skip without a reason: %j has %d", (source, count) => {
  expect(testProblems("a.test.ts", source)).toHaveLength(count);
});

test("a problem names file and line", () => {
  expect(testProblems("test/unit/a.test.ts", `// First.\n\n  expect${PROMISE};\n`)[0]).toStartWith(
    "test/unit/a.test.ts:3: await",
  );
});

test("the tree keeps these rules", () => {
  expect(checkTests(root)).toEqual([]);
});

test("blanked code keeps every character in its place", () => {
  const source = [
    "const a = 'it\\'s'; // it's",
    "const b = /[\"'`/]/.exec(c) ?? d / e / f;",
    `const g = \`x \${h({ i: \`}\${'\`'}\` })} y\`;`,
    "/* (",
    " */ call(a)",
  ].join("\n");
  const lines = codeOnly(source).split("\n");
  expect(lines.map((line) => line.trimEnd())).toEqual([
    `const a = ${" ".repeat(7)};`,
    `const b = ${" ".repeat(8)}.exec(c) ?? d / e / f;`,
    `const g = ${" ".repeat(5)}h({ i: ${" ".repeat(9)} })${" ".repeat(4)};`,
    "",
    "    call(a)",
  ]);
  expect(lines.map((line) => line.length)).toEqual(source.split("\n").map((line) => line.length));
  expect(withoutComments(source).split("\n")[0]).toBe(`const a = 'it\\'s'; ${" ".repeat(7)}`);
});
