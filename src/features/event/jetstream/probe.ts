// What NATS says of itself and of a stream when it is asked: for who moves the log of events, before anything is done.

import { type NatsLink, operatorReason } from "./nats.ts";
import { found, type StreamPlace } from "./stream.ts";

/** What was found. */
export interface Probed {
  /** What keeps this node from it; undefined: nothing. */
  problem?: string;
  /** Events that the stream has; undefined: it is not there. */
  events?: number;
  /** Bytes of the largest message that it takes. */
  maxPayload?: number;
  /** Bytes that the account may still store; undefined: it has no limit. */
  freeBytes?: number;
}

/** Asks, and never rejects. */
export async function probe(link: NatsLink, place: StreamPlace): Promise<Probed> {
  try {
    const { connection } = await link.client();
    const stream = await found(link, place);
    const { limits, storage } = await link.call(({ manager }) => manager.getAccountInfo());
    return {
      ...(stream === undefined ? {} : { events: stream.state.messages }),
      ...(connection.info === undefined ? {} : { maxPayload: connection.info.max_payload }),
      ...(limits.max_storage < 0 ? {} : { freeBytes: Math.max(0, limits.max_storage - storage) }),
    };
  } catch (error) {
    return { problem: operatorReason(error) };
  }
}
