// The span of an attempt to deliver an event: part of the trace of the event, linked with those of the events that go
// with it.

import { type TraceContext, traceOfMembers } from "../../../lib/trace-context.ts";
import type { Span, Tracer } from "../../../observe/trace/tracer.ts";
import type { Delivery, Outcome, Target } from "./delivery.ts";

/** Most events that the span of a message is linked with. */
const MAX_LINKS = 32;

/** Begins the span of an attempt. `kind`: of the target. */
export function beginDelivery(
  tracer: Tracer,
  { record, others = [], subscription }: Delivery,
  kind: string,
  attempt: number,
): Span {
  return tracer.begin(`deliver ${kind}`, {
    kind: "client",
    parent: traceOfMembers(record),
    by: { name: `deliver:${subscription}` },
    links: others.slice(0, MAX_LINKS).flatMap(linkOf),
    attributes: { "cairn.target.kind": kind, "cairn.attempt": attempt },
  });
}

/** Without what tracing systems added, which could be long. */
function linkOf(record: Delivery["record"]): TraceContext[] {
  const context = traceOfMembers(record);
  return context === undefined ? [] : [{ ...context, state: "" }];
}

/** Ends it with how the attempt ended. */
export function endDelivery(span: Span, { result, status }: Outcome): void {
  const attributes = {
    "cairn.delivery.result": result,
    ...(status === undefined ? {} : { "http.response.status_code": status }),
  };
  if (result === "delivered" || result === "skipped") span.end(attributes);
  else span.end({ ...attributes, "error.type": result }, result);
}

/** Sends an event, as a span of its own where the node records spans. */
export async function sendInSpan(
  span: Span | undefined,
  target: Target,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<Outcome> {
  if (span === undefined) return target.send(delivery, signal);
  try {
    const outcome = await target.send({ ...delivery, trace: span.context }, signal);
    endDelivery(span, outcome);
    return outcome;
  } catch (error) {
    span.end({ "error.type": "cancelled" });
    throw error;
  }
}
