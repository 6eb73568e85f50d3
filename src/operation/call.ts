// A call of an operation as a surface makes it, and how it ended, for the metrics.

import type { Caller } from "../access/caller.ts";
import type { FaultCode } from "../lib/fault.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import type { Forwarded } from "./routing.ts";

/** A call of an operation, as a surface makes it. */
export interface Call {
  /** Name of the operation. */
  operation: string;
  /** The arguments as they came, with the common ones: `consistency`, `min_position`, `as`, `idempotency_key`. */
  input: unknown;
  caller: Caller;
  /** What the client of the caller said of itself, as `clientClaim` returns it: kept beside it, never judged. */
  client?: string;
  /** Key of the agent as which the caller acts, where the arguments name none. */
  agentKey?: string;
  /** Called with the key of the agent as which the caller acted, or which it got, once the call has succeeded. */
  onAgent?(key: string): void;
  signal: AbortSignal;
  /** Values are taken exactly as the schema has them; left out: also for what they can only mean (lenient.ts). */
  exact?: boolean;
  /** The surface that it came through, for the metrics. Default: `other`. */
  surface?: Surface;
  /** Most characters of a document that the surface takes at once, unless the arguments say. Default: all. */
  maxChars?: number;
  /** What the call is part of, where a caller or this node traces it (W3C Trace Context). */
  trace?: TraceContext;
  /** Another trace that it has to do with: that of the request which carried a message with a trace of its own. */
  carrier?: TraceContext;
  /** The tool of MCP by which it was called, for its span. */
  tool?: string;
  /** Set if another node of the fleet forwarded it: that node's role limits what the call may do. */
  forwarded?: Forwarded;
}

/** The surfaces, as the metrics name them. */
export type Surface = "rest" | "mcp" | "web" | "peer" | "other";

/** How a call ended, for the metrics. */
export interface Outcome {
  /** Name of an operation of this build, or `unknown`. */
  operation: string;
  surface: Surface;
  /** `ok` or the code of the Fault. */
  code: FaultCode | "ok";
  /** How long the caller waited; undefined for a stream, which is counted when it opens. */
  seconds: number | undefined;
}
