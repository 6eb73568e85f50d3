// If-Match and If-None-Match of writes: the argument, its form in commands, and the check in apply (RFC 9110 13.2.2).

import { z } from "zod";
import { matchesStrongly, matchesWeakly, parseCondition, type Tag } from "../../lib/etag.ts";
import { Fault } from "../../lib/fault.ts";
import { etagOf } from "./context-etag.ts";
import type { ContextRow } from "./rows.ts";

/** The argument `if_match`. */
export const ifMatch = z
  .string()
  .min(1)
  .max(4096)
  .optional()
  .describe(
    "Write only if the context still has this etag (or one of a list; * = if it exists). Take it from your last read.",
  );

/** The conditions of a write in its command; null: none. */
export interface Conditions {
  if_match: "*" | Tag[] | null;
  if_none_match: "*" | Tag[] | null;
}

/** Parses the conditions of a write. Throws `invalid_input`. */
export function conditionsOf(input: { if_match?: string | undefined; if_none_match?: string | undefined }): Conditions {
  return {
    if_match: input.if_match === undefined ? null : parseCondition(input.if_match, "if_match"),
    if_none_match: input.if_none_match === undefined ? null : parseCondition(input.if_none_match, "if_none_match"),
  };
}

/** Checks If-Match, then If-None-Match; a tombstone has no etag. Throws `version_mismatch` with the current etag. */
export function checkConditions(conditions: Conditions, head: ContextRow | undefined): void {
  const current = head === undefined || head.deleted !== 0 ? undefined : etagOf(head.version, head.hash);
  const stale = conditions.if_match !== null && !matchesStrongly(conditions.if_match, current);
  const taken = conditions.if_none_match !== null && matchesWeakly(conditions.if_none_match, current);
  if (!stale && !taken) return;
  const found = current === undefined ? "it does not exist" : `its etag is ${current} now`;
  throw new Fault("version_mismatch", `The context was not written: ${found}`, {
    hint:
      current === undefined
        ? "Create it with if_none_match *."
        : "Read it again, merge your change, then write with the new etag.",
    details: current === undefined ? {} : { etag: current, version: head?.version },
  });
}
