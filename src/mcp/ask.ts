// Operations asked for a client, as its caller.

import type { Caller } from "../access/caller.ts";
import { isObject } from "../lib/json-object.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import type { Call } from "../operation/call.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { ByOperation } from "../operation/mcp-parts.ts";
import { MAX_DOCUMENT_CHARS } from "./bounds.ts";

/** One request of a client. */
export interface Asking {
  caller: Caller;
  /** What the client said of itself, as `claimOfInfo` returns it. */
  client: string;
  /** The handle of the agent as which it asks, as the request has it; left out: none. */
  handle?: unknown;
  /** Key of the agent of its session, for requests that show no handle. */
  agentKey?: string;
  /** Called as `Call.onAgent`, so that a session goes on as that agent. */
  onAgent?(key: string): void;
  /** What it is part of, on a node that records spans: by its `_meta`, else by the request that carried it. */
  trace?: TraceContext;
  carrier?: TraceContext;
  /** Aborted when the client no longer wants the response. */
  signal: AbortSignal;
}

/** Runs an operation and returns its output. Rejects with its Fault. */
export async function ask(
  invoker: Invoker,
  asking: Asking,
  operation: string,
  input: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { output } = await invoker.invoke(callOf(asking, operation, input));
  return output;
}

/** Returns the call of an operation. The handle of the request is an argument, unless the arguments have one. */
export function callOf({ handle, ...who }: Asking, operation: string, input: unknown): Call {
  const shown = handle !== undefined && isObject(input) ? { as: handle, ...input } : input;
  return { ...who, operation, input: shown, surface: "mcp", maxChars: MAX_DOCUMENT_CHARS };
}

/** Meets a request by the operation of a manifest's part. Rejects with its Fault. */
export async function askBy<Request, Result>(
  invoker: Invoker,
  asking: Asking,
  part: ByOperation<Request, Result>,
  request: Request,
): Promise<Result> {
  return part.result(await ask(invoker, asking, part.operation, part.input(request)), request);
}
