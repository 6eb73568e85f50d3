// The log as its users see it (design 5): propose a command, read the position, follow the changes. Engines: direct.ts now, raft.ts later.

import type { Changes } from "./changes.ts";

/** A command as it stands in the log: a write with its version and parsed input. */
export interface Command {
  name: string;
  v: number;
  input: unknown;
  /** Caller as `callerName` writes it, for the audit and idempotency. */
  caller: string;
  /** The member that forwarded it, or "". */
  via: string;
  /** Idempotency key of the client, or "". */
  key: string;
}

/** What the leader stamps on each command; the only source of time in apply. */
export interface Stamp {
  /** Log time in ms: never goes back (replication.md 7). */
  timeMs: number;
  caller: string;
  via: string;
}

export interface Applied<Output = unknown> {
  output: Output;
  /** `<epoch>-<seq>` after the command. */
  position: string;
}

export interface Log {
  /** Resolves when the command is applied on this node; rejects with the command's Fault, or `unavailable`. */
  propose(command: Command): Promise<Applied>;
  /** The position of what is applied on this node. */
  position(): string;
  /** The node that orders writes now. */
  leader(): { id: string; self: boolean } | undefined;
  readonly changes: Changes;
  close(): Promise<void>;
}
