// Faults in the words of shared-context-server, by which its clients recover.

import { faultBody } from "../../lib/failed-result.ts";
import type { Fault, FaultCode } from "../../lib/fault.ts";

/** Its codes, where it has one for the same case; others are the codes of Cairn in capitals. */
const CODES: Partial<Record<FaultCode, string>> = {
  invalid_input: "INVALID_INPUT_FORMAT",
  forbidden: "PERMISSION_DENIED",
  agent_unknown: "AUTH_FAILED",
  too_large: "CONTENT_TOO_LARGE",
  // Only set_memory writes under a condition.
  version_mismatch: "KEY_EXISTS",
};

/** Its codes for an argument that is refused. */
const OF_ARGUMENTS: Readonly<Record<string, string>> = { key: "INVALID_KEY", expires_in: "INVALID_TTL_VALUE" };

/** What to look at next, by what failed. */
const RELATED: Partial<Record<FaultCode, readonly string[]>> = {
  agent_unknown: ["authenticate_agent"],
  agent_taken: ["authenticate_agent"],
  forbidden: ["authenticate_agent", "get_usage_guidance"],
  invalid_input: ["get_usage_guidance", "docs://tools"],
  session_closed: ["create_session"],
  version_mismatch: ["get_memory", "list_memory"],
};

/** Failures that no other call of the same caller can mend. */
const FINAL: ReadonlySet<FaultCode> = new Set(["forbidden", "internal", "log_failed", "data_corrupt"]);

/** Returns what a tool answers for a Fault. */
export function refused(fault: Fault): Record<string, unknown> {
  const { code } = fault;
  const { code: cairn_code, message, hint, retryAfterSeconds, ...context } = faultBody(fault);
  const isWarning = code === "invalid_input" || code === "too_large";
  return {
    success: false,
    error: message,
    code: codeOf(fault, context["field"]),
    severity: code === "internal" ? "critical" : isWarning ? "warning" : "error",
    recoverable: !FINAL.has(code),
    suggestions: hint === undefined ? [] : [hint],
    context: { cairn_code, ...context },
    related_resources: [...(RELATED[code] ?? [])],
    timestamp: new Date().toISOString(),
    ...(typeof retryAfterSeconds === "number" ? { retry_after: retryAfterSeconds } : {}),
  };
}

function codeOf({ code, message }: Fault, field: unknown): string {
  if (code === "not_found") return `${whatIsMissing(message)}_NOT_FOUND`;
  if (code === "invalid_input" && typeof field === "string" && Object.hasOwn(OF_ARGUMENTS, field))
    return OF_ARGUMENTS[field] ?? "";
  return CODES[code] ?? code.toUpperCase();
}

function whatIsMissing(message: string): string {
  if (message.startsWith("There is no memory")) return "MEMORY";
  return /\bm_[0-9a-f]{12}\b/.test(message) ? "MESSAGE" : "SESSION";
}
