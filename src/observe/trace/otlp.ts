// Spans as the JSON form of OTLP (opentelemetry-proto, ExportTraceServiceRequest): ids in hex, times and whole numbers
// as decimal texts, enums as numbers.

import type { TraceContext } from "../../lib/trace-context.ts";
import { type Attributes, type AttributeValue, type EndedSpan, SPAN_KIND } from "./span.ts";

/** Bits of `flags` beside those of Trace Context: whether the parent came from another process is known; and it did. */
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;
/** `STATUS_CODE_ERROR`; a span without a status has `STATUS_CODE_UNSET`. */
const STATUS_ERROR = 2;

/** Who sends spans. */
export interface TraceResource {
  attributes: Attributes;
  /** Name and version of what made the spans. */
  scope: { name: string; version: string };
}

/** Returns the body of a request to `/v1/traces`. */
export function otlpOf({ attributes, scope }: TraceResource, spans: readonly EndedSpan[]): Record<string, unknown> {
  const scopeSpans = [{ scope, spans: spans.map(spanOf) }];
  return { resourceSpans: [{ resource: { attributes: attributesOf(attributes) }, scopeSpans }] };
}

function spanOf(span: EndedSpan): Record<string, unknown> {
  const { name, kind, context, parent, links, attributes, startUs, endUs, error } = span;
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    ...(context.state === "" ? {} : { traceState: context.state }),
    ...(parent === undefined ? {} : { parentSpanId: parent.spanId }),
    flags: flagsOf(context.flags, parent),
    name,
    kind: SPAN_KIND[kind],
    startTimeUnixNano: nanoseconds(startUs),
    endTimeUnixNano: nanoseconds(endUs),
    attributes: attributesOf(attributes),
    ...(links.length === 0 ? {} : { links: links.map(linkOf) }),
    ...(error === undefined ? {} : { status: { code: STATUS_ERROR, message: error } }),
  };
}

function linkOf(context: TraceContext): Record<string, unknown> {
  const { traceId, spanId, state, flags } = context;
  const shown = { traceId, spanId, flags: flagsOf(flags, context) };
  return state === "" ? shown : { ...shown, traceState: state };
}

function flagsOf(flags: number, other: TraceContext | undefined): number {
  return flags | HAS_IS_REMOTE | (other?.isRemote === true ? IS_REMOTE : 0);
}

function nanoseconds(us: number): string {
  return `${us}000`;
}

function attributesOf(attributes: Attributes): { key: string; value: Record<string, unknown> }[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: AttributeValue): Record<string, unknown> {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
