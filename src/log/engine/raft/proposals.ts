// The writes of this server on their way through raft. Waiting commands become entries; an entry in flight resolves its
// promises when it is applied here, or rejects them as unknown.

import { randomBytes } from "node:crypto";
import type { Fault } from "../../../lib/fault.ts";
import type { BatchResult } from "../../apply-batch.ts";
import { type EntryHeader, encodeEntry } from "../../entry.ts";
import type { Applied, Command } from "../../log.ts";
import type { Position } from "../../position.ts";
import { resolveBatch, type WaitingCommand, WaitingCommands } from "../../waiting.ts";
import { unknownOutcome } from "./faults.ts";

/**
 * Above this time from proposal to apply, one entry in flight no longer fills the line, and up to 16 are sent
 * (replication.md 24).
 */
const FAR_MS = 20;
const FAR_WINDOW = 16;

export interface ProposalsOptions {
  /** Proposes an entry under that ticket. */
  send: (ticket: number, entry: Uint8Array) => void;
  newTicket: () => number;
  stampMs: () => number;
  /** Fleet level of the state. */
  level: () => number;
  positionAt: (seq: number) => Position;
  /** Time in ms after which an entry without an outcome is rejected as unknown. */
  unknownAfterMs: number;
}

interface InFlight {
  batch: WaitingCommand[];
  sentMs: number;
  timer: ReturnType<typeof setTimeout>;
}

/** The commands of this server, by ticket, until each has its outcome. */
export class Proposals {
  readonly #options: ProposalsOptions;
  readonly #origin = randomBytes(16).toString("hex");
  readonly #waiting = new WaitingCommands();
  /** Entries whose outcome is not known here yet, by ticket. */
  readonly #entries = new Map<number, InFlight>();
  /** Tickets that the Go half has not answered. They fill the window. */
  readonly #unanswered = new Set<number>();
  /** Ticket of the costly entry in flight. There is one at a time: several would be applied without a pause. */
  #costly: number | undefined;
  #commitMs = 0;
  #scheduled = false;
  #ended = false;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  /** Number of writes without an outcome: entries in flight, and commands that are not part of one. */
  get open(): number {
    return this.#waiting.length + this.#entries.size;
  }

  propose(command: Command): Promise<Applied> {
    const outcome = this.#waiting.add(command);
    this.#schedule();
    return outcome;
  }

  /** Notes that a ticket is committed, or known not to be, so the next entry may be sent. */
  answered(ticket: number): void {
    if (this.#unanswered.delete(ticket)) this.#schedule();
  }

  /** Rejects the writes of a ticket that is in no log. */
  refuse(ticket: number, fault: Fault): void {
    for (const item of this.#forget(ticket)?.batch ?? []) item.reject(fault);
    this.answered(ticket);
  }

  /**
   * Notes that an entry came back committed. If it is one of these, the next one is sent before it is applied, so that
   * one disk writes while the other half works.
   */
  committed({ origin, ticket }: EntryHeader): void {
    if (origin === this.#origin && this.#unanswered.delete(ticket) && this.#waiting.length > 0) this.#pump();
  }

  /** Resolves the writes of an entry that was applied here, if it is one of these. */
  applied({ origin, ticket }: EntryHeader, result: BatchResult): void {
    const own = origin === this.#origin ? this.#forget(ticket) : undefined;
    if (own === undefined) return;
    this.#commitMs += (performance.now() - own.sentMs - this.#commitMs) / 8;
    resolveBatch(own.batch, result.outcomes, this.#options.positionAt);
  }

  /** Rejects the writes in flight as unknown: it cannot be known whether they were made. */
  markUncertain(): void {
    for (const ticket of [...this.#entries.keys()]) this.refuse(ticket, unknownOutcome());
  }

  /** Ends: writes in flight are rejected as unknown, waiting ones with `waiting`, since they were not made. */
  end(waiting: () => Fault): void {
    this.#ended = true;
    this.markUncertain();
    this.#waiting.rejectAll(waiting);
  }

  #forget(ticket: number): InFlight | undefined {
    const found = this.#entries.get(ticket);
    this.#entries.delete(ticket);
    clearTimeout(found?.timer);
    if (ticket === this.#costly) {
      this.#costly = undefined;
      this.#schedule();
    }
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
      const batch = this.#waiting.takeBatch(this.#costly === undefined);
      if (batch === undefined) return;
      const ticket = newTicket();
      const bytes = encodeEntry(
        { level: level(), origin: this.#origin, ticket, stampMs: stampMs() },
        batch.items.map((item) => item.packed),
      );
      const timer = setTimeout(() => this.refuse(ticket, unknownOutcome()), unknownAfterMs);
      if (batch.isCostly) this.#costly = ticket;
      this.#entries.set(ticket, { batch: batch.items, sentMs: performance.now(), timer });
      this.#unanswered.add(ticket);
      send(ticket, bytes);
    }
  }
}
