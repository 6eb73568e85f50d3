// Barriers for `leader` reads (replication.md 12). A barrier is an empty entry that is proposed after the read arrived;
// once it is applied here, the read sees everything acknowledged before. One barrier in flight serves all reads that
// arrived before it was sent.

import { Fault } from "../../../lib/fault.ts";

interface Waiter {
  resolve: () => void;
  reject: (fault: Fault) => void;
}

export interface BarriersOptions {
  /** Proposes an empty entry under that ticket. */
  send: (ticket: number) => void;
  /** Time in ms after which a barrier without an outcome fails. */
  afterMs: number;
}

/** The barriers of one leader. Reads that wait together share one barrier. */
export class Barriers {
  readonly #options: BarriersOptions;
  #next: Waiter[] = [];
  #inFlight:
    | { ticket: number; index: number | undefined; waiters: Waiter[]; timer: ReturnType<typeof setTimeout> }
    | undefined;
  #newTicket: () => number = () => 0;

  constructor(options: BarriersOptions) {
    this.#options = options;
  }

  /** Resolves when an entry that is proposed from now on is applied. */
  wait(newTicket: () => number): Promise<void> {
    this.#newTicket = newTicket;
    return new Promise((resolve, reject) => {
      this.#next.push({ resolve, reject });
      if (this.#inFlight === undefined) this.#send();
    });
  }

  /** Reports whether the committed ticket is the barrier's. It then waits until `applied` reaches its index. */
  proposed(ticket: number, index: number, applied: number): boolean {
    if (this.#inFlight?.ticket !== ticket) return false;
    this.#inFlight.index = index;
    this.applied(applied);
    return true;
  }

  /** Notes that the entries up to `index` are applied. */
  applied(index: number): void {
    if (this.#inFlight?.index !== undefined && this.#inFlight.index <= index)
      this.#settle((waiter) => waiter.resolve());
  }

  /** Reports whether the refused ticket is the barrier's, and rejects its reads then. */
  refused(ticket: number, fault: Fault): boolean {
    if (this.#inFlight?.ticket !== ticket) return false;
    this.#settle((waiter) => waiter.reject(fault));
    return true;
  }

  /** Rejects all reads: nothing is applied any more. */
  end(fault: Fault): void {
    const waiters = [...(this.#inFlight?.waiters ?? []), ...this.#next.splice(0)];
    clearTimeout(this.#inFlight?.timer);
    this.#inFlight = undefined;
    for (const waiter of waiters) waiter.reject(fault);
  }

  #send(): void {
    const ticket = this.#newTicket();
    const late = new Fault("unavailable", `No majority answered within ${this.#options.afterMs} ms`, {
      hint: "Read with consistency `session` or `any`, or try again.",
    });
    const timer = setTimeout(() => this.#settle((waiter) => waiter.reject(late)), this.#options.afterMs);
    this.#inFlight = { ticket, index: undefined, waiters: this.#next.splice(0), timer };
    this.#options.send(ticket);
  }

  #settle(outcome: (waiter: Waiter) => void): void {
    const waiters = this.#inFlight?.waiters ?? [];
    clearTimeout(this.#inFlight?.timer);
    this.#inFlight = undefined;
    for (const waiter of waiters) outcome(waiter);
    if (this.#next.length > 0) this.#send();
  }
}
