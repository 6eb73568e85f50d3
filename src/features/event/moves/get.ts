// event_log_get says where the log of events is, what it promises, and how far a move is.

import { z } from "zod";
import { LOOK_AT_ROW } from "../../../lib/work.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { cursorText } from "../cursor.ts";
import { EVENT_LOG } from "../event-log.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { logKind } from "./arguments.ts";
import { MovableEventLog } from "./movable-log.ts";
import { logPlaces, streamOf, untoldCount, waitingCount } from "./place.ts";

/** Name of the read. */
export const GET = "event_log_get";

/** What event_log_get answers. */
export const getOutput = z.object({
  log: logKind,
  durability: z.string().describe("Which promise an acknowledged event has."),
  newest: z.string(),
  oldest: z.string(),
  events: z.number().int(),
  bytes: z.number().int(),
  waiting: z.number().int().describe("Events of what Cairn did that are not in the log yet."),
  untold: z
    .number()
    .int()
    .optional()
    .describe("So many changes made no event, because too many waited; the audit has them. Left out: none."),
  stream: z.string().optional().describe("Its name in NATS."),
  problem: z.string().optional().describe("What keeps this node from it."),
  move: z
    .object({ to: logKind, state: z.string() })
    .optional()
    .describe(
      "A move that is under way: copying; closing, while no events are taken for a moment; lost, where a stream is given up.",
    ),
});
const none = z.object({});

/** Returns the operation. */
export function eventLogGet(node: Services): ReadOperation<typeof none, typeof getOutput> {
  return read({
    name: GET,
    isTool: false,
    title: "Show where the log of events is",
    description: "Shows which log keeps the events, what its promise is, how full it is, and a move that is under way.",
    input: none,
    output: getOutput,
    access: { verb: "read", spaces: ["fleet"] },
    run(reader, _, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, GET);
      const log = node.get(EVENT_LOG);
      const { tail, floor, bytes } = log.head();
      const places = logPlaces(reader);
      const row = streamOf(places);
      context.spend(LOOK_AT_ROW);
      const waiting = waitingCount(reader);
      const problem = log instanceof MovableEventLog ? log.problem : undefined;
      const { moving } = places;
      const untold = untoldCount(reader);
      return {
        log: row === undefined ? ("fleet" as const) : ("jetstream" as const),
        durability: log.durability(),
        ...{
          newest: cursorText(log.name(), tail),
          oldest: cursorText(log.name(), floor),
          events: tail - floor,
          bytes,
          waiting,
        },
        ...(untold === 0 ? {} : { untold }),
        ...(row === undefined ? {} : { stream: row.stream }),
        ...(row === undefined || problem === undefined ? {} : { problem }),
        ...(moving === undefined ? {} : { move: { to: moving.kind, state: moving.state } }),
      };
    },
  });
}
