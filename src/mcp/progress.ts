// Progress notifications of a call that waits, for clients that asked for them: such clients do not time out meanwhile.

import type { ServerContext } from "@modelcontextprotocol/server";

/** How long a wait takes if `timeout_seconds` is left out: the usual default of operations that wait. */
const DEFAULT_WAIT_SECONDS = 25;

/** Sends progress in seconds each `everyMs` until the returned function is called; nothing without a progress token. */
export function notifyProgress({ mcpReq }: ServerContext, input: Record<string, unknown>, everyMs: number): () => void {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return () => {};
  const asked = input["timeout_seconds"];
  const total = typeof asked === "number" && asked > 0 ? asked : DEFAULT_WAIT_SECONDS;
  const started = performance.now();
  const timer = setInterval(() => {
    const progress = (performance.now() - started) / 1000;
    const params = { progressToken, progress, total: Math.max(total, progress), message: "Waiting for a change" };
    // A client that is gone cannot be notified; the call itself ends by its signal.
    mcpReq.notify({ method: "notifications/progress", params }).catch(() => {});
  }, everyMs);
  return () => clearInterval(timer);
}
