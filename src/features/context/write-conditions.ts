// The conditions of writes: If-Match and If-None-Match (RFC 9110 13.2.2), and the fence of a lease. The arguments,
// their form in commands, and the check in apply.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { matchesStrongly, matchesWeakly, parseCondition, type Tag } from "../../lib/etag.ts";
import { Fault } from "../../lib/fault.ts";
import {
  checkFence,
  FENCE_LEVEL,
  type Fence,
  fenceArgument,
  parseFence,
  spacesOfFence,
} from "../../operation/fence.ts";
import type { Reader } from "../../store/store.ts";
import { etagOf } from "./context-etag.ts";
import type { ContextRow } from "./rows.ts";

/** The argument `if_match`. */
export const ifMatch = z
  .string()
  .min(1)
  .max(4096)
  .optional()
  .describe("Write only if its etag still is this (or one of a list; * = if it exists), from your last read.");

/** The argument `fence`. */
export const fence = fenceArgument.optional().describe("Fence of your lease: refused if it is not the newest.");

/** The conditions of a write in its command; null or left out: none. */
export interface Conditions {
  if_match: "*" | Tag[] | null;
  if_none_match: "*" | Tag[] | null;
  /** From its fleet level on. */
  fence?: Fence;
}

interface ConditionInput {
  if_match?: string | undefined;
  if_none_match?: string | undefined;
  fence?: string | undefined;
}

/** Returns the spaces that a write of a context touches. */
export function spacesOfWrite({ id, fence: given }: { id: string; fence?: string | undefined }): string[] {
  return [spaceOf(id), ...spacesOfFence(given)];
}

/** Returns the fleet level that the conditions of a write need. */
export function levelOfConditions({ fence: given }: Pick<ConditionInput, "fence">): number {
  return given === undefined ? 1 : FENCE_LEVEL;
}

/** Parses the conditions of a write. Throws `invalid_input`. */
export function conditionsOf(input: ConditionInput): Conditions {
  const parsed = input.fence === undefined ? undefined : parseFence(input.fence);
  return {
    ...(parsed === undefined ? {} : { fence: parsed }),
    if_match: input.if_match === undefined ? null : parseCondition(input.if_match, "if_match"),
    if_none_match: input.if_none_match === undefined ? null : parseCondition(input.if_none_match, "if_none_match"),
  };
}

/**
 * Checks the fence, then If-Match, then If-None-Match; a tombstone has no etag. Throws `fence_stale`, and
 * `version_mismatch` with the current etag.
 */
export function checkConditions(reader: Reader, conditions: Conditions, head: ContextRow | undefined): void {
  if (conditions.fence !== undefined) checkFence(reader, conditions.fence);
  const current = head === undefined || head.deleted !== 0 ? undefined : etagOf(head.version, head.hash);
  const stale = conditions.if_match !== null && !matchesStrongly(conditions.if_match, current);
  const taken = conditions.if_none_match !== null && matchesWeakly(conditions.if_none_match, current);
  if (!stale && !taken) return;
  const { message, hint } = mismatch(conditions, stale, current);
  throw new Fault("version_mismatch", `The context was not written: ${message}`, {
    hint,
    details: current === undefined ? {} : { etag: current, version: head?.version },
  });
}

/** Longest list of etags that a refusal repeats, in characters. */
const MAX_SHOWN = 80;

function mismatch(
  { if_match: wanted, if_none_match: unwanted }: Conditions,
  isStale: boolean,
  current: string | undefined,
): { message: string; hint: string } {
  if (current === undefined) return { message: "it does not exist", hint: "Create it with if_none_match *." };
  if (!isStale && unwanted === "*") {
    return {
      message: `it exists already, with the etag ${current}`,
      hint: "Read it, then write your change with that etag as if_match, or take another id for a new context.",
    };
  }
  const given = isStale && Array.isArray(wanted) ? wanted.map(textOfTag).join(", ") : "";
  const than = given === "" || given.length > MAX_SHOWN ? "" : `, and if_match is ${given}`;
  return {
    message: `its etag is ${current} now${than}`,
    hint: "Read it again, merge your change, then write with the new etag.",
  };
}

function textOfTag(tag: Tag): string {
  return `${tag.weak ? "W/" : ""}${tag.value}`;
}
