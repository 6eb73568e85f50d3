// When backups are due: a cron expression in local time. `daily` is a minute of the night that depends on the maker id,
// so that the nodes of a fleet do not all copy at once.

import { Cron } from "croner";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";

/** When backups are due. */
export interface Schedule {
  /** The cron expression. */
  text: string;
  /** Returns the first time after `afterMs`, Unix time in ms. */
  next(afterMs: number): number;
}

/**
 * Parses the setting backup.schedule. Returns undefined for `off`. `zone` is for tests; the default is that of the
 * machine. Throws Fault `config_invalid`.
 */
export function parseSchedule(setting: string, maker: string, zone?: string): Schedule | undefined {
  if (setting === "off") return undefined;
  const text = setting === "daily" ? nightly(maker) : setting;
  let cron: Cron;
  try {
    // Paused: it is only asked when it would be due. Five parts: seconds make no sense for copies.
    cron = new Cron(text, { paused: true, mode: "5-part", ...(zone === undefined ? {} : { timezone: zone }) });
  } catch (cause) {
    throw invalid(setting, reasonOf(cause), cause);
  }
  const next = (afterMs: number): number => cron.nextRun(new Date(afterMs))?.getTime() ?? Number.POSITIVE_INFINITY;
  if (next(Date.now()) === Number.POSITIVE_INFINITY) throw invalid(setting, "it is never due");
  return { text, next };
}

/** Returns the cron expression of a minute between 1:00 and 4:59. */
function nightly(maker: string): string {
  const minute = Number.parseInt(sha256Hex(maker).slice(0, 8), 16) % 240;
  return `${minute % 60} ${1 + Math.floor(minute / 60)} * * *`;
}

function invalid(setting: string, reason: string, cause?: unknown): Fault {
  return new Fault(
    "config_invalid",
    `\`backup.schedule\` must be daily, off or a cron expression, got ${JSON.stringify(setting)}: ${reason}`,
    { hint: 'Write it as minute, hour, day, month and weekday, such as "0 3 * * *".', cause },
  );
}
