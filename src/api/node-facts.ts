// The facts about a node that its own routes return.

import type { Caller } from "../access/caller.ts";

/** The facts of /health, /ready, /metrics and /.well-known/cairn. */
export interface NodeFacts {
  version: string;
  /** `reads`: which spaces the caller may read, by whose rights some texts of conditions go. */
  health: (reads?: (space: string) => boolean) => Health;
  identity: () => Identity;
  /** Reports whether a caller without rights may know which fleet this is, since it could join. */
  isCandidate?: (caller: Caller) => boolean;
  /** Returns the metrics in Prometheus' text format. */
  metrics: () => string;
  /** Wall clock in ms. */
  nowMs: () => number;
}

/** The state of the node. */
export interface Health {
  /** Whether the node can serve reads and writes now. */
  ready: boolean;
  status: "ok" | "warning" | "failing";
  /** Shown to readers only, and `text` to those of all spaces, some to those of named ones (security.md 17). */
  conditions: readonly { readonly text: string }[];
}

/** What the node is. */
export interface Identity {
  /** Random id of the fleet, and its name. */
  fleetId: string;
  fleet: string;
  /** StableNodeID of the member that orders writes; "" while none is known. */
  leader: string;
  role: "central" | "regional" | "edge";
  /** Path of each surface by its name. */
  surfaces: Readonly<Record<string, string>>;
}
