// A subscription and an event as the outbox sees them, apart from their tables.

import type { EventRecord, Rule, Sender } from "../rules/index.ts";
import type { PolicyName } from "./policy-names.ts";

/** An active subscription. */
export interface RunningSubscription {
  readonly id: string;
  /** Changes with every change of the subscription but those of its cursor. */
  readonly revision: number;
  readonly space: string;
  readonly rules: readonly Rule[];
  readonly policy: PolicyName;
  /** It is done at this offset; 0: it goes on. */
  readonly until: number;
  /** Most events that are sent in a second; 0: as many as the target takes. */
  readonly rate: number;
  /** Changes where someone says from where it begins: its message ids are new ones then. */
  readonly began: number;
  /** When it was changed last, by the log's time: events that were ordered later are behind where it began. */
  readonly changedMs: number;
  /** Offset of the newest event that is done with. */
  readonly cursor: number;
  /** What is recorded of the event that fails now. */
  readonly failing?: { offset: number; attempts: number; nextAtMs: number } | undefined;
}

/** An event of the log. */
export interface QueuedEvent {
  readonly offset: number;
  readonly space: string;
  readonly record: EventRecord;
  readonly sender: Sender;
}
