// Terms of what members hold by a claim, measured by the leader (replication.md 29): renewals stay in its memory, and
// the end of a claim is a command. A new leader knows no renewals, so it gives each claim its whole time.

import { Fault } from "../lib/fault.ts";
import { rejectOnAbort } from "../lib/pause.ts";
import type { SleepClock } from "../lib/sleep-clock.ts";

/** A claim that somebody has. */
export interface HeldClaim {
  /** Names the claim: another one of the same thing has another key. */
  key: string;
  ttlMs: number;
}

/** The terms that one node measures, as many as there are claims. */
export class HeldTerms {
  readonly #clock: SleepClock;
  /** When each is over, by key. */
  readonly #untilMs = new Map<string, number>();
  /**
   * Ends that were proposed and have no outcome yet: until then none of these claims is renewed. They outlive a term of
   * leadership, because a command that was sent in one may be applied in the next.
   */
  readonly #ending = new Map<string, Promise<void>>();
  #leading: AbortSignal = AbortSignal.abort();

  constructor(clock: SleepClock) {
    this.#clock = clock;
  }

  /** Begins a term of leadership. */
  begin(signal: AbortSignal): void {
    this.#leading = signal;
    this.#untilMs.clear();
    signal.addEventListener("abort", () => this.#leading === signal && this.#untilMs.clear(), { once: true });
  }

  /** The signal of the present term of leadership. */
  get leading(): AbortSignal {
    return this.#leading;
  }

  /** Begins terms of claims that are new here, and returns those whose time is over and whose end is not proposed. */
  look(held: readonly HeldClaim[]): Set<string> {
    const nowMs = this.#clock.nowMs();
    const known = new Set(held.map(({ key }) => key));
    for (const key of this.#untilMs.keys()) if (!known.has(key)) this.#untilMs.delete(key);
    for (const claim of held) if (!this.#untilMs.has(claim.key)) this.#keep(claim);
    const over = held.filter(({ key }) => (this.#untilMs.get(key) ?? 0) <= nowMs && !this.#ending.has(key));
    return new Set(over.map(({ key }) => key));
  }

  /**
   * Begins another term of a claim, in a call that passed a barrier after it arrived. `find` returns the claim, or
   * throws where it is over; it is called once no end of it is undecided. Rejects with that, or with `unavailable`
   * where this node does not lead.
   */
  async renew(key: string, find: () => HeldClaim, signal: AbortSignal): Promise<void> {
    for (let end = this.#ending.get(key); end !== undefined; end = this.#ending.get(key))
      await Promise.race([end, rejectOnAbort(signal)]);
    // From here nothing waits: an end that is proposed now finds the new term.
    const claim = find();
    if (this.#leading.aborted)
      throw new Fault("unavailable", "This node does not lead now, or does not know all claims yet", {
        hint: "Send it again at once: the claim goes on meanwhile.",
      });
    this.#keep(claim);
  }

  #keep({ key, ttlMs }: HeldClaim): void {
    this.#untilMs.set(key, this.#clock.nowMs() + ttlMs);
  }

  /** Notes that the end of a claim is proposed; `outcome` resolves when it is known to be applied or not. */
  end(key: string, outcome: Promise<void>): void {
    this.#ending.set(
      key,
      outcome.finally(() => this.#ending.delete(key)),
    );
  }
}

/**
 * Returns for how long a member may count on a claim from now, in ms, when it sent its call at `sentMs`: less than the
 * leader waits, because clocks differ in their rates and the leader counts from when it saw the call. 0 or less: its
 * time is over, and nothing may begin.
 */
export function countedOnMs(ttlMs: number, sentMs: number, nowMs: number): number {
  return sentMs + ttlMs - ttlMs / 50 - 1000 - nowMs;
}
