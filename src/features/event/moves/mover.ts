// What the leader does for a log of events that is moved or elsewhere: it copies, closes and switches, sends own events
// that wait, and keeps the limits of the stream. Each step is safe to repeat, by this leader or the next one.

import { counted } from "../../../lib/counted.ts";
import { Fault } from "../../../lib/fault.ts";
import { pause } from "../../../lib/pause.ts";
import type { Lead } from "../../../log/duties.ts";
import { levelOf } from "../../../log/level.ts";
import type { Log } from "../../../log/log.ts";
import { nodeCommand } from "../../../log/node-command.ts";
import type { EventLimits } from "../../../operation/define.ts";
import type { Reader } from "../../../store/store.ts";
import type { Pace } from "../event-log.ts";
import { type JetStreamLog, STORED_BY_NODE } from "../jetstream/jetstream-log.ts";
import { isAnswer, type NatsLink } from "../jetstream/nats.ts";
import { found, limitStream, makeStream, sealStream } from "../jetstream/stream.ts";
import { OWN_CALLER } from "../own.ts";
import { EVENT_LEVEL, type EventRow, eventAt, eventHead, eventsAfter } from "../rows.ts";
import { eventTrim } from "../trim.ts";
import { eventForwarded, eventLogBegin, eventLogCopy, eventLogStep } from "./commands.ts";
import {
  appendsHere,
  isClosing,
  type LogRow,
  logPlaces,
  MAX_WAITING,
  nextLogId,
  streamOf,
  untoldCount,
  waitingCount,
  waitingRows,
  wasMoved,
} from "./place.ts";
import { eventLogTake } from "./take.ts";

const PACE: Pace = { lookMs: 500, againMs: 2000 };
/** How often the limits of the stream are compared, in ms. */
const LIMITS_MS = 10_000;
/** Events that may be left when the log before is closed. */
const FEW = 512;
const BATCH = 256;
const COPY_BYTES = 256 * 1024;
/** So many own events that wait are told. */
const MANY_WAITING = 0.8 * MAX_WAITING;

/** What the mover works with. */
export interface MoverOptions {
  reader: Reader;
  log: () => Pick<Log, "propose">;
  link: NatsLink;
  limits(): EventLimits;
  streamLog(row: LogRow): JetStreamLog;
  /** Called with what keeps it from going on; undefined: nothing. */
  onProblem(problem: unknown): void;
  /** Called with how many own events wait, where those are many; undefined: they are few. */
  onWaiting(what: string | undefined): void;
  pace?: Pace | undefined;
}

/** The mover of one node. */
export class Mover {
  readonly #options: MoverOptions;
  #limitedMs = Number.NEGATIVE_INFINITY;
  /** Whether the oldest own events that wait may have been sent by an earlier leader, or an attempt that failed. */
  #maySent = true;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  /** The duty. */
  lead({ signal }: Pick<Lead, "signal">): void {
    void this.#run(signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.#maySent = true;
    const { lookMs, againMs } = this.#options.pace ?? PACE;
    while (!signal.aborted) {
      let wait = lookMs;
      try {
        if (await this.look(signal)) wait = 0;
        this.#options.onProblem(undefined);
      } catch (error) {
        this.#maySent = true;
        wait = againMs;
        const isTold = !signal.aborted && isOfNats(error) && (await this.#isAway());
        if (!signal.aborted) this.#options.onProblem(isTold ? undefined : error);
      }
      if (!signal.aborted) this.#options.onWaiting(this.#waiting());
      await pause(wait, signal).catch(() => {});
    }
    // The next leader says what keeps it, and what waits.
    this.#options.onProblem(undefined);
    this.#options.onWaiting(undefined);
  }

  /** Returns what is to be told of own events that wait; undefined: they are few. */
  #waiting(): string | undefined {
    const { reader } = this.#options;
    const count = waitingCount(reader);
    if (count < MANY_WAITING) return undefined;
    const untold = untoldCount(reader);
    return `${count} of ${MAX_WAITING} wait${untold === 0 ? "" : `; of ${counted(untold, "change")} no event was made`}`;
  }

  /** Reports whether the stream that has the events cannot be reached: each node that follows it says so itself. */
  async #isAway(): Promise<boolean> {
    const stream = streamOf(logPlaces(this.#options.reader));
    if (stream === undefined) return false;
    const looked = await Promise.allSettled([this.#options.streamLog(stream).look()]);
    return looked[0].status === "rejected";
  }

  /** Does one step. Reports whether there may be more to do at once. */
  async look(signal: AbortSignal): Promise<boolean> {
    const { reader } = this.#options;
    const places = logPlaces(reader);
    const { moving } = places;
    const stream = streamOf(places);
    let more = await this.#found();
    if (moving?.state === "lost") return this.#giveUp(moving);
    if (stream !== undefined && (await this.#options.streamLog(stream).fill())) return true;
    if (moving?.kind === "jetstream") more = await this.#toStream(moving, signal);
    else if (moving !== undefined && stream !== undefined) more = await this.#toFleet(moving, stream, signal);
    else if (stream !== undefined) more = await this.#clean();
    if (appendsHere(reader) && waitingCount(reader) > 0) {
      const { output } = await this.#propose(eventLogTake.name, eventLogTake.v, {});
      more = output["taken"] !== 0 || more;
    }
    if (stream !== undefined && !isClosing(places) && !signal.aborted) {
      more = (await this.#forward(stream)) || more;
      await this.#limit(stream);
    }
    return more;
  }

  /** A fleet whose log was never moved, and in which nothing was published yet, begins as its settings say. */
  async #found(): Promise<boolean> {
    const { reader, limits } = this.#options;
    const { nats } = limits();
    if (nats?.isFirst !== true || levelOf(reader) < EVENT_LEVEL || wasMoved(reader) || wasPublished(reader))
      return false;
    const { name, v } = eventLogBegin;
    await this.#propose(name, v, { to: "jetstream", replicas: nats.replicas, id: nextLogId(reader) });
    return true;
  }

  async #toStream(row: LogRow, signal: AbortSignal): Promise<boolean> {
    const { reader, link, limits } = this.#options;
    const { floor } = eventHead(reader);
    await makeStream(link, row, floor, limits());
    const before = await this.#lastOf(row);
    await this.#refuseStrange(row, Math.max(floor, before - BATCH), before);
    let at = before;
    while (!signal.aborted) {
      const rows = eventsAfter(reader, at, BATCH);
      if (rows.length === 0) break;
      at = await this.#copyAll(row, rows);
      if (row.state === "copying" && eventHead(reader).tail - at <= FEW) break;
    }
    const { tail } = eventHead(reader);
    if (row.state === "copying") {
      if (tail - at <= FEW) await this.#step(row, "closing", 0);
      return true;
    }
    // The next look finds what came between the last ones.
    if (at === tail && at === before) await this.#step(row, "current", tail);
    return true;
  }

  /** Rejects where the stream has something else than the log in the place of one of the newest events. */
  async #refuseStrange(row: LogRow, after: number, last: number): Promise<void> {
    const { reader } = this.#options;
    for (let at = after; at < last; ) {
      const kept = await this.#options.streamLog(row).keptAfter(at, BATCH);
      const strange = kept.find(({ row: { offset, source, id } }) => {
        const event = eventAt(reader, offset);
        return event?.source !== source || event.id !== id;
      });
      if (strange !== undefined) throw madeElsewhere(row.stream, strange.row.offset);
      at = kept.at(-1)?.row.offset ?? last;
    }
  }

  /** Puts events into the stream, each at its offset, and returns the last one. */
  async #copyAll(row: LogRow, rows: readonly EventRow[]): Promise<number> {
    const { reader } = this.#options;
    const log = this.#options.streamLog(row);
    const put = rows.map((each) => log.put(each, seqOf(reader, each.offset)));
    const outcomes = await Promise.allSettled(put);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return rows.at(-1)?.offset ?? 0;
    // Those behind one that came late are refused by their offset; the copy goes on where the stream ends.
    if (outcomes.some((outcome) => outcome.status === "fulfilled" && outcome.value)) return this.#lastOf(row);
    throw failed.reason;
  }

  async #lastOf(row: LogRow): Promise<number> {
    return (await found(this.#options.link, row))?.state.last_seq ?? 0;
  }

  async #toFleet(row: LogRow, stream: LogRow, signal: AbortSignal): Promise<boolean> {
    const { reader, link } = this.#options;
    const log = this.#options.streamLog(stream);
    const last = row.state === "closing" ? await sealStream(link, stream) : (await log.look()).tail;
    const { floor } = await log.look();
    const head = eventHead(reader);
    // Retention of the stream was faster than the copy, which begins again behind it.
    if (head.tail > head.floor && head.tail < floor) return this.#clean();
    let at = head.tail === head.floor ? floor : head.tail;
    while (at < last && !signal.aborted) {
      const kept = await log.keptAfter(at, BATCH);
      for (const events of parts(kept.map(({ row: each }) => each))) {
        const { name, v } = eventLogCopy;
        await this.#propose(name, v, { events, floor: (events[0]?.offset ?? 1) - 1 });
      }
      const { tail } = eventHead(reader);
      if (tail <= at) throw new Error(`the event after ${at} of ${stream.stream} could not be copied`);
      at = tail;
    }
    if (head.tail === head.floor && floor === last && head.tail !== last) {
      await this.#propose(eventLogCopy.name, eventLogCopy.v, { events: [], floor: last });
      at = last;
    }
    if (row.state === "copying") {
      if (last - at <= FEW) await this.#step(row, "closing", 0);
      return true;
    }
    if (at >= last) await this.#step(row, "current", last);
    return true;
  }

  /** The replicated log goes on behind a stream that is gone, once it is empty. */
  async #giveUp(row: LogRow): Promise<boolean> {
    const { tail, floor } = eventHead(this.#options.reader);
    if (floor < tail) return this.#clean();
    await this.#step(row, "current", row.first);
    return true;
  }

  /** The events that were moved leave the replicated log. */
  async #clean(): Promise<boolean> {
    const { tail, floor } = eventHead(this.#options.reader);
    if (floor === tail) return false;
    const { output } = await this.#propose(eventTrim.name, eventTrim.v, { floor: tail });
    return output["removed"] !== 0;
  }

  async #forward(stream: LogRow): Promise<boolean> {
    const waiting = waitingRows(this.#options.reader, BATCH);
    if (waiting.length === 0) return false;
    const log = this.#options.streamLog(stream);
    for (const { seq, event } of waiting) {
      const row = JSON.parse(event) as EventRow;
      if (this.#maySent && (await log.find(row.source, row.id)) !== undefined) continue;
      this.#maySent = false;
      await log[STORED_BY_NODE](row, seq);
    }
    const { n: upTo = 0, seq = 0 } = waiting.at(-1) ?? {};
    await this.#propose(eventForwarded.name, eventForwarded.v, { upTo, seq });
    return waiting.length === BATCH;
  }

  async #limit(stream: LogRow): Promise<void> {
    if (performance.now() - this.#limitedMs < LIMITS_MS) return;
    await limitStream(this.#options.link, stream, this.#options.limits());
    this.#limitedMs = performance.now();
  }

  #step({ n }: LogRow, state: "closing" | "current", last: number) {
    this.#limitedMs = Number.NEGATIVE_INFINITY;
    return this.#propose(eventLogStep.name, eventLogStep.v, { n, state, last });
  }

  #propose(name: string, v: number, input: unknown) {
    return this.#options.log().propose(nodeCommand({ name, v }, input));
  }
}

function isOfNats(error: unknown): boolean {
  return isAnswer(error) || (error instanceof Fault && error.code === "event_log_unavailable");
}

/** Reports whether there are or were events beside those of what Cairn does. */
function wasPublished(reader: Reader): boolean {
  const other = reader.get("SELECT 1 FROM events WHERE caller <> ? LIMIT 1", OWN_CALLER);
  return eventHead(reader).floor > 0 || (other !== undefined && other !== null);
}

function madeElsewhere(stream: string, offset: number): Error {
  const hint = "stop the move (`cairn events move --cancel`), let only Cairn write there, and begin again";
  return new Error(`${stream} has a message ${offset} that Cairn did not write: ${hint}`);
}

function seqOf(reader: Reader, offset: number): number {
  const sql = "SELECT seq FROM event_segments WHERE last >= ? ORDER BY last LIMIT 1";
  return reader.get<{ seq: number }>(sql, offset)?.seq ?? 0;
}

/** Cuts events into what one command may have. */
function* parts(rows: readonly EventRow[]): Generator<EventRow[]> {
  let part: EventRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (part.length > 0 && bytes + row.size > COPY_BYTES) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(row);
    bytes += row.size;
  }
  if (part.length > 0) yield part;
}
