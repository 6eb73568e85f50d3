// Which backups stay: the newest of each of so many days, weeks and months (UTC) that have one, and always the newest of all.

import { type BackupName, newestFirst } from "./names.ts";

/** How many days, weeks and months keep their newest backup. */
export interface Keep {
  days: number;
  weeks: number;
  months: number;
}

const DAY_MS = 86_400_000;

/** Reads a rule such as `7d,4w,6m`; what is not named keeps none. The setting's shape was checked. */
export function parseKeep(rule: string): Keep {
  const count = (unit: string): number => Number(new RegExp(`(\\d+)${unit}`).exec(rule)?.[1] ?? 0);
  return { days: count("d"), weeks: count("w"), months: count("m") };
}

/** Those of one maker's backups that no part of the rule keeps, the oldest last. */
export function surplusOf(backups: readonly BackupName[], keep: Keep): BackupName[] {
  const sorted = newestFirst(backups);
  const kept = new Set(sorted.slice(0, 1));
  const rules: [number, (atMs: number) => string][] = [
    [keep.days, (atMs) => String(Math.floor(atMs / DAY_MS))],
    // 1970 began on a Thursday; weeks begin on Monday.
    [keep.weeks, (atMs) => String(Math.floor((atMs / DAY_MS + 3) / 7))],
    [keep.months, (atMs) => new Date(atMs).toISOString().slice(0, 7)],
  ];
  for (const [count, spanOf] of rules) {
    const seen = new Set<string>();
    for (const backup of sorted) {
      const span = spanOf(backup.atMs);
      if (seen.has(span)) continue;
      if (seen.size >= count) break;
      seen.add(span);
      kept.add(backup);
    }
  }
  return sorted.filter((backup) => !kept.has(backup));
}
