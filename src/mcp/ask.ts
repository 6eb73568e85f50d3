// Operations asked for a client, as its caller.

import type { Caller } from "../access/caller.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { ByOperation } from "../operation/mcp-parts.ts";
import { MAX_DOCUMENT_CHARS } from "./bounds.ts";

/** One request of a client. */
export interface Asking {
  caller: Caller;
  /** What the client said of itself, as `claimOfInfo` returns it. */
  client: string;
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
  const maxChars = MAX_DOCUMENT_CHARS;
  const { output } = await invoker.invoke({ ...asking, operation, input, surface: "mcp", maxChars });
  return output;
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
