// event_poll: one subscription of MCP Events, as a page of occurrences or without end. It is no tool: src/mcp calls it
// for `events/poll` and `events/stream`.

import { z } from "zod";
import type { CallContext } from "../../../operation/define.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import type { FollowCursor, Taken } from "../../../operation/follow.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { refuseWaitArguments, timeoutSeconds } from "../../../operation/wait-arguments.ts";
import { parseCursor } from "../cursor.ts";
import { EVENT_FEED } from "../feed.ts";
import { EVENT_LEVEL } from "../rows.ts";
import type { ShownEvent } from "../shown.ts";
import { EventPlace, pageOf } from "../wait.ts";
import {
  ANY_EVENT,
  chosenBy,
  type EventArguments,
  eventArguments,
  eventName,
  occurrence,
  occurrenceOf,
  refuseTypes,
} from "./event-type.ts";
import { beginsAt, type PlaceParts, placeArguments } from "./place.ts";
import { refuseUnknown } from "./seen-types.ts";

const MAX_EVENTS = 500;

const input = z.object({
  name: eventName.describe(`A type of event_types, or ${ANY_EVENT}.`),
  arguments: eventArguments.describe("What of the type, as its inputSchema in events/list has it."),
  since: placeArguments.cursor,
  max_age_ms: placeArguments.max_age_ms,
  timeout_seconds: timeoutSeconds.describe("With since: how long to wait for the first one (default 0, at most 300)."),
  limit: z
    .number()
    .int()
    .min(0)
    .max(MAX_EVENTS)
    .optional()
    .describe("At most this many (default 50); 0: only where it begins."),
});

const output = z.object({
  events: z.array(occurrence).describe("Oldest first."),
  cursor: z.string().describe("Pass it as since of the next call."),
  truncated: z.boolean().describe("It begins later than the given cursor: events may have been passed over."),
  more: z.boolean().describe("There are further events behind the cursor now."),
});

/** Returns the operation. */
export function eventPoll(node: Services): ReadOperation<typeof input, typeof output> {
  const partsOf = (): PlaceParts => ({ feed: node.get(EVENT_FEED), nowMs: node.get(NODE).nowMs() });
  return read({
    name: "event_poll",
    isTool: false,
    title: "Poll a type of events",
    description:
      "Returns the occurrences of a type of events after a cursor, as events/poll of MCP Events; without a cursor none, and the cursor of now.",
    input,
    example: { name: ANY_EVENT, arguments: { space: "team-a" } },
    samples: { since: "1f3a9c0b22-e7", max_age_ms: 300_000 },
    output,
    access: { verb: "read", spaces: ({ arguments: { space } }) => [space] },
    waits: true,
    aliases: { cursor: "since" },
    async run(reader, { name, arguments: given, since, max_age_ms, timeout_seconds = 0, limit = 50 }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_poll");
      refuseTypes(name, given);
      if (since === undefined) await refuseUnknown(node, reader, name, context);
      const parts = partsOf();
      const { feed } = parts;
      const { at, truncated } = await beginsAt(parts, { cursor: since, max_age_ms }, context);
      if (limit === 0) return { events: [], cursor: feed.cursorOf(at), truncated, more: false };
      const held = timeout_seconds > 0 ? context.holdWait() : undefined;
      try {
        const deadline = held === undefined ? AbortSignal.abort() : AbortSignal.timeout(timeout_seconds * 1000);
        const signal = held === undefined ? context.signal : AbortSignal.any([context.signal, held.signal]);
        const page = await pageOf(feed, chosenBy(name, given), at, limit, deadline, { ...context, signal });
        const events = page.found.map(({ row, value }) => ({
          ...occurrenceOf(value, row.offset, name),
          cursor: feed.cursorOf(row.offset),
        }));
        return { events, cursor: feed.cursorOf(page.at), truncated, more: page.more };
      } finally {
        held?.release();
      }
    },
    followsTables: true,
    waitShape: { items: "events", at: "cursor", next: "cursor", gap: "truncated" },
    async follow({ name, arguments: given, since, max_age_ms, timeout_seconds, limit }, context, reader) {
      refuseWaitArguments({ timeout_seconds, limit });
      refuseBelowLevel(reader, EVENT_LEVEL, "event_poll");
      refuseTypes(name, given);
      const { at } = await beginsAt(partsOf(), { cursor: since, max_age_ms }, context);
      return new OccurrencePlace(name, given, at, context, node);
    },
  });
}

/** The place of one stream, which shows occurrences. */
class OccurrencePlace implements FollowCursor {
  readonly eventName = undefined;
  readonly #name: string;
  readonly #events: EventPlace;

  constructor(name: string, given: EventArguments, at: number, context: CallContext, node: Services) {
    this.#name = name;
    this.#events = new EventPlace(node.get(EVENT_FEED), chosenBy(name, given), at, context);
  }

  get position(): string {
    return this.#events.position;
  }

  take(max: number, judge: () => void): Taken {
    const { items, more } = this.#events.take(max, judge);
    const shown = items.map(({ position, value }) => {
      const offset = parseCursor(position)?.offset ?? 0;
      return { position, value: { ...occurrenceOf(value as ShownEvent, offset, this.#name), cursor: position } };
    });
    return { items: shown, more };
  }

  onNews(listener: () => void): () => void {
    return this.#events.onNews(listener);
  }
}
