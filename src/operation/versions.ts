// The versions of a write: each is one meaning of its command. A log keeps commands of every version that was ever
// proposed, so a build knows the earlier ones too (replication.md 8).

import { Fault } from "../lib/fault.ts";
import { levelOf } from "../log/level.ts";
import type { Reader } from "../store/store.ts";
import type { AnyWrite, EarlierVersion } from "./define.ts";

/** One version of a write, as apply runs it. */
export interface WriteVersion extends Pick<AnyWrite, "v" | "asked" | "apply" | "maxWork" | "work"> {
  /** The first version: idempotency keys are the same over all versions. */
  first: number;
}

/** Returns a version of a write; undefined for one that this build does not know. */
export function versionOf(operation: AnyWrite, v: number): WriteVersion | undefined {
  if (operation.v === v) return atVersion(operation, operation);
  const earlier = operation.earlier?.find((each) => each.v === v);
  return earlier && atVersion(operation, earlier);
}

/** Returns the newest version that may be proposed in a fleet of that level. Throws `unavailable` if there is none. */
export function versionAt(operation: AnyWrite, level: number): WriteVersion {
  if ((operation.level ?? 1) <= level) return atVersion(operation, operation);
  const earlier = operation.earlier?.find((each) => (each.level ?? 1) <= level);
  if (earlier !== undefined) return atVersion(operation, earlier);
  throw levelTooLow(operation.name, operation.level ?? 1, level);
}

/** Throws `unavailable` for a read of rows that stores have only from a level on. */
export function refuseBelowLevel(reader: Reader, needed: number, operation: string): void {
  const level = levelOf(reader);
  if (level < needed) throw levelTooLow(operation, needed, level);
}

/** Throws `unavailable` for an input that needs a higher level than the fleet has. */
export function refuseInputAbove(level: number, operation: AnyWrite, input: unknown): void {
  const needed = operation.needsLevel?.(input) ?? 1;
  if (needed > level) throw levelTooLow(`This call of ${operation.name}`, needed, level);
}

/** The fault of a call that needs a higher level than the fleet has. */
export function levelTooLow(what: string, needed: number, level: number): Fault {
  return new Fault("unavailable", `${what} needs fleet level ${needed}; the fleet has ${level}`, {
    hint: "Upgrade cairn on every full member; the level is then raised by itself.",
  });
}

function atVersion(
  operation: AnyWrite,
  // biome-ignore lint/suspicious/noExplicitAny: as AnyWrite
  { v, maxWork, apply = operation.apply }: EarlierVersion<any, any>,
): WriteVersion {
  return {
    ...{ v, apply, first: operation.earlier?.at(-1)?.v ?? operation.v },
    ...(operation.asked === undefined ? {} : { asked: operation.asked }),
    ...(operation.work === undefined ? {} : { work: operation.work }),
    ...(maxWork === undefined ? {} : { maxWork }),
  };
}
