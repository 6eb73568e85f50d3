// event_types: the types of events that a subscription may name, for `events/list` of MCP Events.

import { z } from "zod";
import { spaceAmong } from "../../../access/space.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { EVENT_LOG } from "../event-log.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { callbackTargets } from "./callback/subscription.ts";
import { ANY_EVENT, eventName } from "./event-type.ts";
import { ownTypes, seenTypes } from "./seen-types.ts";

const MAX_PAGE = 200;
/** The right that a callback needs. */
const SUBSCRIBE = { verb: "write", operation: "callback_subscribe" } as const;

const input = z.object({
  after: eventName.optional().describe("Only types behind this name."),
  limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 100)."),
});

const output = z.object({
  types: z
    .array(
      z.object({
        name: z.string(),
        description: z.string(),
        callbacks: z.boolean().describe("You may have its events sent to a callback: an admin has declared hosts."),
        spaces: z.array(z.string()).optional().describe("Where recent events have it."),
      }),
    )
    .describe("Sorted by name."),
  more: z.boolean(),
});

/** Returns the operation. */
export function eventTypes(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "event_types",
    isTool: false,
    title: "List types of events",
    search: "event types, catalogue of events, what can I subscribe to",
    description: `Lists the types that the newest events have in the spaces that you may read, those of what Cairn itself does, and ${ANY_EVENT}, which stands for every event of a space.`,
    input,
    example: {},
    samples: { after: ANY_EVENT, limit: 10 },
    output,
    access: { verb: "read", spaces: "visible" },
    async run(reader, { after = "", limit = 100 }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, "event_types");
      const open = callbackTargets(reader).flatMap(({ spaces }) => spaces);
      const seen = await seenTypes(node.get(EVENT_LOG), context);
      const own = ownTypes(node, reader);
      const { rights } = context;
      const maySubscribe = open.length > 0 && rights.mayUseSomewhere(SUBSCRIBE);
      const isOpen = (space: string) => spaceAmong(open, space) && rights.mayUse({ ...SUBSCRIBE, space });
      const names = [...new Set([ANY_EVENT, ...own.keys(), ...seen.keys()])].filter((name) => name > after).sort();
      const types = names.slice(0, limit).map((name) => {
        const spaces = seen.get(name);
        // What has no event yet may have one in any space.
        const callbacks = maySubscribe && (spaces?.some(isOpen) ?? true);
        return { name, description: describe(name, own), callbacks, ...(spaces === undefined ? {} : { spaces }) };
      });
      return { types, more: names.length > limit };
    },
  });
}

/** No text of a sender is in it. */
function describe(name: string, own: ReadonlyMap<string, string>): string {
  if (name === ANY_EVENT) return "Every event of a space; types chooses among them.";
  const when = own.get(name);
  return when === undefined ? "Events of this type, as their senders publish them." : `Cairn itself: ${when}.`;
}
