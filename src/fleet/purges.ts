// Where purged texts still are, by the beats of all members (security.md 23). Pure: the caller supplies the facts.

import { type BeatsView, beatOf } from "./beats/beats.ts";
import type { Member } from "./rows.ts";

export interface PurgeFacts extends Pick<BeatsView, "own" | "received" | "isAway"> {
  self: string;
  members: readonly Member[];
}

/** Returns the members whose disks may still hold a purged text, as a text; undefined where there is none. */
export function pendingErasures(facts: PurgeFacts): string | undefined {
  const purged = newestPurge(facts);
  const pending = facts.members.flatMap((member) => {
    const beat = beatOf(facts, member.node);
    if (purged === 0 || (beat?.erased ?? -1) >= purged) return [];
    if (member.node !== facts.self && facts.isAway(member.node)) return `${member.name} (away)`;
    return beat !== undefined && beat.erased === undefined ? `${member.name} (needs a newer version)` : member.name;
  });
  return pending.length === 0 ? undefined : `Pending on ${pending.join(", ")}`;
}

/**
 * Returns what members keep from before the newest purge, as a text; undefined where there is nothing. A backup in a
 * bucket that several members use is named once.
 */
export function keptFromBefore(facts: PurgeFacts): string | undefined {
  const inBuckets = new Set<string>();
  const isNew = (name: string): boolean => {
    if (!name.startsWith("bucket/cairn-")) return true;
    const isKnown = inBuckets.has(name);
    inBuckets.add(name);
    return !isKnown;
  };
  const kept = facts.members.flatMap((member) => {
    const names = (beatOf(facts, member.node)?.kept ?? []).filter(isNew);
    return names.length === 0 ? [] : `${member.name}: ${names.join(", ")}`;
  });
  return kept.length === 0 ? undefined : `From before the last purge: ${kept.join("; ")}`;
}

/** Returns the seq of the newest purge that any member knows; 0: none. */
export function newestPurge(facts: PurgeFacts): number {
  return Math.max(0, ...facts.members.map((member) => beatOf(facts, member.node)?.purged ?? 0));
}
