// Deliveries that a target gets together, because people read them: one at once, then what came meanwhile in one, and
// no more than so many an hour. Nothing is taken off the place of the subscription before it was sent.

import type { Delivery, GroupRule } from "./delivery.ts";

const HOUR_MS = 3_600_000;
/** Most events of a group that become dead letters beside those that are shown. */
const MAX_LEFT = 1000;

/** Events that wait to be sent together. */
export interface Group {
  /** The first of them; the others, and how many are only counted, are part of it. */
  readonly first: Delivery;
  readonly others: Delivery[];
  leftOut: number;
  /** Offsets of the first of those that are only counted. */
  readonly left: number[];
  /** Everything up to this offset is done with once it is sent. */
  seen: number;
  /** Events before it that retention removed. */
  missed: number;
}

/** What waits for one target, and when it may go. */
export class Grouping {
  /** Times of the messages of the last hour, oldest first. */
  readonly #sent: number[] = [];
  waiting: Group | undefined;

  /** Adds an event; beyond those that are shown it is counted. */
  add(delivery: Delivery, shown: number): void {
    const { waiting } = this;
    const { offset: seen } = delivery;
    if (waiting === undefined) this.waiting = { first: delivery, others: [], leftOut: 0, left: [], seen, missed: 0 };
    else {
      if (waiting.others.length + 1 < shown) waiting.others.push(delivery);
      else {
        waiting.leftOut += 1;
        if (waiting.left.length < MAX_LEFT) waiting.left.push(seen);
      }
      waiting.seen = seen;
    }
  }

  /** Reports whether the next message may be sent; `rule` undefined: events are not grouped any more. */
  isDue(rule: GroupRule | undefined, nowMs: number): boolean {
    return rule === undefined || this.#dueMs(rule, nowMs) <= nowMs;
  }

  /** Returns when the next message may be sent, in ms of the clock of the node; 0: at once. */
  #dueMs({ everyMs, perHour }: GroupRule, nowMs: number): number {
    // A clock that was set back holds up nothing.
    for (const [at, sentMs] of this.#sent.entries()) this.#sent[at] = Math.min(sentMs, nowMs);
    const bound = this.#sent.length < perHour ? 0 : (this.#sent.at(-perHour) ?? 0) + HOUR_MS;
    return Math.max(bound, (this.#sent.at(-1) ?? Number.NEGATIVE_INFINITY) + everyMs, 0);
  }

  /**
   * Counts the message in which an event went before this queue began: it went when it came, or when a message was due.
   * `cameMs`: when it was ordered.
   */
  recall(rule: GroupRule, cameMs: number, nowMs: number): void {
    if (cameMs <= (this.#sent.at(-1) ?? 0)) return;
    const wentMs = Math.max(cameMs, this.#dueMs(rule, cameMs));
    if (wentMs <= nowMs) this.#note(wentMs);
  }

  /** A message was sent. */
  sent(nowMs: number): void {
    this.#note(nowMs);
    this.waiting = undefined;
  }

  #note(sentMs: number): void {
    while ((this.#sent[0] ?? sentMs) <= sentMs - HOUR_MS) this.#sent.shift();
    this.#sent.push(sentMs);
  }
}

/**
 * Returns the offsets of a group that is given up: each becomes a dead letter; and up to which offset that is all.
 * What is behind it is looked at again.
 */
export function givenUp({ first, others, leftOut, left, seen }: Group): { offsets: readonly number[]; at: number } {
  const offsets = [first.offset, ...others.map(({ offset }) => offset), ...left];
  return { offsets, at: left.length < leftOut ? (left.at(-1) ?? first.offset) : seen };
}

/** Returns a group as one delivery. */
export function deliveryOf({ first, others, leftOut }: Group): Delivery {
  if (others.length === 0 && leftOut === 0) return first;
  return { ...first, others: others.map(({ record }) => record), leftOut };
}
