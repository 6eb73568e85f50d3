// The rows of leases and of the claims in line, and their forms for callers. How apply changes them is claims.ts.

import type { z } from "zod";
import { authorText } from "../../lib/author-text.ts";
import type { Stamp } from "../../log/log.ts";
import { isSameCaller } from "../../operation/agents.ts";
import type { CallContext } from "../../operation/define.ts";
import { type Fence, fenceText } from "../../operation/fence.ts";
import type { Reader } from "../../store/store.ts";
import type { holderShape } from "./arguments.ts";

/** The holder of a claim: a caller, or one of its agents. */
export interface Holder {
  caller: string;
  /** Name of the agent; "": the caller itself. */
  agent: string;
}

/** A request for a lease, which is granted or in line. */
export interface Claim extends Fence, Holder {
  purpose: string;
  ttl_ms: number;
}

/** A lease that is held. Times are in ms of log time. */
export interface LeaseRow extends Claim {
  space: string;
  revision: number;
  granted_at: number;
}

/** A claim in line. */
export interface WaiterRow extends Claim {
  /** Log time until which its place is kept. */
  expires_at: number;
}

/** Returns the holder as which a command is made. */
export function holderOf(stamp: Stamp): Holder {
  return { caller: stamp.caller, agent: stamp.agent ?? "" };
}

/** Returns the holder as which a call is made that is no command. */
export function holderAsking(context: CallContext): Holder {
  return { caller: context.author, agent: context.agent?.name ?? "" };
}

/** Reports whether two claims have the same holder. */
export function isSameHolder(one: Holder, other: Holder): boolean {
  return isSameCaller(one.caller, other.caller) && one.agent === other.agent;
}

/** Reports whether two fences of one lease are the same. */
export function isSameClaim(one: Fence, other: Fence): boolean {
  return one.n === other.n && one.seq === other.seq;
}

/** Returns the lease of a name if it is held. */
export function leaseOf(reader: Reader, name: string): LeaseRow | undefined {
  return reader.get<LeaseRow>("SELECT * FROM leases WHERE name = ?", name);
}

/** Returns a claim in line. */
export function waiterOf(reader: Reader, { name, n, seq }: Fence): WaiterRow | undefined {
  return reader.get<WaiterRow>("SELECT * FROM lease_waiters WHERE name = ? AND n = ? AND seq = ?", name, n, seq);
}

/** Returns the number of claims in line up to this one, itself included. */
export function placeOf(reader: Reader, { name, n, seq }: Fence): number {
  const sql = "SELECT COUNT(*) AS count FROM lease_waiters WHERE name = ? AND (n, seq) <= (?, ?)";
  return reader.get<{ count: number }>(sql, name, n, seq)?.count ?? 0;
}

/** Returns the number of claims in line for a lease. */
export function waitersOf(reader: Reader, name: string): number {
  return reader.get<{ count: number }>("SELECT COUNT(*) AS count FROM lease_waiters WHERE name = ?", name)?.count ?? 0;
}

/** Returns a holder as callers see it. */
export function shownHolder({ caller, agent }: Holder): z.infer<typeof holderShape> {
  return agent === "" ? { caller } : { caller, agent };
}

/** Returns a holder in words. */
export function holderText({ caller, agent }: Holder): string {
  return authorText({ author: caller, agent });
}

/**
 * Returns for how long the holder of a lease of this time can count on it, in whole seconds from the moment it sent the
 * call: less than the leader waits, as clocks differ in their rates and the holder needs time to stop.
 */
export function safeSeconds(ttlMs: number): number {
  return Math.floor((ttlMs - Math.floor(ttlMs / 50)) / 1000) - 1;
}

/** Returns a granted claim as callers see it. */
export function shownGrant(claim: Claim) {
  return {
    name: claim.name,
    granted: true,
    fence: fenceText(claim),
    for: claim.purpose,
    ttl_seconds: claim.ttl_ms / 1000,
    safe_seconds: safeSeconds(claim.ttl_ms),
    place: 0,
  };
}
