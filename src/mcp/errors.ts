// Faults as MCP has them: in a tool result, as a JSON-RPC error, or as the HTTP response to what is refused before MCP.

import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import { FAULTS, Fault } from "../lib/fault.ts";
import { FAULT_META } from "../lib/mcp-names.ts";

/** Returns what callers see of a Fault: the same members on every surface. */
export function faultBody(fault: Fault): Record<string, unknown> {
  const core = {
    code: fault.code,
    message: fault.message,
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    retryable: FAULTS[fault.code].retryable,
  };
  // First for readers, and again last so that no detail replaces them.
  return { ...core, ...fault.details, ...core };
}

/**
 * Returns the result of a failed tool call, which the model reads and can act on. It has no structuredContent, since
 * clients validate that against the schema of success.
 */
export function toolError(fault: Fault): CallToolResult {
  const body = faultBody(fault);
  return { isError: true, content: [{ type: "text", text: JSON.stringify(body) }], _meta: { [FAULT_META]: body } };
}

/** Faults outside of tools. Their codes are the HTTP status: JSON-RPC reserves only -32768 to -32000. */
function protocolError(fault: Fault, uri?: string): ProtocolError {
  if (uri !== undefined && (fault.code === "not_found" || fault.code === "deleted")) {
    return new ResourceNotFoundError(uri, fault.message);
  }
  return new ProtocolError(jsonRpcCode(fault), fault.message, {
    ...(uri === undefined ? {} : { uri }),
    ...faultBody(fault),
  });
}

function jsonRpcCode(fault: Fault): number {
  if (fault.code === "invalid_input") return ProtocolErrorCode.InvalidParams;
  return fault.code === "internal" ? ProtocolErrorCode.InternalError : FAULTS[fault.code].status;
}

/** Returns what a handler throws to the SDK in place of what it caught. `uri` is the resource that was asked for. */
export function asProtocolError(error: unknown, uri?: string): unknown {
  return error instanceof Fault ? protocolError(error, uri) : error;
}

/** Returns a JSON-RPC error as HTTP response, for what is refused before the protocol runs. */
export function httpError(status: number, code: number, message: string, data?: Record<string, unknown>): Response {
  return Response.json(
    { jsonrpc: "2.0", id: null, error: { code, message, ...(data === undefined ? {} : { data }) } },
    { status, ...(status === 429 ? { headers: { "retry-after": String(data?.["retryAfterSeconds"] ?? 5) } } : {}) },
  );
}
