// Splits a stream into lines of bounded length.

import { Fault } from "./fault.ts";
import { textOfUtf8, withoutBom } from "./utf8.ts";

/** A line without its line end, or why it has no text: it is too long, or not UTF-8. The lines after it can be read. */
export type Line = string | Fault;

const LINE_END = 0x0a;

/**
 * Yields the lines of a stream; a byte order mark at its start is left out. A line of more than `maxBytes` is a Fault
 * `too_large`, one that is not UTF-8 is `invalid_input`. Ends with the stream, or at once when the signal aborts.
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
  maxBytes: number,
): AsyncGenerator<Line> {
  const chunks = source[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<{ done: true; value: undefined }>();
  const stop = () => aborted.resolve({ done: true, value: undefined });
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const line = new PartialLine(maxBytes);
  try {
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), aborted.promise]);
      if (done || value === undefined) break;
      let bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
      for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END)) {
        line.add(bytes.subarray(0, end));
        yield line.take();
        bytes = bytes.subarray(end + 1);
      }
      line.add(bytes);
    }
    if (line.size > 0 && !signal.aborted) yield line.take();
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Gathers the parts of one line. Of a line that is too long it keeps nothing. */
class PartialLine {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;
  #number = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that were added since the last line. */
  get size(): number {
    return this.#size;
  }

  add(bytes: Uint8Array): void {
    this.#size += bytes.byteLength;
    if (this.#size > this.#maxBytes) this.#parts = [];
    else if (bytes.byteLength > 0) this.#parts.push(bytes);
  }

  /** Returns the line, and begins the next one. */
  take(): Line {
    const parts = this.#parts;
    const size = this.#size;
    const number = this.#number;
    this.#parts = [];
    this.#size = 0;
    this.#number += 1;
    if (size > this.#maxBytes)
      return new Fault("too_large", `Line ${number} has more than ${this.#maxBytes} bytes`, {
        hint: "Send less in one line.",
      });
    try {
      const text = textOfUtf8(Buffer.concat(parts), `Line ${number}`);
      return number === 1 ? withoutBom(text) : text;
    } catch (error) {
      if (error instanceof Fault) return error;
      throw error;
    }
  }
}
