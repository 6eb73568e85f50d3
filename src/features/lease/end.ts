// lease_release, lease_force and lease_expire: the ends of a lease by its holder, by an operator, and by the leader
// when a term is over. Each grants it to the next in line.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { write } from "../../operation/define.ts";
import { FENCE_LEVEL, type Fence, fenceText } from "../../operation/fence.ts";
import { claimOf, holderShape, leaseName, nameAliases, ownFence } from "./arguments.ts";
import { endLease, leaseChange, leaveLine, lost, MAX_WAITERS_OF_LEASE } from "./claims.ts";
import { holderOf, isSameClaim, isSameHolder, leaseOf, shownHolder, type WaiterRow, waiterOf } from "./rows.ts";

const EXAMPLE = { name: "team-a/repo/src/main.ts" };
const grantedTo = holderShape.optional().describe("The next in line, to which it was granted.");

/** The end of a lease may remove all that wait for it. */
const work = () => (4 + MAX_WAITERS_OF_LEASE / 8) * WRITE_ROW;

function granted(next: WaiterRow | undefined) {
  return next === undefined ? {} : { granted_to: shownHolder(next) };
}

/** Gives back a lease, or a place in the line. */
export const leaseRelease = write({
  name: "lease_release",
  v: 1,
  level: FENCE_LEVEL,
  title: "Release a lease",
  search: "unlock, give back, done with a file",
  description:
    "Gives back a lease that you hold, or your place in the line for it; the next in line gets it at once. Do it as soon as you are done. Releasing it twice is no error.",
  input: z.object({ name: leaseName, fence: ownFence }),
  example: { ...EXAMPLE, fence: "team-a/repo/src/main.ts@1-57" },
  output: z.object({
    released: z.boolean().describe("False: the fence was none of a present claim."),
    granted_to: grantedTo,
  }),
  access: { verb: "write", spaces: ({ name }) => [spaceOf(name)] },
  hints: { idempotent: true },
  aliases: nameAliases,
  target: "name",
  work,
  prepare: ({ name, fence }): Fence => claimOf(name, fence),
  apply(tx, claim, stamp) {
    const lease = leaseOf(tx, claim.name);
    const waiter = waiterOf(tx, claim);
    const isHeld = lease !== undefined && isSameClaim(lease, claim);
    const own = isHeld ? lease : waiter;
    if (own === undefined) return { output: { released: false }, changes: [] };
    if (!isSameHolder(own, holderOf(stamp))) throw lost(fenceText(claim), lease);
    if (isHeld) {
      const { changes, next } = endLease(tx, lease, "released", stamp);
      return { output: { released: true, ...granted(next) }, changes };
    }
    if (waiter !== undefined) leaveLine(tx, waiter);
    return { output: { released: true }, changes: [leaseChange(own, "left")] };
  },
});

/** Takes a lease away from its holder. */
export const leaseForce = write({
  name: "lease_force",
  v: 1,
  level: FENCE_LEVEL,
  title: "Force the end of a lease",
  search: "break a lock, stale lock, steal",
  description:
    "Takes a lease away from its holder, whatever time it has left; the next in line gets it. The holder may still work on what was leased: only writes with its fence are refused from now on. Use it when the holder is known to be gone.",
  input: z.object({ name: leaseName }),
  example: EXAMPLE,
  output: z.object({
    forced: z.boolean().describe("False: it was not held."),
    held_by: holderShape.optional().describe("The holder from which it was taken."),
    granted_to: grantedTo,
  }),
  access: { verb: "operate", spaces: ({ name }) => [spaceOf(name)] },
  hints: { destructive: true, idempotent: true },
  aliases: nameAliases,
  target: "name",
  work,
  prepare: ({ name }) => ({ name }),
  apply(tx, { name }, stamp) {
    const lease = leaseOf(tx, name);
    if (lease === undefined) return { output: { forced: false }, changes: [] };
    const { changes, next } = endLease(tx, lease, "forced", stamp);
    return { output: { forced: true, held_by: shownHolder(lease), ...granted(next) }, changes };
  },
});

/** Ends a lease whose term is over. It compares the revision: a lease that changed since goes on. */
export const leaseExpire = write({
  name: "lease_expire",
  v: 1,
  level: FENCE_LEVEL,
  internal: true,
  title: "Expire a lease",
  description: "Ends a lease whose holder did not renew it in time.",
  input: z.object({
    name: leaseName,
    n: z.number().int().min(1),
    seq: z.number().int().min(1),
    revision: z.number().int().min(1),
  }),
  output: z.object({ expired: z.boolean() }),
  access: { verb: "operate", spaces: ({ name }) => [spaceOf(name)] },
  work,
  prepare: (input) => input,
  apply(tx, command, stamp) {
    const lease = leaseOf(tx, command.name);
    if (lease === undefined || !isSameClaim(lease, command) || lease.revision !== command.revision)
      return { output: { expired: false }, changes: [] };
    return { output: { expired: true }, changes: endLease(tx, lease, "expired", stamp).changes };
  },
});
