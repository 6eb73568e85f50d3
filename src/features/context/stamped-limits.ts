// The limits that a node stamps into each write, as the member `keep` of the command (replication.md 6): apply must not
// depend on the settings of the node that runs it.

import { spaceOf } from "../../access/space.ts";
import type { WriteLimits } from "../../operation/define.ts";
import type { BriefReading } from "../../operation/reading.ts";

/** Limits on the document, its history, and the bytes of a caller and of a space. */
export interface StampedLimits {
  /** Largest document in bytes, for writes whose text is made in apply (patches). */
  documentBytes: number;
  /** How many versions of the context are kept; 0: all. */
  versions: number;
  /** Age in ms after which a version is removed, unless it is the newest; 0: never. */
  ageMs: number;
  /**
   * The two limits above apply to the history as it was so many ms ago; what is newer is kept. Left out below fleet
   * level 3, and where it is 0: they apply to the whole history.
   */
  keptMs?: number;
  /** Most bytes of kept versions by one caller; 0: no limit. */
  callerBytes: number;
  /** Most bytes of kept versions in one space; 0: no limit. */
  spaceBytes: number;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** Returns the limits for a context: those of its space, else those of the node. */
export function stampedLimits(id: string, limits: WriteLimits): StampedLimits {
  const { history, quota } = limits;
  const space = spaceOf(id);
  const own = Object.hasOwn(history.spaces, space) ? history.spaces[space] : undefined;
  const { maxVersions, maxDays, keepHours } = own ?? history;
  return {
    documentBytes: limits.maxDocumentBytes,
    versions: maxVersions,
    ageMs: maxDays * DAY_MS,
    ...(keepHours === 0 ? {} : { keptMs: keepHours * HOUR_MS }),
    callerBytes: quota.callerBytes,
    spaceBytes: quota.spaceBytes,
  };
}

/**
 * Returns a command without its stamped limits and what it says of its caller, for the fingerprints of keys from before
 * `inputHash` (`asked`).
 */
export function requestedPart<C extends { keep: StampedLimits } & BriefReading>(
  command: C,
): Omit<C, "keep" | "reading"> {
  const { keep: _, reading: __, ...asked } = command;
  return asked;
}
