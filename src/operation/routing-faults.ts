// Faults of calls that need another node of the fleet.

import { Fault } from "../lib/fault.ts";

/** Returns the fault of a node that has no store yet. */
export function notReady(): Fault {
  return new Fault("not_ready", "This node has not received the store of its fleet yet", {
    hint: "Ask another node of the fleet, or wait: `cairn status` says what it waits for.",
    details: { retryAfterSeconds: 2 },
  });
}

/** Returns the fault of a call to a node whose mode is `waiting`. */
export function waitingFault(routing: { whyWaiting?(): Fault | undefined } | undefined): Fault {
  return routing?.whyWaiting?.() ?? notReady();
}

/** Returns the fault of a `session` read on a node that may lack what it acknowledged before it was restarted. */
export function notCurrent(): Fault {
  return new Fault("unavailable", "Since its start this node could not learn what the fleet had written before", {
    hint: "Try again in a moment, or read with the consistency `any`; `cairn status` shows which members are missing.",
    details: { retryAfterSeconds: 1 },
  });
}

/** Returns the fault of a node that was asked to order a write and does not lead. */
export function notLeader(leader: { node: string } | undefined): Fault {
  return new Fault("unavailable", "This node does not order writes now; nothing was written", {
    hint: "Ask the leader.",
    facts: { outcome: "not_done", leader: leader && { node: leader.node } },
    details: { retryAfterSeconds: 1 },
  });
}

/** Returns the fault of a node that lost the leadership while a write was on its way through the log. */
export function lostLeadership(leader: { node: string } | undefined): Fault {
  return new Fault("unavailable", "This node lost the leadership while it ordered the write", {
    hint: "Ask the leader, with the same idempotency key.",
    facts: { outcome: "unknown", leader: leader && { node: leader.node } },
    details: { retryAfterSeconds: 1 },
  });
}

/** Returns the fault of a write that needs admin rights: those are valid only on the node that proved them. */
export function neverForwarded(operation: string, leader: { name: string } | undefined): Fault {
  const where = leader === undefined ? "the leader, once there is one" : leader.name;
  return new Fault("forbidden", `${operation} needs admin rights, which are never forwarded to the leader`, {
    hint: `Run it on ${where}.`,
    facts: { leader: leader && { name: leader.name } },
  });
}

/** Returns a refusal by the leader of what this node may not bring to it, with its name: there it can be asked. */
export function refusedThere(error: unknown, leader: { name: string } | undefined): unknown {
  if (!(error instanceof Fault) || error.code !== "forbidden" || leader === undefined) return error;
  const { message, facts } = error;
  return new Fault("forbidden", message, {
    hint: `Run it on ${leader.name}.`,
    facts: { ...facts, leader: { name: leader.name } },
    cause: error,
  });
}

/** Returns the fault of a call that no node took in time. `cause` is the error of the last attempt. */
export function gaveUp(mayBeDone: boolean, cause: unknown): Fault {
  // The text of an unexpected error is not for callers.
  const why = cause instanceof Fault || cause instanceof DOMException ? `: ${cause.message}` : "";
  if (mayBeDone) {
    return new Fault("unavailable", `Whether the write was made is unknown${why}`, {
      hint: "Read before you write again, or repeat it with the same idempotency key.",
      facts: { outcome: "unknown" },
      details: { retryAfterSeconds: 2 },
      cause,
    });
  }
  return new Fault("unavailable", `No node that orders writes could be reached${why}`, {
    hint: "Try again in a moment; `cairn status` shows which voters are missing.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 2 },
    cause,
  });
}

/** Of an operation without a stream. */
export function notFollowed(operation: string): Fault {
  return new Fault("invalid_input", `${operation} cannot be followed`, { hint: "Follow context_wait." });
}

/** Of a stream whose operation has no wait that an edge could ask for. */
export function noStreamOnEdge(operation: string, leader: { name: string } | undefined): Fault {
  const member = leader === undefined ? "a full member" : `a full member, such as ${leader.name}`;
  return new Fault("unavailable", `An edge has no stream of ${operation}, because it does not hold what that shows`, {
    hint: `Open the stream at ${member}; or call ${operation} here with since, again and again: this edge asks its upstream.`,
  });
}

/** An act has its effect on one node, so only the caller itself may ask that node for it. */
export function actForwarded(operation: string): Fault {
  return new Fault("forbidden", `${operation} has its effect on the node that is asked, and is never forwarded`, {
    hint: "Run it on that node itself.",
  });
}
