// The engine without consensus: commands that wait together become one entry, applied in one durable transaction on the main thread (group commit).
// It carries a single node until raft does, through the same entry bytes and the same apply.

import { randomBytes } from "node:crypto";
import { Fault } from "../lib/fault.ts";
import { isStorageFull, type Store } from "../store/store.ts";
import { applyEntry, type BatchResult, type BatchState } from "./apply-batch.ts";
import { Changes } from "./changes.ts";
import { encodeEntry, MAX_COMMAND_BYTES, MAX_ENTRY_BYTES, MAX_ENTRY_COMMANDS, packCommand } from "./entry.ts";
import { openHistory } from "./history.ts";
import type { Applied, Apply, Log } from "./log.ts";

/** More waiting commands than this and new ones are refused: memory stays bounded whatever callers do. */
const MAX_WAITING = 8192;
const FLEET_LEVEL = 1;

export interface DirectOptions {
  store: Store;
  apply: Apply;
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Called once when the store can no longer be trusted; the process must end. */
  onFatal: (error: unknown) => void;
}

interface Waiting {
  packed: Uint8Array;
  resolve: (applied: Applied) => void;
  reject: (fault: Fault) => void;
}

/** Opens the log over its store; the history is where the store left it. */
export function openDirectLog(options: DirectOptions): Log {
  const { store, apply, nowMs, onFatal } = options;
  const history = openHistory(store);
  const changes = new Changes(store.reader, { epoch: history.epoch, seq: history.seq });
  const origin = randomBytes(16).toString("hex");
  const waiting: Waiting[] = [];
  let state: BatchState = history;
  let scheduled = false;
  let ticket = 0;
  let closed = false;

  function flush(): void {
    scheduled = false;
    const batch = takeBatch(waiting);
    if (batch.length === 0) return;
    let result: BatchResult;
    try {
      ticket += 1;
      const bytes = encodeEntry(
        { level: FLEET_LEVEL, origin, ticket, stampMs: nowMs() },
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
          details: { outcome: "unknown" },
          cause: error,
        });
    for (const item of batch) item.reject(fault);
    if (full) return;
    closed = true;
    for (const item of waiting.splice(0)) item.reject(stopping());
    onFatal(error);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  return {
    changes,
    propose: (command) => {
      if (closed) return Promise.reject(stopping());
      if (waiting.length >= MAX_WAITING) {
        return Promise.reject(
          new Fault("unavailable", `${MAX_WAITING} writes wait already`, {
            hint: "Try again in a moment.",
            details: { retryAfterSeconds: 1 },
          }),
        );
      }
      const packed = packCommand(command);
      if (packed.byteLength > MAX_COMMAND_BYTES) {
        return Promise.reject(
          new Fault("too_large", `The write has ${packed.byteLength} bytes; the limit is ${MAX_COMMAND_BYTES}`, {
            hint: "Send it in parts.",
          }),
        );
      }
      return new Promise((resolve, reject) => {
        waiting.push({ packed, resolve, reject });
        schedule();
      });
    },
    position: () => ({ epoch: state.epoch, seq: state.seq }),
    head: () => ({ seq: state.seq, hash: state.hash }),
    positionAt: (seq) => history.positionAt(seq),
    sameHistory: (position) => history.sameHistory(position),
    close: async () => {
      closed = true;
      while (waiting.length > 0) flush();
    },
  };
}

function stopping(): Fault {
  return new Fault("unavailable", "This node is stopping", { hint: "Try again on another node, or when it is back." });
}

/** Takes what fits into one entry, in order; one command always fits. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  let bytes = 0;
  let count = 0;
  for (const item of waiting) {
    bytes += item.packed.byteLength;
    if (count > 0 && (bytes > MAX_ENTRY_BYTES || count >= MAX_ENTRY_COMMANDS)) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

function answer(batch: readonly Waiting[], outcomes: BatchResult["outcomes"], epoch: string): void {
  for (const [index, item] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    if ("fault" in outcome) item.reject(outcome.fault);
    else item.resolve({ output: outcome.output, position: { epoch, seq: outcome.seq } });
  }
}
