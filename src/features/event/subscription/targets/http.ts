// Targets of kind `http`: any service that takes a POST.

import type { z } from "zod";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { traceHeaders } from "../../event-trace.ts";
import type { Target } from "../delivery.ts";
import { shapeOf } from "../shapes.ts";
import { urlOf } from "./address.ts";
import { DEFAULT_TIMEOUT_SECONDS, type httpTarget } from "./declared.ts";
import { type TargetParts, wayTo } from "./parts.ts";
import { post, shownText } from "./post.ts";

/** Makes the target. */
export function makeHttpTarget(config: z.infer<typeof httpTarget>, parts: TargetParts): Target {
  const { readSecret, nowMs } = parts;
  const { format = "cloudevents", timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  return {
    async send({ record, messageId, trace }, signal) {
      const { headers, body } = shapeOf(record, format);
      try {
        const url = urlOf(config.url, readSecret);
        const ours = {
          ...traceHeaders(trace, record),
          "cairn-delivery": messageId,
          ...authOf(config.auth, readSecret),
        };
        const sent = { ...config.headers, ...headers, ...ours };
        return await post(
          wayTo(config, parts),
          { url, headers: sent, body, deadlineMs: 1000 * seconds },
          signal,
          nowMs(),
        );
      } catch (error) {
        signal.throwIfAborted();
        return { result: "failed", detail: shownText(reasonOf(error)) };
      }
    },
  };
}

/** Returns the header that proves who sends. Throws Fault `config_invalid` where the secret is not set. */
export function authOf(
  auth: z.infer<typeof httpTarget>["auth"],
  readSecret: TargetParts["readSecret"],
): Record<string, string> {
  if (auth === undefined) return {};
  const secret = readSecret(auth.secret);
  if (auth.type === "header") return { [auth.header.toLowerCase()]: secret };
  const value = auth.type === "bearer" ? `Bearer ${secret}` : `Basic ${Buffer.from(secret, "utf8").toString("base64")}`;
  return { authorization: value };
}
