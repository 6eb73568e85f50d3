// The log as its users see it (architecture.md 5): propose commands, read the position, follow the changes, see which
// server leads. Engines are in engine/: raft for the product, direct for tests.

import type { Fault } from "../lib/fault.ts";
import type { Writer } from "../store/store.ts";
import type { Change, Changes } from "./changes.ts";
import type { Duty } from "./duties.ts";
import type { Position } from "./position.ts";
import type { RunningDigest } from "./running-digest.ts";

/** A command of the log: a write with its version and prepared input. */
export interface Command {
  name: string;
  v: number;
  /** Made by the operation's `prepare`. Its texts are values, never names of members. */
  input: unknown;
  /** The caller as `callerName` writes it, for the audit and idempotency. */
  caller: string;
  /** The member that forwarded it, or "". */
  via: string;
  /** Idempotency key, or "". */
  key: string;
  /**
   * With a key, from a fleet level on: SHA-256 of what the caller sent in its canonical form, as hex. The key stands
   * for it.
   */
  inputHash?: string;
  /** Whether a node made the key for a write that it forwards. Such a key is forgotten after minutes. */
  nodeKey?: true;
  /** Most bytes of kept outcomes that its caller may have, with `inputHash`; left out: no limit (kept-outcomes.ts). */
  outcomeBytes?: number;
  /** What the client of the caller said of itself, as `clientClaim` returns it; left out: nothing. From a level on. */
  client?: string;
  /** The agent as which its caller acts; left out: the caller itself. From a level on. */
  agent?: CommandAgent;
  /** Least weight in bytes when commands are batched: apply runs an entry without a pause. Not part of the entry. */
  weight?: number;
}

/** The agent of a command, as the node that proposed it found it. Apply finds out whether it still is that agent. */
export interface CommandAgent {
  name: string;
  /** SHA-256 of its handle, as hex. */
  key: string;
  /** Its type where a grant of the caller lists it for the spaces of the call; left out: it does not count. */
  type?: string;
}

/** What apply knows beside the command. The only source of time in apply. */
export interface Stamp {
  /** Log time in ms; never goes back (replication.md 7). */
  timeMs: number;
  caller: string;
  via: string;
  /** What the client of the caller said of itself: shown beside the caller, never judged. Left out: nothing. */
  client?: string;
  /** Name of the agent as which the caller acts; left out: the caller itself. */
  agent?: string;
  /** The type of that agent, where a grant of the caller lists it; left out: it counts for nothing. */
  agentType?: string;
  /** Seq of this command's first change; further changes count up from it. */
  seq: number;
  /** Fleet level of the state: what members of different builds must do alike depends on it (replication.md 8). */
  level: number;
}

/** What applying a command returns: the answer, and the changes. */
export interface Effect<Output = Record<string, unknown>> {
  output: Output;
  /** Each becomes a row of the feed with its own seq, in this order from `stamp.seq` on. Empty when nothing changed. */
  changes: readonly Changed[];
  /** It removed texts for good: they must leave the disk of every member (engine/raft/erasure.ts). */
  purges?: true;
}

/** The fields of one change row that apply decides (replication.md 3). */
export interface Changed {
  /** Id of what changed, for the feed and the audit. */
  target: string;
  version: number;
  /** Hex SHA-256 of the content bytes, or "" where there is none. */
  contentHash: string;
  /** The kind of change, such as `created`, `updated`, `deleted`. */
  outcome: string;
  /** `stateHash` of what else it made, such as title and tags; left out where there is nothing else. */
  state?: string;
}

/** Applies one command deterministically. A thrown Fault is its outcome; any other throw stops the node. */
export interface Apply {
  (tx: Writer, command: Command, stamp: Stamp): Effect;
  /**
   * Returns what the key of a command without `inputHash` stands for: the part of its input that its caller asked for.
   * Left out: version and input.
   */
  asked?(command: Command): unknown;
  /** Names of the writes whose changes are in the change table and in no feed. Left out: none. */
  apart?: ReadonlySet<string>;
  after?: AfterChanges;
}

/**
 * Runs after each command that made changes, in its savepoint, with the fleet level after it. Deterministic like apply,
 * and it never throws a Fault: it cannot refuse the command.
 */
export type AfterChanges = (tx: Writer, changes: readonly Change[], level: number) => void;

/** The result of a command that was applied on this node. */
export interface Applied {
  output: Record<string, unknown>;
  /** Position after the command. */
  position: Position;
}

/** Thrown by apply for a command that this build does not know: the node stops, and a newer build continues there. */
export class UnknownCommand extends Error {}

/** Which server leads, as far as this node knows. */
export interface Leadership {
  /** Whether this node leads. */
  leading: boolean;
  /** Server id of the leader; "" while none is known. */
  server: string;
  term: number;
}

/** One order of changes, whichever engine keeps it. */
export interface Log {
  readonly changes: Changes;
  /**
   * Reports whether the store belongs to a fleet: begun here, or received from a member. Before that, nothing may be
   * answered from it.
   */
  ready(): boolean;
  leadership(): Leadership;
  /** Calls `listener` after each change of leadership. Returns the function that removes it. */
  onLeadership(listener: (now: Leadership) => void): () => void;
  /**
   * Calls `duty` whenever this node leads and has applied everything acknowledged before; at once, if that is so now.
   */
  onLeading(duty: Duty): () => void;
  /**
   * Resolves when everything acknowledged anywhere before the call is applied here. Only the leader can: Fault
   * `unavailable` elsewhere (replication.md 12).
   */
  barrier(): Promise<void>;
  /**
   * Resolves when the command is applied on this node. Rejects with the command's Fault, `storage_full` or
   * `unavailable`.
   */
  propose(command: Command): Promise<Applied>;
  /** Returns the position of the last applied change. */
  position(): Position;
  /** Returns the log time in ms of a command that is proposed now; the wall clock may be wrong (stamp-clock.ts). */
  timeMs(): number;
  /** Returns the newest applied change and its chain hash, as this process remembers them. */
  head(): { seq: number; hash: Uint8Array };
  /** Returns the chain hash of the change `seq`; undefined where it is not kept or not applied yet. */
  hashAt(seq: number): Uint8Array | undefined;
  /** Returns the running digest of the applied state; undefined where the fleet's level has none yet. */
  digest(): RunningDigest | undefined;
  /** Returns the hash of the running digest after `count` commands; undefined where it is not remembered. */
  digestAt(count: number): string | undefined;
  /** Returns the position of a seq in this history. */
  positionAt(seq: number): Position;
  /** Reports whether a position lies in this node's history, so that its seq can be compared. */
  sameHistory(position: Position): boolean;
  /**
   * Stops the engine for a reason found outside, such as a different history at equal positions. Nothing more is
   * applied, and the process must end.
   */
  stopApply(reason: Fault): void;
  close(): Promise<void>;
}
