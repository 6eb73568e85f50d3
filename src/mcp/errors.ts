// A Fault in the words of MCP: inside a tool result, as a JSON-RPC error, or as the HTTP answer in front of the protocol.

import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import { FAULTS, Fault } from "../lib/fault.ts";
import { FAULT_META } from "../lib/mcp-names.ts";

/** What callers are told of a Fault, on every surface in the same names. */
export function faultBody(fault: Fault): Record<string, unknown> {
  const core = {
    code: fault.code,
    message: fault.message,
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    retryable: FAULTS[fault.code].retryable,
  };
  // First for the eye, and last so that no detail takes their place.
  return { ...core, ...fault.details, ...core };
}

/** A failed tool call, so that the model reads what went wrong and can mend it. Without structuredContent: clients check that against the schema of success. */
export function toolError(fault: Fault): CallToolResult {
  const body = faultBody(fault);
  return { isError: true, content: [{ type: "text", text: JSON.stringify(body) }], _meta: { [FAULT_META]: body } };
}

/** A Fault outside of tools. Codes of our own are the HTTP status: JSON-RPC reserves only -32768 to -32000. */
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

/** Turns what a handler caught into something to throw to the SDK. */
export function asProtocolError(error: unknown, uri?: string): unknown {
  return error instanceof Fault ? protocolError(error, uri) : error;
}

/** A JSON-RPC error as HTTP answer, for what is refused before the protocol runs. */
export function httpError(status: number, code: number, message: string, data?: Record<string, unknown>): Response {
  return Response.json(
    { jsonrpc: "2.0", id: null, error: { code, message, ...(data === undefined ? {} : { data }) } },
    { status, ...(status === 429 ? { headers: { "retry-after": String(data?.["retryAfterSeconds"] ?? 5) } } : {}) },
  );
}
