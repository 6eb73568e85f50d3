// Every operation on the log of events; event_store appends to a stream at the leader, for every node of the fleet.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../../lib/bounds.ts";
import { WRITE_BYTE } from "../../../lib/work.ts";
import { type Operation, type ReadOperation, read } from "../../../operation/define.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { MAX_APPENDED } from "../append.ts";
import { spaceArgument } from "../arguments.ts";
import { EVENT_LOG } from "../event-log.ts";
import { eventItem, sizeOf } from "../item.ts";
import { STORE } from "../jetstream/store-events.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { eventForwarded, eventLogBegin, eventLogCopy, eventLogStep } from "./commands.ts";
import { eventLogGet } from "./get.ts";
import { eventLogCancel, eventLogLost } from "./leave.ts";
import { MovableEventLog } from "./movable-log.ts";
import { eventLogMove } from "./move.ts";
import { isClosing, logPlaces, moved, streamOf } from "./place.ts";
import { eventLogTake } from "./take.ts";

/** Units of work of one event beside its bytes. */
const STORE_EVENT = 20_000;

const storeInput = z.object({
  space: spaceArgument.optional().describe("Space of the events (default: default)."),
  events: z.array(eventItem).min(1).max(MAX_APPENDED).describe("The events, their sources without the caller."),
});
const storeOutput = z.object({
  epoch: z.string(),
  offsets: z.array(z.number().int()),
  duplicates: z.array(z.number().int()),
  looped: z.array(z.number().int()),
  durability: z.string().optional().describe("Which promise these events have."),
  failed: z
    .array(
      z.object({
        at: z.number().int(),
        code: z.enum(["too_large", "event_log_unavailable"]),
        message: z.string(),
        unknown: z.boolean(),
      }),
    )
    .optional()
    .describe("Places of events that were not acknowledged."),
});

function eventStore(node: Services): ReadOperation<typeof storeInput, typeof storeOutput> {
  return read({
    name: STORE,
    atLeader: true,
    isTool: false,
    title: "Append events to a stream",
    description:
      "Appends up to 512 checked events of one space to the log of events where that is NATS JetStream. For programs; event_publish and event_publish_many choose the log.",
    input: storeInput,
    example: {
      space: "team-a",
      events: [{ id: "1", source: "ci", type: "build.done", extensions: {}, kind: "json", data: '{"ok":true}' }],
    },
    maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
    output: storeOutput,
    access: { verb: "write", spaces: ({ space }) => [space ?? "default"] },
    hints: { idempotent: true },
    async run(reader, { space = "default", events }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, STORE);
      const bytes = events.reduce((sum, item) => sum + sizeOf(item, ""), 0);
      context.spend(STORE_EVENT * events.length + WRITE_BYTE * bytes);
      const places = logPlaces(reader);
      const row = streamOf(places);
      if (isClosing(places)) throw moved("moving");
      const log = node.get(EVENT_LOG);
      if (row === undefined || !(log instanceof MovableEventLog)) throw moved("fleet");
      const by = { caller: context.author, agent: context.agent?.name ?? "", node: "" };
      return log.streamLog(row).store(by, space, events);
    },
  });
}

/** Returns every operation on the log of events. */
export function moveOperations(node: Services): readonly Operation[] {
  const writes = [
    eventLogBegin,
    eventLogCancel,
    eventLogLost,
    eventLogStep,
    eventLogCopy,
    eventLogTake,
    eventForwarded,
  ];
  return [eventStore(node), eventLogGet(node), eventLogMove, ...writes];
}
