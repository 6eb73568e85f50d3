// The log as its users see it (architecture.md 5): propose a command, read the position, follow the changes, know who leads. Engines: raft.ts, and direct.ts for tests.

import type { Fault } from "../lib/fault.ts";
import type { Writer } from "../store/store.ts";
import type { Changes } from "./changes.ts";
import type { Duty } from "./duties.ts";
import type { Position } from "./position.ts";

/** A command as it stands in the log: a write with its version and prepared input. */
export interface Command {
  name: string;
  v: number;
  /** Made by the operation's `prepare`. Its texts are values, never names of members. */
  input: unknown;
  /** Caller as `callerName` writes it, for the audit and idempotency. */
  caller: string;
  /** The member that forwarded it, or "". */
  via: string;
  /** Idempotency key, or "". */
  key: string;
  /** The key was made by a node for a write that it forwards: it is forgotten after minutes. */
  nodeKey?: true;
  /** What it counts for at least where commands are put into entries, in bytes: apply does an entry without a pause. No part of the entry. */
  weight?: number;
}

/** What the leader stamps on each command; the only source of time in apply. */
export interface Stamp {
  /** Log time in ms: never goes back (replication.md 7). */
  timeMs: number;
  caller: string;
  via: string;
  /** Seq that this command's first change will have; the next ones follow. */
  seq: number;
}

/** What apply says of a command: the answer, and what it changed. */
export interface Effect<Output = Record<string, unknown>> {
  output: Output;
  /** Each becomes a row of the feed with a seq of its own, in this order from `stamp.seq` on; empty when nothing changed. */
  changes: readonly Changed[];
}

/** What apply says of one change: these fields of its row (replication.md 3). */
export interface Changed {
  /** Id of what changed, for the feed and the audit. */
  target: string;
  version: number;
  /** Hex SHA-256 of the content bytes, or "" where there is none. */
  contentHash: string;
  /** What happened, such as `created`, `updated`, `deleted`. */
  outcome: string;
}

/** Applies one command deterministically. A thrown Fault is the outcome; any other throw stops the node. */
export interface Apply {
  (tx: Writer, command: Command, stamp: Stamp): Effect;
  /** The part of a command's input that its caller asked for, for the fingerprint of its key; left out: all of it. */
  asked?(command: Command): unknown;
}

/** A command that was carried out here. */
export interface Applied {
  output: Record<string, unknown>;
  /** Position after the command. */
  position: Position;
}

/** Thrown by apply where the log holds what this build does not know: the node stops, and a newer build goes on from there. */
export class UnknownCommand extends Error {}

/** Who orders writes, as this node knows it. */
export interface Leadership {
  /** Whether it is this node. */
  leading: boolean;
  /** Server id of the leader; "" while nobody is known to lead. */
  server: string;
  term: number;
}

/** One order of changes, whatever engine keeps it. */
export interface Log {
  readonly changes: Changes;
  /** Whether the store is one of a fleet: begun here, or received from a member. Until then nothing may be answered from it. */
  ready(): boolean;
  leadership(): Leadership;
  /** Calls `listener` after each change of who leads; answers the function that ends it. */
  onLeadership(listener: (now: Leadership) => void): () => void;
  /** Has `duty` called whenever this node leads and has applied all that was acknowledged before; at once, if that is so now. */
  onLeading(duty: Duty): () => void;
  /** Resolves when everything acknowledged anywhere before the call is applied here; only the leader can: Fault `unavailable` elsewhere (replication.md 12). */
  barrier(): Promise<void>;
  /** Resolves when the command is applied on this node; rejects with the command's Fault, `storage_full` or `unavailable`. */
  propose(command: Command): Promise<Applied>;
  /** Position of what is applied on this node. */
  position(): Position;
  /** The newest change that is applied and its chain hash, as this process knows them. */
  head(): { seq: number; hash: Uint8Array };
  /** Chain hash of the change `seq` of this store; undefined where it is not kept or not applied yet. */
  hashAt(seq: number): Uint8Array | undefined;
  /** The position of a seq of this history. */
  positionAt(seq: number): Position;
  /** Whether `epoch` at `seq` lies in the history of this node, so that seq can be compared. */
  sameHistory(position: Position): boolean;
  /** Ends this engine for a reason found outside, such as another history with equal positions: nothing more is applied, and the process must end. */
  stopApply(reason: Fault): void;
  close(): Promise<void>;
}
