// A log with some of its methods replaced, for example to simulate a leadership that comes and goes.

import type { Log } from "../../src/log/log.ts";

/** Returns `log` with these methods in place of its own; the others still run on the log itself. */
export function logWith(log: Log, replaced: Partial<Log>): Log {
  return new Proxy(log, {
    get(target, name: keyof Log) {
      const own = replaced[name];
      if (own !== undefined) return own;
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
