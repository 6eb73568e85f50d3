// How busy a machine is, as one number that compares machines of all kinds: whatever of it is scarcest counts.

import type { MachineFacts } from "./facts.ts";

/** How busy a machine is, in whole percent, and by what; the load of a machine may be more than 100. */
export interface Busy {
  percent: number;
  by: "load" | "cpu" | "cpu pressure" | "memory pressure" | "io pressure";
}

/** What is busier is as busy: a load beyond a thousand for each CPU says no more. */
const MAX_PERCENT = 100_000;

/** Returns the highest of what is known; undefined: nothing is. */
export function busyOf({ load, cores, cpuPercent, pressure = {} }: MachineFacts): Busy | undefined {
  const isMeasured = load !== undefined && cores !== undefined && cores > 0;
  const all: readonly [Busy["by"], number | undefined][] = [
    ["load", isMeasured ? (load / cores) * 100 : undefined],
    ["cpu", cpuPercent],
    ["cpu pressure", pressure.cpu],
    ["memory pressure", pressure.memory],
    ["io pressure", pressure.io],
  ];
  let found: Busy | undefined;
  for (const [by, share] of all) {
    const percent = Math.min(MAX_PERCENT, Math.round(share ?? -1));
    if (percent > (found?.percent ?? -1)) found = { by, percent };
  }
  return found;
}
