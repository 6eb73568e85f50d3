// Writes that a read at the leader makes for its caller, as such a read sees them (writes-of-call.ts).

import type { Applied } from "../log/log.ts";

/** The writes of one call. */
export interface CallWrites {
  /** Throws the Fault with which this node refuses all writes now, such as `storage_full`. */
  refuse(): void;
  /**
   * Proposes a command of an internal write. The answer of the call then has the position of that write. Rejects with
   * its Fault, `storage_full`, `agent_unknown` or `unavailable`.
   */
  propose(operation: { readonly name: string; readonly v: number }, command: unknown): Promise<Applied>;
}
