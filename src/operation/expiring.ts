// Rows that disappear by log time (replication.md 7). Readers and apply leave out a row from its time on
// (log/log-time.ts); this is the internal command that removes it for good. When one is proposed: expire-duty.ts.

import { z } from "zod";
import type { Changed } from "../log/log.ts";
import type { Reader, Writer } from "../store/store.ts";
import { type AnyWrite, type ApplyStamp, write } from "./define.ts";

/** Longest time until something expires, in seconds: ten years. */
export const MAX_EXPIRES_SECONDS = 10 * 365 * 86_400;

/** The argument for when something expires, in seconds from its write; 0: never. */
export const expiresIn = z.number().int().min(0).max(MAX_EXPIRES_SECONDS);

/** Returns `expires_at` in ms for a write at a log time; 0: never. Left out, it stays as it was `before`. */
export function expiresAt(seconds: number | undefined, timeMs: number, before: number): number {
  if (seconds === undefined) return before;
  return seconds === 0 ? 0 : timeMs + 1000 * seconds;
}

/** Most rows that one command should remove: an entry of the log is applied without a pause. */
export const MAX_EXPIRED = 64;

/** What one command removed. */
export interface Expired {
  /** Rows that were removed. The leader goes on until nothing is due, or this is 0. */
  removed: number;
  /** The changes that this is, in order from `stamp.seq` on; rows that no change row names have none. */
  changes: readonly Changed[];
}

/** The expiring rows of one table. */
export interface Expiring {
  /** The command. Where it makes changes, it is one of the writes of the feature's `changes`. */
  write: AnyWrite;
  /** Returns the earliest `expires_at` of all rows, in ms of log time, by an index; undefined: there is none. */
  due(reader: Reader): number | undefined;
}

/** What a feature says of expiring rows. */
export interface ExpiringRows extends Pick<Expiring, "due"> {
  /** Name of the command, such as `context_expire`. */
  name: string;
  /** Fleet level from which on there are such rows. */
  level: number;
  title: string;
  /**
   * Removes rows whose `expires_at` is at or before `stamp.timeMs`, in a fixed order, about MAX_EXPIRED at most. It may
   * be called when none is due.
   */
  expire(tx: Writer, stamp: ApplyStamp): Expired;
}

/** Makes the command of expiring rows. */
export function expiring({ name, level, title, due, expire }: ExpiringRows): Expiring {
  return {
    due,
    write: write({
      name,
      v: 1,
      level,
      internal: true,
      title,
      description: "Removes rows whose time is over by log time.",
      input: z.object({}),
      output: z.object({ removed: z.number().int() }),
      access: { verb: "admin", spaces: ["fleet"] },
      prepare: (input) => input,
      apply(tx, _command, stamp) {
        const { removed, changes } = expire(tx, stamp);
        return { output: { removed }, changes };
      },
    }),
  };
}
