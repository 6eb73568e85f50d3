// The log of events of a node, wherever it is now: the replicated log, or a stream of NATS. Who reads and appends knows
// nothing of a move: offsets go on, and an append that met one is tried where the log has gone.

import { Fault } from "../../../lib/fault.ts";
import { pause } from "../../../lib/pause.ts";
import type { Log } from "../../../log/log.ts";
import type { EventLimits } from "../../../operation/define.ts";
import type { Reader } from "../../../store/store.ts";
import type { Appended } from "../append.ts";
import type { AppendSteps, EventLog, EventOutline, LogHead, Pace, Range, SeenType, Soon } from "../event-log.ts";
import type { EventItem } from "../item.ts";
import { JetStreamLog } from "../jetstream/jetstream-log.ts";
import type { NatsLink } from "../jetstream/nats.ts";
import { type Probed, probe } from "../jetstream/probe.ts";
import { storeEvents } from "../jetstream/store-events.ts";
import { found, type StreamPlace } from "../jetstream/stream.ts";
import { appendByCommand, ReplicatedEventLog } from "../replicated-log.ts";
import type { EventRow } from "../rows.ts";
import { type LogRow, logPlaces, sharedWith, streamOf } from "./place.ts";

/** How long an append waits for the end of a move, in ms; and between two tries. */
const MOVING_MS = 20_000;
const AGAIN_MS = 100;

/** What the log of a node works with. */
export interface MovableOptions {
  reader: Reader;
  log: () => Log;
  link: NatsLink;
  fleetId(): string;
  limits(): EventLimits;
  /** How many voters the fleet has. */
  voters(): number;
  onProblem(problem: string | undefined): void;
  pace?: Pace | undefined;
}

/** The log of events of a full member. */
export class MovableEventLog implements EventLog {
  readonly #options: MovableOptions;
  readonly #fleet: ReplicatedEventLog;
  readonly #listeners = new Set<() => void>();
  #stream: { n: number; log: JetStreamLog } | undefined;
  #stopFleet: (() => void) | undefined;
  #problem: string | undefined;

  constructor(options: MovableOptions) {
    this.#options = options;
    this.#fleet = new ReplicatedEventLog(options.reader, options.log, options.voters);
  }

  get #now(): EventLog {
    const row = streamOf(logPlaces(this.#options.reader));
    return row === undefined ? this.#fleet : this.streamLog(row);
  }

  /** What keeps this node from the stream that has the events; undefined: nothing, or no stream has them. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Asks NATS for what a move would find there. `place`: the stream that the fleet has, or would have. */
  async probe(place: StreamPlace): Promise<Probed> {
    const { reader, link } = this.#options;
    const probed = await probe(link, place);
    const { current, moving } = logPlaces(reader);
    if (current?.kind !== "jetstream" && moving === undefined) void link.rest();
    return probed;
  }

  /** Returns how many events a stream has; undefined: NATS does not say. */
  async stored(place: StreamPlace): Promise<number | undefined> {
    const [asked] = await Promise.allSettled([found(this.#options.link, place)]);
    return asked.status === "fulfilled" ? (asked.value?.state.messages ?? 0) : undefined;
  }

  /** Returns the log of a stream, which is followed from then on. */
  streamLog(row: LogRow): JetStreamLog {
    if (this.#stream?.n === row.n) return this.#stream.log;
    this.#stream?.log.close();
    const { reader, log, link, fleetId, limits, pace } = this.#options;
    const made = new JetStreamLog({
      ...{ link, fleetId, limits, pace, place: row, first: row.first },
      onProblem: (problem) => this.#seen(row, problem),
      seq: () => log().position().seq,
      earlier: (name) => sharedWith(reader, name),
      isOver: () => log().changes.ended,
      onOver: (listener) => log().changes.onHead(() => log().changes.ended && listener()),
    });
    this.#stream = { n: row.n, log: made };
    made.onHead(() => this.#tell());
    void made.open();
    return made;
  }

  /** What following a stream met. One that the fleet has left is followed no longer. */
  #seen({ n }: LogRow, problem: string | undefined): void {
    if (this.#stream?.n !== n) return;
    const places = logPlaces(this.#options.reader);
    const isCurrent = places.current?.n === n;
    // What keeps the leader from a stream that has no events yet, it says itself.
    this.#problem = isCurrent ? problem : undefined;
    this.#options.onProblem(this.#problem);
    if (isCurrent || places.moving?.n === n) return;
    this.#stream.log.close();
    this.#stream = undefined;
    void this.#options.link.rest();
  }

  /** Begins to follow a stream, before anyone reads: a node that starts knows soon how far it goes. */
  start(): void {
    this.head();
  }

  /** The node stops. */
  async close(): Promise<void> {
    this.#stream?.log.close();
    await this.#options.link.close();
  }

  /** Which promise an acknowledged event has. */
  durability(): string {
    return this.#now.durability();
  }

  get isOver(): boolean {
    return this.#fleet.isOver;
  }

  get isAway(): boolean {
    return this.#now.isAway;
  }

  name(): string {
    return this.#now.name();
  }

  head(): LogHead {
    return this.#now.head();
  }

  judge(cursor: string): number {
    return this.#now.judge(cursor);
  }

  append(steps: AppendSteps, space: string, items: readonly EventItem[]): Promise<Appended> {
    return appendAnywhere(steps, space, items, this.#now);
  }

  after(offset: number, max: number): Soon<EventRow[]> {
    return this.#now.after(offset, max);
  }

  before(offset: number, max: number): Soon<EventRow[]> {
    return this.#now.before(offset, max);
  }

  outlines(range: Range, max: number): Soon<EventOutline[]> {
    return this.#now.outlines(range, max);
  }

  at(offset: number): Soon<EventRow | undefined> {
    return this.#now.at(offset);
  }

  find(source: string, id: string): Soon<EventRow | undefined> {
    return this.#now.find(source, id);
  }

  offsetBefore(timeMs: number): Soon<number> {
    return this.#now.offsetBefore(timeMs);
  }

  offsetAfterChange(seq: number): Soon<number> {
    return this.#now.offsetAfterChange(seq);
  }

  orderedAfter(offset: number, upTo: number): Soon<number | undefined> {
    return this.#now.orderedAfter(offset, upTo);
  }

  types(after: number): Soon<SeenType[]> {
    return this.#now.types(after);
  }

  onHead(listener: () => void): () => void {
    this.#listeners.add(listener);
    // Applied changes say when the log has moved, too.
    this.#stopFleet ??= this.#fleet.onHead(() => this.#tell());
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#stopFleet?.();
      this.#stopFleet = undefined;
    };
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/**
 * Appends where the log is. `known`: the log as this node sees it; undefined on an edge, which sees none. A move is
 * waited for; what is refused meanwhile was not appended.
 */
export async function appendAnywhere(
  steps: AppendSteps,
  space: string,
  items: readonly EventItem[],
  known?: EventLog,
): Promise<Appended> {
  const until = performance.now() + MOVING_MS;
  let isStream = known instanceof JetStreamLog;
  for (;;) {
    try {
      if (known instanceof JetStreamLog && isStream) return await known.append(steps, space, items);
      if (!isStream) return await appendByCommand(steps, space, items);
      return await storeEvents(steps, space, items);
    } catch (error) {
      const log = error instanceof Fault ? error.facts.reason : undefined;
      if (log?.startsWith("log_") !== true || performance.now() > until) throw error;
      isStream = log === "log_jetstream";
      if (log === "log_moving") await pause(AGAIN_MS, new AbortController().signal);
    }
  }
}
