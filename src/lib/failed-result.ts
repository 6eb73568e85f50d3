// A failed tool call as models and programs see it: a sentence, the same as JSON, and once more for programs under
// `_meta`. The endpoint makes it of its Faults, the bridge of its outages.

import { FAULTS, type Fault } from "./fault.ts";
import { FAULT_META } from "./mcp-names.ts";

/** What callers see of a failure: the same members on every surface. */
export interface FaultBody {
  code: string;
  message: string;
  hint?: string;
  /** The same call may succeed later. */
  retryable: boolean;
  [detail: string]: unknown;
}

/** The result of a failed tool call. Without structuredContent: clients judge that by the schema of success. */
export interface FailedResult {
  isError: true;
  content: { type: "text"; text: string }[];
  _meta: Record<string, FaultBody>;
  [member: string]: unknown;
}

/** Returns what callers see of a Fault. */
export function faultBody(fault: Fault): FaultBody {
  const core = {
    code: fault.code,
    message: fault.message,
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    retryable: FAULTS[fault.code].retryable,
  };
  // First for readers, and again last so that no detail replaces them.
  return { ...core, ...fault.details, ...core };
}

/** Returns the result of a failed call. Some clients show only the first text to their model. */
export function failedResult(body: FaultBody): FailedResult {
  const texts = [sentenceOf(body), JSON.stringify(body)];
  return { isError: true, content: texts.map((text) => ({ type: "text", text })), _meta: { [FAULT_META]: body } };
}

/** Returns what failed and what to do, in one line of text. */
export function sentenceOf({ message, hint = "" }: { message: string; hint?: string | undefined }): string {
  const what = /[.!?]$/.test(message) ? message : `${message}.`;
  return hint === "" ? what : `${what} ${hint}`;
}
