// lease_acquire: grants a lease that is free, or gives a place in the line for it. With a fence it goes on with a claim
// that the caller has already.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import type { Fault } from "../../lib/fault.ts";
import { shownValue } from "../../lib/schema-issue.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { type ApplyStamp, type Operation, write } from "../../operation/define.ts";
import { FENCE_LEVEL, type Fence, fenceText, isOfFleet } from "../../operation/fence.ts";
import type { Services } from "../../operation/services.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { claimOf, leaseName, MAX_WAIT_SECONDS, nameAliases, ownFence, purpose, TTL_SECONDS } from "./arguments.ts";
import { epochNumber, forgetExpired, grant, held, joinLine, leaseChange, lost, refuseMore } from "./claims.ts";
import {
  type Claim,
  holderOf,
  isSameClaim,
  isSameHolder,
  leaseOf,
  placeOf,
  shownGrant,
  waiterOf,
  waitersOf,
} from "./rows.ts";
import { LEASE_TERMS } from "./terms-key.ts";

interface AcquireCommand {
  name: string;
  /** Null: as the claim has it, or the default. */
  ttl_ms: number | null;
  purpose: string | null;
  /** How long the place in the line is kept; 0: the claim does not wait. */
  wait_ms: number;
  claim: Fence | null;
}

const output = z.object({
  name: z.string(),
  granted: z.boolean().describe("Whether you hold it now; else you are in line."),
  fence: z.string().describe("Names your claim: pass it to lease_renew, lease_release, lease_wait, and to writes."),
  for: z.string(),
  ttl_seconds: z.number().describe("How long it is yours without a renewal."),
  safe_seconds: z
    .number()
    .int()
    .describe(
      "Granted: count on it for this long from the moment you first sent this call, and renew before; 0 in line.",
    ),
  place: z.number().int().describe("Your place in the line, from 1; 0: granted."),
});

/** Returns `lease_acquire`. On the leader its refusals say how much of the holder's time is left. */
export function leaseAcquire(node: Services): Operation {
  return write({
    name: "lease_acquire",
    v: 1,
    level: FENCE_LEVEL,
    title: "Acquire a lease",
    search: "lock a file, claim, reserve, mutual exclusion, avoid conflicts, being edited",
    description:
      "Leases a name (a file, a branch, a device) to you for ttl_seconds, so that other agents keep away from it. Renew it with lease_renew while you work, release it when you are done. Held by another one it is refused with the holder; with wait_seconds you get a place in the line instead: call lease_wait with the fence, and lease_renew once it is granted.",
    input: z.object({
      name: leaseName.superRefine((name, context) => {
        if (isOfFleet(name))
          context.addIssue({
            code: "custom",
            message: `${shownValue(name)} is the name of starts of a service, which the fleet alone grants`,
          });
      }),
      ttl_seconds: z
        .number()
        .int()
        .min(TTL_SECONDS.min)
        .max(TTL_SECONDS.max)
        .optional()
        .describe(`How long it is yours without a renewal (default ${TTL_SECONDS.default}).`),
      for: purpose.optional().describe("What you need it for, in a few words: others see it."),
      wait_seconds: z
        .number()
        .int()
        .min(0)
        .max(MAX_WAIT_SECONDS)
        .optional()
        .describe("If it is held: keep a place in the line for so long (default 0: refuse)."),
      fence: ownFence
        .optional()
        .describe("Of a claim you have: keeps your place for another wait_seconds, or begins a new term."),
    }),
    example: { name: "team-a/repo/src/main.ts", ttl_seconds: 300, for: "Rename the parser" },
    samples: { fence: "team-a/repo/src/main.ts@1-57" },
    output,
    access: { verb: "write", spaces: ({ name }) => [spaceOf(name)] },
    hints: { idempotent: false },
    aliases: { ...nameAliases, ttl: "ttl_seconds", reason: "for", purpose: "for", wait: "wait_seconds" },
    target: "name",
    work: () => 6 * WRITE_ROW,
    prepare: ({ name, ttl_seconds, for: what, wait_seconds = 0, fence }): AcquireCommand => ({
      name,
      ttl_ms: ttl_seconds === undefined ? null : ttl_seconds * 1000,
      purpose: what ?? null,
      wait_ms: wait_seconds * 1000,
      claim: fence === undefined ? null : claimOf(name, fence),
    }),
    apply: (tx, command, stamp) => {
      forgetExpired(tx, stamp.timeMs);
      return command.claim === null ? acquire(tx, command, stamp) : goOn(tx, command, command.claim, stamp);
    },
    explain: ({ name }, fault, reader) => withTimeLeft(fault, node.find(LEASE_TERMS)?.leftMs(reader, name)),
  });
}

function acquire(tx: Writer, { name, ttl_ms, purpose: what, wait_ms }: AcquireCommand, stamp: ApplyStamp) {
  const holder = holderOf(stamp);
  const claim: Claim = {
    ...{ name, n: epochNumber(tx), seq: stamp.seq },
    ...holder,
    ttl_ms: ttl_ms ?? TTL_SECONDS.default * 1000,
    purpose: what ?? "",
  };
  const lease = leaseOf(tx, name);
  if (lease !== undefined && wait_ms === 0) throw held(lease, waitersOf(tx, name), isSameHolder(lease, holder));
  refuseMore(tx, holder);
  if (lease === undefined) {
    const granted = grant(tx, claim, stamp.seq, stamp.timeMs);
    return { output: shownGrant(claim), changes: [{ ...granted, outcome: "acquired" }] };
  }
  const queued = joinLine(tx, claim, stamp.timeMs + wait_ms);
  return { output: shownPlace(tx, claim), changes: [queued] };
}

/** Goes on with a claim: a lease that is held begins a new term, a place in the line is kept for longer. */
function goOn(tx: Writer, { name, ttl_ms, purpose: what, wait_ms }: AcquireCommand, fence: Fence, stamp: ApplyStamp) {
  const lease = leaseOf(tx, name);
  const waiter = waiterOf(tx, fence);
  const isHeld = lease !== undefined && isSameClaim(lease, fence);
  const own = isHeld ? lease : waiter;
  if (own === undefined || !isSameHolder(own, holderOf(stamp))) throw lost(fenceText(fence), lease);
  const claim = { ...own, ttl_ms: ttl_ms ?? own.ttl_ms, purpose: what ?? own.purpose };
  if (isHeld) {
    tx.run(
      "UPDATE leases SET ttl_ms = ?, purpose = ?, revision = ? WHERE name = ?",
      claim.ttl_ms,
      claim.purpose,
      stamp.seq,
      name,
    );
    return { output: shownGrant(claim), changes: [leaseChange(claim, "kept")] };
  }
  tx.run(
    "UPDATE lease_waiters SET ttl_ms = ?, purpose = ?, expires_at = ? WHERE name = ? AND n = ? AND seq = ?",
    claim.ttl_ms,
    claim.purpose,
    stamp.timeMs + wait_ms,
    name,
    fence.n,
    fence.seq,
  );
  return { output: shownPlace(tx, claim), changes: [leaseChange(claim, "queued")] };
}

function shownPlace(reader: Reader, claim: Claim) {
  return { ...shownGrant(claim), granted: false, safe_seconds: 0, place: placeOf(reader, claim) };
}

/** Adds to the refusal of a held lease how long its holder has, unless it renews. */
function withTimeLeft(fault: Fault, leftMs: number | undefined): Fault {
  if (fault.code !== "lease_held" || leftMs === undefined) return fault;
  const left = Math.ceil(leftMs / 1000);
  return fault.retold(`${fault.message}; it ends in about ${left} s unless it is renewed`, {
    details: { expires_in_seconds: left },
  });
}
