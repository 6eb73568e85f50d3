// The engine without consensus: commands that wait together become one entry, applied in one durable transaction on the
// main thread (group commit). It always leads. Tests of what lies above a log use it: the same entry bytes and the same
// apply as raft, without the Go half.

import { randomBytes } from "node:crypto";
import { Fault } from "../../../lib/fault.ts";
import { isStorageFull, type Store } from "../../../store/store.ts";
import { applyEntry, type BatchResult, type BatchState } from "../../apply-batch.ts";
import { Changes } from "../../changes.ts";
import { Duties, type Duty } from "../../duties.ts";
import { encodeEntry } from "../../entry.ts";
import { type History, hashAt, openHistory } from "../../history.ts";
import type { Applied, Apply, Command, Leadership, Log } from "../../log.ts";
import type { Position } from "../../position.ts";
import { RecentDigests, type RunningDigest } from "../../running-digest.ts";
import { resolveBatch, stopping, type WaitingCommand, WaitingCommands } from "../../waiting.ts";

export interface DirectOptions {
  store: Store;
  apply: Apply;
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Called once when the store can no longer be trusted; the process must end. */
  onFatal: (error: unknown) => void;
}

/** A log of one node without raft. The history continues where the store left it. */
export class DirectLog implements Log {
  readonly changes: Changes;
  readonly #options: DirectOptions;
  readonly #history: History;
  readonly #duties = new Duties();
  readonly #waiting = new WaitingCommands();
  readonly #origin = randomBytes(16).toString("hex");
  #state: BatchState;
  #digests: RecentDigests;
  #scheduled = false;
  #ticket = 0;
  #closed = false;

  /** Opens the log over its store. Faults: `data_newer`, `data_corrupt`. */
  constructor(options: DirectOptions) {
    this.#options = options;
    this.#history = openHistory(options.store);
    this.#state = this.#history;
    this.#digests = new RecentDigests(this.#state.digest);
    const { epoch, seq } = this.#history;
    this.changes = new Changes(options.store.reader, { epoch, seq }, options.apply.apart);
    this.#duties.begin(1);
  }

  ready(): boolean {
    return true;
  }

  leadership(): Leadership {
    return { leading: !this.#closed, server: this.#closed ? "" : "direct", term: 1 };
  }

  onLeadership(): () => void {
    return () => {};
  }

  onLeading(duty: Duty): () => void {
    return this.#duties.on(duty);
  }

  barrier(): Promise<void> {
    return this.#closed ? Promise.reject(stopping()) : Promise.resolve();
  }

  propose(command: Command): Promise<Applied> {
    if (this.#closed) return Promise.reject(stopping());
    const outcome = this.#waiting.add(command);
    if (this.#waiting.length > 0) this.#schedule();
    return outcome;
  }

  position(): Position {
    return { epoch: this.#state.epoch, seq: this.#state.seq };
  }

  timeMs(): number {
    return Math.max(this.#state.logTimeMs, this.#options.nowMs());
  }

  head(): { seq: number; hash: Uint8Array } {
    return { seq: this.#state.seq, hash: this.#state.hash };
  }

  hashAt(seq: number): Uint8Array | undefined {
    return hashAt(this.#options.store.reader, seq);
  }

  digest(): RunningDigest | undefined {
    return this.#digests.newest();
  }

  digestAt(count: number): string | undefined {
    return this.#digests.at(count);
  }

  positionAt(seq: number): Position {
    return this.#history.positionAt(seq);
  }

  sameHistory(position: Position): boolean {
    return this.#history.sameHistory(position);
  }

  stopApply(reason: Fault): void {
    this.#fail(reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#duties.end();
    while (this.#waiting.length > 0) this.#flush();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const batch = this.#waiting.takeBatch()?.items;
    if (batch === undefined) return;
    let result: BatchResult;
    try {
      result = this.#applyBatch(batch);
    } catch (error) {
      this.#refuse(batch, error);
      if (this.#waiting.length > 0) this.#schedule();
      return;
    }
    this.#state = result.state;
    this.#digests.add(result.state.digest);
    try {
      resolveBatch(batch, result.outcomes, this.#history.positionAt);
      this.changes.publish(result.changes);
    } finally {
      if (this.#waiting.length > 0) this.#schedule();
    }
  }

  #applyBatch(batch: readonly WaitingCommand[]): BatchResult {
    const { store, apply, nowMs } = this.#options;
    this.#ticket += 1;
    const bytes = encodeEntry(
      { level: this.#state.level, origin: this.#origin, ticket: this.#ticket, stampMs: nowMs() },
      batch.map((item) => item.packed),
    );
    const result = applyEntry(store, apply, this.#state, bytes);
    if (result.outcomes.length !== batch.length)
      throw new Error(`${result.outcomes.length} outcomes for ${batch.length} commands`);
    return result;
  }

  #refuse(batch: readonly WaitingCommand[], error: unknown): void {
    const full = isStorageFull(error);
    const fault = full
      ? new Fault("storage_full", "The disk of this node is full; nothing was written", {
          hint: "Free space on the disk of the data folder, then try again.",
          cause: error,
        })
      : new Fault("unavailable", "The store failed while writing; whether it was written is unknown", {
          hint: "Read the context before you write again.",
          facts: { outcome: "unknown" },
          cause: error,
        });
    for (const item of batch) item.reject(fault);
    if (!full) this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#duties.end();
    this.#waiting.rejectAll(stopping);
    this.#options.onFatal(error);
  }
}
