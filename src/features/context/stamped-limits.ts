// The limits that a write carries with it (replication.md 6): how much history stays and how many bytes a caller and a space may hold.

import { spaceOf } from "../../access/space.ts";
import type { WriteLimits } from "../../operation/define.ts";

export interface StampedLimits {
  /** Largest document in bytes, for writes whose text is made in apply. */
  documentBytes: number;
  /** Versions kept of the context; 0: all. */
  versions: number;
  /** Age in ms after which a version that is not the newest goes; 0: never. */
  ageMs: number;
  /** Bytes of kept versions by one caller; 0: no limit. */
  callerBytes: number;
  /** Bytes of kept versions in one space; 0: no limit. */
  spaceBytes: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** The limits that hold for a context of this id. */
export function stampedLimits(id: string, limits: WriteLimits): StampedLimits {
  const { history, quota } = limits;
  const space = spaceOf(id);
  const own = Object.hasOwn(history.spaces, space) ? history.spaces[space] : undefined;
  const { maxVersions, maxDays } = own ?? history;
  return {
    documentBytes: limits.maxDocumentBytes,
    versions: maxVersions,
    ageMs: maxDays * DAY_MS,
    callerBytes: quota.callerBytes,
    spaceBytes: quota.spaceBytes,
  };
}

/** The part of a command that its caller asked for (`asked` of its operation). */
export function requestedPart<C extends { keep: StampedLimits }>({ keep: _, ...asked }: C): Omit<C, "keep"> {
  return asked;
}
