// A Fault as the members of a problem document (RFC 9457), which REST and the JSON of pages return.

import { FAULTS, type Fault } from "./fault.ts";

/** Media type of a problem document. */
export const PROBLEM_TYPE = "application/problem+json";

/** Returns the members of the RFC, with `code`, `hint`, `retryable` and the fault's details beside them. */
export function problemOf(fault: Fault): Record<string, unknown> {
  const { status, title, retryable } = FAULTS[fault.code];
  return {
    type: "about:blank",
    title,
    status,
    code: fault.code,
    detail: fault.message,
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    retryable,
    ...fault.details,
  };
}
