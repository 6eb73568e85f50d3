// What a subscription has told people to be down: an end is told only of what was told, a repetition is not, and what
// lasts is told again. Made of the events themselves, so that a new leader knows it too.

import { isObject } from "../../../lib/json-object.ts";
import { OWN_CALLER } from "../own.ts";
import type { Delivery, RemindRule } from "./delivery.ts";
import type { OutboxOptions } from "./outbox-options.ts";
import type { QueuedEvent, RunningSubscription } from "./running.ts";

/** Subjects that are remembered; of others an end is told in any case. */
const MAX_DOWN = 1000;
/** Events before the place of a queue that it reads to know what was told, at once and in all. */
const STEP = 64;
const RECALLED = 2048;

/** Types by what they are about: what begins it, and what ends it. */
const BEGINS: ReadonlyMap<string, string> = new Map([
  ["cairn.probe.down", "probe"],
  ["cairn.member.down", "member"],
  ["cairn.condition.raised", "condition"],
  ["cairn.service.down", "service"],
  ["cairn.service.failed", "service"],
  ["cairn.backup.failed", "backup"],
]);
const ENDS: ReadonlyMap<string, string> = new Map([
  ["cairn.probe.up", "probe"],
  ["cairn.member.up", "member"],
  ["cairn.condition.cleared", "condition"],
  ["cairn.service.ready", "service"],
  ["cairn.service.moved", "service"],
  ["cairn.backup.done", "backup"],
]);
/** An end that is news of its own. */
const ALWAYS_TOLD = "cairn.service.moved";

interface Down {
  delivery: Delivery;
  sinceMs: number;
  /** Times that it was told again. */
  reminded: number;
}

const NOT_HELD = { retries: 0, fromMs: 0, toMs: 0 };

/** What was told by one subscription. */
export class Told {
  readonly #down = new Map<string, Down>();
  /** The reminder that is on its way. */
  #due: { down: Down; number: number } | undefined;
  /** Reminders wait, because one has failed. */
  #held = NOT_HELD;
  /** Everything that is down is remembered. */
  #isWhole = true;

  /** Forgets that all is known: events before those that are noted may have told something. */
  missesSome(): void {
    this.#isWhole = false;
  }

  /** Notes an event that the rules take. Reports whether it is told. Only Cairn's own say that something is down. */
  take({ record, sender }: QueuedEvent, delivery: Delivery, nowMs: number): boolean {
    if (sender.caller !== OWN_CALLER) return true;
    const { type, subject = "" } = record;
    const begun = BEGINS.get(type);
    if (begun !== undefined) {
      const key = `${begun} ${subject}`;
      if (this.#down.has(key)) return false;
      const saidMs = Date.parse(record.time);
      this.#down.set(key, { delivery, sinceMs: Number.isNaN(saidMs) ? nowMs : Math.min(saidMs, nowMs), reminded: 0 });
      const oldest = this.#down.keys().next().value;
      if (this.#down.size > MAX_DOWN && oldest !== undefined) {
        this.#down.delete(oldest);
        this.#isWhole = false;
      }
      return true;
    }
    const ended = ENDS.get(type);
    if (ended === undefined) return true;
    return this.#down.delete(`${ended} ${subject}`) || !this.#isWhole || type === ALWAYS_TOLD;
  }

  /** Takes up times that have passed: none of them is told later. */
  passReminders({ everyMs, times }: RemindRule, nowMs: number): void {
    for (const down of this.#down.values())
      down.reminded = Math.min(times, Math.max(down.reminded, Math.floor((nowMs - down.sinceMs) / everyMs)));
  }

  /** Reports whether something is to be told again at some time. */
  hasReminders({ times }: RemindRule): boolean {
    return [...this.#down.values()].some(({ reminded }) => reminded < times);
  }

  /** Attempts at a reminder that have failed in a row. */
  get retries(): number {
    return this.#held.retries;
  }

  /** What is to be told again was told, or is given up. */
  reminded(): void {
    if (this.#due !== undefined) this.#due.down.reminded = this.#due.number;
    this.#held = NOT_HELD;
  }

  /** It could not be told: nothing is told again for so long. */
  retryIn(waitMs: number, nowMs: number): void {
    this.#held = { retries: this.#held.retries + 1, fromMs: nowMs, toMs: nowMs + waitMs };
  }

  /** Returns what is to be told again now, the longest first; undefined: nothing. `reminded` says that it was. */
  reminder({ everyMs, times }: RemindRule, nowMs: number): Delivery | undefined {
    const { fromMs, toMs } = this.#held;
    // A clock that was set back holds up nothing.
    if (nowMs >= fromMs && nowMs < toMs) return undefined;
    const down = [...this.#down.values()].find(
      ({ reminded, sinceMs }) => reminded < times && sinceMs + (reminded + 1) * everyMs <= nowMs,
    );
    if (down === undefined) return undefined;
    const { delivery, sinceMs } = down;
    const number = Math.min(times, Math.floor((nowMs - sinceMs) / everyMs));
    this.#due = { down, number };
    return {
      ...delivery,
      messageId: `${delivery.messageId}-again-${number}`,
      reminder: { sinceMs, isLast: number === times },
    };
  }
}

/** How a queue learns what was told before it began. */
export interface Recall extends Pick<OutboxOptions, "floor" | "eventsAfter" | "nowMs"> {
  /** The place of the queue. */
  at: number;
  remind: RemindRule | undefined;
  /** Returns the delivery of an event; undefined where the subscription did not send it. */
  deliveryFor: (event: QueuedEvent) => Promise<Delivery | undefined>;
  /** Called with when an event was ordered that was told. */
  onTold: (orderedMs: number) => void;
  signal: AbortSignal;
}

/** Notes the events before the place of a queue. What was to be told again meanwhile is not made up for. */
export async function recall(told: Told, options: Recall): Promise<void> {
  const { floor, eventsAfter, nowMs, at, remind, deliveryFor, onTold, signal } = options;
  let from = Math.max(floor(), at - RECALLED);
  if (from > 0) told.missesSome();
  while (from < at && !signal.aborted) {
    const events = (await eventsAfter(from, STEP)).filter(({ offset }) => offset <= at);
    for (const event of events) {
      const delivery = await deliveryFor(event);
      if (delivery !== undefined && told.take(event, delivery, nowMs())) onTold(orderedMs(event) ?? 0);
    }
    from = events.at(-1)?.offset ?? at;
  }
  if (remind !== undefined) told.passReminders(remind, nowMs());
}

/** Reports whether an event is known to be behind where a subscription began. */
export function isBehind(event: QueuedEvent, { began, changedMs }: RunningSubscription): boolean {
  const change = changeOf(event);
  return change === undefined ? (orderedMs(event) ?? 0) > changedMs : change > began;
}

/** Returns when an event was ordered, in ms; undefined where it does not say. */
function orderedMs({ record }: QueuedEvent): number | undefined {
  const ms = Date.parse(String(record["cairntime"]));
  return Number.isNaN(ms) ? undefined : ms;
}

/** Returns the change that an event of Cairn itself is about, by its seq; undefined for events of others. */
function changeOf({ record, sender }: QueuedEvent): number | undefined {
  if (sender.caller !== OWN_CALLER || !isObject(record.data)) return undefined;
  const seq = /^[0-9a-f]+-([0-9]{1,15})$/.exec(String(record.data["position"]))?.[1];
  return seq === undefined ? undefined : Number(seq);
}
