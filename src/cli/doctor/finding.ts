// What a check finds, and how findings add up. Every finding that is not ok says what to do.

export interface Finding {
  /** Which check, in a word or two. */
  check: string;
  status: "ok" | "warn" | "fail";
  text: string;
  /** The way out; empty where all is well. */
  hint: string;
}

export function ok(check: string, text: string): Finding {
  return { check, status: "ok", text, hint: "" };
}

export function warn(check: string, text: string, hint: string): Finding {
  return { check, status: "warn", text, hint };
}

export function fail(check: string, text: string, hint: string): Finding {
  return { check, status: "fail", text, hint };
}

/** The worst of them in one word. */
export function overall(findings: readonly Finding[]): Finding["status"] {
  if (findings.some(({ status }) => status === "fail")) return "fail";
  return findings.some(({ status }) => status === "warn") ? "warn" : "ok";
}
