// A WebSocket that this node opens: handshake, messages, an end with its code. It reads only as fast as it is told to,
// which the WebSocket of Bun cannot, and returns the answer of a server that refuses the handshake.

import { createHash, randomBytes } from "node:crypto";
import {
  clientFrame,
  closeData,
  closeOf,
  OPCODES,
  type SocketFrame,
  SocketFrameReader,
  SocketProtocolError,
} from "./socket-frames.ts";
import { HandshakeAnswer } from "./socket-handshake.ts";

/** Where it goes and what it asks for. */
export interface SocketDial {
  at: { unix: string } | { loopbackPort: number };
  /** Path and query. */
  path: string;
  /** Of the request, with `host`; those of the handshake are added. */
  headers: Headers;
  /** Subprotocols that the caller offers, as the header has them; "": none. */
  protocols: string;
  /** Largest message in bytes. */
  maxBytes: number;
  /** Ends the handshake. */
  signal: AbortSignal;
}

/** What is told of an open socket. */
export interface DialedHandlers {
  message(data: string | Uint8Array): void;
  /** All that was sent is with the kernel. */
  drained(): void;
  /** Once: it is over. 1006: without a word. */
  closed(code: number, reason: string): void;
}

/** Time for the bytes before an end, in ms. */
const LAST_BYTES_MS = 10_000;
/** What RFC 6455 4.2.2 adds to a key. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * Opens a WebSocket. Resolves with the answer where it is another one than 101, of at most 64 KiB. Rejects where there
 * is none, and with the reason of the signal.
 */
export async function dialSocket(dial: SocketDial): Promise<DialedSocket | Response> {
  dial.signal.throwIfAborted();
  const key = randomBytes(16).toString("base64");
  const opening = Promise.withResolvers<DialedSocket | Response>();
  const answer = new HandshakeAnswer();
  let opened: DialedSocket | undefined;
  const end = (error: Error) => {
    if (opened !== undefined) opened.lost();
    else opening.reject(error);
  };
  const handler: Bun.SocketHandler<undefined> = {
    open(to) {
      if (dial.signal.aborted) to.terminate();
      else to.write(requestText(dial, key));
    },
    data(from, bytes) {
      // Bun reuses its buffer after this call.
      const own = new Uint8Array(bytes);
      if (opened !== undefined) {
        opened.took(own);
        return;
      }
      try {
        if (!answer.push(own)) return;
        if (answer.status !== 101) {
          opening.resolve(answer.response());
          from.end();
          return;
        }
        const accepted = createHash("sha1").update(`${key}${KEY_SUFFIX}`).digest("base64");
        if (answer.headers.get("sec-websocket-accept") !== accepted) throw new Error("its handshake is not valid");
        opened = new DialedSocket(from, answer.headers.get("sec-websocket-protocol") ?? "", dial.maxBytes);
        opened.took(answer.rest());
        opening.resolve(opened);
      } catch (error) {
        from.terminate();
        opening.reject(error);
      }
    },
    drain: () => opened?.flush(),
    end: () => end(new Error("it closed the connection")),
    close: (_from, error) => {
      if (opened === undefined && answer.ended()) opening.resolve(answer.response());
      end(error ?? new Error("it closed the connection"));
    },
    error: (_from, error) => end(error),
  };
  const aborted = () => opening.reject(dial.signal.reason);
  dial.signal.addEventListener("abort", aborted, { once: true });
  const { at } = dial;
  const connecting =
    "unix" in at
      ? Bun.connect({ unix: at.unix, socket: handler })
      : Bun.connect({ hostname: "127.0.0.1", port: at.loopbackPort, socket: handler });
  connecting.catch(opening.reject);
  try {
    return await opening.promise;
  } catch (error) {
    connecting.then(
      (socket) => socket.terminate(),
      () => {},
    );
    throw error;
  } finally {
    dial.signal.removeEventListener("abort", aborted);
  }
}

function requestText({ path, headers, protocols }: SocketDial, key: string): string {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
  if (protocols !== "") lines.push(`Sec-WebSocket-Protocol: ${protocols}`);
  const own = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`];
  return `${[`GET ${path} HTTP/1.1`, ...lines, ...own].join("\r\n")}\r\n\r\n`;
}

/** An open socket. What comes waits until `start`. */
export class DialedSocket {
  /** The subprotocol that the server chose; "": none. */
  readonly protocol: string;
  readonly #socket: Bun.Socket<undefined>;
  readonly #reader: SocketFrameReader;
  readonly #maxBytes: number;
  readonly #early: Uint8Array[] = [];
  #handlers: DialedHandlers | undefined;
  #waiting: Uint8Array[] = [];
  #buffered = 0;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #isText = false;
  #heardMs = performance.now();
  #isPaused = true;
  #end: { code: number; reason: string } | undefined;

  constructor(socket: Bun.Socket<undefined>, protocol: string, maxBytes: number) {
    this.#socket = socket;
    this.protocol = protocol;
    this.#maxBytes = maxBytes;
    this.#reader = new SocketFrameReader(maxBytes);
    socket.pause();
  }

  /** Bytes that were sent and not taken. */
  get buffered(): number {
    return this.#buffered;
  }

  /** When something came last, or it began to listen again, in ms of `performance.now()`. */
  get heardMs(): number {
    return this.#isPaused ? performance.now() : this.#heardMs;
  }

  /** Begins to listen. */
  start(handlers: DialedHandlers): void {
    this.#handlers = handlers;
    for (const bytes of this.#early.splice(0)) this.took(bytes);
    if (this.#end !== undefined) handlers.closed(this.#end.code, this.#end.reason);
    else this.resume();
  }

  /** Reads nothing until `resume`; what was read already still comes. */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#heardMs = performance.now();
    this.#socket.resume();
  }

  send(message: string | Uint8Array): void {
    if (typeof message === "string") this.#write(OPCODES.text, new TextEncoder().encode(message));
    else this.#write(OPCODES.binary, message);
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#write(OPCODES.ping, new Uint8Array(0));
  }

  /** Says why, and ends: what the other side still sends is not waited for. */
  close(code: number, reason: string): void {
    if (this.#end !== undefined) return;
    this.#write(OPCODES.close, closeData(code, reason));
    this.#finish(code, reason);
    this.#endSent();
  }

  /** Ends without a word. */
  terminate(): void {
    this.#finish(1006, "");
    this.#socket.terminate();
  }

  /** Bytes came. Called by the dial alone. */
  took(bytes: Uint8Array): void {
    if (this.#end !== undefined || bytes.byteLength === 0) return;
    if (this.#handlers === undefined) {
      this.#early.push(bytes);
      return;
    }
    this.#heardMs = performance.now();
    try {
      for (const frame of this.#reader.push(bytes)) if (this.#end === undefined) this.#take(frame);
    } catch (error) {
      if (!(error instanceof SocketProtocolError)) throw error;
      this.close(error.code, error.message);
    }
  }

  /** The connection takes bytes again. Called by the dial alone. */
  flush(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const written = this.#socket.write(next);
      if (written < 0) {
        this.lost();
        return;
      }
      this.#buffered -= written;
      if (written < next.byteLength) {
        this.#waiting[0] = next.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#end !== undefined) this.#socket.end();
    else this.#handlers?.drained();
  }

  /** The connection is over. Called by the dial alone. */
  lost(): void {
    this.#finish(1006, "");
    this.#socket.terminate();
  }

  #take({ opcode, isLast, data }: SocketFrame): void {
    if (opcode === OPCODES.ping) this.#write(OPCODES.pong, data);
    if (opcode === OPCODES.ping || opcode === OPCODES.pong) return;
    if (opcode === OPCODES.close) {
      const { code, reason } = closeOf(data);
      this.#write(OPCODES.close, closeData(code, ""));
      this.#finish(code, reason);
      this.#endSent();
      return;
    }
    const isFirst = opcode !== OPCODES.continuation;
    if (isFirst === this.#parts.length > 0)
      throw new SocketProtocolError(1002, "the parts of a message are out of order");
    if (isFirst) this.#isText = opcode === OPCODES.text;
    this.#partsBytes += data.byteLength;
    if (this.#partsBytes > this.#maxBytes)
      throw new SocketProtocolError(1009, `a message is larger than ${this.#maxBytes} bytes`);
    this.#parts.push(data);
    if (!isLast) return;
    const [only = data] = this.#parts;
    const whole = this.#parts.length === 1 ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsBytes = 0;
    this.#handlers?.message(this.#isText ? textOf(whole) : whole);
  }

  #write(opcode: number, data: Uint8Array): void {
    if (this.#end !== undefined) return;
    const frame = clientFrame(opcode, data);
    this.#waiting.push(frame);
    this.#buffered += frame.byteLength;
    if (this.#waiting.length === 1) this.flush();
  }

  /** Ends the connection once all that was sent is with the kernel. */
  #endSent(): void {
    if (this.#waiting.length === 0) this.#socket.end();
    else setTimeout(() => this.#socket.terminate(), LAST_BYTES_MS).unref();
  }

  #finish(code: number, reason: string): void {
    if (this.#end !== undefined) return;
    this.#end = { code, reason };
    this.#parts = [];
    this.#handlers?.closed(code, reason);
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SocketProtocolError(1007, "a text message is not UTF-8");
  }
}
