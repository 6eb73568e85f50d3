// The trace of an event (the extension Distributed Tracing of CloudEvents): `traceparent` and `tracestate` are kept as
// they came. A node that records spans gives them to an event that came without.

import { type TraceContext, traceMembers, traceOfMembers } from "../../lib/trace-context.ts";
import { type EventItem, MAX, sizeOf } from "./item.ts";

/** A state of another trace must not go with ours. */
const NAMES = ["traceparent", "tracestate"] as const;

/**
 * Returns an event with the trace of the call that publishes it. One that has its own keeps it, and one that has no
 * room for it goes without.
 */
export function tracedItem(item: EventItem, trace: TraceContext | undefined, maxBytes: number): EventItem {
  if (trace === undefined || NAMES.some((name) => item.extensions[name] !== undefined)) return item;
  const extensions = { ...item.extensions, ...traceMembers(trace) };
  const traced = { ...item, extensions };
  const fits =
    Object.keys(extensions).length <= MAX.extensions && sizeOf(traced, JSON.stringify(extensions)) <= maxBytes;
  return fits ? traced : item;
}

/** Returns the headers by which a request about an event joins its trace: that of the attempt, else of the event. */
export function traceHeaders(
  trace: TraceContext | undefined,
  record: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const context = trace ?? traceOfMembers(record);
  return context === undefined ? {} : { ...traceMembers(context) };
}
