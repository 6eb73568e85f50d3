// Waits for positions, and remembers the last position of each caller whose call went to another node, so that the
// caller reads its own writes here without sending one (replication.md 27).

import { LRUCache } from "lru-cache";
import { Fault } from "../lib/fault.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, isPosition, type Position, parsePosition } from "../log/position.ts";
import type { Operation } from "./define.ts";

const MAX_CALLERS = 10_000;

/**
 * Returns the position that a read needs: `min_position`, or the argument `since` of a read that waits where that is
 * newer. The caller may name what is in the state since then, so its arguments are judged against that state. Throws
 * Fault `invalid_input` for what is no position.
 */
export function neededPosition(
  operation: Operation,
  input: Readonly<Record<string, unknown>>,
  minPosition: string | undefined,
): string | undefined {
  const since = operation.kind === "read" && operation.waits === true ? input["since"] : undefined;
  // What is no position is a cursor in a feed of its own, which the operation judges.
  if (typeof since !== "string" || !isPosition(since)) return minPosition;
  if (minPosition === undefined || parsePosition(since).seq > parsePosition(minPosition).seq) return since;
  return minPosition;
}

/** What this node has applied, and what each caller has seen. */
export class Positions {
  readonly #log: Log;
  /** Only of callers that saw more than this node had. */
  readonly #seen = new LRUCache<string, Position>({ max: MAX_CALLERS });

  constructor(log: Log) {
    this.#log = log;
  }

  /** Returns the position that is applied on this node, as text. */
  here(): string {
    return formatPosition(this.#log.position());
  }

  /** Records that a caller got an answer of this position from another node. */
  saw(caller: string, position: string): void {
    const shown = parsePosition(position);
    if (this.#log.sameHistory(shown) && shown.seq <= this.#log.position().seq) return;
    const before = this.#seen.get(caller);
    if (before?.epoch !== shown.epoch || before.seq < shown.seq) this.#seen.set(caller, shown);
  }

  /**
   * Returns the position that a session read needs and this node has not applied yet; undefined: none. Throws Fault
   * `invalid_input` or `history_forked`.
   */
  missing(caller: string, shown: string | undefined): Position | undefined {
    const asked = shown === undefined ? undefined : this.#parse(shown);
    const own = this.#ownOf(caller);
    const wanted = own !== undefined && own.seq > (asked?.seq ?? 0) ? own : asked;
    return wanted !== undefined && wanted.seq > this.#log.position().seq ? wanted : undefined;
  }

  /**
   * Waits until a position that a caller sent is applied here, and returns its seq. Rejects with Fault `invalid_input`,
   * `history_forked`, or `unavailable` after `withinMs`.
   */
  async reach(text: string, withinMs: number, signal: AbortSignal): Promise<number> {
    const wanted = this.#parse(text);
    if (!(await this.reached(wanted, withinMs, signal))) throw this.behind(text);
    return wanted.seq;
  }

  /**
   * As `reach`, of a position from which a caller goes on: the node that orders writes knows at once that there is no
   * such one yet. Rejects with Fault `invalid_input` then.
   */
  async reachKnown(text: string, withinMs: number, signal: AbortSignal): Promise<number> {
    const log = this.#log;
    const { seq } = this.#parse(text);
    if (seq > log.position().seq && log.leadership().leading) {
      const isWhole = await log.barrier().then(
        () => true,
        () => false,
      );
      if (isWhole && seq > log.position().seq)
        throw new Fault("invalid_input", `The position ${text} is ahead of the newest change, ${this.here()}`, {
          hint: "Give a position from an earlier answer of this fleet.",
          details: { newest: this.here() },
        });
    }
    return this.reach(text, withinMs, signal);
  }

  /** Reports whether a position was applied here within the time. Rejects when the signal aborts. */
  async reached(wanted: Position, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const log = this.#log;
    if (log.position().seq >= wanted.seq) return true;
    await log.changes.reached(wanted.seq, signal, AbortSignal.timeout(withinMs));
    return log.position().seq >= wanted.seq;
  }

  /** Returns the fault of a read for which this node is too far behind; `facts.applied` is what it has applied. */
  behind(text: string): Fault {
    return new Fault("unavailable", `This node has applied ${this.here()}, not yet ${text}`, {
      hint: "Try again in a moment.",
      facts: { applied: this.here() },
      details: { retryAfterSeconds: 1 },
    });
  }

  #ownOf(caller: string): Position | undefined {
    const own = this.#seen.size === 0 ? undefined : this.#seen.get(caller);
    if (own === undefined) return undefined;
    const { epoch, seq } = this.#log.position();
    const isPast = own.epoch === epoch ? own.seq <= seq : !this.#log.sameHistory(own);
    if (isPast) this.#seen.delete(caller);
    return isPast ? undefined : own;
  }

  #parse(text: string): Position {
    const wanted = parsePosition(text);
    if (this.#log.sameHistory(wanted)) return wanted;
    throw new Fault(
      "history_forked",
      `The position ${text} belongs to another history than this store's (epoch ${this.#log.position().epoch})`,
      { hint: "The store was restored or recovered since then; read again without this position." },
    );
  }
}
