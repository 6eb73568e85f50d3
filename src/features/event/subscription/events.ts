// Events as the outbox and the trial of rules take them.

import type { NamedCaller } from "../../../operation/node-parts.ts";
import type { FedEvent } from "../feed.ts";
import type { EventRow } from "../rows.ts";
import type { EventRecord } from "../rules/index.ts";
import { shown } from "../shown.ts";
import type { QueuedEvent } from "./running.ts";

/** Returns an event of the feed for the outbox, its sender without tags. */
export function queuedOf({ row, value }: FedEvent): QueuedEvent {
  return queued(row, value as EventRecord);
}

/** Returns an event of a row for the outbox, its sender without tags. */
export function queuedRow(row: EventRow, epoch: string): QueuedEvent {
  return queued(row, shown(row, epoch) as EventRecord);
}

function queued(row: EventRow, record: EventRecord): QueuedEvent {
  const { offset, space, caller, node } = row;
  return { offset, space, record, sender: { caller, tags: [], node } };
}

/** Returns the tags of the devices that were found by a name. */
export function tagsOfFound(found: readonly NamedCaller[]): readonly string[] {
  return [...new Set(found.flatMap(({ caller }) => caller.tags))];
}
