// A call between its admission and its end.

import type { Call } from "./call.ts";
import type { Spend } from "./caller-limits.ts";
import type { Operation } from "./define.ts";
import type { CommonArguments } from "./parse-input.ts";

/** A call that was parsed, judged and counted against the caller's limits. */
export interface Admitted {
  call: Call;
  operation: Operation;
  /** The operation's own arguments. */
  input: Record<string, unknown>;
  common: CommonArguments;
  /** All arguments as another node gets them. */
  given: Record<string, unknown>;
  spaces: readonly string[] | "visible";
  spend: Spend;
  /** Key of the agent as which the caller acts; the node that runs the call looks it up. */
  agentKey: string | undefined;
  /** Key of the agent that the call registered. */
  newKey?: string;
  /** Position of the newest write that the call made for its caller. */
  wrote?: string;
}
