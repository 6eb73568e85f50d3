// The log of events as the feature uses it. What orders and keeps events is behind it, so that a log that has become
// too small can be replaced: all reads of the feature go through it, and rights and rules are judged above it.

import type { MacroSteps } from "../../operation/define.ts";
import { ServiceKey } from "../../operation/services.ts";
import type { Appended } from "./append.ts";
import type { EventItem } from "./item.ts";
import type { EventRow } from "./rows.ts";

/** What is there at once, or comes: a log in this process makes nobody wait for a turn. */
export type Soon<T> = T | Promise<T>;

/** How long what follows a log, or moves it, waits between two looks and after a failure, in ms. */
export interface Pace {
  lookMs: number;
  againMs: number;
}

/** What events are appended by. */
export interface AppendSteps extends Pick<MacroSteps, "ask"> {
  traced?: ((item: EventItem) => EventItem) | undefined;
}

/** How far a log goes. */
export interface LogHead {
  /** Offset of the newest event; 0: there was none. */
  tail: number;
  /** The newest offset that is no longer kept. */
  floor: number;
  /** Of the events that are kept. */
  bytes: number;
}

/** An event without its data, for those who count. */
export type EventOutline = Pick<
  EventRow,
  "offset" | "space" | "caller" | "agent" | "source" | "type" | "subject" | "log_time" | "size"
>;

/** A range of offsets: after the one, up to the other. */
export interface Range {
  after: number;
  upTo: number;
}

/** A type of events, and a space that has it. */
export interface SeenType {
  space: string;
  type: string;
}

/** A durable, ordered log of events. Offsets are 1, 2, 3 …; one is never used again. */
export interface EventLog {
  /** The node stops: nothing more is read, and who waits is to be told. */
  readonly isOver: boolean;
  /** It is known that it cannot be asked now: the head may be behind, and older events do not come. */
  readonly isAway: boolean;
  /** The name of this log in cursors; another one is of another log, or of another history. */
  name(): string;
  /** Returns how far it goes, as this node knows it now. */
  head(): LogHead;
  /**
   * Returns the offset of a cursor, by `head`. Faults: `invalid_input` for what is no cursor or lies ahead,
   * `below_floor` and `history_forked` with the oldest cursor to go on from.
   */
  judge(cursor: string): number;
  /**
   * Appends events of one caller for one space, in their order, with an outcome for each. `steps`: those of a call of
   * that caller; `traced` adds its trace to an event where no key stands for the events. Resolves when they are as
   * durable as the log promises. Rejects with the Fault of all of them.
   */
  append(steps: AppendSteps, space: string, items: readonly EventItem[]): Promise<Appended>;
  /** Returns the next events after an offset, oldest first: at most `max`, and no more once they have `STEP_BYTES`. */
  after(offset: number, max: number): Soon<EventRow[]>;
  /** Returns the events before an offset, newest first, bounded in the same way. */
  before(offset: number, max: number): Soon<EventRow[]>;
  /** Returns what events of a range are, newest first, at most `max`. */
  outlines(range: Range, max: number): Soon<EventOutline[]>;
  /** Returns the event at an offset; undefined where none is kept. */
  at(offset: number): Soon<EventRow | undefined>;
  /** Returns the newest kept event of a source, with the caller in front, and an id. */
  find(source: string, id: string): Soon<EventRow | undefined>;
  /** Returns the offset behind which the events lie that were ordered at a time or later. */
  offsetBefore(timeMs: number): Soon<number>;
  /**
   * Returns the offset behind which the events lie that were ordered after a change of the replicated log. Throws Fault
   * `below_floor`.
   */
  offsetAfterChange(seq: number): Soon<number>;
  /** Returns when the first event after an offset was ordered, in ms; undefined: there is none up to `upTo`. */
  orderedAfter(offset: number, upTo: number): Soon<number | undefined>;
  /** Returns the types of the events after an offset, with their spaces, each pair once, sorted. */
  types(after: number): Soon<SeenType[]>;
  /** Returns which promise an acknowledged event has, in words of the header Cairn-Durability. */
  durability(): string;
  /** Calls `listener` when the head or the name may be others, or the log is over; returns what ends that. */
  onHead(listener: () => void): () => void;
}

/** The number of voters of the fleet, for what the log promises. */
export const VOTERS: ServiceKey<() => number> = new ServiceKey("the number of voters");

/** The log of events of the fleet. */
export const EVENT_LOG: ServiceKey<EventLog> = new ServiceKey("the log of events");
