// event_list and event_get: reading events that are kept.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { type CallContext, type ReadOperation, read } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { chosen, chosenAliases, cursorArgument, timeArgument } from "./arguments.ts";
import { chooser } from "./chosen.ts";
import { EVENT_LOG, type EventLog, type Soon } from "./event-log.ts";
import { EVENT_FEED, type EventFeed } from "./feed.ts";
import { readPage } from "./read-events.ts";
import { EVENT_LEVEL, type EventRow } from "./rows.ts";
import { shown, shownEvent } from "./shown.ts";
import { offsetAt, offsetSince } from "./start-of.ts";

const MAX_PAGE = 1000;

const input = z.object({
  ...chosen,
  since: cursorArgument.optional().describe("Events after this cursor, or after a position; the oldest first."),
  before: cursorArgument.optional().describe("Events before this cursor, the newest first."),
  after: timeArgument.optional().describe("Events that were ordered at this time or later, the oldest first."),
  limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
});

const output = z.object({
  events: z.array(shownEvent),
  cursor: z.string().describe("Where this page ended: pass it as since, or as before where the newest came first."),
  oldest: z.string().describe("Cursor of the oldest place that is kept."),
  more: z.boolean().describe("There may be further events behind the cursor now."),
});

/** `event_list` for pages, which have no node. */
export const listAsked = { name: "event_list", output };

/** Returns the operation. */
export function eventList(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: listAsked.name,
    title: "List events",
    search: "recent events, history of events, what happened, log, stream",
    description:
      "Lists kept events that you may read: the newest first, or with since or after the oldest first. more says whether cursor leads to further ones.",
    input,
    example: { space: "team-a", types: ["build.*"], limit: 10 },
    samples: {
      ...{ since: "1f3a9c0b22-e7", before: "1f3a9c0b22-e9", after: "2026-11-29T16:31:00Z" },
      ...{ source: "user:ann@example.com/*", subject: "main" },
    },
    output,
    access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
    aliases: { ...chosenAliases, cursor: "since" },
    async run(reader, { since, before, after, limit = 50, ...wanted }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_list");
      const places = Object.entries({ since, before, after }).filter(([, value]) => value !== undefined);
      if (places.length > 1) throw twoPlaces(places.map(([name]) => name));
      const feed = node.get(EVENT_FEED);
      const { log } = feed;
      const isUp = since !== undefined || after !== undefined;
      const source = {
        next: (at: number, max: number) => (isUp ? log.after(at, max) : log.before(at, max)),
        rowOf: (row: EventRow) => row,
        isChosen: chooser(wanted, context),
      };
      const start = await startOf(feed, { since, before, after }, context);
      const head = log.head();
      const page = await readPage(source, start, limit, context);
      return {
        events: page.found.map((row) => shown(row, log.name())),
        cursor: feed.cursorOf(isUp ? page.at : Math.min(page.at, head.tail)),
        oldest: feed.cursorOf(head.floor),
        more: page.more,
      };
    },
  });
}

interface Places {
  since: string | undefined;
  before: string | undefined;
  after: string | undefined;
}

async function startOf(feed: EventFeed, { since, before, after }: Places, context: CallContext): Promise<number> {
  if (since !== undefined) return offsetSince(feed, since, context);
  if (after !== undefined) return offsetAt(feed, after);
  return before === undefined ? Number.MAX_SAFE_INTEGER : feed.log.judge(before);
}

function twoPlaces(names: readonly string[]): Fault {
  return new Fault("invalid_input", `${names.join(" and ")} both say where to begin`, {
    hint: "Give one of since, before and after.",
    details: { field: names[1] ?? "" },
  });
}

const getInput = z.object({
  event: cursorArgument.optional().describe("cairnposition of the event."),
  id: z.string().min(1).max(128).optional().describe("Id of the event, with source."),
  source: z.string().min(1).max(1100).optional().describe("Source of the event as events show it, with id."),
});
const getOutput = z.object({ event: shownEvent });

/** Returns the operation that reads one event. */
export function eventGet(node: Services): ReadOperation<typeof getInput, typeof getOutput> {
  return read({
    name: "event_get",
    title: "Read an event",
    search: "one event, show event, payload",
    description: "Returns one kept event: by its cursor (cairnposition), or by its id and source.",
    input: getInput,
    example: { id: "build-7", source: "user:ann@example.com/ci" },
    samples: { event: "1f3a9c0b22-e7" },
    output: getOutput,
    access: { verb: "read", spaces: "visible" },
    aliases: { cursor: "event", cairnposition: "event", event_id: "id" },
    async run(reader, { event, id, source }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_get");
      context.spend(SHOW_ROW);
      const log = node.get(EVENT_LOG);
      const row = await (event === undefined ? bySource(log, source, id) : log.at(log.judge(event)));
      if (row !== undefined && context.visible(row.space)) return { event: shown(row, log.name()) };
      throw new Fault("not_found", `There is no event ${event ?? `${source} ${id}`} that you may read`, {
        hint: "event_list shows those that are kept.",
      });
    },
  });
}

function bySource(log: EventLog, source: string | undefined, id: string | undefined): Soon<EventRow | undefined> {
  if (source === undefined || id === undefined) {
    throw new Fault("invalid_input", "event_get: event, or id and source, are missing", {
      hint: 'For example: {"id": "build-7", "source": "user:ann@example.com/ci"}.',
      details: { field: id === undefined ? "id" : "source" },
    });
  }
  return log.find(source, id);
}
