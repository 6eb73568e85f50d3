// When a probe is checked, and whether no one is to be told: by interval, by cron expressions in their zones, by
// windows.

import { Cron } from "croner";
import { sha256Hex } from "../../lib/sha256.ts";
import type { ProbeShape } from "./declared.ts";

const MINUTE_MS = 60_000;
/** Default seconds between checks while a probe is suspect. */
const RETRY_SECONDS = 10;

/** Returns when a probe is checked first after `nowMs`: spread by its name, so that not all run at once. */
export function firstCheck(name: string, probe: ProbeShape, nowMs: number): number {
  if (probe.schedule !== undefined) return nextOf(probe.schedule, nowMs);
  const share = Number.parseInt(sha256Hex(name).slice(0, 8), 16) / 0x1_0000_0000;
  return nowMs + Math.floor(share * Math.min(probe.interval, RETRY_SECONDS) * 1000);
}

/** Returns when it is checked next; sooner while it is suspect. */
export function nextCheck(probe: ProbeShape, isSuspect: boolean, nowMs: number): number {
  const regular = probe.schedule === undefined ? nowMs + probe.interval * 1000 : nextOf(probe.schedule, nowMs);
  if (!isSuspect) return regular;
  const { retry = Math.min(RETRY_SECONDS, probe.interval) } = probe;
  return Math.min(regular, nowMs + retry * 1000);
}

/** Reports whether a maintenance window of a probe is open. */
export function inMaintenance({ maintenance }: Pick<ProbeShape, "maintenance">, nowMs: number): boolean {
  return maintenance.some((window) => nextOf(window, nowMs - window.minutes * MINUTE_MS) <= nowMs);
}

/** Cron expressions by zone and pattern; as many as there are different ones among the declarations. */
const known = new Map<string, Cron>();
const MAX_KNOWN = 4096;

/** Returns the first instant of a pattern after `afterMs`. */
function nextOf({ pattern, timezone }: { pattern: string; timezone: string }, afterMs: number): number {
  const key = `${timezone} ${pattern}`;
  let cron = known.get(key);
  if (cron === undefined) {
    cron = new Cron(pattern, { paused: true, mode: "5-part", timezone });
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, cron);
  }
  return cron.nextRun(new Date(afterMs))?.getTime() ?? Number.POSITIVE_INFINITY;
}
