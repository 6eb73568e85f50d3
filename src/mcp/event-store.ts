// The last events of a session, so that a client whose connection broke gets the rest with Last-Event-ID. Small and
// bounded: after a longer break clients read again.

import type { EventStore, JSONRPCMessage } from "@modelcontextprotocol/server";

/** Bounds for each session; the oldest events are dropped first. */
const MAX_EVENTS = 128;
const MAX_BYTES = 128 * 1024;

interface StoredEvent {
  number: number;
  streamId: string;
  message: JSONRPCMessage;
  bytes: number;
}

/** A bounded ring of events. */
export class RecentEvents implements EventStore {
  readonly #events: StoredEvent[] = [];
  #bytes = 0;
  #last = 0;

  /** Number of kept events, for tests. */
  get size(): number {
    return this.#events.length;
  }

  async storeEvent(streamId: string, message: JSONRPCMessage): Promise<string> {
    const number = ++this.#last;
    const bytes = JSON.stringify(message).length;
    // Too large to keep: it still gets an id, and a client that resumes there has to ask again.
    if (bytes <= MAX_BYTES) {
      this.#events.push({ number, streamId, message, bytes });
      this.#bytes += bytes;
    }
    while (this.#events.length > MAX_EVENTS || this.#bytes > MAX_BYTES) this.#bytes -= this.#events.shift()?.bytes ?? 0;
    return `${number}.${streamId}`;
  }

  async getStreamIdForEventId(eventId: string): Promise<string | undefined> {
    return parseEventId(eventId)?.streamId;
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (eventId: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const last = parseEventId(lastEventId);
    if (last === undefined) throw new Error(`${lastEventId.slice(0, 80)} is no event id of this server`);
    for (const event of [...this.#events]) {
      if (event.streamId !== last.streamId || event.number <= last.number) continue;
      // The first event of a stream has no message; it only gives the client an id to resume from.
      if (Object.keys(event.message).length > 0) await send(`${event.number}.${event.streamId}`, event.message);
    }
    return last.streamId;
  }
}

function parseEventId(eventId: string): { number: number; streamId: string } | undefined {
  const match = /^(\d{1,15})\.([\w-]{1,64})$/.exec(eventId);
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { number: Number(match[1]), streamId: match[2] };
}
