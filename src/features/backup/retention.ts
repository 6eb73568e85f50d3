// Decides which backups are kept: the newest of each of the last days, weeks and months (UTC) that have one, and always
// the newest of all.

import { type BackupName, newestFirst } from "./backup-name.ts";

/** For how many days, weeks and months the newest backup is kept. */
export interface Retention {
  days: number;
  weeks: number;
  months: number;
}

const DAY_MS = 86_400_000;

/** Parses a rule such as `7d,4w,6m`, whose format the setting has checked. A unit that is not named counts as 0. */
export function parseRetention(rule: string): Retention {
  const count = (unit: string): number => Number(new RegExp(`(\\d+)${unit}`).exec(rule)?.[1] ?? 0);
  return { days: count("d"), weeks: count("w"), months: count("m") };
}

/** Returns the backups of one maker that no part of the rule keeps, newest first. */
export function surplusOf(backups: readonly BackupName[], keep: Retention): BackupName[] {
  const sorted = newestFirst(backups);
  const kept = new Set(sorted.slice(0, 1));
  const rules: [number, (atMs: number) => string][] = [
    [keep.days, (atMs) => String(Math.floor(atMs / DAY_MS))],
    // 1970 began on a Thursday; weeks begin on Monday.
    [keep.weeks, (atMs) => String(Math.floor((atMs / DAY_MS + 3) / 7))],
    [keep.months, (atMs) => new Date(atMs).toISOString().slice(0, 7)],
  ];
  for (const [count, periodOf] of rules) {
    const seen = new Set<string>();
    for (const backup of sorted) {
      const period = periodOf(backup.atMs);
      if (seen.has(period)) continue;
      if (seen.size >= count) break;
      seen.add(period);
      kept.add(backup);
    }
  }
  return sorted.filter((backup) => !kept.has(backup));
}
