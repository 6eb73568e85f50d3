// What events and messages of a stream are made of, apart from how a stream is read.

import { Fault } from "../../../lib/fault.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { type FailedEvent, packed } from "../append.ts";
import type { EventOutline } from "../event-log.ts";
import type { EventItem } from "../item.ts";
import type { EventRow } from "../rows.ts";
import type { MessageBody } from "./message.ts";

/** Who sends. */
export interface StoredBy {
  caller: string;
  agent: string;
  node: string;
}

/**
 * Returns the events from `first` on that are before `end`; only the newest of them, without a gap, where one read of
 * `rows` has no room for all.
 */
export async function rowsBetween(
  rows: (from: number, max: number) => Promise<EventRow[]>,
  first: number,
  end: number,
): Promise<EventRow[]> {
  for (let from = first; ; from = Math.ceil((from + end) / 2)) {
    const found = await rows(from, end - from);
    if ((found.at(-1)?.offset ?? end) >= end - 1) return found.filter(({ offset }) => offset < end);
  }
}

/** Returns an event without its data. */
export function outlineOf({
  offset,
  space,
  caller,
  agent,
  source,
  type,
  subject,
  log_time,
  size,
}: EventRow): EventOutline {
  return { offset, space, caller, agent, source, type, subject, log_time, size };
}

/** Returns the body of an event. Throws Fault `too_large`. */
export function bodyOf(item: EventItem, by: StoredBy & { space: string }, maxBytes: number, seq: number): MessageBody {
  return { ...packed(item, maxBytes), ...by, source: `${by.caller}/${item.source}`, seq };
}

/** Returns what becomes of an event that was not acknowledged. */
export function failureOf(error: unknown): Omit<FailedEvent, "at"> {
  if (error instanceof Fault && error.code === "too_large")
    return { code: "too_large", message: error.message, unknown: false };
  const said = error instanceof Fault ? error.message : `JetStream did not take it: ${reasonOf(error)}`;
  return {
    code: "event_log_unavailable",
    message: said,
    unknown: error instanceof Fault && error.facts.outcome === "unknown",
  };
}
