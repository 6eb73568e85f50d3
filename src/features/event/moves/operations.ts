// event_log_get says where the log of events is, event_log_move moves it, and event_store appends to a stream at the
// leader, for every node of the fleet.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../../lib/bounds.ts";
import { Fault } from "../../../lib/fault.ts";
import { LOOK_AT_ROW, WRITE_BYTE } from "../../../lib/work.ts";
import { type MacroOperation, macro, type Operation, type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { MAX_APPENDED } from "../append.ts";
import { spaceArgument } from "../arguments.ts";
import { EVENT_LOG } from "../event-log.ts";
import { eventItem, sizeOf } from "../item.ts";
import { STORE } from "../jetstream/jetstream-log.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { eventForwarded, eventLogBegin, eventLogCopy, eventLogStep } from "./commands.ts";
import { newLogId } from "./log-id.ts";
import { MovableEventLog } from "./movable-log.ts";
import { logPlaces, moved, streamOf } from "./place.ts";

/** Units of work of one event beside its bytes. */
const STORE_EVENT = 20_000;
const GET = "event_log_get";

const storeInput = z.object({
  space: spaceArgument.optional().describe("Space of the events (default: default)."),
  events: z.array(eventItem).min(1).max(MAX_APPENDED).describe("The events, their sources without the caller."),
});
const storeOutput = z.object({
  epoch: z.string(),
  offsets: z.array(z.number().int()),
  duplicates: z.array(z.number().int()),
  looped: z.array(z.number().int()),
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
      if (places.moving?.state === "closing") throw moved("moving");
      const log = node.get(EVENT_LOG);
      if (row === undefined || !(log instanceof MovableEventLog)) throw moved("fleet");
      const by = { caller: context.author, agent: context.agent?.name ?? "", node: "" };
      return log.streamLog(row).store(by, space, events);
    },
  });
}

const getOutput = z.object({
  log: z.enum(["fleet", "jetstream"]),
  durability: z.string().describe("Which promise an acknowledged event has."),
  newest: z.string(),
  oldest: z.string(),
  events: z.number().int(),
  bytes: z.number().int(),
  waiting: z.number().int().describe("Events of what Cairn did that are not in the log yet."),
  stream: z.string().optional().describe("Its name in NATS."),
  move: z
    .object({ to: z.enum(["fleet", "jetstream"]), state: z.string() })
    .optional()
    .describe("A move that is under way: copying, or closing, while no events are taken for a moment."),
});
const none = z.object({});

function eventLogGet(node: Services): ReadOperation<typeof none, typeof getOutput> {
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
      const waiting = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM event_waiting")?.n ?? 0;
      const { moving } = places;
      return {
        log: row === undefined ? ("fleet" as const) : ("jetstream" as const),
        durability: log.durability(),
        ...{
          newest: `${log.name()}-e${tail}`,
          oldest: `${log.name()}-e${floor}`,
          events: tail - floor,
          bytes,
          waiting,
        },
        ...(row === undefined ? {} : { stream: row.stream }),
        ...(moving === undefined ? {} : { move: { to: moving.kind, state: moving.state } }),
      };
    },
  });
}

const moveInput = z.object({
  to: z.enum(["fleet", "jetstream"]).describe("fleet: the replicated log."),
  dry: z.boolean().optional().describe("True (default): nothing is moved; the answer says what would be."),
});
const moveOutput = z.object({
  from: z.enum(["fleet", "jetstream"]),
  to: z.enum(["fleet", "jetstream"]),
  events: z.number().int().describe("So many kept events are copied."),
  bytes: z.number().int(),
  begun: z.boolean().describe("The leader copies them now; event_log_get says how far it is."),
});

function eventLogMove(node: Services): MacroOperation<typeof moveInput, typeof moveOutput> {
  return macro({
    name: "event_log_move",
    isTool: false,
    title: "Move the log of events",
    search: "nats, jetstream, migrate events",
    description:
      "Moves the log of events into a stream of NATS JetStream, or back into the replicated log: copies what is kept, at the same offsets, and switches. By default it only counts: call it with dry false. The steps are event_log_get and event_log_begin.",
    input: moveInput,
    example: { to: "jetstream" },
    samples: { dry: true },
    output: moveOutput,
    access: { verb: "admin", spaces: ["fleet"] },
    hints: { idempotent: false },
    async run({ to, dry = true }, { ask }) {
      const { log, events, bytes, move } = getOutput.parse(await ask(GET, {}));
      if (move !== undefined)
        throw new Fault("id_taken", `The log of events is moved to ${move.to} already (${move.state})`, {
          hint: "event_log_get says how far it is.",
        });
      if (log === to)
        throw new Fault("invalid_input", `The log of events is in ${to} already`, { details: { field: "to" } });
      const settings = node.find(NODE)?.limits().events;
      if (to === "jetstream" && settings?.nats?.url === undefined)
        throw new Fault("invalid_input", "The fleet does not know where NATS is", {
          hint: "Set events.nats_url and events.nats_credentials first: `cairn fleet settings`.",
          details: { field: "to" },
        });
      const found = { from: log, to, events, bytes };
      if (dry) return { ...found, begun: false };
      await ask(eventLogBegin.name, {
        to,
        id: newLogId(),
        ...(to === "fleet" ? {} : { replicas: settings?.nats?.replicas ?? 1 }),
      });
      return { ...found, begun: true };
    },
  });
}

/** Returns every operation on the log of events. */
export function moveOperations(node: Services): readonly Operation[] {
  const writes = [eventLogBegin, eventLogStep, eventLogCopy, eventForwarded];
  return [eventStore(node), eventLogGet(node), eventLogMove(node), ...writes];
}
