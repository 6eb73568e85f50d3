// What code may decide by when a call fails, and the one mapping between these typed facts and the names under which
// clients and other nodes see them (`Fault.details`). Which failures there are is fault.ts's.

/**
 * What became of a call that failed. Left out, only the code says: a write that ended `unavailable` may have been made.
 * - `not_sent`: nothing reached the peer that was asked. Any caller may repeat the call at once, with or without a key.
 * - `maybe_sent`: the way to the peer broke, so the peer may have done the call. A write may be repeated only with the
 *   same idempotency key.
 * - `not_done`: the asked node wrote nothing. Any caller may repeat the call, here or at another node.
 * - `unknown`: whether the write was made cannot be told. The client reads first, or repeats it with the same key.
 */
export type FaultOutcome = LinkOutcome | SharedOutcome;

/** Outcomes that a node only knows of its own calls to peers. */
type LinkOutcome = "not_sent" | "maybe_sent";
type SharedOutcome = "not_done" | "unknown";

/** The node that orders writes: its StableNodeID, its name, or both. */
export interface LeaderFact {
  node?: string | undefined;
  name?: string | undefined;
}

/** Facts that a node tells others, and that are believed when a peer, a node asked by the CLI or the log says them. */
export interface SharedFacts {
  outcome?: SharedOutcome | undefined;
  /** Who leads, as far as the failing node knows. */
  leader?: LeaderFact | undefined;
  /** Position that the failing node has applied. It is too far behind for a read, and another node may not be. */
  applied?: string | undefined;
  /** Why a join is refused (fleet/join/join-command.ts), or where the log of events is, as a code of its own. */
  reason?: string | undefined;
  /** Proves that a refusal comes from a node of the reader's own fleet (peer/fleet-mark.ts). */
  fleetMark?: string | undefined;
}

/** All facts. Those named here are set by this node about its own work alone; no peer can set them. */
export interface FaultFacts extends Omit<SharedFacts, "outcome"> {
  outcome?: FaultOutcome | undefined;
  /** The fault is the answer of a peer, and none of this node's own. */
  fromPeer?: true | undefined;
  /** The space that the gate refused. */
  refusedSpace?: string | undefined;
  /** Store and raft folder cannot go on together, and why (log/engine/raft/faults.ts). */
  quarantine?: string | undefined;
  /** Whether the same request to the host's network may succeed in a moment. */
  transient?: boolean | undefined;
  /** The settings of this node do not let it ask the host's network for this. */
  refusedHere?: true | undefined;
  /** Why an address that a caller named for its events does not take them, as MCP Events names it. */
  callback?: string | undefined;
}

/** Details that only say how a call reached a peer. */
export const LINK_DETAILS: readonly string[] = ["peer", "notSent"];

const OUTCOME_DETAILS: Readonly<Record<FaultOutcome, Readonly<Record<string, unknown>>>> = {
  not_sent: { notSent: true },
  maybe_sent: { notSent: false },
  not_done: { outcome: "not_written" },
  unknown: { outcome: "unknown" },
};

/** Longest text that is taken from details. */
const MAX_TEXT = 256;

/** Returns the facts as they are shown: by the names of the wire, absent ones left out. */
export function detailsOfFacts(facts: FaultFacts): Record<string, unknown> {
  const { outcome, leader, applied, reason, fleetMark, fromPeer, refusedSpace, quarantine, transient } = facts;
  const shown = {
    ...(outcome === undefined ? {} : OUTCOME_DETAILS[outcome]),
    // A leader without an id is shown by its name.
    leader: leader?.node ?? leader?.name,
    leader_name: leader?.node === undefined ? undefined : leader.name,
    applied,
    reason,
    fleet: fleetMark,
    peer: fromPeer,
    space: refusedSpace,
    quarantine,
    again: transient,
  };
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined));
}

/**
 * Returns the facts that another process, or the log, may tell: of details that it wrote. What has another type than it
 * should, is empty or too long counts for nothing. `code` is a FaultCode.
 */
export function factsOfDetails(code: string, details: Readonly<Record<string, unknown>>): SharedFacts {
  const { outcome } = details;
  return {
    outcome: outcome === "not_written" ? "not_done" : outcome === "unknown" ? "unknown" : undefined,
    leader: leaderOf(code, details),
    applied: textOf(details["applied"]),
    reason: textOf(details["reason"]),
    fleetMark: textOf(details["fleet"]),
  };
}

/** A `forbidden` names the leader in `leader`; every other fault gives its id there, and its name beside it. */
function leaderOf(code: string, details: Readonly<Record<string, unknown>>): LeaderFact | undefined {
  const leader = textOf(details["leader"]);
  if (leader === undefined) return undefined;
  return code === "forbidden" ? { name: leader } : { node: leader, name: textOf(details["leader_name"]) };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT ? value : undefined;
}
