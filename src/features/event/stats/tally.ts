// Counts events by what they are and when they were ordered. Bounded whatever names senders use.

import type { EventOutline } from "../event-log.ts";

/** Names that are counted apart; those after them are counted as `REST`. */
const MAX_NAMES = 5000;
const REST = "(others)";
/** Most intervals of time. */
export const MAX_BUCKETS = 1440;

/** How many events have a name, and their bytes. */
export interface Share {
  name: string;
  events: number;
  bytes: number;
}

/** Counts by one name. */
class Shares {
  readonly #by = new Map<string, { events: number; bytes: number }>();

  add(name: string, bytes: number): void {
    const key = this.#by.has(name) || this.#by.size < MAX_NAMES ? name : REST;
    const share = this.#by.get(key) ?? { events: 0, bytes: 0 };
    share.events += 1;
    share.bytes += bytes;
    this.#by.set(key, share);
  }

  /** Returns those with the most events. */
  top(max: number): Share[] {
    return [...this.#by]
      .map(([name, share]) => ({ name, ...share }))
      .sort((one, other) => other.events - one.events || (one.name < other.name ? -1 : 1))
      .slice(0, max);
  }
}

/** Counts of a range of events. */
export class Tally {
  readonly types = new Shares();
  readonly sources = new Shares();
  readonly spaces = new Shares();
  readonly senders = new Shares();
  readonly #bucketMs: number;
  readonly #buckets = new Map<number, number>();
  events = 0;
  bytes = 0;

  constructor(bucketMs: number) {
    this.#bucketMs = bucketMs;
  }

  add({ type, source, space, caller, agent, log_time, size }: EventOutline): void {
    this.events += 1;
    this.bytes += size;
    this.types.add(type, size);
    this.sources.add(source, size);
    this.spaces.add(space, size);
    this.senders.add(agent === "" ? caller : `${caller} as ${agent}`, size);
    const bucket = Math.floor(log_time / this.#bucketMs);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
  }

  /** Returns the intervals that have events, by their begin in ms, the oldest first. */
  buckets(): { atMs: number; events: number }[] {
    return [...this.#buckets]
      .sort(([one], [other]) => one - other)
      .map(([bucket, events]) => ({ atMs: bucket * this.#bucketMs, events }));
  }
}

/** Returns the length of intervals: the asked one, or as many of it as keep their number bounded. */
export function bucketSeconds(asked: number, rangeMs: number): number {
  return asked * Math.max(1, Math.ceil(rangeMs / 1000 / asked / MAX_BUCKETS));
}
