// A finished span as the exporter takes it, and the words of OTLP for its kind.

import type { TraceContext } from "../../lib/trace-context.ts";

/** Kinds of spans by their number in OTLP. */
export const SPAN_KIND = { internal: 1, server: 2, client: 3 } as const;
/** The kind of a span. */
export type SpanKind = keyof typeof SPAN_KIND;

/** A value of an attribute. */
export type AttributeValue = string | number | boolean;
/** What is said of a span: names, codes and numbers, no ids of callers, no content and no secrets. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A span that has ended. */
export interface EndedSpan {
  name: string;
  kind: SpanKind;
  context: TraceContext;
  parent: TraceContext | undefined;
  /** Spans of other traces that it has to do with. */
  links: readonly TraceContext[];
  attributes: Attributes;
  /** Microseconds since 1970. */
  startUs: number;
  endUs: number;
  /** Why it failed; undefined: it did not, or only because of what was asked. */
  error: string | undefined;
}
