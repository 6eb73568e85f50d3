// Puts what the queues have to record into few commands: at most one at a time, one second or 500 events after the
// first. A record that could not be made is kept and tried again.

import { pause as realPause } from "../../../lib/pause.ts";

/** How long a delivered event may wait to be recorded, in ms, and how many may. */
const GROUP_MS = 1000;
const GROUP_EVENTS = 500;
/** Most subscriptions of one command. */
const MAX_RECORDS = 256;

/** What is recorded of one subscription: the newest of each. */
export interface SubscriptionRecord {
  subscription: string;
  /** That of the subscription when its queue began. */
  revision: number;
  /** Every event up to this offset is done with. */
  cursor: number;
  /** Events that retention removed before they were sent. */
  missed?: number;
  /** The event that fails now. */
  failing?: { offset: number; attempts: number; next_at: number; status: number; detail: string } | undefined;
  /** Events that are given up: they become dead letters. */
  dead?: readonly { offset: number; attempts: number; status: number; detail: string }[];
  /** Dead letters that were sent again, and how that ended. */
  again?: readonly { offset: number; attempts: number; status: number; detail: string; delivered: boolean }[];
  /** Set: the subscription stops, for this reason. */
  stop?: "revoked" | "ended" | "done" | undefined;
}

export type Records = readonly SubscriptionRecord[];

interface RecorderOptions {
  record(records: Records): Promise<void>;
  pause?: typeof realPause;
}

/** Groups records while its node leads. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #signal: AbortSignal;
  #waiting = new Map<string, SubscriptionRecord>();
  #writing = new Map<string, SubscriptionRecord>();
  #events = 0;
  #isRunning = false;
  #hurry: (() => void) | undefined;

  constructor(options: RecorderOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Reports whether something of a subscription is not recorded yet. */
  isPending(subscription: string): boolean {
    return this.#waiting.has(subscription) || this.#writing.has(subscription);
  }

  /** Adds what is to be recorded; `now`: without waiting for more. */
  add(record: SubscriptionRecord, now = false): void {
    if (this.#signal.aborted) return;
    this.#waiting.set(record.subscription, merged(this.#waiting.get(record.subscription), record));
    this.#events += 1;
    if (now || this.#events >= GROUP_EVENTS) this.#hurry?.();
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run(now);
  }

  async #run(now: boolean): Promise<void> {
    for (let isHurried = now; this.#waiting.size > 0 && !this.#signal.aborted; isHurried = false) {
      if (!isHurried) await this.#gather();
      await this.#write();
    }
    this.#isRunning = false;
  }

  async #gather(): Promise<void> {
    const { pause = realPause } = this.#options;
    const hurried = Promise.withResolvers<void>();
    this.#hurry = hurried.resolve;
    await Promise.race([pause(GROUP_MS, this.#signal).catch(() => {}), hurried.promise]);
    this.#hurry = undefined;
  }

  async #write(): Promise<void> {
    if (this.#signal.aborted) return;
    const taken = [...this.#waiting].slice(0, MAX_RECORDS);
    this.#writing = new Map(taken);
    for (const [id] of taken) this.#waiting.delete(id);
    this.#events = 0;
    try {
      await this.#options.record(taken.map(([, record]) => record));
    } catch {
      // The next command has it, with what came meanwhile. A leader that ended leaves it to the next one.
      for (const [id, record] of taken) this.#waiting.set(id, merged(record, this.#waiting.get(id)));
    }
    this.#writing = new Map();
  }
}

/** Returns two records of one subscription as one; the later one is newer. */
function merged(one: SubscriptionRecord | undefined, later: SubscriptionRecord | undefined): SubscriptionRecord {
  if (one === undefined || later === undefined) return (one ?? later) as SubscriptionRecord;
  const dead = [...(one.dead ?? []), ...(later.dead ?? [])];
  const again = [...(one.again ?? []), ...(later.again ?? [])];
  const missed = (one.missed ?? 0) + (later.missed ?? 0);
  return {
    ...later,
    ...(dead.length === 0 ? {} : { dead }),
    ...(again.length === 0 ? {} : { again }),
    ...(missed === 0 ? {} : { missed }),
    stop: later.stop ?? one.stop,
  };
}
