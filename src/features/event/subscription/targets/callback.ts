// Targets of kind `callback`: addresses of clients of MCP Events. Each event is an occurrence, signed as Standard
// Webhooks has it with the secret that the client gave. What is no event has bodies of its own.

import { randomBytes } from "node:crypto";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { cursorText, parseCursor } from "../../cursor.ts";
import { traceHeaders } from "../../event-trace.ts";
import { occurrenceOf } from "../../mcp/event-type.ts";
import type { ShownEvent } from "../../shown.ts";
import type { Delivery, Outcome, Target } from "../delivery.ts";
import { signedHeaders } from "../signature.ts";
import { allowsHost, type CallbackConfig, DEFAULT_TIMEOUT_SECONDS } from "./declared.ts";
import type { TargetParts } from "./parts.ts";
import { post, shownText } from "./post.ts";

/** Most bytes of a body that receivers have to take. */
const MAX_BODY = 256 * 1024;

/** One message to a callback. */
export interface CallbackMessage {
  id: string;
  body: string;
  /** Id of the subscription as its client knows it. */
  subscription: string;
}

/** Returns the headers of a message. */
export function callbackHeaders(
  { id, body, subscription }: CallbackMessage,
  secrets: readonly string[],
  atMs: number,
): Record<string, string> {
  const signed = signedHeaders({ id, atMs, body }, secrets);
  return { "content-type": "application/json", "x-mcp-subscription-id": subscription, ...signed };
}

/** Returns an id for a message that is no event. */
export function controlId(type: string): string {
  return `msg_${type}_${randomBytes(12).toString("hex")}`;
}

/** Returns the id of a subscription as its client knows it: its name in its space. */
export function clientIdOf(subscription: string): string {
  return subscription.slice(subscription.indexOf("/") + 1);
}

/** Makes the target. */
export function makeCallbackTarget(config: CallbackConfig, { outbound, callbackKeys, nowMs }: TargetParts): Target {
  const { url, name = "", timeout_seconds: seconds = DEFAULT_TIMEOUT_SECONDS } = config;
  const send = async (
    { id, body, subscription, headers: more = {} }: CallbackMessage & { headers?: Record<string, string> },
    signal: AbortSignal,
  ): Promise<Outcome> => {
    const secrets = callbackKeys.of(subscription);
    if (url === undefined || secrets.length === 0)
      return { result: "failed", detail: "its client has not asked again since this node leads" };
    if (!allowsHost(config, new URL(url).hostname))
      return { result: "failed", detail: "its host is no longer allowed" };
    const message = { id, body, subscription: clientIdOf(subscription) };
    try {
      const headers = { ...more, ...callbackHeaders(message, secrets, nowMs()) };
      const request = { url: new URL(url), headers, body, deadlineMs: 1000 * seconds };
      return await post(outbound, request, signal, nowMs());
    } catch (error) {
      signal.throwIfAborted();
      return { result: "failed", detail: shownText(reasonOf(error)) };
    }
  };
  return {
    async send(delivery, signal) {
      const { id, body } = occurrenceBody(delivery, name);
      if (Buffer.byteLength(body) > MAX_BODY)
        return { result: "refused", detail: `it has more than ${MAX_BODY} bytes, which receivers need not take` };
      const { subscription, trace, record } = delivery;
      const outcome = await send({ id, body, subscription, headers: traceHeaders(trace, record) }, signal);
      // In MCP Events 410 refuses this event alone.
      return outcome.result === "ended" ? { ...outcome, result: "refused" } : outcome;
    },
    async notice(notice, subscription, signal) {
      const error = { code: -32024, message: "Forbidden", data: { error: "Forbidden", reason: "Access revoked" } };
      const body = notice.type === "gap" ? notice : { ...notice, error };
      await send({ id: controlId(notice.type), body: JSON.stringify(body), subscription }, signal).catch(() => {});
    },
  };
}

/** The cursor is that behind which everything was taken or given up: the one before this event. */
function occurrenceBody({ record, offset }: Delivery, name: string): { id: string; body: string } {
  const event = record as unknown as ShownEvent;
  const epoch = parseCursor(event.cairnposition)?.epoch ?? "";
  const occurrence = occurrenceOf(event, offset, name);
  return { id: occurrence.eventId, body: JSON.stringify({ ...occurrence, cursor: cursorText(epoch, offset - 1) }) };
}
