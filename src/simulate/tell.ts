// What the agents did, as lines for people or as JSON lines, and how long calls took.

/** One thing that was done and found right. */
export interface Deed {
  round: number;
  agent: string;
  /** Where it was done. */
  at: string;
  did: string;
  id: string;
  version?: number;
  ms: number;
  /** More for people, such as how often a conflict was met. */
  note?: string;
}

export interface Began {
  seed: number;
  space: string;
  run: string;
  agents: number;
  rounds: number;
  places: readonly string[];
}

export interface Ended {
  calls: number;
  writes: number;
  conflicts: number;
  contexts: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
}

/** Where lines go: each call is one line, without its newline. */
export type Line = (text: string) => void;

/** Tells a run as it happens. */
export interface Tell {
  began(began: Began): void;
  deed(deed: Deed): void;
  ended(ended: Ended): void;
  /** So many contexts were removed. */
  cleaned(contexts: number): void;
}

/** Lines for people. */
export function tellPeople(line: Line): Tell {
  return {
    began: ({ seed, space, run, agents, rounds, places }) => {
      line(`simulate   seed ${seed}: ${agents} agents, ${rounds} rounds, below ${space}/ (run ${run})`);
      for (const place of places) line(`asks       ${place}`);
    },
    deed: ({ round, agent, at, did, id, version, ms, note }) => {
      const which = version === undefined ? id : `${id} version ${version}`;
      const more = note === undefined ? "" : `; ${note}`;
      line(`round ${String(round).padEnd(4)} ${agent.padEnd(9)} ${did} ${which}${more} (${Math.round(ms)} ms, ${at})`);
    },
    ended: ({ calls, writes, conflicts, contexts, seconds, p50Ms, p99Ms }) => {
      const rate = Math.round(calls / Math.max(seconds, 0.001));
      line(
        `right      ${calls} calls, ${writes} of them writes, ${conflicts} conflicts met, in ${seconds.toFixed(1)} s: ${rate} a second, half within ${p50Ms.toFixed(1)} ms, 99 % within ${p99Ms.toFixed(1)} ms`,
      );
      line(`           versions without gaps, no update lost, ${contexts} contexts the same everywhere`);
    },
    cleaned: (contexts) => line(`removed    ${contexts} contexts`),
  };
}

/** One JSON object on each line. */
export function tellJson(line: Line): Tell {
  const tell = (event: string) => (fields: object) => line(JSON.stringify({ event, ...fields }));
  return {
    began: tell("began"),
    deed: tell("did"),
    ended: tell("right"),
    cleaned: (contexts) => tell("removed")({ contexts }),
  };
}

/** The times of calls: the newest ones, so that a long run costs no memory. */
export class Times {
  readonly #ms = new Float64Array(65_536);
  #count = 0;

  add(ms: number): void {
    this.#ms[this.#count % this.#ms.length] = ms;
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  /** The time, in ms, that this share of calls (0 to 1) stayed within. */
  share(part: number): number {
    const sorted = this.#ms.slice(0, Math.min(this.#count, this.#ms.length)).sort();
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  }
}
