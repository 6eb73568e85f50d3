// Splits a file that is one JSON array into its elements, without holding more than one of them: exports of chats have
// hundreds of megabytes. It looks at brackets and texts only; each element is parsed by who takes it.

import { Fault } from "../../lib/fault.ts";
import { textOfUtf8 } from "../../lib/utf8.ts";

/** An element as text, or its size in bytes where it has more than the bound. */
export type Element = string | number;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSE: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** Yields the elements. Throws Fault `invalid_input` where the file is no array, or ends within one. */
export async function* elementsOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Element> {
  const splitter = new Splitter(maxBytes);
  for await (const chunk of chunks) yield* splitter.add(chunk);
  if (!splitter.isEnded)
    throw new Fault("invalid_input", "the JSON array ends in the middle", { hint: "Unpack or download it again." });
}

class Splitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;
  #depth = 0;
  #inText = false;
  #isEscaped = false;
  /** Whether the element has anything but white space. */
  #hasContent = false;
  isEnded = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  *add(chunk: Uint8Array): Generator<Element> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (this.#inText) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#inText = false;
        continue;
      }
      if (this.#depth === 0) {
        if (this.#begins(byte)) start = at + 1;
        continue;
      }
      if (byte === QUOTE) this.#inText = true;
      else if (OPEN.has(byte)) this.#depth += 1;
      else if (CLOSE.has(byte)) this.#depth -= 1;
      const isEnd = this.#depth === 0;
      if (isEnd || (byte === COMMA && this.#depth === 1)) {
        this.#keep(chunk.subarray(start, at));
        start = at + 1;
        if (this.#hasContent) yield this.#take();
        this.isEnded = isEnd;
      } else if (byte > 0x20) this.#hasContent = true;
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start));
  }

  /** Looks at a byte outside of the array. Reports whether the array begins with it. */
  #begins(byte: number): boolean {
    // The bytes of a byte order mark, which a text editor may have added.
    const isBom = byte === 0xef || byte === 0xbb || byte === 0xbf;
    if (byte <= 0x20 || (isBom && !this.isEnded)) return false;
    if (this.isEnded || byte !== 0x5b)
      throw new Fault("invalid_input", "it is no JSON array", {
        hint: "Name the file conversations.json of the export.",
      });
    this.#depth = 1;
    return true;
  }

  #keep(bytes: Uint8Array): void {
    this.#size += bytes.length;
    if (this.#size > this.#maxBytes) this.#parts = [];
    // The chunk may be used again by the stream.
    else if (bytes.length > 0) this.#parts.push(bytes.slice());
  }

  #take(): Element {
    const size = this.#size;
    const parts = this.#parts;
    this.#parts = [];
    this.#size = 0;
    this.#hasContent = false;
    return size > this.#maxBytes ? size : textOfUtf8(Buffer.concat(parts), "The export");
  }
}
