// What the outbox and its queues get of the node.

import type { pause as realPause } from "../../../lib/pause.ts";
import type { Span } from "../../../observe/trace/tracer.ts";
import type { Soon } from "../event-log.ts";
import type { Sender } from "../rules/index.ts";
import type { Delivery, Outcome, Target } from "./delivery.ts";
import type { Records } from "./recorder.ts";
import type { QueuedEvent, RunningSubscription } from "./running.ts";

/** What the outbox works with. */
export interface OutboxOptions {
  /** Returns the active subscriptions as they are recorded now. */
  subscriptions(): readonly RunningSubscription[];
  /** Returns events after an offset, oldest first. */
  eventsAfter(offset: number, max: number): Soon<readonly QueuedEvent[]>;
  /** Returns a sender with its tags. Rejects where they cannot be looked up. */
  withTags(sender: Sender, signal: AbortSignal): Promise<Sender>;
  /** Returns the subscriptions that have dead letters to send again. */
  withAgain(): readonly string[];
  /** Returns the events of the oldest of them. */
  again(subscription: string): readonly QueuedEvent[];
  /** Returns the cursor of an offset. */
  cursorOf(offset: number): string;
  /** The newest offset that retention removed. */
  floor(): number;
  /** Calls `listener` soon after events were appended; returns what removes it. */
  onNews(listener: () => void): () => void;
  /** Returns the target of a subscription, or what is wrong with it. */
  targetOf(subscription: RunningSubscription): Target | string;
  /**
   * Reports whether the owner of a subscription may read its space now; `unknown` where its rights are not known,
   * `waiting` where this leader can send only after its client has asked again.
   */
  ownerMay(subscription: RunningSubscription, signal: AbortSignal): Promise<"yes" | "no" | "unknown" | "waiting">;
  /** Proposes one command. Rejects where that failed; it is then tried again. */
  record(records: Records): Promise<void>;
  /** Called with what is wrong with the queues by subscription, whenever that changes. */
  onProblems(problems: ReadonlyMap<string, string>): void;
  /** Called when an attempt has ended, for the metrics. */
  onAttempt?(subscription: RunningSubscription, result: Outcome["result"], durationMs: number): void;
  /** Begins the span of an attempt; left out: there are none. */
  beginSpan?(subscription: RunningSubscription, delivery: Delivery, attempt: number): Span;
  nowMs(): number;
  /** For tests, in place of real waits and random ones. */
  pause?: typeof realPause;
  random?: () => number;
}
