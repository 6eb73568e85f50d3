// The ways out of a move and of a stream: a move that was begun is stopped while nothing is lost by it, and a fleet
// whose stream is gone for good goes on in its own log.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { write } from "../../../operation/define.ts";
import { EVENT_LEVEL } from "../rows.ts";
import { FLEET_ADMIN, logKind } from "./arguments.ts";
import { changeOf, leastOffset, logPlaces, nextLog, streamOf } from "./place.ts";

/** Stops a move. */
export const eventLogCancel = write({
  name: "event_log_cancel",
  v: 1,
  level: EVENT_LEVEL,
  isTool: false,
  title: "Stop moving the log of events",
  description:
    "Stops a move of the log of events: the events stay where they are, and nothing is lost. What was copied is removed, but for a stream that was begun, which an operator of NATS removes. A step of event_log_move.",
  input: z.object({ to: logKind.describe("Where it goes.") }),
  example: { to: "jetstream" },
  output: z.object({ cancelled: z.boolean() }),
  access: FLEET_ADMIN,
  prepare: (input) => input,
  apply(tx, { to }) {
    const { moving } = logPlaces(tx);
    if (moving?.kind !== to)
      throw new Fault("invalid_input", `The log of events is not being moved to ${to}`, {
        hint: "event_log_get says where it is.",
      });
    if (moving.kind === "fleet" && moving.state !== "copying")
      throw new Fault("invalid_input", "The stream is closed for good, so the move back into the fleet goes on", {
        hint: "event_log_get says how far it is. Where the stream is gone, event_log_move with lost ends it.",
      });
    tx.run("UPDATE event_logs SET state = 'cancelled' WHERE n = ?", moving.n);
    return { output: { cancelled: true }, changes: [changeOf("cancelled", moving.n)] };
  },
});

/** Gives up a stream. */
export const eventLogLost = write({
  name: "event_log_lost",
  v: 1,
  level: EVENT_LEVEL,
  isTool: false,
  title: "Give up the stream of events",
  description:
    "Gives up a stream of NATS that is gone for good: the replicated log goes on behind its last known offset, without the events of the stream. A step of event_log_move.",
  input: z.object({
    last: z
      .number()
      .int()
      .min(0)
      .max(2 ** 48)
      .describe("The last offset that is known."),
  }),
  example: { last: 42 },
  output: z.object({ begun: z.boolean() }),
  access: FLEET_ADMIN,
  prepare: (input) => input,
  apply(tx, { last }) {
    const places = logPlaces(tx);
    const stream = streamOf(places);
    if (stream === undefined)
      throw new Fault("invalid_input", "The log of events is in fleet, of which nothing can be given up");
    if (places.moving?.state === "lost")
      throw new Fault("id_taken", "The stream is given up already", { hint: "event_log_get says how far that is." });
    if (places.moving !== undefined) tx.run("UPDATE event_logs SET state = 'cancelled' WHERE n = ?", places.moving.n);
    const known = Math.max(last, leastOffset(tx, stream));
    const n = nextLog(tx);
    tx.run(
      "INSERT INTO event_logs (n, kind, id, stream, replicas, state, first) VALUES (?,'fleet','','',1,'lost',?)",
      ...[n, known],
    );
    return { output: { begun: true }, changes: [changeOf("given_up", n)] };
  },
});
