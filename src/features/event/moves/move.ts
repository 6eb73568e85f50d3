// event_log_move: moves the log of events, stops a move, or gives up a stream that is gone; each counts first.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { type MacroOperation, macro } from "../../../operation/define.ts";
import { parseCursor } from "../cursor.ts";
import { FLEET_ADMIN, logKind } from "./arguments.ts";
import { eventLogBegin } from "./commands.ts";
import { GET, getOutput, probedNats } from "./get.ts";
import { eventLogCancel, eventLogLost } from "./leave.ts";
import { streamName } from "./place.ts";

const moveInput = z.object({
  to: logKind.optional().describe("fleet: the replicated log."),
  lost: z
    .boolean()
    .optional()
    .describe("True, with to fleet: the stream is gone for good, and the events in it are given up."),
  cancel: z.boolean().optional().describe("True, alone: a move that was begun is stopped; nothing is lost by it."),
  dry: z.boolean().optional().describe("True (default): nothing is done; the answer says what would be."),
});
const moveOutput = z.object({
  from: logKind,
  to: logKind,
  events: z.number().int().describe("So many kept events are copied; with lost, are given up."),
  bytes: z.number().int(),
  after: z.string().optional().describe("With lost: the last known place, behind which the replicated log goes on."),
  problem: z.string().optional().describe("With lost: what keeps this node from the stream."),
  heard: z
    .literal(false)
    .optional()
    .describe("False, with lost: this node has not reached the stream since it started, so its events are not known."),
  waiting: z.number().int().optional().describe("With lost: events of what Cairn did that are kept, and come behind."),
  nats: probedNats.optional().describe("Of a move: what NATS said to the node that was asked. The leader does it."),
  begun: z.boolean().describe("The leader does it now; event_log_get says how far it is."),
});

type Found = z.output<typeof getOutput>;

/** Moves the log, or stops that. */
export const eventLogMove: MacroOperation<typeof moveInput, typeof moveOutput> = macro({
  name: "event_log_move",
  isTool: false,
  title: "Move the log of events",
  search: "nats, jetstream, migrate events",
  description:
    "Moves the log of events into a stream of NATS JetStream, or back into the replicated log: copies what is kept, at the same offsets, and switches. With cancel it stops a move, with lost it gives up a stream that is gone. By default it only counts and asks NATS: call it with dry false. The steps are event_log_get and event_log_begin, event_log_cancel or event_log_lost.",
  input: moveInput,
  example: { to: "jetstream" },
  samples: { dry: true, lost: false, cancel: false },
  output: moveOutput,
  access: FLEET_ADMIN,
  hints: { idempotent: false },
  async run({ to, lost = false, cancel = false, dry = true }, { ask }) {
    const look = !cancel && !lost && to !== undefined;
    const { log, events, bytes, ...state } = getOutput.parse(await ask(GET, { look }));
    if (cancel) {
      const stopped = { from: stoppedTo({ to, lost }, state.move), to: log, events, bytes };
      if (!dry) await ask(eventLogCancel.name, { to: stopped.from });
      return { ...stopped, begun: !dry };
    }
    if (to === undefined)
      throw new Fault("invalid_input", "It is not said where the log of events is to be moved", {
        hint: "Give to (fleet or jetstream), or cancel: --to LOG or --cancel.",
        details: { field: "to" },
      });
    if (log === to)
      throw new Fault("invalid_input", `The log of events is in ${to} already`, { details: { field: "to" } });
    const found = { from: log, to, events, bytes };
    if (lost) {
      refuseReached(to, state);
      if (!dry) await ask(eventLogLost.name, { last: parseCursor(state.newest)?.offset ?? 0 });
      const { newest: after, problem, heard, waiting } = state;
      return { ...found, after, problem, waiting, ...(heard === undefined ? {} : { heard }), begun: !dry };
    }
    if (state.move !== undefined)
      throw new Fault("id_taken", `The log of events is being moved to ${state.move.to} (${state.move.state})`, {
        hint: "event_log_get says how far it is; cancel stops it.",
      });
    const { nats } = state;
    if (to === "jetstream" && nats === undefined)
      throw new Fault("invalid_input", "The fleet does not know where NATS is", {
        hint: "Set events.nats_url and events.nats_credentials first: `cairn fleet settings`.",
        details: { field: "to" },
      });
    if (!dry) await ask(eventLogBegin.name, { to, ...(nats === undefined ? {} : beginning(nats)) });
    return { ...found, ...(nats === undefined ? {} : { nats }), begun: !dry };
  },
});

/** Returns what a new stream is begun with: the name that was said. */
function beginning({ stream, replicas }: NonNullable<Found["nats"]>) {
  return { id: stream.slice(streamName("").length), replicas };
}

/** Returns where a move that is to be stopped goes. */
function stoppedTo({ to, lost }: { to: string | undefined; lost: boolean }, move: Found["move"]): Found["log"] {
  if (to !== undefined || lost)
    throw new Fault("invalid_input", "A move is stopped with cancel alone", { details: { field: "cancel" } });
  if (move !== undefined) return move.to;
  throw new Fault("invalid_input", "The log of events is not being moved", { details: { field: "cancel" } });
}

/** A stream that can be read is moved with its events. */
function refuseReached(to: Found["log"], { problem }: Pick<Found, "problem">): void {
  if (to !== "fleet") throw new Fault("invalid_input", "Only a stream can be given up", { details: { field: "lost" } });
  if (problem !== undefined) return;
  throw new Fault("invalid_input", "This node reads the stream, so nothing of it is lost", {
    hint: "Move it without lost: every event comes along.",
    details: { field: "lost" },
  });
}
