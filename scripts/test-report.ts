// The end of npm test: the table of parts with their times, what was slow, what failed, what was skipped and why,
// what took longer than planned, and the line of counts. Only text; scripts/test.ts prints it.

import type { Counts } from "./check.ts";

/** A part that has run. */
export interface PartResult {
  name: string;
  counts: Counts;
  seconds: number;
  /** The time that is planned for it. */
  budgetSeconds?: number | undefined;
  /** Its test files with their times. */
  files: readonly FileTime[];
}

/** How long one test file took. */
export interface FileTime {
  file: string;
  seconds: number;
}

/** The time that is planned for a whole run on two cores. */
export const BUDGET_SECONDS = 45 * 60;
/** So many of the slowest files are named. */
const SLOWEST = 10;

/**
 * Returns the lines of the end. `wallSeconds` is the time of the whole run: less than the sum where parts ran side by
 * side.
 */
export function reportLines(results: readonly PartResult[], wallSeconds: number): string[] {
  const total = addUp(results.map(({ counts }) => counts));
  const slow = slowestOf(results.flatMap(({ files }) => files));
  return [
    ...table(results, total, wallSeconds),
    ...(slow.length === 0
      ? []
      : ["", "Slowest files:", ...slow.map(({ file, seconds }) => `  ${time(seconds)}  ${file}`)]),
    ...(total.failures.length === 0 ? [] : ["", "Failed:", ...total.failures.map((name) => `  ${name}`)]),
    ...(total.skipped.length === 0
      ? []
      : ["", "Skipped:", ...total.skipped.map(({ name, why }) => `  ${name}: ${why}`)]),
    ...overBudget(results, wallSeconds),
    "",
    `${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`,
  ];
}

/** Returns the files that took longest, the slowest first. */
export function slowestOf(files: readonly FileTime[], most = SLOWEST): FileTime[] {
  return [...files].sort((first, second) => second.seconds - first.seconds).slice(0, most);
}

/** Returns the sum of counts. */
export function addUp(all: readonly Counts[]): Counts {
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    failures: all.flatMap(({ failures }) => failures),
    skipped: all.flatMap(({ skipped }) => skipped),
  };
}

function table(results: readonly PartResult[], total: Counts, wallSeconds: number): string[] {
  const sum = results.reduce((seconds, result) => seconds + result.seconds, 0);
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(18) : cell.padStart(11))).join("");
  const counted = ({ passed, failed, skipped }: Counts): string[] => [passed, failed, skipped.length].map(String);
  return [
    line(["", "passed", "failed", "skipped", "time", "share", "planned"]),
    ...results.map(({ name, counts, seconds, budgetSeconds }) =>
      line([
        name,
        ...counted(counts),
        time(seconds),
        `${Math.round((100 * seconds) / Math.max(sum, 0.001))} %`,
        budgetSeconds === undefined ? "" : time(budgetSeconds),
      ]),
    ),
    line(["all", ...counted(total), time(wallSeconds), "", time(BUDGET_SECONDS)]),
  ];
}

function overBudget(results: readonly PartResult[], wallSeconds: number): string[] {
  const parts = results.filter(({ seconds, budgetSeconds }) => budgetSeconds !== undefined && seconds > budgetSeconds);
  return [
    ...parts.map(
      ({ name, seconds, budgetSeconds = 0 }) => `${name} took ${time(seconds)}, ${time(budgetSeconds)} are planned`,
    ),
    ...(wallSeconds > BUDGET_SECONDS
      ? [
          `the whole run took ${time(wallSeconds)}, ${time(BUDGET_SECONDS)} are planned: make a part shorter, or move what is slow out`,
        ]
      : []),
  ].map((warning, at) => `${at === 0 ? "\n" : ""}Warning: ${warning}`);
}

/** Returns "12.3 s", or "4:05 min" from two minutes on. */
export function time(seconds: number): string {
  if (seconds < 119.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}
