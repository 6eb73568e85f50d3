// Spans of requests of MCP that call no operation, such as tools/list, and of those that are refused before they do: on
// a node that records spans. Calls of operations have their own (operation/call-span.ts).

import type { Caller } from "../access/caller.ts";
import { isObject } from "../lib/json-object.ts";
import { isSampled } from "../lib/trace-context.ts";
import { errorTypeOf } from "../observe/trace/tracer.ts";
import { type CallSpans, tracedByMeta } from "../operation/call-span.ts";
import { metaOf } from "./request.ts";

/** Methods whose handlers call no operation. */
const WITHOUT_OPERATION: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "server/discover",
  "tools/list",
  "prompts/list",
  "resources/templates/list",
  "resources/subscribe",
  "resources/unsubscribe",
  "subscriptions/listen",
]);
/** Methods whose handlers call operations, which have spans. */
const WITH_OPERATION: ReadonlySet<string> = new Set([
  "tools/call",
  "prompts/get",
  "resources/list",
  "resources/read",
  "completion/complete",
  "events/list",
  "events/poll",
  "events/stream",
  "events/subscribe",
  "events/unsubscribe",
]);
const FIRST_OWN_STATUS = 500;

/** A message that came in. */
export interface Incoming {
  request: Request;
  body: unknown;
  caller: Caller;
  /** Undefined for what awaits no answer. */
  method: string | undefined;
}

/** Answers a message in a span, where its method calls no operation. The name of an unknown method is not recorded. */
export function inRequestSpan(
  spans: CallSpans | undefined,
  message: Incoming,
  answer: () => Promise<Response>,
): Promise<Response> {
  const { method } = message;
  if (spans === undefined || method === undefined || WITH_OPERATION.has(method)) return answer();
  return answered(spans, message, WITHOUT_OPERATION.has(method) ? method : "unknown", answer);
}

/** Records a message that was refused before anything was called, and returns the refusal. */
export async function recordRefused(
  spans: CallSpans | undefined,
  message: Incoming,
  refusal: Response,
): Promise<Response> {
  const { method = "" } = message;
  if (spans === undefined) return refusal;
  const name = WITHOUT_OPERATION.has(method) || WITH_OPERATION.has(method) ? method : "unknown";
  return answered(spans, message, name, () => Promise.resolve(refusal));
}

async function answered(
  spans: CallSpans,
  { request, body, caller }: Incoming,
  name: string,
  answer: () => Promise<Response>,
): Promise<Response> {
  const span = spans.beginRequest({ caller, ...tracedByMeta(true, metaOf(body), request.headers) }, name);
  try {
    const response = await answer();
    const type = isSampled(span.context) ? await errorIn(response) : undefined;
    if (type === undefined) span.end();
    else span.end({ "error.type": type }, response.status >= FIRST_OWN_STATUS ? type : undefined);
    return response;
  } catch (error) {
    const type = errorTypeOf(error);
    span.end({ "error.type": type }, type);
    throw error;
  }
}

/** Returns the number of the JSON-RPC error of a response, else its status where that is one; undefined: it is none. */
async function errorIn(response: Response): Promise<string | undefined> {
  if (response.body !== null && response.headers.get("content-type")?.startsWith("application/json") === true) {
    const value: unknown = await response
      .clone()
      .json()
      .catch(() => undefined);
    const error = isObject(value) ? value["error"] : undefined;
    if (isObject(error) && typeof error["code"] === "number") return String(error["code"]);
  }
  return response.status < 400 ? undefined : String(response.status);
}
