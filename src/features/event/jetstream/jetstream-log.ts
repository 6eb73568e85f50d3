// The log of events in a stream of NATS JetStream. Offsets are the sequences of the stream, so a cursor means the same
// as in the replicated log. A consumer tells this node how far the stream goes and keeps the newest events here; older
// ones are asked for. The leader alone appends.

import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import { DeliverPolicy } from "@nats-io/jetstream";
import { pause } from "../../../lib/pause.ts";
import { timeOf } from "../../../lib/time-of.ts";
import type { EventLimits } from "../../../operation/define.ts";
import { type Appended, tooLarge } from "../append.ts";
import { cursorText, offsetIn, refusedAhead } from "../cursor.ts";
import type { AppendSteps, EventLog, EventOutline, LogHead, Pace, Range, SeenType, Soon } from "../event-log.ts";
import { HOPS, hopsOf } from "../hops.ts";
import type { EventItem } from "../item.ts";
import { moved } from "../moves/place.ts";
import { EVENT_ROW_BYTES, type EventRow, STEP_BYTES, upToBytes } from "../rows.ts";
import { dataOf, keyOf, type MessageBody, rowOf, subjectOf } from "./message.ts";
import { away, type NatsLink, operatorReason } from "./nats.ts";
import { bodyOf, failureOf, outlineOf, rowsBetween, type StoredBy } from "./parts.ts";
import { type KeptEvent, readStep } from "./read.ts";
import { RecentEvents } from "./recent.ts";
import { storeEvents } from "./store-events.ts";
import { headOf, lost, prefixOf, type StreamPlace } from "./stream.ts";

/** Messages of one question. */
const BATCH = 256;
/** How often the floor is asked for, in ms; and how long after a failure. */
const LOOK_MS = 2000;
const AGAIN_MS = 500;
/** JetStream: the stream is closed for good. */
const SEALED = 10109;
/** Room for the headers of a message within its largest size. */
const HEADER_BYTES = 512;
/** Most events that servers have lost and whose places are filled, so that no offset is used again. */
const MAX_FILLED = 10_000;
/** Name of the method by which the mover sends events that Cairn made: no caller has one. */
export const STORED_BY_NODE: unique symbol = Symbol("stored by the node");

/** What a log works with. */
export interface JetStreamOptions {
  link: NatsLink;
  place: StreamPlace;
  /** The last offset of the log before: the head until the stream has said its own. */
  first?: number;
  fleetId(): string;
  /** The newest change that is applied on this node. */
  seq(): number;
  limits(): EventLimits;
  /** Offsets of earlier logs, which are the same here: the last one that was moved, by the name of the log. */
  earlier(name: string): number | undefined;
  /** The node stops. */
  isOver(): boolean;
  onOver(listener: () => void): () => void;
  pace?: Pace | undefined;
  /** Called with what keeps this node from following the stream; undefined: nothing. */
  onProblem?(problem: string | undefined): void;
}

/** One stream as the log of events. */
export class JetStreamLog implements EventLog {
  readonly #options: JetStreamOptions;
  readonly #listeners = new Set<() => void>();
  readonly #recent = new RecentEvents();
  readonly #stop = new AbortController();
  #head: LogHead;
  #isKnown = false;
  /** The last look failed, or there was none yet. */
  #isAway = true;
  /** The stream ends there, and had more: its servers have lost events that were acknowledged. */
  #lostAfter: number | undefined;
  #messages: ConsumerMessages | undefined;
  #stopOver: (() => void) | undefined;

  constructor(options: JetStreamOptions) {
    this.#options = options;
    const { first = 0 } = options;
    this.#head = { tail: first, floor: 0, bytes: 0 };
  }

  /** Begins to follow the stream. Resolves when its head is known, or NATS is known to be away. */
  async open(): Promise<void> {
    this.#stopOver = this.#options.onOver(() => this.#tell());
    const first = Promise.withResolvers<void>();
    void this.#follow(first.resolve);
    await first.promise;
  }

  /** Ends following. */
  close(): void {
    this.#stop.abort();
    this.#stopOver?.();
    this.#messages?.stop();
  }

  get isOver(): boolean {
    return this.#options.isOver();
  }

  get isAway(): boolean {
    return this.#isAway || this.#options.link.isAway;
  }

  /** Whether the stream has said how far it goes since this node started. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  name(): string {
    return this.#options.place.id;
  }

  head(): LogHead {
    return this.#head;
  }

  judge(text: string): number {
    const { tail, floor } = this.#head;
    const offset = offsetIn({ name: this.name(), floor }, text, this.#options.earlier);
    if (offset <= tail) return offset;
    if (this.isAway) throw away("how far it goes is not known");
    throw refusedAhead(text, cursorText(this.name(), tail));
  }

  async append(steps: AppendSteps, space: string, items: readonly EventItem[]): Promise<Appended> {
    const done = await storeEvents(steps, space, items);
    // The next read on this node finds them.
    this.#reach(Math.max(0, ...done.offsets));
    return done;
  }

  /** Appends events at the leader. One that JetStream did not acknowledge is among `failed`. */
  async store(by: StoredBy, space: string, items: readonly EventItem[]): Promise<Appended> {
    const fleet = this.#options.fleetId();
    const isLooped = items.map(({ extensions }) => hopsOf(extensions[HOPS]).includes(fleet));
    const { maxBytes, dedupeSeconds } = this.#options.limits();
    const bodies = items.map((item) => bodyOf(item, { ...by, space }, maxBytes, this.#options.seq()));
    this.#refuseShort();
    const sent = bodies.map((body, index) => (isLooped[index] ? undefined : this.#publish(body, dedupeSeconds > 0)));
    const settled = await Promise.allSettled(sent);
    // A stream is closed at the end of a move. What it took before that is in the next log, and found as duplicate.
    if (settled.some((each) => each.status === "rejected" && (each.reason as { code?: unknown }).code === SEALED))
      throw moved("moving");
    const offsets: number[] = [];
    const duplicates: number[] = [];
    const failed: NonNullable<Appended["failed"]> = [];
    for (const [index, outcome] of settled.entries()) {
      if (outcome.status === "rejected") failed.push({ at: index, ...failureOf(outcome.reason) });
      else if (outcome.value?.duplicate === true) duplicates.push(index);
      offsets.push(outcome.status === "fulfilled" ? (outcome.value?.seq ?? 0) : 0);
    }
    this.#reach(Math.max(0, ...offsets));
    const looped = isLooped.flatMap((is, index) => (is ? [index] : []));
    const outcomes = { offsets, duplicates, looped, ...(failed.length === 0 ? {} : { failed }) };
    return { epoch: this.name(), durability: this.durability(), ...outcomes };
  }

  #publish(body: MessageBody, dedupes: boolean): Promise<{ seq: number; duplicate: boolean }> {
    return this.#send(body, dedupes ? { msgID: keyOf(body.source, body.id) } : {});
  }

  async #send(body: MessageBody, options: { msgID?: string; after?: number }) {
    const { place, link } = this.#options;
    const { after: lastSequence, ...key } = options;
    const data = dataOf(body);
    return link.call(async ({ stream, connection }) => {
      const most = connection.info?.max_payload ?? Number.MAX_SAFE_INTEGER;
      if (data.length + HEADER_BYTES > most) throw tooLarge(body.id, data.length, most);
      const expect = { streamName: place.stream, ...(lastSequence === undefined ? {} : { lastSequence }) };
      return stream.publish(subjectOf(prefixOf(place.stream), body.source, body.id), data, { ...key, expect });
    });
  }

  /**
   * Appends an event that another log has ordered, at its offset. Rejects where that is not the next one. Reports
   * whether the stream first took it for an earlier event of its id, which it is not.
   */
  async put({ offset, ...row }: EventRow, seq: number): Promise<boolean> {
    const body = { ...row, seq };
    const after = offset - 1;
    const { dedupeSeconds } = this.#options.limits();
    // Of an event that is too old to be sent again the stream has to know no id.
    const isYoung = row.log_time > Date.now() - dedupeSeconds * 1000;
    const taken = await this.#send(body, isYoung ? { msgID: keyOf(row.source, row.id), after } : { after });
    if (!taken.duplicate || taken.seq === offset) return false;
    await this.#send(body, { after });
    return true;
  }

  /** Appends an event that Cairn made of a change: it may have waited, and says when the change was. */
  async [STORED_BY_NODE]({ offset: _, log_time, ...row }: EventRow, seq: number): Promise<void> {
    const { seq: at } = await this.#publish({ ...row, time: timeOf(log_time), seq }, true);
    this.#reach(at);
  }

  after(offset: number, max: number): Soon<EventRow[]> {
    const { tail, floor } = this.#head;
    const found: EventRow[] = [];
    let bytes = 0;
    for (let next = Math.max(offset, floor) + 1; next <= tail && found.length < max && bytes < STEP_BYTES; next += 1) {
      const kept = this.#recent.at(next);
      if (kept === undefined) return this.#afterAsked(found, next, max);
      found.push(kept.row);
      bytes += kept.row.size;
    }
    return found;
  }

  async #afterAsked(found: readonly EventRow[], from: number, max: number): Promise<EventRow[]> {
    return upToBytes([...found, ...(await this.#rows(from, max - found.length))]);
  }

  async before(offset: number, max: number): Promise<EventRow[]> {
    const { tail, floor, bytes } = this.#head;
    const found: EventRow[] = [];
    // As many at once as have about a megabyte.
    const each = Math.max(1, bytes / Math.max(1, tail - floor));
    const most = Math.max(1, Math.min(BATCH, Math.floor(STEP_BYTES / each)));
    let sum = 0;
    for (let at = Math.min(offset, tail + 1); at > floor + 1 && found.length < max && sum < STEP_BYTES; ) {
      const first = Math.max(floor + 1, at - Math.min(most, max - found.length));
      const rows = await rowsBetween(this.#rows, first, at);
      for (const row of rows.toReversed()) {
        if (sum >= STEP_BYTES) break;
        found.push(row);
        sum += row.size;
      }
      at = rows[0]?.offset ?? first;
    }
    return found;
  }

  async outlines({ after, upTo }: Range, max: number): Promise<EventOutline[]> {
    const found: EventOutline[] = [];
    const { tail, floor } = this.#head;
    const last = Math.max(after, floor);
    for (let at = Math.min(upTo, tail); at > last && found.length < max; ) {
      const first = Math.max(last + 1, at + 1 - Math.min(BATCH, max - found.length));
      const rows = await rowsBetween(this.#rows, first, at + 1);
      for (const row of rows.toReversed()) found.push(outlineOf(row));
      at = (rows[0]?.offset ?? first) - 1;
    }
    return found;
  }

  async at(offset: number): Promise<EventRow | undefined> {
    return (await this.#one(offset))?.row;
  }

  async find(source: string, id: string): Promise<EventRow | undefined> {
    const { place } = this.#options;
    const subject = subjectOf(prefixOf(place.stream), source, id);
    let newest: EventRow | undefined;
    for (let seq = this.#head.floor + 1; ; ) {
      const { found, isAll } = await readStep(this.#options.link, place, { from: seq, max: BATCH, subject });
      for (const { row } of found) if (row.source === source && row.id === id) newest = row;
      if (isAll) return newest;
      seq = (found.at(-1)?.row.offset ?? seq) + 1;
    }
  }

  async offsetBefore(timeMs: number): Promise<number> {
    return this.#lastWhere(({ row }) => row.log_time < timeMs);
  }

  async offsetAfterChange(seq: number): Promise<number> {
    return this.#lastWhere((kept) => kept.seq <= seq);
  }

  /** Returns the last offset for which a test holds that holds up to one offset, and for none after it. */
  async #lastWhere(holds: (kept: KeptEvent) => boolean): Promise<number> {
    let { floor: low, tail: high } = this.#head;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      // What retention has removed meanwhile is older: the next one that is kept tells.
      const kept = this.#recent.at(middle) ?? (await this.#ask(middle, 1))[0];
      if (kept === undefined) throw away(`the event at ${middle} did not come`);
      if (holds(kept)) low = Math.max(middle, Math.min(kept.row.offset, high));
      else high = middle - 1;
    }
    return low;
  }

  orderedAfter(offset: number, upTo: number): Soon<number | undefined> {
    const next = Math.max(offset, this.#head.floor) + 1;
    if (next > Math.min(upTo, this.#head.tail)) return undefined;
    const kept = this.#recent.at(next);
    return kept === undefined ? this.at(next).then((row) => row?.log_time) : kept.row.log_time;
  }

  async types(after: number): Promise<SeenType[]> {
    const found = new Map<string, SeenType>();
    for (let at = after; ; ) {
      const rows = await this.after(at, BATCH);
      if (rows.length === 0) break;
      for (const { type, space } of rows) found.set(JSON.stringify([type, space]), { type, space });
      at = rows.at(-1)?.offset ?? at;
    }
    const order = ({ type, space }: SeenType) => `${type}\n${space}`;
    return [...found.values()].sort((one, other) => (order(one) < order(other) ? -1 : 1));
  }

  /** How often a server of NATS syncs its disk is set there; by default it acknowledges before it does. */
  durability(): string {
    return `jetstream; replicas=${this.#options.place.replicas}; sync=server`;
  }

  onHead(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks how far the stream goes. Rejects with Fault `event_log_unavailable` where it went further before. */
  async look(): Promise<LogHead> {
    const { link, place } = this.#options;
    const { tail: known } = this.#head;
    const { last, floor, bytes } = await headOf(link, place);
    this.#lostAfter = last < known ? last : undefined;
    if (this.#lostAfter !== undefined) this.#recent.cut(last);
    this.#refuseShort();
    const before = this.#head;
    this.#head = { tail: Math.max(before.tail, last), floor, bytes };
    this.#isKnown = true;
    this.#isAway = false;
    if (this.#head.tail > before.tail || floor !== before.floor) this.#tell();
    return { ...this.#head, tail: last };
  }

  /**
   * Fills the places of events that the servers have lost, so that no offset is used again and readers see that they
   * are gone. Reports whether there were any.
   */
  async fill(): Promise<boolean> {
    const { link, place } = this.#options;
    const { tail } = this.#head;
    const first = (this.#lostAfter ?? tail) + 1;
    if (first > tail || tail - first >= MAX_FILLED) return false;
    const subject = subjectOf(prefixOf(place.stream), "", "");
    for (let offset = first; offset <= tail; offset += 1)
      await link.call(({ stream }) =>
        stream.publish(subject, '{"lost":true}', {
          expect: { streamName: place.stream, lastSequence: offset - 1 },
        }),
      );
    await this.look();
    return true;
  }

  #refuseShort(): void {
    if (this.#lostAfter === undefined) return;
    const { tail } = this.#head;
    throw lost(this.#options.place.stream, `had events up to ${tail}, and now ends with ${this.#lostAfter}`);
  }

  /** The events after an offset with the changes before which they were ordered, for a move. */
  keptAfter(offset: number, max: number): Promise<KeptEvent[]> {
    return this.#ask(offset + 1, max);
  }

  async #one(offset: number): Promise<KeptEvent | undefined> {
    const { floor, tail } = this.#head;
    if (offset <= floor || offset > tail) return undefined;
    const recent = this.#recent.at(offset);
    if (recent !== undefined) return recent;
    const [kept] = await this.#ask(offset, 1);
    return kept?.row.offset === offset ? kept : undefined;
  }

  /** Returns the events from an offset on, at most `max`, and no more once they have some megabytes. */
  readonly #rows = async (from: number, max: number): Promise<EventRow[]> => {
    const rows: EventRow[] = [];
    let bytes = 0;
    for (let next = from; rows.length < max && next <= this.#head.tail; ) {
      const step = await this.#ask(next, Math.min(BATCH, max - rows.length));
      if (step.length === 0) break;
      for (const { row } of step) {
        rows.push(row);
        bytes += row.size;
      }
      if (bytes >= 8 * STEP_BYTES) break;
      next = (rows.at(-1)?.offset ?? next) + 1;
    }
    return rows;
  };

  async #ask(from: number, max: number): Promise<KeptEvent[]> {
    return (await readStep(this.#options.link, this.#options.place, { from, max })).found;
  }

  /** Something was appended up to an offset; this node may not have it yet. */
  #reach(tail: number): void {
    if (tail <= this.#head.tail) return;
    this.#head = { ...this.#head, tail };
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  async #follow(onFirst: () => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.look();
        if (this.#messages === undefined) await this.#consume();
        this.#options.onProblem?.(undefined);
        onFirst();
        await pause(this.#options.pace?.lookMs ?? LOOK_MS, signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#isAway = true;
        this.#options.onProblem?.(operatorReason(error));
        onFirst();
        await pause(this.#options.pace?.againMs ?? AGAIN_MS, signal).catch(() => {});
      }
    }
    onFirst();
  }

  async #consume(): Promise<void> {
    const { link, place } = this.#options;
    const from = this.#head.tail + 1;
    const messages = await link.call(async ({ stream }) => {
      const consumer = await stream.consumers.get(place.stream, {
        opt_start_seq: from,
        deliver_policy: DeliverPolicy.StartSequence,
      });
      return consumer.consume({ max_messages: BATCH });
    });
    this.#messages = messages;
    void this.#take(messages);
  }

  async #take(messages: ConsumerMessages): Promise<void> {
    try {
      for await (const message of messages) this.#keep(message);
    } catch {
      // Begun again by the next look.
    }
    if (this.#messages === messages) this.#messages = undefined;
  }

  #keep(message: JsMsg): void {
    const kept = rowOf({ seq: message.seq, data: message.data, timeMs: Math.floor(message.info.timestampNanos / 1e6) });
    this.#recent.add(kept);
    const tail = Math.max(this.#head.tail, message.seq);
    this.#head = { ...this.#head, tail, bytes: this.#head.bytes + kept.row.size + EVENT_ROW_BYTES };
    this.#tell();
  }
}
