// The three-way rule: what a sync does with one note, from what the file was at the last sync, what it is now, and what
// the context is now. A change wins over a deletion, and of two changes none is lost.

/** The note at the last sync. */
export interface Base {
  digest: string;
  version: number;
}

/** The context now. */
export interface There {
  digest: string;
  version: number;
}

/**
 * `adopt`: both are the same, and only the state is older. `create`: a context for the file. `push`, `pull`: the next
 * version, the file. `conflict`: both changed.
 */
export type Action =
  | "none"
  | "adopt"
  | "forget"
  | "create"
  | "push"
  | "pull"
  | "delete-here"
  | "delete-there"
  | "conflict";

/** Returns what to do. `here`: the digest of the file; undefined: there is none. */
export function decide(base: Base | undefined, here: string | undefined, there: There | undefined): Action {
  if (base === undefined) {
    if (here === undefined) return there === undefined ? "none" : "pull";
    if (there === undefined) return "create";
    return here === there.digest ? "adopt" : "conflict";
  }
  if (there === undefined) {
    if (here === undefined) return "forget";
    return here === base.digest ? "delete-here" : "create";
  }
  // An older version than that of the last sync is that of a node which has not caught up.
  const isNewer = there.version > base.version;
  const isChanged = isNewer && there.digest !== base.digest;
  if (here === undefined) return isChanged ? "pull" : "delete-there";
  if (isChanged) return here === there.digest ? "adopt" : here === base.digest ? "pull" : "conflict";
  if (here === base.digest) return isNewer ? "adopt" : "none";
  return "push";
}
