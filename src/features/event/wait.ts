// event_wait: returns when events come that the caller may read, so that programs need not poll. Streams use it too.

import { z } from "zod";
import { LOOK_AT_ROW, READ_BYTE } from "../../lib/work.ts";
import { type CallContext, DEFAULT_WAIT_SECONDS, type ReadOperation, read } from "../../operation/define.ts";
import type { FollowCursor } from "../../operation/follow.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { refuseWaitArguments, timeoutSeconds } from "../../operation/wait-arguments.ts";
import { chosen, chosenAliases, cursorArgument, timeArgument } from "./arguments.ts";
import { type Chosen, chooser } from "./chosen.ts";
import { EVENT_FEED, type EventFeed, type FedEvent } from "./feed.ts";
import { type Page, readPage } from "./read-events.ts";
import { EVENT_LEVEL, STEP_BYTES } from "./rows.ts";
import { shownEvent } from "./shown.ts";
import { offsetAt, offsetSince } from "./start-of.ts";

const MAX_EVENTS = 1000;
/** Events read in one step of a stream. */
const STEP = 256;
/** About how many bytes of events a stream takes at once. */
const TAKEN_BYTES = 512 * 1024;

const input = z.object({
  ...chosen,
  since: cursorArgument.optional().describe("Events after this cursor, or after a position (default: from now on)."),
  time: timeArgument.optional().describe("Without since: events that were ordered at this time or later."),
  own: z.boolean().optional().describe("Also those that you sent yourself (default: only those of others)."),
  timeout_seconds: timeoutSeconds,
  limit: z.number().int().min(1).max(MAX_EVENTS).optional().describe("At most this many events (default 100)."),
});

const output = z.object({
  events: z.array(shownEvent).describe("Oldest first."),
  cursor: z.string().describe("Pass it as since of the next call."),
  timed_out: z.boolean().describe("Nothing came in this time. False without events: call it again at once."),
});

/** Returns the operation. */
export function eventWait(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "event_wait",
    title: "Wait for events",
    search: "subscribe, listen, watch, poll events, consume, receive",
    description:
      "Waits until events come that you may read, and returns them; after timeout_seconds without any it returns none and timed_out true. To go on, call it again with the returned cursor as since: nothing is missed, on whichever node.",
    input,
    example: { space: "team-a", types: ["build.*"], timeout_seconds: 1 },
    samples: {
      since: "1f3a9c0b22-e7",
      time: "2026-11-29T16:31:00Z",
      source: "user:ann@example.com/ci",
      subject: "main",
    },
    output,
    access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
    waits: true,
    aliases: { ...chosenAliases, timeout: "timeout_seconds", cursor: "since", position: "since", after: "since" },
    async run(reader, { since, time, timeout_seconds = DEFAULT_WAIT_SECONDS, limit = 100, ...wanted }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_wait");
      const held = context.holdWait();
      try {
        const feed = node.get(EVENT_FEED);
        const start = await startOf(feed, { since, time }, context);
        const deadline = AbortSignal.timeout(timeout_seconds * 1000);
        const signal = AbortSignal.any([context.signal, held.signal]);
        const page = await pageOf(feed, { own: false, ...wanted }, start, limit, deadline, { ...context, signal });
        return {
          events: page.found.map(({ value }) => value),
          cursor: feed.cursorOf(page.at),
          timed_out: page.found.length === 0 && !page.more,
        };
      } finally {
        held.release();
      }
    },
    followsTables: true,
    waitShape: { items: "events", at: "cairnposition", next: "cursor" },
    async follow({ since, time, timeout_seconds, limit, ...wanted }, context, reader) {
      refuseWaitArguments({ timeout_seconds, limit });
      refuseBelowLevel(reader, EVENT_LEVEL, "event_wait");
      const feed = node.get(EVENT_FEED);
      const start = await startOf(feed, { since, time }, context);
      return new EventPlace(feed, { own: false, ...wanted }, start, context);
    },
  });
}

/** Returns the offset behind which a reader begins. A stream comes back with its cursor, at the address that it had. */
async function startOf(
  feed: EventFeed,
  { since, time }: { since: string | undefined; time: string | undefined },
  context: CallContext,
): Promise<number> {
  if (since !== undefined) return offsetSince(feed, since, context);
  return time === undefined ? feed.log.head().tail : offsetAt(feed, time);
}

/**
 * Waits until the deadline for the first event after `start`, then returns those that are there already. An aborted
 * deadline waits for none.
 */
export async function pageOf(
  feed: EventFeed,
  wanted: Chosen,
  start: number,
  limit: number,
  deadline: AbortSignal,
  context: CallContext,
): Promise<Page<FedEvent>> {
  const isChosen = chooser(wanted, context);
  const source = {
    next: (at: number, max: number) => feed.after(at, max),
    rowOf: ({ row }: FedEvent) => row,
    isChosen,
  };
  for (let at = start; ; ) {
    const page = await readPage(source, at, limit, context);
    if (page.found.length > 0 || page.more || deadline.aborted) return page;
    at = page.at;
    await feed.wait(at, context.signal, deadline);
  }
}

/** The place of one stream in the log of events. */
export class EventPlace implements FollowCursor {
  /** Its messages are events without a name, as clients of server-sent events take them by default. */
  readonly eventName = undefined;
  readonly #feed: EventFeed;
  readonly #isChosen: (event: FedEvent) => boolean;
  readonly #context: CallContext;
  readonly #listeners = new Set<() => void>();
  /** What a log that is not in this process is asked for, and what came of it. */
  #asked: Promise<void> | undefined;
  #ahead: FedEvent[] | undefined;
  #failed: unknown;
  #isRemote = false;
  #at: number;

  constructor(feed: EventFeed, wanted: Chosen, start: number, context: CallContext) {
    const isChosen = chooser(wanted, context);
    this.#feed = feed;
    this.#isChosen = ({ row }) => isChosen(row);
    this.#context = context;
    this.#at = start;
  }

  get position(): string {
    return this.#feed.cursorOf(this.#at);
  }

  take(max: number, judge: () => void): ReturnType<FollowCursor["take"]> {
    // Events that were removed meanwhile would be passed over in silence.
    this.#feed.judge(this.#at);
    const step = this.#step();
    if (step.length > 0) judge();
    const stepBytes = step.reduce((sum, { row }) => sum + row.size, 0);
    const more = step.length === STEP || stepBytes >= STEP_BYTES;
    if (more) this.#context.spend(LOOK_AT_ROW * step.length + READ_BYTE * stepBytes);
    const items = [];
    let bytes = 0;
    for (const event of step) {
      if (items.length === max || bytes > TAKEN_BYTES) {
        if (this.#isRemote) this.#ahead = step;
        return { items, more: true };
      }
      this.#at = event.row.offset;
      if (!this.#isChosen(event)) continue;
      bytes += event.row.size;
      items.push({ position: this.position, value: event.value, text: event.text });
    }
    return { items, more };
  }

  onNews(listener: () => void): () => void {
    const stop = this.#feed.onNews(listener);
    this.#listeners.add(listener);
    return () => {
      stop();
      this.#listeners.delete(listener);
    };
  }

  /** Returns the next events; none while they are on their way, and `onNews` says when they have come. */
  #step(): FedEvent[] {
    const ahead = this.#ahead?.filter(({ row }) => row.offset > this.#at) ?? [];
    this.#ahead = undefined;
    if (ahead.length > 0) return ahead;
    if (this.#failed !== undefined) {
      const failed = this.#failed;
      this.#failed = undefined;
      throw failed;
    }
    if (this.#asked !== undefined) return [];
    const step = this.#feed.after(this.#at, STEP);
    if (!(step instanceof Promise)) return step;
    this.#isRemote = true;
    this.#asked = this.#keepAhead(step);
    return [];
  }

  async #keepAhead(step: Promise<FedEvent[]>): Promise<void> {
    let isNews = true;
    try {
      this.#ahead = await step;
      isNews = this.#ahead.length > 0;
    } catch (error) {
      this.#failed = error;
    }
    this.#asked = undefined;
    if (isNews) for (const listener of [...this.#listeners]) listener();
  }
}
