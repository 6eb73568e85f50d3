// W3C Trace Context: where a call belongs in a trace, as headers, `_meta` of MCP and attributes of events carry it.
// What is not as the specification has it counts as absent.

/** The longest `tracestate` that is passed on, in characters. */
export const MAX_TRACESTATE = 512;
/** A `traceparent` of version 00, as it is written here. */
export const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/;

/** The flag of `traceparent` by which the spans of a trace are recorded. */
const SAMPLED = 1;
/** Flags that are passed on: the one above, and that the id of the trace is random. */
const FLAGS = 3;
/** Most members of a `tracestate`. */
const MAX_MEMBERS = 32;
const KEY = /^(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** One span of a trace, as what follows from it sees it. */
export interface TraceContext {
  /** 32 digits of lower-case hex. */
  traceId: string;
  /** 16 digits of lower-case hex. */
  spanId: string;
  flags: number;
  /** What tracing systems add to it, or "". */
  state: string;
  /** It came from another process. */
  isRemote: boolean;
}

/** Reports whether the spans of a trace are recorded. */
export function isSampled({ flags }: Pick<TraceContext, "flags">): boolean {
  return (flags & SAMPLED) !== 0;
}

/** Returns the context that a `traceparent` and its `tracestate` are; undefined where the first one is not valid. */
export function parseTrace(traceparent: unknown, tracestate: unknown = undefined): TraceContext | undefined {
  if (typeof traceparent !== "string" || traceparent.length < 55) return undefined;
  const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceparent);
  if (found === null) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", rest] = found;
  // Later versions may have more behind what version 00 has.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  const state = typeof tracestate === "string" ? validState(tracestate) : "";
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & FLAGS, state, isRemote: true };
}

/** Returns the context in the headers of a request. */
export function traceOfHeaders(headers: Headers): TraceContext | undefined {
  const traceparent = headers.get("traceparent");
  return traceparent === null ? undefined : parseTrace(traceparent.trim(), headers.get("tracestate"));
}

/** Returns the context in members of these names: `_meta` of MCP, or the attributes of an event. */
export function traceOfMembers(members: Readonly<Record<string, unknown>> | undefined): TraceContext | undefined {
  return members === undefined ? undefined : parseTrace(members["traceparent"], members["tracestate"]);
}

/** Returns a context under the names of headers, of `_meta` and of attributes of events, which are the same. */
export function traceMembers(context: TraceContext): { traceparent: string; tracestate?: string } {
  const { traceId, spanId, flags, state } = context;
  const traceparent = `00-${traceId}-${spanId}-0${flags}`;
  return state === "" ? { traceparent } : { traceparent, tracestate: state };
}

/** Returns the fields by which a log line names a trace (OpenTelemetry, trace context in other formats of logs). */
export function traceFields(context: TraceContext | undefined): Record<string, string> {
  if (context === undefined) return {};
  const { traceId, spanId, flags } = context;
  return { trace_id: traceId, span_id: spanId, trace_flags: `0${flags}` };
}

/** Returns a `tracestate` without empty members; "" where any member is not valid. */
function validState(text: string): string {
  if (text.length > MAX_TRACESTATE) return "";
  const members = text
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  const keys = members.map((member) => member.slice(0, Math.max(0, member.indexOf("="))));
  const areValid = members.every((member, at) => {
    const key = keys[at] ?? "";
    return KEY.test(key) && VALUE.test(member.slice(key.length + 1));
  });
  const areApart = new Set(keys).size === keys.length;
  return areValid && areApart && members.length <= MAX_MEMBERS ? members.join(",") : "";
}
