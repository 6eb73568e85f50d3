// Log time as reads see it (replication.md 7): a row with `expires_at` is there in a state as long as the log time of
// that state is lower. What removes it later is operation/expiring.ts.

import type { Reader } from "../store/store.ts";

/** Returns the log time of the state that a reader sees, in ms. In apply it is `stamp.timeMs`. */
export function stateTimeMs(reader: Reader): number {
  return reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0;
}

/** Reports whether a row has expired at a log time. `expiresAt` is in ms; 0: never. */
export function isExpired(expiresAt: number, timeMs: number): boolean {
  return expiresAt !== 0 && expiresAt <= timeMs;
}
