// Reports a run as lines for people or as JSON lines, and measures how long calls took.

import { counted } from "../lib/counted.ts";

/** A scene that was played and whose checks passed. Members are those of the JSON line. */
export interface SceneResult {
  round: number;
  agent: string;
  /** Name of the agent's target. */
  at: string;
  /** What was done, as a verb phrase that ends before the id. */
  did: string;
  id: string;
  version?: number;
  ms: number;
  /** More for people, such as the number of conflicts. */
  note?: string;
}

/** What a run begins with. */
export interface RunStart {
  seed: number;
  space: string;
  run: string;
  agents: number;
  rounds: number;
  places: readonly string[];
}

/** What a run that passed comes to. */
export interface RunSummary {
  calls: number;
  writes: number;
  conflicts: number;
  contexts: number;
  sessions: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
}

/** Takes one line of text without its newline. */
export type Line = (text: string) => void;

/** Reports a run as it happens. */
export interface Reporter {
  started(run: RunStart): void;
  played(scene: SceneResult): void;
  passed(summary: RunSummary): void;
  /** `contexts`: how many were removed. */
  cleaned(contexts: number): void;
}

/** Returns a reporter that writes lines for people. */
export function peopleReporter(line: Line): Reporter {
  return {
    started: ({ seed, space, run, agents, rounds, places }) => {
      line(
        `simulate   seed ${seed}: ${counted(agents, "agent")}, ${counted(rounds, "round")}, below ${space}/ (run ${run})`,
      );
      for (const place of places) line(`target     ${place}`);
    },
    played: ({ round, agent, at, did, id, version, ms, note }) => {
      const which = version === undefined ? id : `${id} version ${version}`;
      const more = note === undefined ? "" : `; ${note}`;
      line(`round ${String(round).padEnd(4)} ${agent.padEnd(9)} ${did} ${which}${more} (${Math.round(ms)} ms, ${at})`);
    },
    passed: ({ calls, writes, conflicts, contexts, sessions, seconds, p50Ms, p99Ms }) => {
      const rate = Math.round(calls / Math.max(seconds, 0.001));
      const latency = `half within ${p50Ms.toFixed(1)} ms, 99 % within ${p99Ms.toFixed(1)} ms`;
      const counts = `${counted(calls, "call")}, ${counted(writes, "write")} among them, ${counted(conflicts, "conflict")}`;
      line(`passed     ${counts}, in ${seconds.toFixed(1)} s: ${rate} per second, ${latency}`);
      line(`           nothing shown to others than it is for, ${counted(sessions, "session")} the same everywhere`);
      line(`           versions without gaps, no update lost, ${counted(contexts, "context")} the same everywhere`);
    },
    cleaned: (contexts) => line(`removed    ${counted(contexts, "context")}`),
  };
}

/** Returns a reporter that writes one JSON object per line. */
export function jsonReporter(line: Line): Reporter {
  const event = (name: string) => (fields: object) => line(JSON.stringify({ event: name, ...fields }));
  return {
    started: event("began"),
    played: event("did"),
    passed: event("right"),
    cleaned: (contexts) => event("removed")({ contexts }),
  };
}

/** Latencies of the newest calls: a fixed number, so that a long run needs no more memory. */
export class Latencies {
  readonly #ms = new Float64Array(65_536);
  #count = 0;

  add(ms: number): void {
    this.#ms[this.#count % this.#ms.length] = ms;
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  /** Returns the latency in ms that this fraction of calls (0 to 1) stayed within. */
  quantile(fraction: number): number {
    const sorted = this.#ms.slice(0, Math.min(this.#count, this.#ms.length)).sort();
    return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? 0;
  }
}
