// Where the log of events is, as the tables have it: apply and every node decide by these rows alone.

import { Fault } from "../../../lib/fault.ts";
import { levelOf } from "../../../log/level.ts";
import type { Reader, Writer } from "../../../store/store.ts";
import { EVENT_LEVEL, type EventRow } from "../rows.ts";

/** Most own events that wait; while NATS is away for longer, further ones are not published. */
const MAX_WAITING = 100_000;

/** What a log is. */
export type LogKind = "fleet" | "jetstream";

/** A row of `event_logs`. */
export interface LogRow {
  n: number;
  kind: LogKind;
  id: string;
  stream: string;
  replicas: number;
  state: "copying" | "closing" | "current" | "left";
  first: number;
}

/** Where the log is, and where it is moved to. */
export interface LogPlaces {
  /** undefined: the replicated log, and there was no move. */
  current: LogRow | undefined;
  moving: LogRow | undefined;
}

/** Returns where the log of events is. */
export function logPlaces(reader: Reader): LogPlaces {
  if (levelOf(reader) < EVENT_LEVEL) return { current: undefined, moving: undefined };
  const rows = reader.all<LogRow>("SELECT * FROM event_logs WHERE state <> 'left' ORDER BY n");
  return {
    current: rows.find(({ state }) => state === "current"),
    moving: rows.find(({ state }) => state === "copying" || state === "closing"),
  };
}

/** Reports whether the log of events was ever moved. */
export function wasMoved(reader: Reader): boolean {
  return reader.get<{ n: number | null }>("SELECT MAX(n) AS n FROM event_logs")?.n != null;
}

/** Returns the stream that holds the events now; undefined: the replicated log does. */
export function streamOf({ current }: LogPlaces): LogRow | undefined {
  return current?.kind === "jetstream" ? current : undefined;
}

/** Reports whether commands append events now. */
export function appendsHere(reader: Reader): boolean {
  const places = logPlaces(reader);
  return streamOf(places) === undefined && places.moving?.state !== "closing";
}

/** Throws Fault `event_log_unavailable` where commands append no events now. */
export function refuseElsewhere(reader: Reader): void {
  if (appendsHere(reader)) return;
  const log = streamOf(logPlaces(reader)) === undefined ? "moving" : "jetstream";
  throw moved(log);
}

/** The refusal of an append to a log that takes nothing more. */
export function moved(log: "moving" | "jetstream" | "fleet"): Fault {
  if (log === "fleet")
    return new Fault("not_found", "The log of events is no stream of NATS", {
      hint: "Use event_publish or event_publish_many, which find the log.",
      facts: { outcome: "not_done", reason: "log_fleet" },
    });
  return new Fault("event_log_unavailable", "The log of events is moved to another place now", {
    hint: "Send the same call again in a moment.",
    details: { retryAfterSeconds: 1 },
    facts: { outcome: "not_done", reason: `log_${log}` },
  });
}

/** Returns the last offset that a log of this name shares with the current one; undefined: there was no such log. */
export function sharedWith(reader: Reader, name: string): number | undefined {
  const current = logPlaces(reader).current;
  if (current === undefined) return undefined;
  const isKnown =
    reader.get("SELECT 1 FROM event_logs WHERE id = ? AND id <> ''", name) ??
    reader.get("SELECT 1 FROM epochs WHERE id = ?", name);
  return isKnown === null || isKnown === undefined ? undefined : current.first;
}

/** An own event that waits. */
export interface WaitingRow {
  n: number;
  seq: number;
  event: string;
}

/** Lets an own event wait. */
export function addWaiting(tx: Writer, row: EventRow, seq: number): void {
  const { first, last } = tx.get<{ first: number | null; last: number | null }>(
    "SELECT MIN(n) AS first, MAX(n) AS last FROM event_waiting",
  ) ?? { first: null, last: null };
  if ((last ?? 0) - (first ?? 0) >= MAX_WAITING) return;
  tx.run("INSERT INTO event_waiting (n, seq, event) VALUES (?,?,?)", (last ?? 0) + 1, seq, JSON.stringify(row));
}

/** Returns the own events that wait, the oldest first. */
export function waitingRows(reader: Reader, max: number): WaitingRow[] {
  return reader.all<WaitingRow>("SELECT n, seq, event FROM event_waiting ORDER BY n LIMIT ?", max);
}
