// What a raft log is made of and started with.

import type { Fault } from "../../../lib/fault.ts";
import type { Store, Writer } from "../../../store/store.ts";
import type { Apply } from "../../log.ts";
import type { ErasureOptions } from "./erasure.ts";

export interface RaftOptions extends Omit<ErasureOptions, "ask"> {
  store: Store;
  apply: Apply;
  /** Returns the time for entries, in ms (`stampClock`). */
  stampMs: () => number;
  /** Called once when log or store can no longer be trusted or the Go half has ended. The process must end. */
  onFatal: (reason: Fault) => void;
  /** Removes from a peer's copy what belongs to the peer alone, before it becomes this store. */
  cleanCopy?: (tx: Writer) => void;
  /** Called when the fleet's store replaced one that was never in a fleet: the node joined, or had given its own up. */
  onJoined?: () => void;
  /**
   * Returns the server id of the voter to hand the leadership to while this node cannot take writes; "" while it may
   * lead.
   */
  successor?: () => string;
  /** For tests: ms after which an outcome counts as unknown, instead of 30 s. */
  unknownAfterMs?: number;
}

/** What the Go half opened. */
export interface RaftStart {
  /** Path of raft.sock, where the Go half listens. */
  socketPath: string;
  /** Fleet id and epoch of this member. A copy of another one is refused. */
  fleet: string;
  epoch: string;
  /** Ends the wait for the start, which may include the install of a whole store. */
  signal: AbortSignal;
}
