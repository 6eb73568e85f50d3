// Frames of WebSockets (RFC 6455 5.2), as a client reads and writes them: what it reads is not masked, what it writes
// is.

/** What a frame is. */
export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** One frame, unmasked. */
export interface SocketFrame {
  opcode: number;
  /** Whether its message ends with it. */
  isLast: boolean;
  data: Uint8Array;
}

/** The other side does not keep to the protocol, or sends more than it may. */
export class SocketProtocolError extends Error {
  /** Of RFC 6455 7.4.1. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const MAX_CONTROL_BYTES = 125;
const KNOWN: ReadonlySet<number> = new Set(Object.values(OPCODES));

/** Cuts what comes into frames. */
export class SocketFrameReader {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;
  /** Bytes that the next look needs. */
  #wanted = 2;

  /** `maxBytes`: of one frame. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds bytes, and returns the frames that are whole now. Throws SocketProtocolError. */
  push(bytes: Uint8Array): SocketFrame[] {
    this.#parts.push(bytes);
    this.#size += bytes.byteLength;
    const frames: SocketFrame[] = [];
    while (this.#size >= this.#wanted) {
      const all = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : Buffer.concat(this.#parts);
      this.#parts = [all];
      const found = this.#look(all);
      if (found === undefined) continue;
      frames.push(found.frame);
      this.#parts = [all.subarray(found.bytes)];
      this.#size -= found.bytes;
      this.#wanted = 2;
    }
    return frames;
  }

  /** Returns the first frame and its length, or undefined after saying how many bytes it wants. */
  #look(bytes: Uint8Array): { frame: SocketFrame; bytes: number } | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const first = view.getUint8(0);
    const second = view.getUint8(1);
    const opcode = first & 0x0f;
    const isLast = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0 || !KNOWN.has(opcode))
      throw new SocketProtocolError(1002, "a frame of an unknown kind came");
    if ((second & 0x80) !== 0) throw new SocketProtocolError(1002, "a masked frame came from a server");
    const short = second & 0x7f;
    if (opcode >= OPCODES.close && (short > MAX_CONTROL_BYTES || !isLast))
      throw new SocketProtocolError(1002, "a control frame is too long or in parts");
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.byteLength < head) return this.#want(head);
    const size = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short;
    if (size > this.#maxBytes) throw new SocketProtocolError(1009, `a message is larger than ${this.#maxBytes} bytes`);
    if (bytes.byteLength < head + size) return this.#want(head + size);
    return { frame: { opcode, isLast, data: bytes.subarray(head, head + size) }, bytes: head + size };
  }

  #want(bytes: number): undefined {
    this.#wanted = bytes;
    return undefined;
  }
}

/** Returns a frame that is a whole message or a control frame, masked. */
export function clientFrame(opcode: number, data: Uint8Array): Uint8Array {
  const size = data.byteLength;
  const head = size <= MAX_CONTROL_BYTES ? 2 : size <= 0xffff ? 4 : 10;
  const frame = new Uint8Array(head + 4 + size);
  const view = new DataView(frame.buffer);
  view.setUint8(0, 0x80 | opcode);
  view.setUint8(1, 0x80 | (head === 2 ? size : head === 4 ? 126 : 127));
  if (head === 4) view.setUint16(2, size);
  if (head === 10) view.setBigUint64(2, BigInt(size));
  const mask = crypto.getRandomValues(frame.subarray(head, head + 4));
  const body = frame.subarray(head + 4);
  for (let at = 0; at < size; at++) body[at] = (data[at] as number) ^ (mask[at & 3] as number);
  return frame;
}

/** Returns the data of a close frame. A reason is cut to what such a frame can have. */
export function closeData(code: number, reason: string): Uint8Array {
  // 1005 and what is like it stand for what no frame said.
  if (!isSentCode(code)) return new Uint8Array(0);
  const text = new TextEncoder().encodeInto(reason, new Uint8Array(MAX_CONTROL_BYTES - 2));
  const data = new Uint8Array(2 + text.written);
  new DataView(data.buffer).setUint16(0, code);
  new TextEncoder().encodeInto(reason, data.subarray(2));
  return data;
}

/** Returns what a close frame says. */
export function closeOf(data: Uint8Array): { code: number; reason: string } {
  if (data.byteLength < 2) return { code: 1005, reason: "" };
  const code = new DataView(data.buffer, data.byteOffset, data.byteLength).getUint16(0);
  return { code: isSentCode(code) ? code : 1002, reason: new TextDecoder().decode(data.subarray(2)) };
}

/** Whether a close frame may have a code (RFC 6455 7.4). */
export function isSentCode(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code < 5000)
  );
}
