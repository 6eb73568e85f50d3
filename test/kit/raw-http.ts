// One HTTP/1.1 connection by hand, for tests that hold thousands of them or read slowly: requests in turn, then a
// stream whose events are counted.

import type { Socket } from "bun";

/** Bytes of a response that a connection keeps while it is not a stream. */
const MAX_KEPT = 1024 * 1024;

export class RawConnection {
  /** Data of each event of the stream so far. */
  readonly events: string[] = [];
  #socket: Socket | undefined;
  #text = "";
  #streaming = false;
  #wake: () => void = () => {};
  readonly #decoder = new TextDecoder();

  static async open(unix: string): Promise<RawConnection> {
    const connection = new RawConnection();
    connection.#socket = await Bun.connect({
      unix,
      socket: {
        data: (_, chunk) => connection.#take(chunk),
        close: () => {
          connection.closed = true;
          connection.#wake();
        },
        error: () => {},
      },
    });
    return connection;
  }

  closed = false;

  /** Sends a request with a JSON body (or a GET without one) and returns the whole response as text. */
  async exchange(headers: Record<string, string>, body: unknown): Promise<string> {
    this.#send("POST", headers, body);
    return this.#until(whole);
  }

  /** Sends a request whose response is a stream that stays open; resolves with its head. */
  async stream(method: "GET" | "POST", headers: Record<string, string>, body?: unknown): Promise<string> {
    this.#send(method, headers, body);
    const text = await this.#until((seen) => (seen.includes("\r\n\r\n") ? seen : undefined));
    const end = text.indexOf("\r\n\r\n") + 4;
    this.#streaming = true;
    this.#text = text.slice(end);
    this.#split();
    return text.slice(0, end);
  }

  /** Stops reading until `resume`. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    this.#socket?.terminate();
  }

  #send(method: string, headers: Record<string, string>, body: unknown): void {
    const text = body === undefined ? "" : JSON.stringify(body);
    const length =
      body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const request = `${method} /mcp HTTP/1.1\r\nhost: cairn\r\n${lines.join("")}${length}\r\n${text}`;
    if (this.#socket?.write(request) !== Buffer.byteLength(request))
      throw new Error("the request was not taken at once");
  }

  #take(chunk: Uint8Array): void {
    this.#text += this.#decoder.decode(chunk, { stream: true });
    if (this.#text.length > MAX_KEPT) throw new Error("an answer is larger than a test expects");
    if (this.#streaming) this.#split();
    this.#wake();
  }

  /** Takes whole events out of the text; sizes of chunks between them do not matter to a line that starts with data. */
  #split(): void {
    const last = this.#text.lastIndexOf("\n\n");
    if (last < 0) return;
    for (const match of this.#text.slice(0, last).matchAll(/^data: ([^\n]+)$/gm)) this.events.push(match[1] ?? "");
    this.#text = this.#text.slice(last + 2);
  }

  async #until(found: (text: string) => string | undefined): Promise<string> {
    for (;;) {
      const text = found(this.#text);
      if (text !== undefined) {
        this.#text = "";
        return text;
      }
      if (this.closed) throw new Error(`the connection was closed after ${JSON.stringify(this.#text.slice(0, 300))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Returns the text of a whole response, by its length or its last chunk. */
function whole(text: string): string | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  if (length !== undefined) return Buffer.byteLength(text) >= end + 4 + Number(length) ? text : undefined;
  if (/\r\ntransfer-encoding: chunked/i.test(text.slice(0, end))) return text.endsWith("0\r\n\r\n") ? text : undefined;
  return text;
}
