// Keeps the facts of this machine for the beats of its node. Readings run in the background, one at a time: a sensor
// that hangs makes the facts old, and holds nothing up.

import type { MachineFacts } from "./facts.ts";
import { type CpuTimes, type MachineOptions, type Reading, readMachine, thisMachine } from "./read-machine.ts";

const EVERY_MS = 5_000;

export interface MachineWatchOptions {
  read: (before: CpuTimes | undefined) => Promise<Reading>;
  monotonicMs: () => number;
  /** A reading is this old at most when the next one begins, in ms; left out: 5 s. */
  everyMs?: number;
}

/** The newest reading. */
export class MachineWatch {
  readonly #options: MachineWatchOptions;
  readonly #everyMs: number;
  #last: (Reading & { atMs: number }) | undefined;
  #begunMs = Number.NEGATIVE_INFINITY;
  #reading = false;

  constructor(options: MachineWatchOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? EVERY_MS;
    this.facts();
    // A node that is alone sends no beats, which would ask for its facts.
    setInterval(() => this.facts(), this.#everyMs).unref();
  }

  /** Returns the newest facts and their age, and begins to read when it is time; undefined before the first. */
  facts(): MachineFacts | undefined {
    const nowMs = this.#options.monotonicMs();
    if (!this.#reading && nowMs - this.#begunMs >= this.#everyMs) void this.#read(nowMs);
    return this.#last && { ...this.#last.facts, ageMs: Math.round(nowMs - this.#last.atMs) };
  }

  /** Facts that cannot be read stay as they are, and get older. */
  async #read(nowMs: number): Promise<void> {
    this.#reading = true;
    this.#begunMs = nowMs;
    try {
      this.#last = { ...(await this.#options.read(this.#last?.cpu)), atMs: nowMs };
    } catch {
    } finally {
      this.#reading = false;
    }
  }
}

/** Returns a watch of the machine that this process runs on. */
export function watchThisMachine(options: MachineOptions): MachineWatch {
  return new MachineWatch({
    read: (before) => readMachine(thisMachine, options, before),
    monotonicMs: () => performance.now(),
  });
}
