// Writes on their way through raft: what waits becomes entries, an entry in flight resolves its promises when it is applied here, or tells them that nobody knows.

import { randomBytes } from "node:crypto";
import type { Fault } from "../../../lib/fault.ts";
import type { BatchResult } from "../../apply-batch.ts";
import { type EntryHeader, encodeEntry } from "../../entry.ts";
import type { Applied, Command } from "../../log.ts";
import { answer, type Waiting, WaitingCommands } from "../../waiting.ts";
import { unknownOutcome } from "./faults.ts";

/** Above this time from proposal to apply, gathering alone no longer fills the line, and more entries are in flight (replication.md 24). */
const FAR_MS = 20;
const FAR_WINDOW = 16;

export interface FlightsOptions {
  /** Proposes an entry under that ticket. */
  send: (ticket: number, entry: Uint8Array) => void;
  newTicket: () => number;
  stampMs: () => number;
  /** Fleet level of the state. */
  level: () => number;
  /** Ms until an entry without an outcome is answered as unknown. */
  unknownAfterMs: number;
}

interface InFlight {
  batch: Waiting[];
  sentMs: number;
  timer: ReturnType<typeof setTimeout>;
}

/** The commands of this server on their way through the log, by ticket, until each has its outcome. */
export class Flights {
  readonly #options: FlightsOptions;
  readonly #origin = randomBytes(16).toString("hex");
  readonly #waiting = new WaitingCommands();
  /** Entries whose outcome is not known here yet, by ticket. */
  readonly #entries = new Map<number, InFlight>();
  /** Tickets that the Go half has not answered; they fill the window. */
  readonly #unanswered = new Set<number>();
  #commitMs = 0;
  #scheduled = false;
  #ended = false;

  constructor(options: FlightsOptions) {
    this.#options = options;
  }

  /** Writes that have no outcome yet: entries, and commands that no entry holds. */
  get open(): number {
    return this.#waiting.length + this.#entries.size;
  }

  propose(command: Command): Promise<Applied> {
    const outcome = this.#waiting.add(command);
    this.#schedule();
    return outcome;
  }

  /** That ticket is committed, or is known not to be: the next entry may go. */
  answered(ticket: number): void {
    if (this.#unanswered.delete(ticket)) this.#schedule();
  }

  /** That ticket is in no log. */
  refuse(ticket: number, fault: Fault): void {
    for (const item of this.#forget(ticket)?.batch ?? []) item.reject(fault);
    this.answered(ticket);
  }

  /** An entry came back committed: where it is one of these, the next one is sent before it is applied, so that one disk writes while the other half works. */
  committed({ origin, ticket }: EntryHeader): void {
    if (origin === this.#origin && this.#unanswered.delete(ticket) && this.#waiting.length > 0) this.#pump();
  }

  /** An entry was applied here; its own promises get their outcomes. */
  applied({ origin, ticket }: EntryHeader, result: BatchResult): void {
    const own = origin === this.#origin ? this.#forget(ticket) : undefined;
    if (own === undefined) return;
    this.#commitMs += (performance.now() - own.sentMs - this.#commitMs) / 8;
    answer(own.batch, result.outcomes, result.state.epoch);
  }

  /** Whether what is on its way was written can no longer be told. */
  lose(): void {
    for (const ticket of [...this.#entries.keys()]) this.refuse(ticket, unknownOutcome());
  }

  /** Nothing more comes: what is on its way stays unknown, what only waits was not written. */
  end(waiting: () => Fault): void {
    this.#ended = true;
    this.lose();
    this.#waiting.rejectAll(waiting);
  }

  #forget(ticket: number): InFlight | undefined {
    const found = this.#entries.get(ticket);
    this.#entries.delete(ticket);
    clearTimeout(found?.timer);
    return found;
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { newTicket, stampMs, level, send, unknownAfterMs } = this.#options;
    const window = this.#commitMs > FAR_MS ? FAR_WINDOW : 1;
    while (!this.#ended && this.#waiting.length > 0 && this.#unanswered.size < window) {
      const batch = this.#waiting.takeBatch();
      const ticket = newTicket();
      const bytes = encodeEntry(
        { level: level(), origin: this.#origin, ticket, stampMs: stampMs() },
        batch.map((item) => item.packed),
      );
      const timer = setTimeout(() => this.refuse(ticket, unknownOutcome()), unknownAfterMs);
      this.#entries.set(ticket, { batch, sentMs: performance.now(), timer });
      this.#unanswered.add(ticket);
      send(ticket, bytes);
    }
  }
}
