// The one road into Cairn: parse, gate, rate limit, run (design 7). REST, MCP, CLI and pages call this and nothing below it.

import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import type { Changes } from "../log/changes.ts";
import type { Registry } from "./registry.ts";

export interface Call {
  /** Name of the operation. */
  operation: string;
  /** Arguments as they came; `consistency`, `min_position` and `idempotency_key` are common to all operations and taken out here. */
  input: unknown;
  caller: Caller;
  signal: AbortSignal;
}

export interface Answer {
  output: Record<string, unknown>;
  /** `<epoch>-<seq>`: of the change for a write, of what was read for a read. */
  position: string;
}

/** What every surface gets. */
export interface Invoker {
  readonly registry: Registry;
  readonly changes: Changes;
  /** Rejects with a Fault, never with anything else. */
  invoke(call: Call): Promise<Answer>;
  rights(caller: Caller): Rights;
}
