// The proof that an address wants the events of a subscription: it repeats a nonce that is signed with the secret of
// its client. Without it anybody could have events sent to others.

import { randomBytes, timingSafeEqual } from "node:crypto";
import { parseObject } from "../../../../lib/json-object.ts";
import type { Outbound } from "../../../../operation/node-parts.ts";
import type { Attempt } from "../../subscription/queue.ts";
import { callbackHeaders, controlId } from "../../subscription/targets/callback.ts";
import { post } from "../../subscription/targets/post.ts";

const DEADLINE_MS = 5000;
const NONCE_BYTES = 24;

/** Why an address does not take events, as MCP Events names it. */
export type CallbackReason =
  | "connection_refused"
  | "timeout"
  | "tls_error"
  | "http_4xx"
  | "http_5xx"
  | "challenge_failed";

/** What is asked. */
export interface Handshake {
  url: string;
  secret: string;
  /** Id of the subscription as its client knows it. */
  subscription: string;
}

/** Asks an address; returns why it gave no proof, undefined: it gave it. Rejects only when `signal` aborts. */
export async function proved(
  outbound: Outbound,
  { url, secret, subscription }: Handshake,
  nowMs: number,
  signal: AbortSignal,
): Promise<CallbackReason | undefined> {
  const challenge = randomBytes(NONCE_BYTES).toString("hex");
  const message = { id: controlId("verification"), body: JSON.stringify({ type: "verification", challenge }) };
  const headers = callbackHeaders({ ...message, subscription }, [secret], nowMs);
  const request = { url: new URL(url), headers, body: message.body, deadlineMs: DEADLINE_MS };
  const outcome = await post(outbound, request, signal, nowMs);
  if (outcome.result !== "delivered") return reasonOf({ status: outcome.status ?? 0, detail: outcome.detail });
  const given = parseObject(outcome.detail)?.["challenge"];
  return typeof given === "string" && isSame(given, challenge) ? undefined : "challenge_failed";
}

/** Returns the kind of a failed attempt: no word of what the address answered. */
export function reasonOf({ status, detail }: Pick<Attempt, "status" | "detail">): CallbackReason {
  if (status >= 500) return "http_5xx";
  if (status >= 400) return "http_4xx";
  if (status > 0) return "challenge_failed";
  if (detail.startsWith("no response within")) return "timeout";
  return /\b(?:tls|certificate|x509|handshake)\b/i.test(detail) ? "tls_error" : "connection_refused";
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given, "utf8"), Buffer.from(expected, "utf8")];
  return a.length === b.length && timingSafeEqual(a, b);
}
