// Targets of kind `webhook`: Standard Webhooks, signed again at each attempt.

import type { z } from "zod";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { traceHeaders } from "../../event-trace.ts";
import type { Target } from "../delivery.ts";
import { shapeOf, standardBody } from "../shapes.ts";
import { signedHeaders } from "../signature.ts";
import { urlOf } from "./address.ts";
import { DEFAULT_TIMEOUT_SECONDS, type webhookTarget } from "./declared.ts";
import { type TargetParts, wayTo } from "./parts.ts";
import { post, shownText } from "./post.ts";

/** Makes the target. */
export function makeWebhookTarget(config: z.infer<typeof webhookTarget>, parts: TargetParts): Target {
  const { readSecret, nowMs } = parts;
  const { secret, previous_secret: previous, timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  return {
    async send({ record, messageId: id, trace }, signal) {
      const isStandard = config.format !== "cloudevents";
      const body = isStandard ? standardBody(record) : String(shapeOf(record, "cloudevents").body);
      try {
        const secrets = [secret, ...(previous === undefined ? [] : [previous])].map(readSecret);
        const type = isStandard ? "application/json" : "application/cloudevents+json; charset=utf-8";
        const headers = {
          "content-type": type,
          ...traceHeaders(trace, record),
          ...signedHeaders({ id, atMs: nowMs(), body }, secrets),
        };
        const url = urlOf(config.url, readSecret);
        return await post(wayTo(config, parts), { url, headers, body, deadlineMs: 1000 * seconds }, signal, nowMs());
      } catch (error) {
        signal.throwIfAborted();
        return { result: "failed", detail: shownText(reasonOf(error)) };
      }
    },
  };
}
