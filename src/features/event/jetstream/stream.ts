// The stream that holds the events of a fleet: how it is made, its limits, and how it is closed for good.

import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig, type StreamInfo } from "@nats-io/jetstream";
import { Fault } from "../../../lib/fault.ts";
import type { EventLimits } from "../../../operation/define.ts";
import { type NatsLink, nanosOf } from "./nats.ts";

/** Below this the server takes no window. */
const MIN_WINDOW_MS = 100;
/** JetStream: the stream is not there. */
const NOT_FOUND = 10059;

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
      name: place.stream,
      subjects: [`${prefixOf(place.stream)}.*`],
      first_seq: floor + 1,
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      num_replicas: place.replicas,
      allow_direct: true,
      // An offset is never missing in the middle.
      deny_delete: true,
      deny_purge: true,
      metadata: { "cairn.log": place.id },
      // While it is filled, the limits of the other log hold.
      duplicate_window: nanosOf(windowMs(limits)),
    });
  });
}

/** Returns the stream; undefined: there is none. Throws Fault `event_log_unavailable` for another one of its name. */
export async function found(link: NatsLink, place: StreamPlace): Promise<StreamInfo | undefined> {
  return link.call(async ({ manager }) => {
    try {
      const info = await manager.streams.info(place.stream);
      if (info.config.metadata?.["cairn.log"] === place.id) return info;
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

/** Gives the stream the limits of the fleet, where it has other ones. */
export async function limitStream(link: NatsLink, place: StreamPlace, limits: EventLimits): Promise<void> {
  const { config } = await present(link, place);
  const wanted = {
    max_age: limits.keepMs === 0 ? 0 : nanosOf(limits.keepMs),
    max_msgs: limits.keepCount === 0 ? -1 : limits.keepCount,
    max_bytes: limits.keepBytes === 0 ? -1 : limits.keepBytes,
    duplicate_window: nanosOf(windowMs(limits)),
    num_replicas: place.replicas,
  };
  if (config.sealed || Object.entries(wanted).every(([key, value]) => config[key as keyof StreamConfig] === value))
    return;
  await link.call(({ manager }) => manager.streams.update(place.stream, { ...config, ...wanted }));
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

function lost(stream: string, what: string): Fault {
  return new Fault("event_log_unavailable", `The stream ${stream}, which holds the events of the fleet, ${what}`, {
    hint: "An operator restores it in NATS; until then no events are taken or read.",
    facts: { transient: false },
  });
}
