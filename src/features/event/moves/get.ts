// event_log_get says where the log of events is, what it promises, and how far a move is; and what NATS says of it,
// where that is asked for.

import { z } from "zod";
import { LOOK_AT_ROW } from "../../../lib/work.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import type { Reader } from "../../../store/store.ts";
import { cursorText } from "../cursor.ts";
import { EVENT_LOG, type EventLog } from "../event-log.ts";
import { EVENT_LEVEL, eventHead } from "../rows.ts";
import { logKind } from "./arguments.ts";
import { MovableEventLog } from "./movable-log.ts";
import {
  type LogPlaces,
  type LogRow,
  leastOffset,
  logPlaces,
  nextLogId,
  streamName,
  streamOf,
  untoldCount,
  waitingCount,
} from "./place.ts";

/** Name of the read. */
export const GET = "event_log_get";

/** What NATS said when it was asked. */
export const probedNats = z.object({
  stream: z.string().describe("The stream that has the events, or that a move would make."),
  replicas: z.number().int().describe("Servers of NATS that keep each event."),
  problem: z.string().optional().describe("What keeps this node from NATS; left out: nothing."),
  events: z.number().int().optional().describe("Of the stream; left out: it is not there."),
  max_payload: z.number().int().optional().describe("Bytes of the largest message that NATS takes."),
  free_bytes: z.number().int().optional().describe("That the account may still store; left out: it has no limit."),
});

const input = z.object({
  look: z
    .boolean()
    .optional()
    .describe("True: NATS is asked now, by the node that is asked; it may take some seconds."),
});

/** What event_log_get answers. */
export const getOutput = z.object({
  log: logKind,
  durability: z.string().describe("Which promise an acknowledged event has."),
  newest: z.string(),
  oldest: z.string(),
  events: z.number().int(),
  bytes: z.number().int(),
  heard: z
    .literal(false)
    .optional()
    .describe(
      "False: this node has not reached the stream since it started. newest is what the fleet knows of it, events and bytes say nothing.",
    ),
  waiting: z.number().int().describe("Events of what Cairn did that are not in the log yet."),
  untold: z
    .number()
    .int()
    .optional()
    .describe("So many changes made no event, because too many waited; the audit has them. Left out: none."),
  stream: z.string().optional().describe("Its name in NATS."),
  problem: z.string().optional().describe("What keeps this node from it."),
  move: z
    .object({
      to: logKind,
      state: z.string(),
      copied: z
        .number()
        .int()
        .optional()
        .describe("Of the events; left out: not known, because NATS did not say, or nothing is copied."),
    })
    .optional()
    .describe(
      "A move that is under way: copying; closing, while no events are taken for a moment; lost, where a stream is given up.",
    ),
  nats: probedNats.optional().describe("With look, where the fleet knows where NATS is."),
});

/** The operation for pages, which have no node. */
export const logAsked = { name: GET, output: getOutput };

/** Returns the operation. */
export function eventLogGet(node: Services): ReadOperation<typeof input, typeof getOutput> {
  return read({
    name: GET,
    isTool: false,
    title: "Show where the log of events is",
    description:
      "Shows which log keeps the events, what its promise is, how full it is, and a move that is under way. With look it asks NATS, too.",
    input,
    example: {},
    samples: { look: true },
    output: getOutput,
    access: { verb: "read", spaces: ["fleet"] },
    async run(reader, { look = false }, context) {
      refuseBelowLevel(reader, EVENT_LEVEL, GET);
      context.spend(LOOK_AT_ROW);
      const log = node.get(EVENT_LOG);
      const nats = look ? await natsOf(node, reader, log) : undefined;
      const places = logPlaces(reader);
      const row = streamOf(places);
      const stream = row === undefined ? {} : streamPart(reader, log, row);
      const { tail, floor, bytes } = log.head();
      const { moving } = places;
      const untold = untoldCount(reader);
      return {
        log: row === undefined ? ("fleet" as const) : ("jetstream" as const),
        durability: log.durability(),
        ...{ newest: cursorText(log.name(), tail), oldest: cursorText(log.name(), floor) },
        ...{ events: tail - floor, bytes, waiting: waitingCount(reader) },
        ...(untold === 0 ? {} : { untold }),
        ...stream,
        ...(moving === undefined ? {} : { move: await moveOf(reader, log, moving) }),
        ...(nats === undefined ? {} : { nats }),
      };
    },
  });
}

/** What is to be said where a stream has the events. */
function streamPart(reader: Reader, log: EventLog, row: LogRow) {
  if (!(log instanceof MovableEventLog)) return { stream: row.stream };
  const { problem } = log;
  const isHeard = log.streamLog(row).isKnown;
  const newest = cursorText(log.name(), Math.max(log.head().tail, leastOffset(reader, row)));
  return {
    stream: row.stream,
    ...(isHeard ? {} : { heard: false as const, newest }),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** Returns how far a move is. */
async function moveOf(reader: Reader, log: EventLog, moving: LogRow) {
  const copied = await copiedOf(reader, log, moving);
  return { to: moving.kind, state: moving.state, ...(copied === undefined ? {} : { copied }) };
}

async function copiedOf(reader: Reader, log: EventLog, { kind, state, ...place }: LogRow): Promise<number | undefined> {
  if (state === "lost") return undefined;
  const { tail, floor } = eventHead(reader);
  // Retention of the stream goes on meanwhile.
  if (kind === "fleet") return Math.max(0, tail - Math.max(floor, log.head().floor));
  return log instanceof MovableEventLog ? log.stored(place) : undefined;
}

/** Asks NATS for the stream that the fleet has, or would have. */
async function natsOf(node: Services, reader: Reader, log: EventLog): Promise<z.output<typeof probedNats> | undefined> {
  const { nats } = node.get(NODE).limits().events;
  if (nats === undefined || !(log instanceof MovableEventLog)) return undefined;
  const place = streamToProbe(reader, logPlaces(reader), nats.replicas);
  const { stream, replicas } = place;
  const { problem, events, maxPayload, freeBytes } = await log.probe(place);
  const row = streamOf(logPlaces(reader));
  // Its head is then as of now.
  if (row !== undefined && problem === undefined) await Promise.allSettled([log.streamLog(row).look()]);
  return {
    ...{ stream, replicas },
    ...(problem === undefined ? {} : { problem }),
    ...(events === undefined ? {} : { events }),
    ...(maxPayload === undefined ? {} : { max_payload: maxPayload }),
    ...(freeBytes === undefined ? {} : { free_bytes: freeBytes }),
  };
}

function streamToProbe(reader: Reader, { current, moving }: LogPlaces, replicas: number) {
  const row = [current, moving].find((each) => each?.kind === "jetstream");
  if (row !== undefined) return row;
  const id = nextLogId(reader);
  return { id, stream: streamName(id), replicas };
}
