// Says to a client that its call still waits: progress where it asked for some, so that it does not give up, and bytes on the wire for the proxies between.

import type { ServerContext } from "@modelcontextprotocol/server";

/** How long the wait of a call may take where it does not say, in seconds; the default of context_wait. */
const DEFAULT_WAIT_SECONDS = 25;

/** Tells progress in seconds each `everyMs` until the answered function is called. Without a progress token it tells nothing. */
export function tellProgress({ mcpReq }: ServerContext, input: Record<string, unknown>, everyMs: number): () => void {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return () => {};
  const asked = input["timeout_seconds"];
  const total = typeof asked === "number" && asked > 0 ? asked : DEFAULT_WAIT_SECONDS;
  const started = performance.now();
  const timer = setInterval(() => {
    const progress = (performance.now() - started) / 1000;
    const params = { progressToken, progress, total: Math.max(total, progress), message: "Waiting for a change" };
    // Who is gone hears nothing; the call itself ends by its signal.
    mcpReq.notify({ method: "notifications/progress", params }).catch(() => {});
  }, everyMs);
  return () => clearInterval(timer);
}
