// Service keys of the parts that a node provides to its features (services.ts). A feature defines the keys of its own
// parts.

import type { Access } from "../access/access.ts";
import type { Caller } from "../access/caller.ts";
import type { Refusals } from "../access/refusals.ts";
import type { Environment } from "../config/environment.ts";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { DialedSocket } from "../lib/dialed-socket.ts";
import type { Log } from "../log/log.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { Tracer } from "../observe/trace/tracer.ts";
import type { PassedRequest, PassedSocket, PeerCallOptions } from "../peer/link.ts";
import type { Store } from "../store/store.ts";
import type { Answer } from "./answer.ts";
import type { Call } from "./call.ts";
import type { WriteLimits } from "./define.ts";
import { ServiceKey } from "./services.ts";

/**
 * Sends a request to the host's network, in the only allowed way (security.md 19). Rejects with Fault `unavailable`.
 */
export type Outbound = (
  url: URL,
  init: {
    method: string;
    headers: Record<string, string>;
    body?: Uint8Array;
    signal: AbortSignal;
    /** The Go half makes a call of gRPC of it, and of its answer a response of HTTP (native/PROTOCOL.md). */
    protocol?: "grpc";
  },
) => Promise<Response>;

/** What the process was started with, and its access to the host's network. */
export interface HostParts {
  secrets: Secrets;
  env: Environment;
  /** The command that runs this executable; undefined: no child process can be started. */
  command: readonly string[] | undefined;
  outbound: Outbound;
  /** The same to devices of the tailnet, over plain HTTP within it. */
  tailnet: Outbound;
}

/** What every node has from its start. */
export interface NodeParts {
  settings: Settings & { readonly data: string };
  store: Store;
  conditions: Conditions;
  /** Returns the limits on writes of the fleet, as they are now. */
  limits: () => WriteLimits;
  /** Wall clock in ms. */
  nowMs: () => number;
}

/** A caller found by a name. */
export interface NamedCaller {
  caller: Caller;
  /** What is unknown about it, such as that none of its devices is visible now; or "". */
  note: string;
}

/** The full members of the fleet, as features call them. */
export interface FullMembers {
  /** Member id of this node; "" while it is unknown. */
  self(): string;
  /** Returns the others, by their member ids. */
  others(): readonly { node: string; name: string }[];
  /** On an edge: the member that it follows; undefined while there is none, and on full members. */
  followed(): string | undefined;
  /** Calls a peer path of another member. Rejects with its Fault, or with `unavailable`. */
  ask(node: string, path: string, value: unknown, options: PeerCallOptions): Promise<unknown>;
  /** Passes a request on to another member. Rejects as `ask` does. */
  open(node: string, path: string, request: PassedRequest): Promise<Response>;
  /** Passes a WebSocket on. Resolves with the answer that refuses the handshake. */
  openSocket(node: string, path: string, request: PassedSocket): Promise<DialedSocket | Response>;
  /** Returns the caller that another member names. Rejects with Fault `forward_unseen` where it is not seen here. */
  callerOf(id: string, from: string, signal: AbortSignal): Promise<Caller>;
}

/** Finds callers by what a person typed: a login, a tag, a device, an address, `local`. */
export type FindCallers = (name: string, signal: AbortSignal) => Promise<NamedCaller[]>;

/** Process and host. */
export const HOST: ServiceKey<HostParts> = new ServiceKey("the host");
/** The node itself. */
export const NODE: ServiceKey<NodeParts> = new ServiceKey("the node");
/** The log. Provided after the operations, because it applies their commands. */
export const LOG: ServiceKey<Log> = new ServiceKey("the log");
/** The full members. */
export const FULL_MEMBERS: ServiceKey<FullMembers> = new ServiceKey("the full members");
/** Returns the base URLs of the node that work now, the best one first. */
export const URLS: ServiceKey<() => readonly string[]> = new ServiceKey("the node's URLs");
/** The gate. */
export const ACCESS: ServiceKey<Access> = new ServiceKey("the gate");
/** The record of refused calls. */
export const REFUSALS: ServiceKey<Refusals> = new ServiceKey("the refused calls");
/** Records spans. A node whose settings name no collector has none. */
export const TRACER: ServiceKey<Tracer> = new ServiceKey("the traces");
/** Finds callers by name, for `access_explain`. */
export const FIND_CALLERS: ServiceKey<FindCallers> = new ServiceKey("the search for callers");
/**
 * Runs a call of an operation as its caller, like one that came by a surface. Provided after the operations, because it
 * calls them.
 */
export const CALL_AS: ServiceKey<(call: Call) => Promise<Answer>> = new ServiceKey("the calls of the node itself");

/**
 * Counts a stream of a caller until the returned function is called; throws Fault `rate_limited`. For what no surface
 * counts. Provided with `CALL_AS`.
 */
export const HOLD_STREAM: ServiceKey<(caller: Caller) => () => void> = new ServiceKey("the streams of callers");
