// Spaces: the part of an id that rights apply to, the reserved names, and how a list of globs matches a space.
// What a whole id may look like is up to the feature that stores it.

import { globMatches } from "./glob.ts";

/**
 * Stands for the whole store among the spaces that an operation touches: only a grant with the glob `*` matches it. For
 * what shows or does something of all spaces at once, such as backups.
 */
export const ALL_SPACES = "*";

/** Returns the space of an id: the part before the first `/`, or `default` where there is none. */
export function spaceOf(id: string): string {
  const slash = id.indexOf("/");
  return slash < 0 ? "default" : id.slice(0, slash);
}

/**
 * Reports whether a space is reserved: `fleet`, in any case, and names that start with `_`.
 * No glob matches a reserved space, and writing one needs the role admin.
 */
export function isReservedSpace(space: string): boolean {
  return space.startsWith("_") || space.toLowerCase() === "fleet";
}

/** Reports whether a space is among names and globs; a reserved space only by its literal name. */
export function spaceAmong(globs: readonly string[], space: string): boolean {
  return isReservedSpace(space) ? globs.includes(space) : globs.some((glob) => globMatches(glob, space));
}
