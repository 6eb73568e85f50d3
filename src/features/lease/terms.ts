// The terms of leases, measured by the leader (replication.md 29): renewals are kept in its memory alone, and the end
// of a term becomes a command. A new leader knows no renewals, so it gives each lease a full term.

import { Fault } from "../../lib/fault.ts";
import { rejectOnAbort } from "../../lib/pause.ts";
import type { SleepClock } from "../../lib/sleep-clock.ts";
import type { Cursor } from "../../log/changes.ts";
import type { Lead } from "../../log/duties.ts";
import { levelOf } from "../../log/level.ts";
import type { Log } from "../../log/log.ts";
import { nodeCommand } from "../../log/node-command.ts";
import { decided } from "../../operation/decided.ts";
import { FENCE_LEVEL, type Fence, fenceText } from "../../operation/fence.ts";
import type { Reader } from "../../store/store.ts";
import { lost } from "./claims.ts";
import { leaseExpire } from "./end.ts";
import { type Holder, isSameClaim, isSameHolder, type LeaseRow, leaseOf } from "./rows.ts";

/** What `LeaseTerms` works with. */
export interface LeaseTermsOptions {
  reader: Reader;
  /** The log to propose expiries to; asked at each proposal. */
  log: () => Log;
  /** Names of the operations whose changes are those of leases. */
  operations: ReadonlySet<string>;
  /** Counts the sleep of the machine: a term goes on meanwhile. */
  clock: SleepClock;
}

/** How often the leader looks for terms that are over, in ms: a lease ends so much later at most. */
const LOOK_MS = 250;
/** Most expiries that are proposed at once. */
const MAX_EXPIRING = 256;
/** Changes that are read at once. */
const BATCH = 512;

/** The term of one lease; it has at most as many as there are leases (`MAX_LEASES`). */
interface Term {
  revision: number;
  ttlMs: number;
  /** Reading of the clock when it began. */
  beganMs: number;
}

/** The terms of all leases on one node. Empty while it does not lead. */
export class LeaseTerms {
  readonly #options: LeaseTermsOptions;
  readonly #terms = new Map<string, Term>();
  /**
   * Expiries without an outcome, by lease. They outlive a term of leadership: a command that was proposed in one may be
   * sent in the next, and until it is decided the lease must not be renewed.
   */
  readonly #expiring = new Map<string, Promise<void>>();
  #leading: AbortSignal = AbortSignal.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LeaseTermsOptions) {
    this.#options = options;
  }

  /** The duty of the leader: gives each lease a full term, follows changes, and ends leases until the signal aborts. */
  lead({ signal }: Lead): void {
    const { changes } = this.#options.log();
    this.#leading = signal;
    this.#begin();
    let cursor = this.#newCursor();
    const stop = changes.onApplied(() => {
      try {
        this.#follow(cursor);
      } catch {
        // Another history: what was measured is about the leases of the one before.
        this.#begin();
        cursor = this.#newCursor();
      }
    });
    const end = () => {
      stop();
      this.#terms.clear();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }

  /**
   * Begins a new term of a lease, in a call that passed a barrier after it arrived. Rejects with Fault `lease_lost`, or
   * `unavailable` where this node does not lead.
   */
  async renew(fence: Fence, holder: Holder, signal: AbortSignal): Promise<LeaseRow> {
    const { reader, clock } = this.#options;
    await Promise.race([this.#expiring.get(fence.name), rejectOnAbort(signal)]);
    const lease = leaseOf(reader, fence.name);
    if (lease === undefined || !isSameClaim(lease, fence) || !isSameHolder(lease, holder))
      throw lost(fenceText(fence), lease);
    if (this.#leading.aborted) {
      throw new Fault("unavailable", "This node does not lead now, or does not know the leases yet", {
        hint: "Renew again at once: the term goes on meanwhile.",
      });
    }
    this.#terms.set(fence.name, { revision: lease.revision, ttlMs: lease.ttl_ms, beganMs: clock.nowMs() });
    return lease;
  }

  /** Returns what is left of the term of a lease, in ms; undefined where it is not held or this node does not lead. */
  leftMs(reader: Reader, name: string): number | undefined {
    const term = this.#terms.get(name);
    if (term === undefined || term.revision !== leaseOf(reader, name)?.revision) return undefined;
    return Math.max(0, term.beganMs + term.ttlMs - this.#options.clock.nowMs());
  }

  /** Proposes the end of leases whose term is over. Called by the timer, and by tests. */
  look(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [name, { revision, ttlMs, beganMs }] of this.#terms) {
      if (this.#expiring.size >= MAX_EXPIRING) return;
      if (nowMs - beganMs < ttlMs || this.#expiring.has(name)) continue;
      const lease = leaseOf(this.#options.reader, name);
      if (lease?.revision === revision) this.#expire(lease);
    }
  }

  #begin(): void {
    const { reader } = this.#options;
    this.#terms.clear();
    if (levelOf(reader) >= FENCE_LEVEL)
      for (const lease of reader.all<LeaseRow>("SELECT * FROM leases ORDER BY name")) this.#measure(lease);
  }

  #newCursor(): Cursor {
    const log = this.#options.log();
    return log.changes.cursor(log.position().seq);
  }

  #follow(cursor: Cursor): void {
    const { reader, operations } = this.#options;
    for (;;) {
      const batch = cursor.next(BATCH);
      for (const { operation, target } of batch) {
        if (!operations.has(operation)) continue;
        const lease = leaseOf(reader, target);
        if (lease === undefined) this.#terms.delete(target);
        else if (this.#terms.get(target)?.revision !== lease.revision) this.#measure(lease);
      }
      if (batch.length < BATCH) return;
    }
  }

  #measure({ name, revision, ttl_ms }: LeaseRow): void {
    this.#terms.set(name, { revision, ttlMs: ttl_ms, beganMs: this.#options.clock.nowMs() });
    this.#timer ??= this.#schedule();
  }

  /** Looks again and again while there are terms to measure. */
  #schedule(): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#timer = undefined;
      if (this.#leading.aborted || this.#terms.size === 0) return;
      this.look();
      this.#timer = this.#schedule();
    }, LOOK_MS).unref();
  }

  #expire({ name, n, seq, revision }: LeaseRow): void {
    const input = { name, n, seq, revision };
    const command = nodeCommand(leaseExpire, input);
    const outcome = decided(this.#options.log, command, () => this.#leading);
    this.#expiring.set(
      name,
      outcome.finally(() => this.#expiring.delete(name)),
    );
  }
}
