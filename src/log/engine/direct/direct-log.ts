// The engine without consensus: commands that wait together become one entry, applied in one durable transaction on the main thread (group commit).
// For tests of what lies above a log: the same entry bytes and the same apply, without the Go half. It always leads.

import { randomBytes } from "node:crypto";
import { Fault } from "../../../lib/fault.ts";
import { isStorageFull, type Store } from "../../../store/store.ts";
import { applyEntry, type BatchResult, type BatchState } from "../../apply-batch.ts";
import { Changes } from "../../changes.ts";
import { Duties } from "../../duties.ts";
import { encodeEntry } from "../../entry.ts";
import { hashAt, openHistory } from "../../history.ts";
import type { Apply, Log } from "../../log.ts";
import { answer, stopping, type Waiting, WaitingCommands } from "../../waiting.ts";

export interface DirectOptions {
  store: Store;
  apply: Apply;
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Called once when the store can no longer be trusted; the process must end. */
  onFatal: (error: unknown) => void;
}

/** Opens the log over its store; the history is where the store left it. */
export function openDirectLog(options: DirectOptions): Log {
  const { store, apply, nowMs, onFatal } = options;
  const history = openHistory(store);
  const changes = new Changes(store.reader, { epoch: history.epoch, seq: history.seq });
  const origin = randomBytes(16).toString("hex");
  const duties = new Duties();
  duties.begin(1);
  const waiting = new WaitingCommands();
  let state: BatchState = history;
  let scheduled = false;
  let ticket = 0;
  let closed = false;

  function flush(): void {
    scheduled = false;
    const batch = waiting.takeBatch();
    if (batch.length === 0) return;
    let result: BatchResult;
    try {
      ticket += 1;
      const bytes = encodeEntry(
        { level: state.level, origin, ticket, stampMs: nowMs() },
        batch.map((item) => item.packed),
      );
      result = applyEntry(store, apply, state, bytes);
      if (result.outcomes.length !== batch.length)
        throw new Error(`${result.outcomes.length} outcomes for ${batch.length} commands`);
    } catch (error) {
      refuse(batch, error);
      if (waiting.length > 0) schedule();
      return;
    }
    state = result.state;
    try {
      answer(batch, result.outcomes, state.epoch);
      changes.publish(result.changes);
    } finally {
      if (waiting.length > 0) schedule();
    }
  }

  function refuse(batch: readonly Waiting[], error: unknown): void {
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
    if (!full) fail(error);
  }

  function fail(error: unknown): void {
    if (closed) return;
    closed = true;
    duties.end();
    waiting.rejectAll(stopping);
    onFatal(error);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  return {
    changes,
    ready: () => true,
    leadership: () => ({ leading: !closed, server: closed ? "" : "direct", term: 1 }),
    onLeadership: () => () => {},
    onLeading: (duty) => duties.on(duty),
    barrier: () => (closed ? Promise.reject(stopping()) : Promise.resolve()),
    propose: (command) => {
      if (closed) return Promise.reject(stopping());
      const outcome = waiting.add(command);
      if (waiting.length > 0) schedule();
      return outcome;
    },
    position: () => ({ epoch: state.epoch, seq: state.seq }),
    head: () => ({ seq: state.seq, hash: state.hash }),
    hashAt: (seq) => hashAt(store.reader, seq),
    positionAt: (seq) => history.positionAt(seq),
    sameHistory: (position) => history.sameHistory(position),
    stopApply: fail,
    close: async () => {
      closed = true;
      duties.end();
      while (waiting.length > 0) flush();
    },
  };
}
