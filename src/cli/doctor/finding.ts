// The result of a check. Every finding that is not ok says what to do.

/** One finding. */
export interface Finding {
  /** Name of the check, in a word or two. */
  check: string;
  status: "ok" | "warn" | "fail";
  text: string;
  /** What to do; "" for `ok`. */
  hint: string;
}

/** Returns a finding without a problem. */
export function ok(check: string, text: string): Finding {
  return { check, status: "ok", text, hint: "" };
}

/** Returns a finding that should be looked at. */
export function warn(check: string, text: string, hint: string): Finding {
  return { check, status: "warn", text, hint };
}

/** Returns a finding that keeps the node from working. */
export function fail(check: string, text: string, hint: string): Finding {
  return { check, status: "fail", text, hint };
}

/** Returns the worst status of all findings. */
export function overall(findings: readonly Finding[]): Finding["status"] {
  if (findings.some(({ status }) => status === "fail")) return "fail";
  return findings.some(({ status }) => status === "warn") ? "warn" : "ok";
}
