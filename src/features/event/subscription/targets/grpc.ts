// Targets of kind `grpc`: the call IngestEvent of another server of mcp.v1.MCPService. The Go half speaks gRPC; here an
// event is the JSON form of its message, and what the server says is a status of HTTP.

import type { z } from "zod";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { traceHeaders } from "../../event-trace.ts";
import type { Target } from "../delivery.ts";
import { tasEvent } from "../shapes.ts";
import { urlOf } from "./address.ts";
import { DEFAULT_TIMEOUT_SECONDS, type grpcTarget } from "./declared.ts";
import { authOf } from "./http.ts";
import { type TargetParts, wayTo } from "./parts.ts";
import { post, shownText } from "./post.ts";

const INGEST = "/mcp.v1.MCPService/IngestEvent";
/** Servers want JSON in `data`; an event may have none. */
const NO_DATA = "null";

/** Makes the target. */
export function makeGrpcTarget(config: z.infer<typeof grpcTarget>, parts: TargetParts): Target {
  const { readSecret, nowMs } = parts;
  const { timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  return {
    async send({ record, messageId, trace }, signal) {
      const body = JSON.stringify({ data: NO_DATA, ...tasEvent(record) });
      try {
        const url = new URL(INGEST, urlOf(config.url, readSecret));
        const headers = {
          ...config.metadata,
          ...traceHeaders(trace, record),
          "content-type": "application/json",
          "cairn-delivery": messageId,
          ...authOf(config.auth, readSecret),
        };
        const request = { url, headers, body, deadlineMs: 1000 * seconds, protocol: "grpc" } as const;
        return await post(wayTo(config, parts), request, signal, nowMs());
      } catch (error) {
        signal.throwIfAborted();
        return { result: "failed", detail: shownText(reasonOf(error)) };
      }
    },
  };
}
