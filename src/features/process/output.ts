// The output of a child: its last bytes in memory, whatever it writes, and on request all of it up to a bound for
// another place, such as a blob. Whoever takes it slowly slows the child down.

import { redactTail, redactText } from "../../observe/redact.ts";

/** Takes output; the child waits until it has. */
export type OutputSink = (chunk: Uint8Array) => void | Promise<void>;

/** The last bytes of an output, in memory that grows up to a bound. */
export class OutputRing {
  readonly #maxBytes: number;
  #buffer = new Uint8Array(0);
  #total = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that were written in all. */
  get totalBytes(): number {
    return this.#total;
  }

  /** Bytes at the start that are no longer here. */
  get droppedBytes(): number {
    return Math.max(0, this.#total - this.#maxBytes);
  }

  push(chunk: Uint8Array): void {
    this.#grow(Math.min(this.#maxBytes, this.#total + chunk.byteLength));
    const size = this.#buffer.byteLength;
    const kept = chunk.byteLength > size ? chunk.subarray(chunk.byteLength - size) : chunk;
    const at = size === 0 ? 0 : (this.#total + chunk.byteLength - kept.byteLength) % size;
    const first = kept.subarray(0, size - at);
    this.#buffer.set(first, at);
    this.#buffer.set(kept.subarray(first.byteLength), 0);
    this.#total += chunk.byteLength;
  }

  /** Returns the bytes that are kept, in order. */
  bytes(): Uint8Array {
    const size = this.#buffer.byteLength;
    if (this.#total <= size) return this.#buffer.slice(0, this.#total);
    const at = this.#total % size;
    const bytes = new Uint8Array(size);
    bytes.set(this.#buffer.subarray(at), 0);
    bytes.set(this.#buffer.subarray(0, at), size - at);
    return bytes;
  }

  /** Returns the kept bytes as text; what is not UTF-8 becomes U+FFFD. */
  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  /** Before the first byte is dropped its places are those of the output, so growing keeps them. */
  #grow(needed: number): void {
    if (needed <= this.#buffer.byteLength) return;
    const larger = new Uint8Array(Math.min(this.#maxBytes, Math.max(needed, 2 * this.#buffer.byteLength, 1024)));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}

/** Returns what is kept of an output, without secrets: also without the end of one at the place where it is cut. */
export function shownTail(output: OutputRing): string {
  return output.droppedBytes > 0 ? redactTail(output.text()) : redactText(output.text());
}

/** What became of an output that was to be kept. */
export interface KeptOutput<T> {
  /** What `store` returned. */
  stored: T;
  /** Bytes above the bound, which were not kept. */
  droppedBytes: number;
}

/** Hands an output on, up to a bound: `store` gets its chunks, and what it returns names them, such as a hash. */
export class OutputKeeper<T> {
  readonly #maxBytes: number;
  readonly #stored: Promise<T>;
  #bytes = 0;
  #dropped = 0;
  #chunk = Promise.withResolvers<Uint8Array | undefined>();
  #taken = Promise.withResolvers<void>();
  #over = false;

  constructor(maxBytes: number, store: (chunks: AsyncIterable<Uint8Array>) => Promise<T>) {
    this.#maxBytes = maxBytes;
    this.#stored = store(this.#chunks());
    const over = () => {
      this.#over = true;
      this.#taken.resolve();
    };
    this.#stored.then(over, over);
  }

  /** Takes a chunk. Resolves when `store` wants more; at once where it has failed or the bound is reached. */
  readonly write: OutputSink = async (chunk) => {
    const kept = this.#over ? 0 : Math.min(chunk.byteLength, this.#maxBytes - this.#bytes);
    this.#dropped += chunk.byteLength - kept;
    this.#bytes += kept;
    if (kept === 0) return;
    this.#chunk.resolve(chunk.slice(0, kept));
    await this.#taken.promise;
    this.#taken = Promise.withResolvers<void>();
  };

  /** Ends the output. Rejects with the reason for which it could not be stored. */
  async close(): Promise<KeptOutput<T>> {
    this.#chunk.resolve(undefined);
    return { stored: await this.#stored, droppedBytes: this.#dropped };
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = await this.#chunk.promise;
      if (chunk === undefined) return;
      this.#chunk = Promise.withResolvers<Uint8Array | undefined>();
      yield chunk;
      this.#taken.resolve();
    }
  }
}

/** Reads a stream to its end, or until the signal aborts, into all sinks. */
export async function pump(
  stream: ReadableStream<Uint8Array>,
  sinks: readonly OutputSink[],
  signal: AbortSignal,
): Promise<void> {
  const reader = stream.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      for (const sink of sinks) await sink(value);
    }
  } catch {
    // The pipe broke: there is no more output.
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
