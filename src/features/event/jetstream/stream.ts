// The stream that holds the events of a fleet: how it is made, its limits, and how it is closed for good.

import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig, type StreamInfo } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { Fault } from "../../../lib/fault.ts";
import type { EventLimits } from "../../../operation/define.ts";
import type { NatsLink } from "./nats.ts";

/** Below this the server takes no window. */
const MIN_WINDOW_MS = 100;
/** JetStream: the stream is not there. */
const NOT_FOUND = 10059;
/** In the metadata of a stream. */
const LOG_NAME = "cairn.log";

/** Which stream. */
export interface StreamPlace {
  /** The name of the log in cursors; the stream has it too, so that another stream of this name is not taken for it. */
  id: string;
  stream: string;
  replicas: number;
}

/** Returns the beginning of the subjects of a stream. */
export function prefixOf(stream: string): string {
  return stream.replaceAll("-", ".");
}

/** Makes the stream, empty, whose first event gets the offset after `floor`. Does nothing where it is there already. */
export async function makeStream(
  link: NatsLink,
  place: StreamPlace,
  floor: number,
  limits: EventLimits,
): Promise<void> {
  await link.call(async ({ manager }) => {
    if ((await found(link, place)) !== undefined) return;
    await manager.streams.add({
      ...promised(place),
      subjects: [`${prefixOf(place.stream)}.*`],
      first_seq: floor + 1,
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      // While it is filled, the limits of the other log hold.
      duplicate_window: nanos(windowMs(limits)),
    });
  });
}

/** What a stream must be like for the promises of the log, whatever an operator makes of it. */
function promised(place: StreamPlace) {
  return {
    name: place.stream,
    num_replicas: place.replicas,
    metadata: { [LOG_NAME]: place.id },
    discard: DiscardPolicy.Old,
    allow_direct: true,
    // An offset is never missing in the middle.
    deny_delete: true,
    deny_purge: true,
    max_msgs_per_subject: -1,
    no_ack: false,
  };
}

/** Returns the stream; undefined: there is none. Throws Fault `event_log_unavailable` for another one of its name. */
export async function found(link: NatsLink, place: StreamPlace): Promise<StreamInfo | undefined> {
  return link.call(async ({ manager }) => {
    try {
      const info = await manager.streams.info(place.stream);
      if (info.config.metadata?.[LOG_NAME] === place.id) return info;
      throw lost(place.stream, "is another one than the fleet has written to");
    } catch (error) {
      if ((error as { code?: unknown }).code === NOT_FOUND) return undefined;
      throw error;
    }
  });
}

/** Returns the stream. Throws Fault `event_log_unavailable` where it is not there. */
export async function present(link: NatsLink, place: StreamPlace): Promise<StreamInfo> {
  const info = await found(link, place);
  if (info !== undefined) return info;
  throw lost(place.stream, "is not there");
}

/** Gives the stream the limits of the fleet, and what the log promises, where it has other ones. */
export async function limitStream(link: NatsLink, place: StreamPlace, limits: EventLimits): Promise<void> {
  const { config } = await present(link, place);
  const { metadata: _, ...must } = promised(place);
  const wanted = {
    ...must,
    max_age: limits.keepMs === 0 ? 0 : nanos(limits.keepMs),
    max_msgs: limits.keepCount === 0 ? -1 : limits.keepCount,
    max_bytes: limits.keepBytes === 0 ? -1 : limits.keepBytes,
    max_msg_size: -1,
    duplicate_window: nanos(windowMs(limits)),
  };
  const has = (key: string) => config[key as keyof StreamConfig] ?? false;
  if (config.sealed || Object.entries(wanted).every(([key, value]) => has(key) === value)) return;
  await link.call(({ manager }) => manager.streams.update(place.stream, { ...config, ...wanted }));
}

/** How far a stream goes. */
export interface StreamHead {
  last: number;
  /** The newest offset below which nothing is to be read, or something is missing. */
  floor: number;
  bytes: number;
  /** The newest offset that the servers have lost, not retention; 0: none. */
  hole: number;
}

/** Asks how far the stream goes. */
export async function headOf(link: NatsLink, place: StreamPlace): Promise<StreamHead> {
  const { state } = await present(link, place);
  const { first_seq, last_seq: last, messages, bytes } = state;
  if (messages === 0) return { last, floor: last, bytes, hole: 0 };
  const isWhole = messages === last - first_seq + 1;
  const hole = isWhole ? 0 : await lastHole(link, place, last - messages);
  return { last, floor: Math.max(first_seq - 1, hole), bytes, hole };
}

/** Returns the last offset that is missing in the middle; `atLeast`: where the servers do not say which. */
function lastHole(link: NatsLink, place: StreamPlace, atLeast: number): Promise<number> {
  return link.call(async ({ manager }) => {
    const { state } = await manager.streams.info(place.stream, { deleted_details: true });
    const missing = [...(state.deleted ?? []), ...(state.lost?.msgs ?? [])];
    return missing.reduce((newest, each) => Math.max(newest, each), missing.length === 0 ? atLeast : 0);
  });
}

/** Closes the stream for good: it is read, and takes nothing more. Returns its last offset. */
export async function sealStream(link: NatsLink, place: StreamPlace): Promise<number> {
  const { config } = await present(link, place);
  if (!config.sealed)
    await link.call(({ manager }) =>
      manager.streams.update(place.stream, { ...config, sealed: true } as typeof config),
    );
  return (await present(link, place)).state.last_seq;
}

/** A stream takes no window that is longer than it keeps events. */
function windowMs({ dedupeSeconds, keepMs }: EventLimits): number {
  const window = Math.max(MIN_WINDOW_MS, dedupeSeconds * 1000);
  return keepMs === 0 ? window : Math.min(window, keepMs);
}

/** The refusal of a stream that is not what the fleet has written. */
export function lost(stream: string, what: string): Fault {
  return new Fault("event_log_unavailable", `The stream ${stream}, which holds the events of the fleet, ${what}`, {
    hint: "An operator restores it in NATS; until then no events are taken or read. If it is gone for good: `cairn events move --to fleet --lost`.",
    facts: { transient: false },
  });
}
