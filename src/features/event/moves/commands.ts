// The commands of a move: it begins, copies, closes the log before, and switches, each decided by the state of the
// tables, so that a new leader goes on where the last one was and nothing happens twice.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { WRITE_ROW } from "../../../lib/work.ts";
import { write } from "../../../operation/define.ts";
import type { Writer } from "../../../store/store.ts";
import { appendRows } from "../append.ts";
import { EVENT_LEVEL, type EventRow, eventHead } from "../rows.ts";
import { FLEET_ADMIN, logKind } from "./arguments.ts";
import { changeOf, logPlaces, MOVES, nextLog, streamName, streamOf } from "./place.ts";
import { takeWaiting } from "./take.ts";

/** Begins a move. */
export const eventLogBegin = write({
  name: "event_log_begin",
  v: 1,
  level: EVENT_LEVEL,
  isTool: false,
  title: "Begin to move the log of events",
  description: "Begins to move the log of events; the leader goes on with it. A step of event_log_move.",
  input: z.object({
    to: logKind,
    replicas: z.number().int().min(1).max(5).optional().describe("Servers of NATS that keep each event."),
    id: z
      .string()
      .regex(/^[0-9a-f]{10}$/, "takes 10 of 0-9 a-f")
      .optional()
      .describe("Name of the stream's log in cursors; the replicated one has its own."),
  }),
  example: { to: "fleet", id: "0a1b2c3d4e" },
  samples: { replicas: 3 },
  output: z.object({ begun: z.boolean() }),
  access: FLEET_ADMIN,
  prepare({ to, replicas = 1, id }) {
    if (to === "jetstream" && id === undefined)
      throw new Fault("invalid_input", "The stream needs a name", { details: { field: "id" } });
    return { to, replicas, id: to === "fleet" ? "" : (id ?? "") };
  },
  apply(tx, { to, replicas, id }) {
    const places = logPlaces(tx);
    if (places.moving !== undefined)
      throw new Fault("id_taken", `The log of events is moved to ${places.moving.kind} already`, {
        hint: "event_log_get says how far it is.",
      });
    if ((places.current?.kind ?? "fleet") === to)
      throw new Fault("invalid_input", `The log of events is in ${to} already`, { details: { field: "to" } });
    const { tail, floor } = eventHead(tx);
    if (to === "fleet" && floor < tail)
      throw new Fault("unavailable", "What an earlier move left in the replicated log is still being removed", {
        hint: "Try again in a minute.",
      });
    if (id !== "" && tx.get("SELECT 1 FROM event_logs WHERE id = ?", id) !== undefined)
      throw new Fault("id_taken", `There was a log of events ${id} before`, { hint: "Give another name." });
    const n = nextLog(tx);
    const stream = to === "fleet" ? "" : streamName(id);
    tx.run(
      "INSERT INTO event_logs (n, kind, id, stream, replicas, state, first) VALUES (?,?,?,?,?,'copying',0)",
      ...[n, to, id, stream, replicas],
    );
    return { output: { begun: true }, changes: [changeOf("begun", n)] };
  },
});

/** Goes a step on. */
export const eventLogStep = write({
  name: "event_log_step",
  v: 1,
  level: EVENT_LEVEL,
  internal: true,
  title: "Go on with a move of the log of events",
  description: "Closes the log before, or switches to the new one, where that has every event.",
  input: z.object({ n: z.number().int(), state: z.enum(["closing", "current"]), last: z.number().int() }),
  output: z.object({ done: z.boolean() }),
  access: FLEET_ADMIN,
  work: () => 50 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { n, state, last }, stamp) {
    const { moving, current } = logPlaces(tx);
    if (moving?.n !== n || (state === "closing") !== (moving.state === "copying"))
      return { output: { done: false }, changes: [] };
    if (state === "current") {
      const { tail, floor } = eventHead(tx);
      const isWhole = moving.state === "lost" ? tail === floor : tail === last;
      if (!isWhole) return { output: { done: false }, changes: [] };
      if (moving.state === "lost") beginBehind(tx, last + 1, stamp.seq);
      if (current !== undefined) tx.run("UPDATE event_logs SET state = 'left' WHERE n = ?", current.n);
    }
    tx.run("UPDATE event_logs SET state = ?, first = ? WHERE n = ?", state, state === "current" ? last : 0, n);
    if (state === "current" && moving.kind === "fleet") takeWaiting(tx, stamp);
    return { output: { done: true }, changes: [changeOf(state === "current" ? "moved" : "closed", n)] };
  },
});

const copied = z.object({ events: z.array(z.record(z.string(), z.unknown())), floor: z.number().int() });

/** Takes events of the log before. */
export const eventLogCopy = write({
  name: "event_log_copy",
  v: 1,
  level: EVENT_LEVEL,
  internal: true,
  apart: true,
  title: "Copy events into the replicated log",
  description: "Takes events at the offsets that they have in the log before, while they are the next ones.",
  input: copied,
  output: z.object({ copied: z.number().int() }),
  access: FLEET_ADMIN,
  work: ({ events }) => events.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { events, floor }, stamp) {
    const places = logPlaces(tx);
    if (places.moving?.kind !== "fleet" || streamOf(places) === undefined)
      return { output: { copied: 0 }, changes: [] };
    const rows = events as unknown as EventRow[];
    let head = eventHead(tx);
    // Nothing is copied yet, or retention of the log before passed what is: it begins behind it.
    const first = rows[0]?.offset ?? floor + 1;
    if (head.tail === head.floor && first === floor + 1) {
      beginBehind(tx, floor, stamp.seq);
      head = eventHead(tx);
    }
    if (first !== head.tail + 1 || rows.length === 0) return { output: { copied: 0 }, changes: [] };
    const hash = appendRows(tx, head, rows, stamp);
    const change = { target: MOVES, version: rows.length, contentHash: hash, outcome: "copied" };
    return { output: { copied: rows.length }, changes: [change] };
  },
});

/** Own events have been sent to the log. */
export const eventForwarded = write({
  name: "event_forwarded",
  v: 1,
  level: EVENT_LEVEL,
  internal: true,
  apart: true,
  title: "Forget own events that were sent",
  description: "Removes own events that the log of events has acknowledged.",
  // The numbers of those that are gone are given again, those of changes are not.
  input: z.object({ upTo: z.number().int(), seq: z.number().int() }),
  output: z.object({ removed: z.number().int() }),
  access: FLEET_ADMIN,
  work: () => 10 * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { upTo, seq }) {
    const { changes: removed } = tx.run("DELETE FROM event_waiting WHERE n <= ? AND seq <= ?", upTo, seq);
    return { output: { removed }, changes: [] };
  },
});

/** The tables, which are empty, go on behind an offset. */
function beginBehind(tx: Writer, offset: number, seq: number): void {
  tx.run(
    "UPDATE event_head SET tail = ?, floor = ?, floor_hash = '', hash = '', floor_seq = ?, bytes = 0",
    ...[offset, offset, seq - 1],
  );
}
