// The state of a probe on the member that runs it: what a result makes of it. Pure.

/** States that a run has. Paused and muted are said by people, beside it. */
export const STATES = ["starting", "up", "suspect", "down", "unknown"] as const;
/** One of STATES. */
export type ProbeState = (typeof STATES)[number];

/** What is at fault, as far as it shows. */
export const CAUSES = ["", "service", "machine", "path", "control", "network", "dependency", "consent"] as const;
/** One of CAUSES; "": nothing is. */
export type Cause = (typeof CAUSES)[number];

/** What came of one check. */
export interface CheckResult {
  /** `blind`: the member cannot tell, because it is cut off itself, or what the probe needs is down. */
  outcome: "good" | "bad" | "blind";
  cause: Cause;
  /** In words, such as the status; without secrets. */
  detail: string;
  latencyMs?: number | undefined;
  value?: number | undefined;
}

/** A probe as its member has it. */
export interface Live {
  state: ProbeState;
  cause: Cause;
  detail: string;
  /** Results in a row. */
  good: number;
  bad: number;
}

/** Where a probe begins: as the log has it, so that a new leader goes on and alarms no one. */
export function beginning(state: ProbeState = "starting", cause: Cause = "", detail = ""): Live {
  // What was suspect must fail again from the start.
  return { state: state === "suspect" ? "up" : state, cause, detail, good: 0, bad: 0 };
}

/** Returns the state after a result. `inGrace`: failures do not count yet. */
export function after(
  live: Live,
  { outcome, cause, detail }: CheckResult,
  { down, up, inGrace }: { down: number; up: number; inGrace: boolean },
): Live {
  if (outcome === "blind") return { state: "unknown", cause, detail, good: 0, bad: 0 };
  if (outcome === "good") {
    const good = live.good + 1;
    const needed = live.state === "down" || live.state === "unknown" ? up : 1;
    if (good < needed) return { ...live, good, bad: 0 };
    return { state: "up", cause: "", detail, good, bad: 0 };
  }
  if (inGrace) return { ...live, detail, good: 0, bad: 0 };
  const bad = live.bad + 1;
  if (live.state === "down" || bad >= down) return { state: "down", cause, detail, good: 0, bad };
  return { state: "suspect", cause, detail, good: 0, bad };
}
