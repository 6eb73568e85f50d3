// The outbox of the leader: one queue for each active subscription, so that no target holds up another one. It keeps in
// memory what is on its way; what has to survive a change of leader goes to `record`, in groups.

import { pause as realPause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import type { Lead } from "../../../log/duties.ts";
import type { OutboxOptions } from "./outbox-options.ts";
import { Queue } from "./queue.ts";
import { Recorder } from "./recorder.ts";
import type { RunningSubscription } from "./running.ts";

/** How often the list of subscriptions is looked at where nothing was changed, in ms. */
const LOOK_MS = 1000;

/** The outbox of one node. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #problems = new Map<string, string>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** The duty: delivers until the signal aborts. */
  lead({ signal }: Lead): void {
    void this.run(signal);
  }

  /** Delivers until the signal aborts; resolves when nothing is on its way. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { pause = realPause } = this.#options;
    const recorder = new Recorder(this.#options, signal);
    const stopNews = this.#options.onNews(() => this.#wake());
    try {
      while (!signal.aborted) {
        this.#startMissing(recorder, signal);
        for (const id of this.#options.withAgain()) this.#queues.get(id)?.wake();
        await pause(LOOK_MS, signal).catch(() => {});
      }
    } finally {
      stopNews();
      await Promise.all([...this.#queues.values()].map((queue) => queue.stop()));
      this.#queues.clear();
      this.#problems.clear();
      this.#options.onProblems(this.#problems);
    }
  }

  /** Returns the queue of a subscription while this node leads, for whoever asks how deliveries go. */
  queue(subscription: string): Queue | undefined {
    return this.#queues.get(subscription);
  }

  #startMissing(recorder: Recorder, signal: AbortSignal): void {
    const active = new Map(this.#options.subscriptions().map((each) => [each.id, each]));
    for (const [id, queue] of this.#queues) {
      if (active.get(id)?.revision === queue.revision && !queue.isStopped) continue;
      // Changed, paused, ended or failed: what is on its way is recorded before a new queue begins.
      void queue.stop();
      if (!queue.isStopped) continue;
      this.#queues.delete(id);
      if (!active.has(id)) this.#tell(id, "");
    }
    for (const [id, subscription] of active) {
      if (this.#queues.has(id) || recorder.isPending(id)) continue;
      this.#start(subscription, recorder, signal);
    }
  }

  #start(subscription: RunningSubscription, recorder: Recorder, signal: AbortSignal): void {
    const { id } = subscription;
    try {
      const queue = new Queue(this.#options, subscription, recorder, (problem) => this.#tell(id, problem));
      this.#queues.set(id, queue);
      queue.start(signal);
    } catch (error) {
      // Rules that another version took: the others go on.
      this.#tell(id, `its rules cannot be used by this version: ${reasonOf(error)}`);
    }
  }

  #wake(): void {
    for (const queue of this.#queues.values()) queue.wake();
  }

  #tell(id: string, problem: string): void {
    if ((this.#problems.get(id) ?? "") === problem) return;
    if (problem === "") this.#problems.delete(id);
    else this.#problems.set(id, problem);
    this.#options.onProblems(this.#problems);
  }
}
