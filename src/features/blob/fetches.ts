// Copies that this member fetches from others because the leader asks for them: in parts, going on where the last
// attempt ended, and checked by their hash before they count.

import { PART_BYTES } from "../../lib/bounds.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { IncomingBlobs } from "./incoming.ts";

/** A copy that is wanted here. */
export interface WantedCopy {
  sha256: string;
  bytes: number;
  /** Members that have it, in the order in which they are asked. */
  from: readonly string[];
}

/** How far a copy is. */
export interface CopyState {
  has: boolean;
  received: number;
  /** Why the last attempt failed; "": it did not. */
  failed: string;
}

/** Most reasons of failed attempts that are remembered. */
const MAX_REASONS = 256;

export interface FetchesOptions {
  folder: BlobFolder;
  incoming: IncomingBlobs;
  /** Asks a member for bytes. */
  part: (
    node: string,
    asked: { sha256: string; offset: number; length: number },
    signal: AbortSignal,
  ) => Promise<Uint8Array>;
  nowMs: () => number;
}

/** The copies that one member fetches. */
export class Fetches {
  readonly #options: FetchesOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #failed = new Map<string, string>();
  readonly #stopped = new AbortController();

  constructor(options: FetchesOptions) {
    this.#options = options;
  }

  /** Begins to fetch a blob unless it is here, under way or has just failed. Returns how far it is. */
  async want(copy: WantedCopy): Promise<CopyState> {
    const { folder, incoming, nowMs } = this.#options;
    const { sha256, bytes } = copy;
    if (folder.sizeOf(sha256) === bytes) {
      folder.touch(sha256, nowMs());
      return { has: true, received: bytes, failed: "" };
    }
    const failed = this.#failed.get(sha256) ?? "";
    this.#failed.delete(sha256);
    // Whoever asked decides whether to ask again: another member may be better.
    if (failed === "" && !this.#running.has(sha256) && !this.#stopped.signal.aborted) this.#begin(copy);
    return { has: false, received: await incoming.received(keyOf(sha256)), failed };
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#running.values());
  }

  #begin(copy: WantedCopy): void {
    const run = this.#fetch(copy)
      .catch((error: unknown) => {
        if (this.#failed.size >= MAX_REASONS) this.#failed.clear();
        this.#failed.set(copy.sha256, reasonOf(error));
      })
      .finally(() => this.#running.delete(copy.sha256));
    this.#running.set(copy.sha256, run);
  }

  async #fetch({ sha256, bytes, from }: WantedCopy): Promise<void> {
    let lastError: unknown = new Error("no member that has it was named");
    for (const node of from) {
      try {
        await this.#fetchFrom(node, sha256, bytes);
        return;
      } catch (error) {
        this.#stopped.signal.throwIfAborted();
        lastError = error;
      }
    }
    throw lastError;
  }

  async #fetchFrom(node: string, sha256: string, bytes: number): Promise<void> {
    const { incoming, part } = this.#options;
    const { signal } = this.#stopped;
    const arriving = { key: keyOf(sha256), owner: undefined, space: "", sha256, bytes };
    for (;;) {
      const offset = await incoming.received(arriving.key);
      const length = Math.min(PART_BYTES, bytes - offset);
      const data = length === 0 ? new Uint8Array() : await part(node, { sha256, offset, length }, signal);
      if (data.byteLength === 0 && length > 0) throw new Error(`${node} has only ${offset} of ${bytes} bytes`);
      if ((await incoming.add(arriving, offset, data)).isWhole) return;
    }
  }
}

function keyOf(sha256: string): string {
  return `fleet ${sha256}`;
}
