// Faults as MCP has them: in a tool result, as a JSON-RPC error, or as the HTTP response to what is refused before MCP.

import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import { failedResult, faultBody, sentenceOf } from "../lib/failed-result.ts";
import { FAULTS, Fault } from "../lib/fault.ts";

/** Returns the result of a failed tool call, which the model reads and can act on. */
export function toolError(fault: Fault): CallToolResult {
  return failedResult(faultBody(fault));
}

/**
 * Faults outside of tools, with the hint in the message, which is all that most clients show. Their codes are the HTTP
 * status: JSON-RPC reserves only -32768 to -32000.
 */
function protocolError(fault: Fault, uri?: string): ProtocolError {
  if (uri !== undefined && (fault.code === "not_found" || fault.code === "deleted")) {
    return new ResourceNotFoundError(uri, sentenceOf(fault));
  }
  return new ProtocolError(jsonRpcCode(fault), sentenceOf(fault), {
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

/** Returns a JSON-RPC error under the id of the request that is refused, before the protocol runs. */
export function refusal(request: { id?: unknown }, status: number, code: number, message: string): Response {
  const id = typeof request.id === "string" || typeof request.id === "number" ? request.id : null;
  return Response.json({ jsonrpc: "2.0", id, error: { code, message } }, { status });
}
