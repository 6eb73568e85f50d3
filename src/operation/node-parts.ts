// The keys under which a node lends its own parts to features (services.ts). Keys of a feature's parts are the feature's.

import type { Access } from "../access/access.ts";
import type { Caller } from "../access/caller.ts";
import type { Refusals } from "../access/refusals.ts";
import type { Environment } from "../config/environment.ts";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { Store } from "../store/store.ts";
import type { WriteLimits } from "./define.ts";
import { ServiceKey } from "./services.ts";

/** The one way to the host's network (security.md 19): the answer of the far side, or a Fault `unavailable` when there is none. */
export type Outbound = (
  url: URL,
  init: { method: string; headers: Record<string, string>; body?: Uint8Array; signal: AbortSignal },
) => Promise<Response>;

/** What the process was started with, and its way out. */
export interface HostParts {
  secrets: Secrets;
  env: Environment;
  /** The words that run this executable; without them nothing can be done in a child. */
  command: readonly string[] | undefined;
  outbound: Outbound;
}

/** What every node has from the beginning. */
export interface NodeParts {
  settings: Settings & { readonly data: string };
  store: Store;
  conditions: Conditions;
  limits: WriteLimits;
  /** Wall clock in ms. */
  nowMs: () => number;
}

/** A caller that a name stands for. */
export interface NamedCaller {
  caller: Caller;
  /** What is not known of it, such as that none of its devices is seen now; or "". */
  note: string;
}

/** Finds the callers that a person's words name: a login, a tag, a device, an address, `local`. */
export type FindCallers = (name: string, signal: AbortSignal) => Promise<NamedCaller[]>;

/** The host of the process. */
export const HOST: ServiceKey<HostParts> = new ServiceKey("the host");
/** The node. */
export const NODE: ServiceKey<NodeParts> = new ServiceKey("the node");
/** Provided once the operations are known, since the log applies their commands. */
export const LOG: ServiceKey<Log> = new ServiceKey("the log");
/** The gate. */
export const ACCESS: ServiceKey<Access> = new ServiceKey("the gate");
/** Calls that the gate refused. */
export const REFUSALS: ServiceKey<Refusals> = new ServiceKey("the refused calls");
/** Finds the callers that `access_explain` is asked about. */
export const FIND_CALLERS: ServiceKey<FindCallers> = new ServiceKey("the search for callers");
