// The log of events in the replicated log: events are appended by a command, and read from the tables of this node.

import type { Log } from "../../log/log.ts";
import type { MacroSteps } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { type Appended, eventAppend, replicatedPromise } from "./append.ts";
import { offsetAfterChange, offsetBefore, offsetOf } from "./cursor.ts";
import type { EventLog, EventOutline, LogHead, Range, SeenType } from "./event-log.ts";
import type { EventItem } from "./item.ts";
import { type EventRow, eventAt, eventHead, eventsAfter, eventsBefore } from "./rows.ts";

const OUTLINE = "offset, space, caller, agent, source, type, subject, log_time, size";

/** The tables of events of a full member. */
export class ReplicatedEventLog implements EventLog {
  readonly #reader: Reader;
  readonly #log: () => Log;
  readonly #voters: () => number;

  constructor(reader: Reader, log: () => Log, voters = () => 1) {
    this.#reader = reader;
    this.#log = log;
    this.#voters = voters;
  }

  /** What is in this process is there. */
  readonly isAway = false;

  get isOver(): boolean {
    return this.#log().changes.ended;
  }

  name(): string {
    return this.#log().position().epoch;
  }

  head(): LogHead {
    return eventHead(this.#reader);
  }

  judge(cursor: string): number {
    return offsetOf(this.#reader, cursor);
  }

  append(steps: Pick<MacroSteps, "ask">, space: string, events: readonly EventItem[]): Promise<Appended> {
    return appendByCommand(steps, space, events);
  }

  after(offset: number, max: number): EventRow[] {
    return eventsAfter(this.#reader, offset, max);
  }

  before(offset: number, max: number): EventRow[] {
    return eventsBefore(this.#reader, offset, max);
  }

  outlines({ after, upTo }: Range, max: number): EventOutline[] {
    const sql = `SELECT ${OUTLINE} FROM events WHERE offset <= ? AND offset > ? ORDER BY offset DESC LIMIT +?`;
    return this.#reader.all<EventOutline>(sql, upTo, after, max);
  }

  at(offset: number): EventRow | undefined {
    return eventAt(this.#reader, offset);
  }

  find(source: string, id: string): EventRow | undefined {
    const sql = "SELECT * FROM events WHERE source = ? AND id = ? ORDER BY offset DESC LIMIT 1";
    return this.#reader.get<EventRow>(sql, source, id);
  }

  offsetBefore(timeMs: number): number {
    return offsetBefore(this.#reader, timeMs);
  }

  offsetAfterChange(seq: number): number {
    return offsetAfterChange(this.#reader, seq);
  }

  orderedAfter(offset: number, upTo: number): number | undefined {
    const sql = "SELECT log_time FROM events WHERE offset > ? AND offset <= ? ORDER BY offset LIMIT 1";
    return this.#reader.get<{ log_time: number }>(sql, offset, upTo)?.log_time;
  }

  types(after: number): SeenType[] {
    const sql = "SELECT DISTINCT type, space FROM events WHERE offset > ? ORDER BY type, space";
    return this.#reader.all<SeenType>(sql, after);
  }

  durability(): string {
    return replicatedPromise(this.#voters());
  }

  onHead(listener: () => void): () => void {
    return this.#log().changes.onHead(listener);
  }
}

/**
 * Appends events by the command, from any node. It is the first call's step, but does not end with that call: it has
 * events of others.
 */
export async function appendByCommand(
  { ask }: Pick<MacroSteps, "ask">,
  space: string,
  events: readonly EventItem[],
): Promise<Appended> {
  return (await ask(eventAppend.name, { space, events }, new AbortController().signal)) as unknown as Appended;
}
