// events_recent: the newest events as occurrences, for models whose client has no MCP Events, or that were woken by one
// and want its data.

import { z } from "zod";
import { type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { chosen, chosenAliases } from "../arguments.ts";
import { chooser } from "../chosen.ts";
import { EVENT_FEED } from "../feed.ts";
import { type Page, readPage } from "../read-events.ts";
import { EVENT_LEVEL, type EventRow } from "../rows.ts";
import { shown } from "../shown.ts";
import { occurrence, occurrenceOf } from "./event-type.ts";
import { beginsAt, placeArguments } from "./place.ts";

const MAX_EVENTS = 100;

const { space: _, ...filters } = chosen;
const input = z.object({
  space: chosen.space.unwrap().describe("The space of the events."),
  ...filters,
  cursor: placeArguments.cursor.describe("Only events after this cursor of an earlier answer, or of MCP Events."),
  limit: z.number().int().min(1).max(MAX_EVENTS).optional().describe("At most this many (default 20)."),
});

const output = z.object({
  events: z.array(occurrence).describe("Oldest first."),
  cursor: z.string().describe("Pass it as cursor to read on."),
  truncated: z.boolean().describe("Events between the given cursor and these are no longer kept."),
  more: z.boolean().describe("There are further events behind the cursor now."),
});

/** Returns the operation. */
export function eventsRecent(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "events_recent",
    title: "Recent events",
    search: "events of MCP, newest events, what just happened, why was I woken, notifications, poll",
    description:
      "Returns the newest events of a space, oldest first, as MCP Events delivers them: by eventId you find the one that woke you. With the cursor of an earlier answer, only those after it.",
    input,
    example: { space: "team-a", types: ["build.*"] },
    samples: { cursor: "1f3a9c0b22-e7", source: "user:ann@example.com/ci", subject: "main" },
    output,
    access: { verb: "read", spaces: ({ space }) => [space] },
    aliases: { ...chosenAliases, name: "types", since: "cursor" },
    async run(reader, { cursor, limit = 20, ...wanted }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "events_recent");
      const feed = node.get(EVENT_FEED);
      const { log } = feed;
      const isChosen = chooser(wanted, context);
      const source = { rowOf: (row: EventRow) => row, isChosen };
      const occurrences = (rows: readonly EventRow[]) =>
        rows.map((row) => occurrenceOf(shown(row, log.name()), row.offset, row.type));
      if (cursor === undefined) {
        const { tail } = log.head();
        const newest: Page<EventRow> = await readPage(
          { ...source, next: (at, max) => log.before(at, max) },
          tail + 1,
          limit,
          context,
        );
        const events = occurrences(newest.found.reverse());
        return { events, cursor: feed.cursorOf(tail), truncated: false, more: false };
      }
      const parts = { feed, nowMs: node.get(NODE).nowMs() };
      const { at, truncated } = await beginsAt(parts, { cursor }, context);
      const next = (place: number, max: number) => log.after(place, max);
      const page = await readPage({ ...source, next }, at, limit, context);
      return { events: occurrences(page.found), cursor: feed.cursorOf(page.at), truncated, more: page.more };
    },
  });
}
