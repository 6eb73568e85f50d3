// Numbers as text: medians, spreads, the table of bench/RESULTS.md, and the machine on which it was made.

import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";

export interface Row {
  what: string;
  against: string;
  /** Median over the rounds with its unit, then minimum and maximum. */
  result: string;
  /** Undefined where there is none. */
  goal: string | undefined;
  met: boolean | undefined;
  /** A note that helps to read the row. */
  detail: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Returns `0.52 (0.49–0.55)`. */
export function spread(values: readonly number[], digits: number, unit = ""): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return `${median(values).toFixed(digits)}${unit} (${least}–${most})`;
}

/** Returns the table as Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ["what", "against", "median (least–most)", "goal", "", "beside"],
    ["---", "---", "---", "---", "---", "---"],
    ...rows.map((row) => [row.what, row.against, row.result, row.goal ?? "–", verdict(row.met), row.detail]),
  ];
  return cells.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function verdict(met: boolean | undefined): string {
  if (met === undefined) return "";
  return met ? "met" : "**missed**";
}

/** Returns the value below which that part (0 to 1) of the values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** Returns processor, memory and system in a line. */
export function machine(): string {
  const model = /^model name\s*: (.+)$/m.exec(readText("/proc/cpuinfo"))?.[1] ?? cpus()[0]?.model ?? arch();
  return `${cpus().length} × ${model}, ${(totalmem() / 1e9).toFixed(0)} GB, ${process.platform} ${release()} ${arch()}`;
}

/** Returns the load average of the last minute: how busy the machine was with other work. */
export function loadAverage(): string {
  return readText("/proc/loadavg").split(" ")[0] ?? "unknown";
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
