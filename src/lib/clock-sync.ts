// When the machine's time service set the clock last, as far as a file of it says so.

import { statSync } from "node:fs";

/** systemd-timesyncd touches it after each synchronisation (systemd-timesyncd.service(8)). */
const SYNCHRONIZED = "/run/systemd/timesync/synchronized";

/** Returns when the clock was last set from the network, in ms since 1970 by that clock; undefined where unknown. */
export function lastClockSyncMs(path = SYNCHRONIZED): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}
