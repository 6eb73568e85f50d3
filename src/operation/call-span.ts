// The span of a call. Surfaces hand on the trace of their request only on a node that has a tracer.

import { callerName } from "../access/caller.ts";
import { FAULTS, type Fault } from "../lib/fault.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import { traceOfHeaders, traceOfMembers } from "../lib/trace-context.ts";
import type { Asker, Span, Tracer } from "../observe/trace/tracer.ts";
import type { Call } from "./call.ts";

/** From here on a failure is this node's, and not that of what was asked. */
const FIRST_OWN_STATUS = 500;
/** A member forwards for many callers, so as many traces of it are recorded as of this many callers. */
const CALLERS_PER_MEMBER = 20;

/** A recorded call that failed. */
export interface FailedCall {
  /** Of an operation of this build, or `unknown`. */
  operation: string;
  surface: string;
  code: Fault["code"];
  trace: TraceContext;
}

type Traced = Pick<Call, "caller" | "trace" | "carrier" | "tool" | "surface" | "forwarded">;

/** Begins and ends the spans of calls, and says which calls failed. */
export class CallSpans {
  readonly #tracer: Tracer;
  readonly #onFailed: ((failed: FailedCall) => void) | undefined;
  /** Faults of calls whose spans have ended with them. */
  readonly #ended = new WeakSet<Fault>();

  constructor(tracer: Tracer, onFailed: ((failed: FailedCall) => void) | undefined) {
    this.#tracer = tracer;
    this.#onFailed = onFailed;
  }

  begin(call: Traced, name: string): Span {
    return beginCall(this.#tracer, call, name);
  }

  /** Begins the span of a request of MCP that calls no operation. `method`: one of MCP, or `unknown`. */
  beginRequest({ caller, trace: parent, carrier }: Pick<Traced, "caller" | "trace" | "carrier">, method: string): Span {
    return this.#tracer.begin(method, {
      ...{ kind: "server", parent, by: { name: callerName(caller) } },
      ...(carrier === undefined ? {} : { links: [carrier] }),
      attributes: { "cairn.surface": "mcp", "mcp.method.name": method },
    });
  }

  /** Ends the span of a call that failed. A step is told with the call that it is part of. */
  failed(span: Span, call: Traced, name: string, fault: Fault): void {
    this.#ended.add(fault);
    endFailed(span, fault);
    const { code } = fault;
    const { context: trace } = span;
    if (call.trace?.isRemote === false || code === "cancelled" || (trace.flags & 1) === 0) return;
    this.#onFailed?.({ operation: name, surface: call.surface ?? "other", code, trace });
  }

  /** Records a request that a surface refused: where that was by a call, its span says so already. */
  refused(call: Traced, name: string, fault: Fault): void {
    if (!this.#ended.has(fault)) this.failed(this.begin(call, name), call, name, fault);
  }
}

/** Begins the span of a call. `name`: of an operation of this build, or `unknown`. */
export function beginCall(tracer: Tracer, call: Traced, name: string): Span {
  const { trace: parent, carrier, tool, surface = "other", forwarded } = call;
  const isStep = parent?.isRemote === false;
  return tracer.begin(tool === undefined ? name : `tools/call ${tool}`, {
    kind: isStep ? "internal" : "server",
    parent,
    by: isStep ? undefined : askerOf(call),
    ...(carrier === undefined ? {} : { links: [carrier] }),
    attributes: {
      "cairn.operation": name,
      "cairn.surface": surface,
      ...(forwarded === undefined ? {} : { "cairn.forwarded": true }),
      ...(tool === undefined
        ? {}
        : { "mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool }),
    },
  });
}

function askerOf({ caller, forwarded }: Traced): Asker {
  if (forwarded === undefined) return { name: callerName(caller) };
  return { name: `via:${forwarded.via}`, times: CALLERS_PER_MEMBER };
}

/** What the caller did wrong is named, and is no failure of the node. */
function endFailed(span: Span, { code }: Pick<Fault, "code">): void {
  span.end({ "error.type": code }, FAULTS[code].status >= FIRST_OWN_STATUS ? code : undefined);
}

/** Returns what a call gets of the headers of its request; `traced`: this node has a tracer. */
export function tracedBy(traced: boolean, { headers }: Request): Pick<Call, "trace"> {
  const trace = traced ? traceOfHeaders(headers) : undefined;
  return trace === undefined ? {} : { trace };
}

/** Returns what a call gets of the `_meta` of its message, and of the request that carried it. */
export function tracedByMeta(
  traced: boolean,
  meta: Readonly<Record<string, unknown>> | undefined,
  headers: Headers | undefined,
): Pick<Call, "trace" | "carrier"> {
  if (!traced) return {};
  const own = traceOfMembers(meta);
  const carrier = headers === undefined ? undefined : traceOfHeaders(headers);
  if (own === undefined) return carrier === undefined ? {} : { trace: carrier };
  return carrier === undefined || isSame(own, carrier) ? { trace: own } : { trace: own, carrier };
}

function isSame(one: TraceContext, other: TraceContext): boolean {
  return one.traceId === other.traceId && one.spanId === other.spanId;
}
