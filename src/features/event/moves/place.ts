// Where the log of events is, as the tables have it: apply and every node decide by these rows alone.

import { Fault } from "../../../lib/fault.ts";
import { sha256Hex } from "../../../lib/sha256.ts";
import { levelOf } from "../../../log/level.ts";
import { readMeta, writeMeta } from "../../../log/meta.ts";
import type { Reader, Writer } from "../../../store/store.ts";
import { EVENT_LEVEL, type EventRow, epochOf, eventHead } from "../rows.ts";

/** Most own events that wait; while NATS is away for longer, writes that would make further ones are refused. */
export const MAX_WAITING = 100_000;

/** Where the audit finds moves. */
export const MOVES = "fleet/event-log";

/** What a log is. */
export type LogKind = "fleet" | "jetstream";

/** A row of `event_logs`. */
export interface LogRow {
  n: number;
  kind: LogKind;
  id: string;
  stream: string;
  replicas: number;
  state: "copying" | "closing" | "lost" | "current" | "left" | "cancelled";
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
  const sql = "SELECT * FROM event_logs WHERE state IN ('copying', 'closing', 'lost', 'current') ORDER BY n";
  const rows = reader.all<LogRow>(sql);
  return {
    current: rows.find(({ state }) => state === "current"),
    moving: rows.find(({ state }) => state !== "current"),
  };
}

/** Reports whether neither log takes events: the one before is closed, or given up. */
export function isClosing({ moving }: LogPlaces): boolean {
  return moving !== undefined && moving.state !== "copying";
}

/** Returns the number of a new log. */
export function nextLog(reader: Reader): number {
  return (reader.get<{ n: number | null }>("SELECT MAX(n) AS n FROM event_logs")?.n ?? 0) + 1;
}

/**
 * Returns the name of the next log in cursors. It is that of no other one, also where the fleet has recovered without
 * its newest changes, because the history is part of it; and counting first says the same one.
 */
export function nextLogId(reader: Reader): string {
  const names = [readMeta(reader, "fleet_id"), epochOf(reader), nextLog(reader)];
  return sha256Hex(JSON.stringify(names)).slice(0, 10);
}

/** Returns the name of the stream of a log in NATS. */
export function streamName(id: string): string {
  return `cairn-${id}`;
}

/**
 * Returns the last offset of a stream that the tables tell: it may have had more. No offset that a reader of the fleet
 * has come to is used again.
 */
export function leastOffset(reader: Reader, stream: LogRow): number {
  const sent = reader.get<{ most: number | null }>("SELECT MAX(cursor) AS most FROM subscriptions")?.most ?? 0;
  return Math.max(stream.first, eventHead(reader).tail, sent);
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
  return elsewhere(logPlaces(reader)) === undefined;
}

/** Throws Fault `event_log_unavailable` where commands append no events now. */
export function refuseElsewhere(reader: Reader): void {
  const log = elsewhere(logPlaces(reader));
  if (log !== undefined) throw moved(log);
}

/** Returns what takes events in place of commands; undefined: commands append them. */
function elsewhere(places: LogPlaces): "jetstream" | "moving" | undefined {
  if (streamOf(places) !== undefined) return "jetstream";
  return isClosing(places) ? "moving" : undefined;
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

/**
 * Returns the last offset that a log of this name shares with the current one: where the fleet left it; undefined:
 * there was no such log.
 */
export function sharedWith(reader: Reader, name: string): number | undefined {
  if (logPlaces(reader).current === undefined) return undefined;
  const n = numberOf(reader, name);
  if (n === undefined) return undefined;
  const sql = "SELECT MIN(first) AS first FROM event_logs WHERE n > ? AND state IN ('current', 'left')";
  return reader.get<{ first: number | null }>(sql, n)?.first ?? undefined;
}

/** Returns the number of the log of a name; of the replicated one, which a fleet comes back to, the last time. */
function numberOf(reader: Reader, name: string): number | undefined {
  const sql = "SELECT n FROM event_logs WHERE id = ? AND id <> '' AND state <> 'cancelled'";
  const stream = reader.get<{ n: number }>(sql, name);
  if (stream !== undefined && stream !== null) return stream.n;
  const epoch = reader.get("SELECT 1 FROM epochs WHERE id = ?", name);
  if (epoch === undefined || epoch === null) return undefined;
  const last = "SELECT MAX(n) AS n FROM event_logs WHERE kind = 'fleet' AND state = 'left'";
  return reader.get<{ n: number | null }>(last)?.n ?? 0;
}

/** An own event that waits. */
export interface WaitingRow {
  n: number;
  seq: number;
  event: string;
}

/** Returns how many own events wait. */
export function waitingCount(reader: Reader): number {
  if (levelOf(reader) < EVENT_LEVEL) return 0;
  const { first, last } = waitingEnds(reader);
  return last === 0 ? 0 : last - first + 1;
}

/**
 * Lets an own event wait. Where as many wait as may, the write is refused (Fault `event_log_unavailable`), unless it is
 * one of the node itself or of the fleet, among which are the ways out: those have as much room again, and behind
 * that make no event and are counted.
 */
export function addWaiting(tx: Writer, row: EventRow, { seq, caller }: { seq: number; caller: string }): void {
  const count = waitingCount(tx);
  const mayMore = caller === "node" || row.space === "fleet";
  if (count >= MAX_WAITING && !mayMore) throw full(count);
  if (count >= 2 * MAX_WAITING) {
    writeMeta(tx, { untold_events: untoldCount(tx) + 1 });
    return;
  }
  const { last } = waitingEnds(tx);
  tx.run("INSERT INTO event_waiting (n, seq, event) VALUES (?,?,?)", last + 1, seq, JSON.stringify(row));
}

/** Returns of how many changes no event was made, because too many waited. */
export function untoldCount(reader: Reader): number {
  return readMeta(reader, "untold_events") ?? 0;
}

function waitingEnds(reader: Reader): { first: number; last: number } {
  const sql = "SELECT MIN(n) AS first, MAX(n) AS last FROM event_waiting";
  const { first, last } = reader.get<{ first: number | null; last: number | null }>(sql) ?? { first: 0, last: 0 };
  return { first: first ?? 0, last: last ?? 0 };
}

function full(count: number): Fault {
  return new Fault("event_log_unavailable", `The event of this change would wait behind ${count} others for NATS`, {
    hint: "Nothing was changed. An admin brings NATS back, moves the log (`cairn events move`), or takes the type out of events.own.",
    details: { retryAfterSeconds: 60 },
    facts: { outcome: "not_done" },
  });
}

/** Returns the own events that wait, the oldest first. */
export function waitingRows(reader: Reader, max: number): WaitingRow[] {
  return reader.all<WaitingRow>("SELECT n, seq, event FROM event_waiting ORDER BY n LIMIT +?", max);
}

/** Returns the change of a step of a move. */
export function changeOf(outcome: string, version: number) {
  return { target: MOVES, version, contentHash: "", outcome };
}
