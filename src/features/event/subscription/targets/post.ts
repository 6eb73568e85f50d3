// One request to a target: its deadline, what its status means, how long it asks to wait, and what is shown of it.

import { parseObject } from "../../../../lib/json-object.ts";
import { printableLine } from "../../../../lib/printable.ts";
import { reasonOf } from "../../../../lib/reason-of.ts";
import { readBeginning, retryAfterMs } from "../../../../lib/response-parts.ts";
import { redactText } from "../../../../observe/redact.ts";
import type { Outbound } from "../../../../operation/node-parts.ts";
import type { Outcome } from "../delivery.ts";

/** Bytes of a response that are shown, and read: a secret that it repeats must be whole to be known as one. */
const SHOWN_BYTES = 512;
const READ_BYTES = 16 * SHOWN_BYTES;
/** How long the body of a response is read once its status is there, in ms. */
const BODY_MS = 2000;
/** What is wrong with the request itself: another event may be taken. */
const REFUSED: ReadonlySet<number> = new Set([400, 405, 406, 413, 414, 415, 422, 431]);
const GONE = 410;

/** A request to a target. */
export interface PostRequest {
  url: URL;
  headers: Record<string, string>;
  body: string | Uint8Array;
  deadlineMs: number;
  protocol?: "grpc";
}

/** Sends a request. Rejects only when `signal` aborts. */
export async function post(
  outbound: Outbound,
  { url, headers, body, deadlineMs, protocol }: PostRequest,
  signal: AbortSignal,
  nowMs: number,
): Promise<Outcome> {
  const deadline = AbortSignal.timeout(deadlineMs);
  let response: Response;
  try {
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
    const sent = { "user-agent": "cairn", ...headers };
    response = await outbound(url, {
      method: "POST",
      headers: sent,
      body: bytes,
      signal: AbortSignal.any([signal, deadline]),
      ...(protocol === undefined ? {} : { protocol }),
    });
  } catch (error) {
    signal.throwIfAborted();
    if (deadline.aborted) return { result: "failed", detail: `no response within ${deadlineMs / 1000} s` };
    return { result: "failed", detail: shownText(reasonOf(error)) };
  }
  const beginning = await readBeginning(response, READ_BYTES, AbortSignal.timeout(BODY_MS));
  const said = beginning.subarray(0, READ_BYTES).toString("utf8");
  signal.throwIfAborted();
  return outcomeOf(response, said, nowMs);
}

function outcomeOf({ status, headers }: Response, said: string, nowMs: number): Outcome {
  const detail = shownText(said);
  if (status >= 200 && status < 300) return { result: "delivered", status, detail };
  if (status >= 300 && status < 400) return { result: "failed", status, detail: "it redirects, which is not followed" };
  if (status === GONE) return { result: "ended", status, detail };
  if (REFUSED.has(status)) return { result: "refused", status, detail };
  return { result: "failed", status, detail, retryAfterMs: retryAfterOf(headers, said, nowMs) };
}

/** Returns how long the target asks to wait, in ms: by the header, or as Discord and Telegram say it in the body. */
function retryAfterOf(headers: Headers, said: string, nowMs: number): number | undefined {
  const ms = retryAfterMs(headers, nowMs);
  if (ms !== undefined) return ms > 0 ? ms : undefined;
  const body = parseObject(said);
  const parameters = body?.["parameters"];
  const inner = typeof parameters === "object" && parameters !== null ? { ...parameters } : {};
  const seconds = body?.["retry_after"] ?? (inner as Record<string, unknown>)["retry_after"];
  return typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined;
}

/** Returns what a target said, or why it was not reached, for people. */
export function shownText(text: string): string {
  return printableLine(redactText(text).replace(/\s+/g, " ").trim()).slice(0, SHOWN_BYTES);
}
