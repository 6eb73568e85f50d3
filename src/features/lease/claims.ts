// What becomes of claims, in apply: a claim is granted, ends, and the next one in line is granted in the same command.
// Shared by the commands. The leader decides when a term is over (terms.ts); here only log time and rows decide.

import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { fenceText, noteEnd, noteGrant } from "../../operation/fence.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { type Claim, type Holder, holderText, type LeaseRow, type WaiterRow } from "./rows.ts";

/** Bounds of the rows. */
export const MAX_LEASES = 10_000;
export const MAX_WAITERS = 10_000;
export const MAX_WAITERS_OF_LEASE = 64;
/** Leases that one caller may hold and wait for. */
export const MAX_CLAIMS_OF_CALLER = 512;

/** Claims in line that a command removes because their time is over. */
const MAX_FORGOTTEN = 64;

/** Returns a change of a lease. Its version is the seq of the claim: which request it is about. */
export function leaseChange(claim: Claim, outcome: string): Changed {
  const { name, n, seq, caller, agent, purpose, ttl_ms } = claim;
  const state = stateHash([name, n, seq, caller, agent, purpose, ttl_ms]);
  return { target: name, version: seq, contentHash: "", outcome, state };
}

/** Grants a claim; `revision` is the seq of the change that is returned. */
export function grant(tx: Writer, claim: Claim, revision: number, timeMs: number): Changed {
  const { name, n, seq, caller, agent, purpose, ttl_ms } = claim;
  tx.run(
    "INSERT INTO leases (name, space, n, seq, revision, caller, agent, purpose, ttl_ms, granted_at) VALUES " +
      "(?,?,?,?,?,?,?,?,?,?)",
    name,
    spaceOf(name),
    n,
    seq,
    revision,
    caller,
    agent,
    purpose,
    ttl_ms,
    timeMs,
  );
  noteGrant(tx, claim);
  return leaseChange(claim, "granted");
}

/** What ended with a lease. */
export interface Ended {
  changes: Changed[];
  /** The claim that was granted next. */
  next: WaiterRow | undefined;
}

/** Ends a lease, and grants it to the first in line whose time is not over. `seq` is that of the first change. */
export function endLease(tx: Writer, lease: LeaseRow, outcome: string, at: { seq: number; timeMs: number }): Ended {
  tx.run("DELETE FROM leases WHERE name = ?", lease.name);
  noteEnd(tx, lease.name);
  tx.run("DELETE FROM lease_waiters WHERE name = ? AND expires_at <= ?", lease.name, at.timeMs);
  const next = tx.get<WaiterRow>("SELECT * FROM lease_waiters WHERE name = ? ORDER BY n, seq LIMIT 1", lease.name);
  const ended = leaseChange(lease, outcome);
  if (next === undefined) return { changes: [ended], next };
  leaveLine(tx, next);
  return { changes: [ended, grant(tx, next, at.seq + 1, at.timeMs)], next };
}

/** Puts a claim into the line. Faults: `quota_exceeded`. */
export function joinLine(tx: Writer, claim: Claim, expiresMs: number): Changed {
  const { name, n, seq, caller, agent, purpose, ttl_ms } = claim;
  refuseAt(countIn(tx, "lease_waiters WHERE name = ?", name), MAX_WAITERS_OF_LEASE, `claims in line for ${name}`);
  refuseAt(countIn(tx, "lease_waiters"), MAX_WAITERS, "claims in line in this fleet");
  tx.run(
    "INSERT INTO lease_waiters (name, n, seq, caller, agent, purpose, ttl_ms, expires_at) VALUES (?,?,?,?,?,?,?,?)",
    name,
    n,
    seq,
    caller,
    agent,
    purpose,
    ttl_ms,
    expiresMs,
  );
  return leaseChange(claim, "queued");
}

/** Removes a claim from the line. */
export function leaveLine(tx: Writer, { name, n, seq }: WaiterRow): void {
  tx.run("DELETE FROM lease_waiters WHERE name = ? AND n = ? AND seq = ?", name, n, seq);
}

/** Removes claims in line whose time is over, a bounded number at a time, the oldest first. */
export function forgetExpired(tx: Writer, timeMs: number): void {
  tx.run(
    "DELETE FROM lease_waiters WHERE (name, n, seq) IN (SELECT name, n, seq FROM lease_waiters WHERE expires_at <= ? " +
      "ORDER BY expires_at, name, n, seq LIMIT +?)",
    timeMs,
    MAX_FORGOTTEN,
  );
}

/** Throws Fault `quota_exceeded` where a caller, or the fleet, has as many claims as it may. */
export function refuseMore(reader: Reader, { caller }: Holder): void {
  const own =
    countIn(reader, "leases WHERE caller = ?", caller) + countIn(reader, "lease_waiters WHERE caller = ?", caller);
  refuseAt(own, MAX_CLAIMS_OF_CALLER, `leases and places in line of ${caller}`);
  refuseAt(countIn(reader, "leases"), MAX_LEASES, "leases in this fleet");
}

function countIn(reader: Reader, table: string, ...values: string[]): number {
  return reader.get<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`, ...values)?.count ?? 0;
}

function refuseAt(count: number, limit: number, what: string): void {
  if (count < limit) return;
  throw new Fault("quota_exceeded", `There are ${count} ${what} already, which is the limit`, {
    hint: "Release some of them, or wait until they expire: cairn lease list shows them.",
    details: { limit },
  });
}

/** Returns the number of the present epoch. */
export function epochNumber(reader: Reader): number {
  return reader.get<{ n: number }>("SELECT n FROM epochs ORDER BY n DESC LIMIT 1")?.n ?? 1;
}

/** The refusal of a lease that another one holds. Its holder learns its fence again. */
export function held(lease: LeaseRow, waiting: number, isOwn: boolean): Fault {
  const what = lease.purpose === "" ? "" : ` for ${JSON.stringify(lease.purpose)}`;
  const line = waiting === 0 ? "" : `, and ${waiting} wait for it`;
  const fence = fenceText(lease);
  const message = `${holderText(lease)} holds ${JSON.stringify(lease.name)}${what} since ${timeOf(lease.granted_at)}${line}`;
  return new Fault("lease_held", message, {
    hint: isOwn
      ? `If that is you, go on with the fence ${fence} (lease_renew); else wait with wait_seconds, or take other work.`
      : "Wait in line with wait_seconds, wait until it is free with lease_wait, or take other work.",
    details: {
      held_by: lease.caller,
      ...(lease.agent === "" ? {} : { held_by_agent: lease.agent }),
      for: lease.purpose,
      since: timeOf(lease.granted_at),
      ttl_seconds: lease.ttl_ms / 1000,
      waiting,
      ...(isOwn ? { fence } : {}),
    },
  });
}

/** The refusal of a claim that its caller does not have, or not any more. */
export function lost(fence: string, lease: LeaseRow | undefined): Fault {
  const now = lease === undefined ? "it is not held now" : `${holderText(lease)} holds the lease now`;
  return new Fault("lease_lost", `You do not hold ${fence}: ${now}`, {
    hint: "Stop what you do under it. Acquire the lease again, and read what changed before you go on.",
    details: lease === undefined ? {} : { held_by: lease.caller },
  });
}
