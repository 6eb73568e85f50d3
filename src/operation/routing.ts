// What `invoke` knows of the other nodes of its fleet: how this node serves now, and how a call reaches the node that
// can run it. membership/ implements it.

import { type Caller, callerName } from "../access/caller.ts";
import type { Cap } from "../access/rights.ts";
import type { Fault } from "../lib/fault.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import type { Answer } from "./answer.ts";
import type { Attempts } from "./attempts.ts";

/**
 * How a node serves now. `leader`: orders writes. `replica`: reads from its own store, forwards writes. `edge`: reads
 * from its cache or its upstream. `waiting`: has no store yet.
 */
export type ServingMode = "leader" | "replica" | "edge" | "waiting";

/** A call for another node. This node has judged it, and the other one judges it again. */
export interface ForwardCall {
  operation: string;
  /** The arguments as the caller sent them, with the common arguments that matter there. */
  input: Record<string, unknown>;
  caller: Caller;
  /** Only a write can have an unknown outcome. */
  kind: "read" | "write";
  /** Idempotency key that this node made for a write whose caller gave none. */
  nodeKey?: string;
  /** What the client of the caller said of itself; only from a fleet level on. */
  client?: string;
  /** Key of the agent as which the caller acts; only from a fleet level on. */
  agentKey?: string;
  /** What the call is part of; sent only by a node that records spans, and from a fleet level on. */
  trace?: TraceContext;
  /** Records what becomes of the attempts at other nodes. */
  attempts?: Attempts;
  /** How long the read itself may wait for a change, in ms; left out: it does not. */
  waitMs?: number;
}

/** A read on an edge that the gate has allowed. */
export interface CachedCall extends ForwardCall {
  /** The operation's own arguments, parsed. */
  parsed: Record<string, unknown>;
  consistency: Consistency;
  /** The answer must be at least this new; undefined: any. */
  minPosition: string | undefined;
  signal: AbortSignal;
}

/** How new a read must be (architecture.md 5). */
export type Consistency = "any" | "session" | "leader";

/** The rest of the fleet. Undefined where a node runs every call itself. */
export interface Routing {
  mode(): ServingMode;
  /** Why no call is served while the mode is `waiting`; undefined or left out: the store has not arrived yet. */
  whyWaiting?(): Fault | undefined;
  /**
   * Whether another node may order writes next: then writes carry a key, and local callers the name of their machine.
   */
  hasOtherNodes(): boolean;
  /** Member id of this node; "" while it is unknown. */
  self(): string;
  /** Returns the level of the fleet where the store of this node does not say, which is so on an edge; 0: unknown. */
  fleetLevel?(): number;
  /** The node that is known to order writes now. */
  leader(): { node: string; name: string } | undefined;
  /**
   * Sends a call to the leader or to an edge's upstream. Retries over changes of leader for 30 s, then rejects with
   * Fault `unavailable` and what is known of the outcome. Returns `local` if this node leads by now: the caller then
   * runs the call itself.
   */
  forward(call: ForwardCall, to: "leader" | "upstream", signal: AbortSignal): Promise<Answer | "local">;
  /** Returns the answer of an edge's cache; undefined where the upstream has to be asked. */
  readCached?(call: CachedCall): Promise<Answer | undefined>;
  /** Throws Fault `forbidden` if this node does not receive the changes of one of these spaces. */
  refuseFollow?(spaces: readonly string[]): void;
  /**
   * Reports whether this node is proved to have had, at some moment since its process began, all that the fleet had
   * acknowledged before. Until then its store may lack what it acknowledged itself before a restart.
   */
  isCurrent?(): boolean;
  /** Called before a position is returned to a caller of this node, so that an edge still knows it after a restart. */
  acknowledge?(position: string): void;
  /**
   * Returns a function for how old the present state of this full member may be, in ms, at a later moment, whether it
   * leads or not; undefined: nothing is proved.
   */
  stateAge?(): (() => number) | undefined;
}

/** The member that forwarded a call, and the most that the call may do (security.md 9). */
export interface Forwarded extends Cap {
  /** Member id of the node that took the call. */
  via: string;
  /** The key that it made for a write without one. */
  nodeKey?: string;
}

/**
 * Makes an idempotency key for a write whose caller gave none, so that a change of leader never doubles the write. It
 * is kept apart from callers' keys, for 5 minutes of log time (log/apply-batch.ts).
 */
export function newNodeKey(): string {
  return `forward-${crypto.randomUUID()}`;
}

/** Returns the most that a member with this role may forward (security.md 9). */
export function capOf(member: { role: "central" | "regional" | "edge"; spaces: readonly string[] }): Cap {
  return member.role === "edge" ? { role: "member", spaces: member.spaces } : { role: "operator", spaces: undefined };
}

/**
 * Returns the name of a local caller in a fleet. It includes the machine, because no other machine can check the
 * caller.
 */
export function localCallerName(id: string, member: string): string {
  return `${id}@${member}`;
}

/**
 * Returns the name under which the fleet knows a caller of this node: that of a local one includes the machine while
 * other nodes may order its writes.
 */
export function fleetNameOf(caller: Caller, routing: Routing | undefined): string {
  const isOfThisMachine = caller.kind === "local" && !caller.id.includes("@");
  return isOfThisMachine && routing?.hasOtherNodes() === true
    ? localCallerName(caller.id, routing.self())
    : callerName(caller);
}
