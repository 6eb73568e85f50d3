// Fences: a write that carries the fence of a lease is refused once that lease was granted again (replication.md 29).
// Any write can check one in apply. Holders and terms are up to features/lease, which notes each grant here.

import { z } from "zod";
import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import { idSyntaxProblem, MAX_ID } from "../lib/id-syntax.ts";
import { shownValue } from "../lib/schema-issue.ts";
import type { Reader, Writer } from "../store/store.ts";

/** The fleet level from which on there are leases and fences. */
export const FENCE_LEVEL = 3;

/** One grant of a lease. Of two grants of one name the later has the greater `n`, or the same and a greater `seq`. */
export interface Fence {
  /** Name of the lease. */
  name: string;
  /** Number of the epoch. */
  n: number;
  /** Seq of the request that was granted. */
  seq: number;
}

/** Grants of leases that are not held any more, which are kept to tell old fences from the newest. */
const MAX_FREE = 10_000;
/** Longest fence as text. */
const MAX_FENCE = MAX_ID + 32;

/** The second segment of fences that the fleet grants for the starts of services: no lease is granted below it. */
export const STARTS_SEGMENT = "~services";

/** Reports whether the fleet itself grants what has this name, so that no caller may lease it. */
export function isOfFleet(name: string): boolean {
  return name.split("/", 2)[1] === STARTS_SEGMENT;
}

/** Returns a fence as callers see it, such as `team-a/plan@1-57`. */
export function fenceText({ name, n, seq }: Fence): string {
  return `${name}@${n}-${seq}`;
}

/** Returns the fence that a text names; undefined where it names none. */
export function parseFence(text: string): Fence | undefined {
  const [, name = "", n, seq] = /^(.+)@([1-9][0-9]{0,14})-([1-9][0-9]{0,14})$/su.exec(text.normalize("NFC")) ?? [];
  return idSyntaxProblem(name) === undefined ? { name, n: Number(n), seq: Number(seq) } : undefined;
}

/** A fence as an argument. */
export const fenceArgument = z
  .string()
  .min(1)
  .max(MAX_FENCE)
  .superRefine((text, context) => {
    if (parseFence(text) === undefined)
      context.addIssue({
        code: "custom",
        message: `${shownValue(text)} is no fence; it is the name of a lease, @ and two numbers: team-a/plan@1-57`,
      });
  });

/** Returns the spaces that a write touches by its fence. */
export function spacesOfFence(fence: string | undefined): string[] {
  const parsed = fence === undefined ? undefined : parseFence(fence);
  return parsed === undefined ? [] : [spaceOf(parsed.name)];
}

/** Throws Fault `fence_stale` unless the fence is the newest grant of its lease. */
export function checkFence(reader: Reader, fence: Fence): void {
  const newest = newestGrant(reader, fence.name);
  if (newest !== undefined && newest.n === fence.n && newest.seq === fence.seq) return;
  const since = newest === undefined ? "no newer one is kept" : `the newest is ${fenceText(newest)}`;
  throw new Fault("fence_stale", `${fenceText(fence)} is not the newest grant of its lease: ${since}`, {
    hint: "Another one may have written since. Acquire the lease again, read what changed, then write with its fence.",
    ...(newest === undefined ? {} : { details: { fence: fenceText(newest) } }),
  });
}

/** Returns the newest grant of a lease; undefined where none is kept. */
export function newestGrant(reader: Reader, name: string): Fence | undefined {
  return reader.get<Fence>("SELECT name, n, seq FROM fences WHERE name = ?", name);
}

/** Notes that a lease was granted. */
export function noteGrant(tx: Writer, { name, n, seq }: Fence): void {
  tx.run("INSERT OR REPLACE INTO fences (name, n, seq, held) VALUES (?,?,?,1)", name, n, seq);
}

/** Notes that a lease is not held any more: its newest grant stays, until there are too many others. */
export function noteEnd(tx: Writer, name: string): void {
  tx.run("UPDATE fences SET held = 0 WHERE name = ?", name);
  tx.run(
    "DELETE FROM fences WHERE name IN (SELECT name FROM fences WHERE held = 0 ORDER BY n DESC, seq DESC LIMIT 1 OFFSET ?)",
    MAX_FREE,
  );
}

/** Forgets the grants of a name that is not used again: fences of it are refused from now on. */
export function forgetGrant(tx: Writer, name: string): void {
  tx.run("DELETE FROM fences WHERE name = ?", name);
}

/** Returns the number of the present epoch, the first one of a fence. */
export function epochNumber(reader: Reader): number {
  return reader.get<{ n: number }>("SELECT n FROM epochs ORDER BY n DESC LIMIT 1")?.n ?? 1;
}
