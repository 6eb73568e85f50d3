// The last events of a session, so that a client whose connection broke gets the rest with Last-Event-ID. Small and
// bounded: after a longer break clients read again.

import type { JSONRPCMessage, RequestId } from "@modelcontextprotocol/server";
import { parseObject } from "../lib/json-object.ts";

/** Bounds for each session; the oldest events are dropped first. */
const MAX_EVENTS = 128;
const MAX_BYTES = 128 * 1024;
/** Longest name of a stream, in characters: ids of requests are chosen by clients. */
const MAX_NAME = 200;

/** The name of the stream of notifications; other streams are named by `nameOf`. */
export const NOTICES = "";

export interface KeptEvent {
  id: string;
  message: JSONRPCMessage;
}

/** What an event id says. */
export interface Place {
  stream: string;
  number: number;
  /** It was the last event of its stream: nothing is missing. */
  isLast: boolean;
  /** It was given out since the session was opened, or opened again after a restart of the node. */
  isOurs: boolean;
  /** All events after it are still kept. */
  isWhole: boolean;
}

interface StoredEvent extends KeptEvent {
  number: number;
  stream: string;
  bytes: number;
}

/** Returns the name of the stream that responds to these requests; undefined where it would be too long. */
export function nameOf(ids: readonly RequestId[]): string | undefined {
  const name = Buffer.from(JSON.stringify({ ids })).toString("base64url");
  return name.length <= MAX_NAME ? name : undefined;
}

/** Returns the requests that a stream responds to. */
export function requestsOf(stream: string): RequestId[] {
  const ids = parseObject(Buffer.from(stream, "base64url").toString("utf8"))?.["ids"];
  if (!Array.isArray(ids)) return [];
  return ids.filter((id): id is RequestId => typeof id === "string" || typeof id === "number");
}

/** A bounded ring of events. */
export class RecentEvents {
  readonly #events: StoredEvent[] = [];
  /** Distinguishes the ids of this session from those that it gave out before the node restarted. */
  readonly #run = crypto.randomUUID().slice(0, 8);
  #bytes = 0;
  #last = 0;
  /** Number of the newest event that is not kept any more. */
  #dropped = 0;

  /** Number of kept events, for tests. */
  get size(): number {
    return this.#events.length;
  }

  /** Keeps a message of a stream and returns its event id. */
  keep(stream: string, message: JSONRPCMessage, isLast = false): string {
    const id = this.mark(stream, isLast);
    const bytes = JSON.stringify(message).length;
    // Too large to keep is only a response, and a client that comes back for it has to ask again.
    if (bytes > MAX_BYTES) return id;
    this.#events.push({ id, number: this.#last, stream, message, bytes });
    this.#bytes += bytes;
    while (this.#events.length > MAX_EVENTS || this.#bytes > MAX_BYTES) {
      const oldest = this.#events.shift();
      this.#bytes -= oldest?.bytes ?? 0;
      this.#dropped = oldest?.number ?? this.#dropped;
    }
    return id;
  }

  /** Returns the id of an event without a message: it only gives the client a place to resume from. */
  mark(stream: string, isLast = false): string {
    return `${++this.#last}${isLast ? "e" : ""}.${this.#run}.${stream}`;
  }

  /** Returns what an event id says; undefined for what is none. */
  place(eventId: string): Place | undefined {
    const match = /^(\d{1,15})(e?)\.([0-9a-f]{8})\.([\w-]{0,200})$/.exec(eventId);
    if (match === null) return undefined;
    const [, digits = "", end, run, stream = NOTICES] = match;
    const number = Number(digits);
    const isOurs = run === this.#run && number <= this.#last;
    return { stream, number, isLast: end === "e", isOurs, isWhole: isOurs && number >= this.#dropped };
  }

  /** Returns the kept events of its stream after a place. */
  after({ stream, number, isOurs }: Place): KeptEvent[] {
    return isOurs ? this.#events.filter((event) => event.stream === stream && event.number > number) : [];
  }
}
