// Progress notifications of a call that waits, for clients that asked for them: such clients do not time out meanwhile.

import type { ServerContext } from "@modelcontextprotocol/server";
import { DEFAULT_WAIT_SECONDS } from "../operation/define.ts";

/** Longest time between two notifications, in ms: some clients give up after 5 s without one. */
const PROGRESS_MS = 4000;

/**
 * Sends progress in seconds each `everyMs`, or more often, until the returned function is called; nothing without a
 * progress token.
 */
export function notifyProgress({ mcpReq }: ServerContext, input: Record<string, unknown>, everyMs: number): () => void {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return () => {};
  const asked = input["timeout_seconds"];
  const total = typeof asked === "number" && asked > 0 ? asked : DEFAULT_WAIT_SECONDS;
  const started = performance.now();
  const timer = setInterval(
    () => {
      const progress = (performance.now() - started) / 1000;
      const params = { progressToken, progress, total: Math.max(total, progress), message: "Waiting for a change" };
      // A client that is gone cannot be notified; the call itself ends by its signal.
      mcpReq.notify({ method: "notifications/progress", params }).catch(() => {});
    },
    Math.min(everyMs, PROGRESS_MS),
  );
  return () => clearInterval(timer);
}
