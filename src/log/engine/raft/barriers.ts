// Barriers of `leader` reads (replication.md 12): an empty entry proposed after a reader came, and applied here. One in flight serves all who came before it was sent.

import { Fault } from "../../../lib/fault.ts";

interface Waiter {
  resolve: () => void;
  reject: (fault: Fault) => void;
}

export interface BarriersOptions {
  /** Proposes an empty entry under that ticket. */
  send: (ticket: number) => void;
  /** Ms until a barrier without an answer is given up. */
  afterMs: number;
}

/** Linearizable reads of a leader: calls that wait together share one barrier in the log. */
export class Barriers {
  readonly #options: BarriersOptions;
  #next: Waiter[] = [];
  #flying:
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
      if (this.#flying === undefined) this.#send();
    });
  }

  /** Whether the committed ticket is the barrier's; it waits on until `applied` reaches its index. */
  proposed(ticket: number, index: number, applied: number): boolean {
    if (this.#flying?.ticket !== ticket) return false;
    this.#flying.index = index;
    this.applied(applied);
    return true;
  }

  /** Entries up to `index` are applied. */
  applied(index: number): void {
    if (this.#flying?.index !== undefined && this.#flying.index <= index) this.#land((waiter) => waiter.resolve());
  }

  /** Whether the refused ticket is the barrier's. */
  refused(ticket: number, fault: Fault): boolean {
    if (this.#flying?.ticket !== ticket) return false;
    this.#land((waiter) => waiter.reject(fault));
    return true;
  }

  /** Nothing is applied any more. */
  end(fault: Fault): void {
    const waiters = [...(this.#flying?.waiters ?? []), ...this.#next.splice(0)];
    clearTimeout(this.#flying?.timer);
    this.#flying = undefined;
    for (const waiter of waiters) waiter.reject(fault);
  }

  #send(): void {
    const ticket = this.#newTicket();
    const late = new Fault("unavailable", `No majority answered within ${this.#options.afterMs} ms`, {
      hint: "Read with consistency `session` or `any`, or try again.",
    });
    const timer = setTimeout(() => this.#land((waiter) => waiter.reject(late)), this.#options.afterMs);
    this.#flying = { ticket, index: undefined, waiters: this.#next.splice(0), timer };
    this.#options.send(ticket);
  }

  #land(tell: (waiter: Waiter) => void): void {
    const waiters = this.#flying?.waiters ?? [];
    clearTimeout(this.#flying?.timer);
    this.#flying = undefined;
    for (const waiter of waiters) tell(waiter);
    if (this.#next.length > 0) this.#send();
  }
}
