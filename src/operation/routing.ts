// What `invoke` knows of the other nodes of its fleet: what this one is for now, and how a call goes to the node that can answer it. Who does it and over what is wired above.

import type { Caller } from "../access/caller.ts";
import type { Role } from "../access/rights.ts";
import { Fault, type FaultCode } from "../lib/fault.ts";
import type { Answer } from "./answer.ts";

/** `leader` orders writes here; `replica` reads here, writes elsewhere; `edge` reads from its cache or upstream; `waiting` has nothing yet. */
export type ServingMode = "leader" | "replica" | "edge" | "waiting";

/** A call on its way to another node: judged here, and judged there again. */
export interface ForwardCall {
  operation: string;
  /** As the caller sent it, with the common arguments that count there. */
  input: Record<string, unknown>;
  caller: Caller;
  /** Only of a write is something done whose outcome may stay unknown. */
  kind: "read" | "write";
  /** The key of a write that its caller gave none (`nodeKey`). */
  nodeKey?: string;
}

/** A read on an edge, after the gate said yes. */
export interface CachedCall extends ForwardCall {
  /** The operation's own arguments, parsed. */
  parsed: Record<string, unknown>;
  consistency: Consistency;
  /** The answer must be at least so new; undefined: whatever there is. */
  minPosition: string | undefined;
  signal: AbortSignal;
}

/** What a read must have seen (architecture.md 5). */
export type Consistency = "any" | "session" | "leader";

/** The rest of the fleet. Undefined where a node answers all by itself. */
export interface Routing {
  mode(): ServingMode;
  /** Whether another node may order writes next: then writes carry a key and callers of this machine its name. */
  several(): boolean;
  /** Member id of this node; "" while it is not known. */
  self(): string;
  /** The node that is known to order writes now. */
  leader(): { node: string; name: string } | undefined;
  /**
   * Asks the node that orders writes, or an edge's upstream. Retries over a change of leader until 30 s are over, then Fault `unavailable` with what is known of the outcome.
   * `here`: by now this node orders writes itself.
   */
  forward(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "here">;
  /** An edge's cache: its answer, or undefined where upstream has to be asked. */
  answer?(call: CachedCall): Promise<Answer | undefined>;
  /** Refuses to wait for changes of spaces that this node does not follow. Fault `forbidden`. */
  refuseFollow?(spaces: readonly string[]): void;
  /** How old what a replica has may be, in seconds; undefined while it is not known. */
  ageSeconds?(): number | undefined;
}

/** Under whose name a call came from another node, and what it may be at most there (security.md 9). */
export interface Forwarded {
  /** Member id of the node that took the call. */
  via: string;
  role: Role;
  /** Globs of the spaces that it is enrolled for; undefined: all. */
  spaces: readonly string[] | undefined;
  /** The key that it made for a write without one. */
  nodeKey?: string;
}

/**
 * Makes a key for a write that its caller gave none, so that a change of leader never doubles it. It travels apart from
 * the caller's keys and is kept for 5 minutes of log time (log/apply-batch.ts).
 */
export function newNodeKey(): string {
  return `forward-${crypto.randomUUID()}`;
}

/** How a forwarded call is capped by the role of the member that forwards it (security.md 9). */
export function capOf(member: { role: "central" | "regional" | "edge"; spaces: readonly string[] }): {
  role: Role;
  spaces: readonly string[] | undefined;
} {
  return member.role === "edge" ? { role: "member", spaces: member.spaces } : { role: "operator", spaces: undefined };
}

/** A caller of one machine has no name that other machines could check: in a fleet its name tells the machine too. */
export function localName(id: string, member: string): string {
  return `${id}@${member}`;
}

/** The answer of a node that holds nothing yet. */
export function notReady(): Fault {
  return new Fault("not_ready", "This node has not received the store of its fleet yet", {
    hint: "Ask another node of the fleet, or wait: `cairn status` says what it waits for.",
    details: { retryAfterSeconds: 2 },
  });
}

/** The answer of a node that was asked to order a write and does not lead. */
export function notLeader(leader: { node: string } | undefined): Fault {
  return new Fault("unavailable", "This node does not order writes now; nothing was written", {
    hint: "Ask the leader.",
    facts: { outcome: "not_done", leader: leader && { node: leader.node } },
    details: { retryAfterSeconds: 1 },
  });
}

/** Admin rights stay on the node where they were proved. */
export function neverForwarded(operation: string, leader: { name: string } | undefined): Fault {
  const where = leader === undefined ? "the leader, once there is one" : leader.name;
  return new Fault("forbidden", `${operation} needs admin rights, and those are never forwarded to the leader`, {
    hint: `Run it on ${where}.`,
    facts: { leader: leader && { name: leader.name } },
  });
}

/** What a caller is told when no node took the call in time. */
export function gaveUp(mayBeDone: boolean, cause: unknown): Fault {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  if (mayBeDone) {
    return new Fault("unavailable", `Whether the write was made is unknown${why}`, {
      hint: "Read before you write again, or repeat it with the same idempotency key.",
      facts: { outcome: "unknown" },
      details: { retryAfterSeconds: 2 },
      cause,
    });
  }
  return new Fault("unavailable", `No node that orders writes could be asked${why}`, {
    hint: "Try again in a moment; `cairn status` shows which voters are missing.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 2 },
    cause,
  });
}

/** Outcomes that are decided in apply, where an earlier try of the same key would have answered instead: they hold whatever was tried before. */
const DECIDED_IN_APPLY: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "invalid_input",
  "not_found",
  "deleted",
  "purged",
  "version_mismatch",
  "patch_failed",
  "key_reused",
  "quota_exceeded",
]);

/** What a refusal says once an earlier try may have gone through: one that came before the log (a full disk, a rate, rights) says nothing about that try. */
export function afterTries(error: unknown, mayBeDone: boolean): unknown {
  const says = error instanceof Fault && (DECIDED_IN_APPLY.has(error.code) || error.facts.outcome === "unknown");
  return mayBeDone && error instanceof Fault && !says ? gaveUp(true, error) : error;
}
