// Splits a byte stream into lines of bounded length. Does not look inside them.

const LF = 0x0a;

export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** `maxBytes`: longest line, in bytes, without its LF. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Returns the lines that this chunk completes, without LF and without empty ones. Throws RangeError for a line that
   * is too long.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let from = 0;
    while (from < chunk.length) {
      const at = chunk.indexOf(LF, from);
      const end = at === -1 ? chunk.length : at;
      this.#length += end - from;
      if (this.#length > this.#maxBytes) throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
      // A copy, because the chunk's memory may be reused by the socket. (A Buffer's own slice would not copy.)
      if (end > from) this.#parts.push(new Uint8Array(chunk.subarray(from, end)));
      if (at === -1) return lines;
      if (this.#length > 0) lines.push(this.#take());
      from = at + 1;
    }
    return lines;
  }

  #take(): Uint8Array {
    const [first] = this.#parts;
    const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    return line;
  }
}
