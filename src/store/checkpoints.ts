// Checkpoints the write-ahead log (WAL): by size in a Worker, so that no write waits for it, and on the main thread
// when the node is idle. SQLite's own auto-checkpoint is off, since it would run inside a commit.

import type { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import workerSource from "./checkpoint-worker.js" with { type: "text" };

/** A larger WAL is checkpointed. */
const DUE_BYTES = 16 * 1024 * 1024;
/** Up to this size the file of a WAL that is back in the store is written again from its start: a cut takes longer. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Above this size a commit checkpoints by itself: the Worker is too slow, or failed. */
const LATE_BYTES = 128 * 1024 * 1024;
/** After this time without a commit, a small WAL is checkpointed too. */
const IDLE_MS = 5_000;
const IDLE_BYTES = 256 * 1024;
/** Wait after a checkpoint that a reader held up. */
const RETRY_MS = 2_000;
/** `close` waits this long for a checkpoint in the Worker, in ms. */
const CLOSE_MS = 5_000;

export interface CheckpointsOptions {
  writer: Database;
  path: string;
  /** Ends this process's own read transaction, which would hold a checkpoint up. */
  releaseReads: () => void;
  log: (level: "debug" | "warning", message: string) => void;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  #worker: Worker | undefined;
  /** Becomes 1 when the Worker has closed its connection. */
  #workerDone = new Int32Array(new SharedArrayBuffer(4));
  #idle: ReturnType<typeof setTimeout> | undefined;
  #notBeforeMs = 0;
  /** The WAL has grown by more than its room: what is written from the start of a kept file is not seen in its size. */
  #dueBytes = DUE_BYTES;
  #closed = false;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /** Call it after each commit. */
  committed(): void {
    const bytes = this.bytes;
    if (bytes > this.#dueBytes && performance.now() >= this.#notBeforeMs) {
      if (bytes > LATE_BYTES) this.finish();
      else this.#inWorker();
    }
    if (this.#idle === undefined) this.#idle = setTimeout(() => this.#whenIdle(), IDLE_MS).unref();
    else this.#idle.refresh();
  }

  /**
   * Checkpoints the rest and empties the WAL. Where another process reads an old state, a later call does. Returns
   * whether the WAL is empty.
   */
  finish(): boolean {
    const isEmpty = this.#checkpoint("TRUNCATE");
    if (isEmpty) this.#dueBytes = DUE_BYTES;
    return isEmpty;
  }

  /** The same after the Worker, under load: the next write begins the WAL again in the file that is there. */
  #begin(): void {
    const { bytes } = this;
    if (bytes > KEPT_BYTES) this.finish();
    else if (this.#checkpoint("RESTART")) this.#dueBytes = Math.max(bytes, DUE_BYTES);
  }

  #checkpoint(mode: "TRUNCATE" | "RESTART"): boolean {
    this.#options.releaseReads();
    const row = this.#options.writer
      .query<{ busy: number; log: number; checkpointed: number }, []>(`PRAGMA wal_checkpoint(${mode})`)
      .get();
    if (row?.busy === 1) this.#notBeforeMs = performance.now() + RETRY_MS;
    return row?.busy === 0;
  }

  /**
   * Starts no more checkpoints. One in the Worker is waited for: its connection would keep the WAL from being emptied.
   */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#idle);
    if (this.#worker !== undefined) Atomics.wait(this.#workerDone, 0, 0, CLOSE_MS);
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #whenIdle(): void {
    this.#idle = undefined;
    if (!this.#closed && this.#worker === undefined && this.bytes > IDLE_BYTES) this.#guarded(() => void this.finish());
  }

  /** The Worker does most of it; the few pages written meanwhile are checkpointed here. */
  #inWorker(): void {
    if (this.#worker !== undefined || this.#closed) return;
    const url = URL.createObjectURL(new Blob([workerSource], { type: "application/javascript" }));
    const worker = new Worker(url);
    this.#worker = worker;
    const end = (problem: string): void => {
      URL.revokeObjectURL(url);
      worker.terminate();
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      if (problem === "") this.#guarded(() => this.#begin());
      else {
        this.#notBeforeMs = performance.now() + RETRY_MS;
        this.#options.log("warning", `the checkpoint of the write-ahead log failed in its worker: ${problem}`);
      }
    };
    worker.onmessage = ({ data }) => end(String(data));
    worker.onerror = ({ message }) => end(message);
    worker.unref();
    this.#workerDone = new Int32Array(new SharedArrayBuffer(4));
    worker.postMessage({ path: this.#options.path, done: this.#workerDone });
  }

  /** A failed checkpoint loses nothing: the WAL still holds everything. */
  #guarded(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#notBeforeMs = performance.now() + RETRY_MS;
      this.#options.log("warning", `the checkpoint of the write-ahead log failed: ${String(error)}`);
    }
  }

  /** Bytes in the WAL: the file may grow by as much. */
  get bytes(): number {
    return statSync(`${this.#options.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }
}
