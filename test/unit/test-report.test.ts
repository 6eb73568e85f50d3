// The end of npm test: what somebody reads who has only the last lines of a log.

import { expect, test } from "bun:test";
import { type PartResult, reportLines, time } from "../../scripts/test-report.ts";

const part = (name: string, change: Partial<PartResult> = {}): PartResult => ({
  name,
  counts: { passed: 10, failed: 0, failures: [], skipped: [] },
  seconds: 30,
  budgetSeconds: 60,
  files: [],
  ...change,
});

test("each part has its counts, its time, its share and what is planned; the last line sums up", () => {
  const lines = reportLines(
    [
      part("build native", { counts: { passed: 0, failed: 0, failures: [], skipped: [] }, budgetSeconds: undefined }),
      part("unit", {
        counts: { passed: 9, failed: 1, failures: ["b.test.ts: adds"], skipped: [{ name: "a", why: "needs root" }] },
      }),
      part("system", { seconds: 540, budgetSeconds: 600 }),
    ],
    585,
  );
  expect(lines.map((line) => line.trimEnd().replaceAll(/ {2,}/g, " | "))).toEqual([
    " | passed | failed | skipped | time | share | planned",
    "build native | 0 | 0 | 0 | 30.0 s | 5 %",
    "unit | 9 | 1 | 1 | 30.0 s | 5 % | 60.0 s",
    "system | 10 | 0 | 0 | 9:00 min | 90 % | 10:00 min",
    "all | 19 | 1 | 1 | 9:45 min | 45:00 min",
    "",
    "Failed:",
    " | b.test.ts: adds",
    "",
    "Skipped:",
    " | a: needs root",
    "",
    "19 passed, 1 failed, 1 skipped",
  ]);
});

test("the slowest files of all parts are named, the slowest first", () => {
  const files = (count: number, prefix: string) =>
    Array.from({ length: count }, (_, at) => ({ file: `${prefix}${at}.test.ts`, seconds: at * 10 }));
  const lines = reportLines([part("unit", { files: files(3, "u") }), part("system", { files: files(20, "s") })], 60);
  const from = lines.indexOf("Slowest files:");
  expect(lines[from + 1]).toBe("  3:10 min  s19.test.ts");
  expect(lines.slice(from).indexOf("")).toBe(11);
});

test("a part, and the whole, that took longer than planned are warned of, and fail nothing", () => {
  const slow = reportLines(
    [part("unit", { seconds: 61 }), part("system", { seconds: 2_700, budgetSeconds: 2_700 })],
    2_701,
  );
  expect(slow.filter((line) => line.includes("Warning:")).map((line) => line.trim())).toEqual([
    "Warning: unit took 61.0 s, 60.0 s are planned",
    expect.stringContaining("Warning: the whole run took 45:01 min, 45:00 min are planned"),
  ]);
  expect(slow.at(-1)).toBe("20 passed, 0 failed, 0 skipped");
  expect(reportLines([part("unit", { seconds: 60 })], 2_700).join("\n")).not.toContain("Warning");
});

test.each([
  [0.04, "0.0 s"],
  [119.94, "119.9 s"],
  [119.96, "2:00 min"],
  [605, "10:05 min"],
] as const)("%d seconds are %s", (seconds, text) => {
  expect(time(seconds)).toBe(text);
});
