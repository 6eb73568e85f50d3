// What a run has left as it was, and why: every such file or context is named with what to do, and stops nothing else.

import { Fault } from "../lib/fault.ts";
import { fileReason } from "../lib/reason-of.ts";

/** A file or context that was left. */
export interface Left {
  /** Path in the folder, or id of a context. */
  place: string;
  why: string;
  /** What to do about it. */
  hint: string;
  /** Code of the failure, where it came from the node. */
  code?: string;
  /** It is a link that is never followed, and no note is missing by it: nothing is to be done. */
  ignored?: true;
}

/** Failures that are about one document, and not about node, caller or disk. */
const OF_ONE: ReadonlySet<string> = new Set([
  ...["invalid_input", "too_large", "unsupported_media_type", "id_taken", "forbidden", "fence_stale"],
  ...["version_mismatch", "not_found", "deleted", "purged", "key_reused", "below_floor"],
]);

/** Returns what to report of a failure that is about one document. Throws every other one. */
export function leftBy(place: string, error: unknown): Left {
  if (error instanceof Fault && OF_ONE.has(error.code))
    return { place, why: error.message, hint: error.hint ?? "See the log of the node.", code: error.code };
  if (error instanceof Error && "code" in error && "syscall" in error && error.code !== "ENOSPC")
    return {
      place,
      why: fileReason(error),
      hint: "Correct the permissions or the name of the file, and run it again.",
    };
  throw error;
}
