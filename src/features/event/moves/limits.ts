// Where a stream begins and ends, as writes of subscriptions need it: apply can ask no stream, so the node that takes
// the call puts it into the command.

import { Fault } from "../../../lib/fault.ts";
import type { EventPlace, WriteLimits } from "../../../operation/define.ts";
import { LOG, NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import type { Reader } from "../../../store/store.ts";
import { logNameOf, offsetIn, offsetOf } from "../cursor.ts";
import { EVENT_LOG, VOTERS } from "../event-log.ts";
import { eventHead } from "../rows.ts";
import { logPlaces, sharedWith, streamOf } from "./place.ts";

/** Returns the limits on writes of a node, with the way to the place of a stream where one has the events. */
export function placedLimits(node: Services): () => WriteLimits {
  const place = (): EventPlace | undefined => {
    const { reader } = node.get(NODE).store;
    const log = node.find(EVENT_LOG);
    if (log === undefined || node.find(LOG) === undefined || streamOf(logPlaces(reader)) === undefined)
      return undefined;
    const { tail, floor } = log.head();
    return { name: log.name(), tail, floor };
  };
  return () => {
    const limits = node.get(NODE).limits();
    return { ...limits, events: { ...limits.events, place, voters: () => node.find(VOTERS)?.() ?? 1 } };
  };
}

/** Returns what a command says of the place. */
export function placeIn({ events }: WriteLimits): { place?: EventPlace } {
  const place = events.place?.();
  return place === undefined ? {} : { place };
}

/** Returns how far the log of events goes, for apply. Throws Fault `unavailable` where it moved since the call came. */
export function headFor(reader: Reader, place: EventPlace | undefined): { tail: number; floor: number } {
  if (streamOf(logPlaces(reader)) === undefined) return eventHead(reader);
  if (place?.name === logNameOf(reader)) return place;
  throw new Fault("unavailable", "The log of events was moved while this call was on its way", {
    hint: "Send the same call again.",
  });
}

/** Returns the offset of a cursor, for apply. Faults as of `EventLog.judge`, but for what lies ahead of this node. */
export function offsetFor(reader: Reader, place: EventPlace | undefined, text: string): number {
  const { floor } = headFor(reader, place);
  if (place === undefined || streamOf(logPlaces(reader)) === undefined) return offsetOf(reader, text);
  return offsetIn({ name: place.name, floor }, text, (name) => sharedWith(reader, name));
}
