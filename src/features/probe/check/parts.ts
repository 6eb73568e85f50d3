// What checks need of their node.

import type { Connections } from "../../../operation/connections.ts";
import type { Outbound } from "../../../operation/node-parts.ts";
import type { SeenMember } from "../../../operation/surroundings.ts";

/** The ways out of a node, and what it sees. */
export interface CheckParts {
  outbound: Outbound;
  tailnet: Outbound;
  connections: Connections;
  /** Reads a secret of this node; throws a Fault. */
  readSecret: (reference: string) => string;
  /** Runs a program with its words and variables, at most so long. Rejects with Faults where it does not start. */
  run: (
    argv: readonly string[],
    values: Record<string, string>,
    timeoutMs: number,
    signal: AbortSignal,
  ) => Promise<CommandEnd>;
  /** Whether this node agrees to run the command of a probe (`fleet.run`). */
  agrees: (name: string, labels: readonly string[]) => boolean;
  /** Looks a name up; rejects with an error of the system. */
  resolve: (name: string, record: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** The members as this node sees them. */
  members: () => readonly SeenMember[];
  /** Asks the other full members whether they miss a member: how many do, of those that answered. */
  missing: (node: string, signal: AbortSignal) => Promise<{ missing: number; asked: number }>;
  /** Wall clock, and a clock for durations, in ms. */
  nowMs: () => number;
  monotonicMs: () => number;
}

/** The end of a command, and the end of what it wrote. */
export interface CommandEnd {
  /** Undefined: a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
  latencyMs: number;
}

/** What one check found, before its member asks whether itself is at fault. */
export interface Found {
  good: boolean;
  detail: string;
  /** The target was reached and says no: what is wrong is the service. */
  reached: boolean;
  /** A member that is away, as several see it. */
  machine?: true;
  /** A member that only this node does not hear. */
  path?: true;
  latencyMs?: number | undefined;
  value?: number | undefined;
}
