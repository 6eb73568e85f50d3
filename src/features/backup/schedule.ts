// When backups are due, by a cron text in local time. `daily` is a minute of the night that the maker's random id decides, so that the nodes of a fleet do not all copy at once.

import { Cron } from "croner";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { sha256Hex } from "../../lib/sha256.ts";

/** When the next one is due. */
export interface Schedule {
  /** As it is run: the cron text. */
  text: string;
  /** The first time after this one, Unix milliseconds. */
  next(afterMs: number): number;
}

/** Reads the setting backup.schedule; undefined for `off`. Fault `config_invalid`. `zone` is for tests; without it the machine's. */
export function parseSchedule(setting: string, maker: string, zone?: string): Schedule | undefined {
  if (setting === "off") return undefined;
  const text = setting === "daily" ? nightly(maker) : setting;
  const wrong = (why: string, cause?: unknown): Fault =>
    new Fault(
      "config_invalid",
      `backup.schedule should be daily, off or a cron text, and is ${JSON.stringify(setting)}: ${why}`,
      {
        hint: 'Give it as minute, hour, day, month and weekday, such as "0 3 * * *".',
        cause,
      },
    );
  let cron: Cron;
  try {
    // Paused, as it is only asked when it would fire. Seconds would be no rhythm for copies.
    cron = new Cron(text, { paused: true, mode: "5-part", ...(zone === undefined ? {} : { timezone: zone }) });
  } catch (cause) {
    throw wrong(reasonOf(cause), cause);
  }
  const next = (afterMs: number): number => cron.nextRun(new Date(afterMs))?.getTime() ?? Number.POSITIVE_INFINITY;
  if (next(Date.now()) === Number.POSITIVE_INFINITY) throw wrong("it is never due");
  return { text, next };
}

/** Between 1:00 and 4:59. */
function nightly(maker: string): string {
  const minute = Number.parseInt(sha256Hex(maker).slice(0, 8), 16) % 240;
  return `${minute % 60} ${1 + Math.floor(minute / 60)} * * *`;
}
