// The newest events of a stream, as they came to this node.

import type { KeptEvent } from "./read.ts";

/** Newest events that are kept, and their bytes. */
const RECENT = 4096;
const RECENT_BYTES = 16 * 1024 * 1024;

/** Them, by offset. */
export class RecentEvents {
  readonly #kept = new Map<number, KeptEvent>();
  #bytes = 0;

  at(offset: number): KeptEvent | undefined {
    return this.#kept.get(offset);
  }

  /** Adds the next one. */
  add(kept: KeptEvent): void {
    const { offset, size } = kept.row;
    if (this.#kept.has(offset)) return;
    this.#kept.set(offset, kept);
    this.#bytes += size;
    for (const [oldest, { row }] of this.#kept) {
      if (this.#kept.size <= RECENT && this.#bytes <= RECENT_BYTES) break;
      this.#kept.delete(oldest);
      this.#bytes -= row.size;
    }
  }

  /** Forgets those after an offset: the stream no longer has them. */
  cut(offset: number): void {
    for (const [at, { row }] of this.#kept) {
      if (at <= offset) continue;
      this.#kept.delete(at);
      this.#bytes -= row.size;
    }
  }
}
