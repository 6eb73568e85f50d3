// What passes between the outbox and a target: one event for one subscription, and how an attempt ended.

import type { TraceContext } from "../../../lib/trace-context.ts";
import type { EventRecord } from "../rules/index.ts";

/** One event on its way to one target. */
export interface Delivery {
  /** Id of the subscription. */
  readonly subscription: string;
  /** The event as the rules made it. */
  readonly record: EventRecord;
  readonly offset: number;
  /** Events that are sent together with it, and how many further ones are only counted (`GroupRule`). */
  readonly others?: readonly EventRecord[];
  readonly leftOut?: number;
  /** Set for a reminder: since when it lasts, and whether it is the last reminder. */
  readonly reminder?: { readonly sinceMs: number; readonly isLast: boolean };
  /** Stays the same over all attempts; a subscription that begins again has new ones. */
  readonly messageId: string;
  /** The span of this attempt; left out: the request is part of the trace of the event. */
  readonly trace?: TraceContext;
}

/** How an attempt ended. */
export type Outcome = (
  | { result: "delivered" }
  /** Not sent, because it came from there, or would come again without end: the event is done with. */
  | { result: "skipped" }
  /** The target cannot take it now: the same event is tried again. `retryAfterMs`: the target asks for this long. */
  | { result: "failed"; retryAfterMs?: number | undefined }
  /** The target refuses this very event: another one may succeed. */
  | { result: "refused" }
  /** The target wants no more events. */
  | { result: "ended" }
) & {
  /** HTTP status; left out where there was no response. */
  status?: number | undefined;
  /** For people: the first 512 bytes of the response, or what failed; without secrets. */
  detail: string;
};

/** How often what lasts is told again: each `everyMs` since it began, so many times. */
export interface RemindRule {
  readonly everyMs: number;
  readonly times: number;
}

/** How events are put together for a target. */
export interface GroupRule {
  /** Least time between two messages, in ms. */
  readonly everyMs: number;
  /** Most messages of an hour. */
  readonly perHour: number;
  /** Most events of a message; further ones are counted. */
  readonly shown: number;
  /** Left out: nothing is told again. */
  readonly remind?: RemindRule | undefined;
}

/** What is no event: events up to a cursor were removed before they were sent, or the owner may no longer read. */
export type Notice = { type: "gap"; cursor: string } | { type: "terminated" };

/** Where events go. */
export interface Target {
  /** Left out: each event is sent by itself, at once. */
  readonly group?: GroupRule;
  /** Tells the target, in one attempt, what is no event. Never rejects. */
  notice?(notice: Notice, subscription: string, signal: AbortSignal): Promise<void>;
  /** Makes one attempt. Rejects only when `signal` aborts. */
  send(delivery: Delivery, signal: AbortSignal): Promise<Outcome>;
}
