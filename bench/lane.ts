// Connections that the bench itself holds to a node's socket: one request after the other, with its answer, and
// streams, with what comes.

import { answerLength } from "./load.ts";

/** Where a node takes requests. */
export interface Place {
  unix: string;
  /** Headers of the caller; none at a local socket. */
  headers: string;
}

/** Where another server on loopback does. */
export interface PortPlace {
  port: number;
}

/** An answer: its status and body. */
export interface Answered {
  status: number;
  text: string;
}

const OPENED_MS = 30_000;

/** One connection with at most one request in flight. */
export class Lane implements Disposable {
  readonly #socket: Bun.Socket;
  #waiting: PromiseWithResolvers<Answered> | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** Of a request: what the connection does not take yet. */
  #unsent: Buffer = Buffer.alloc(0);

  private constructor(socket: Bun.Socket) {
    this.#socket = socket;
  }

  /** Opens one, also where the backlog of the listening socket is full for a moment. */
  static async open(place: Place | PortPlace): Promise<Lane> {
    const endMs = performance.now() + OPENED_MS;
    for (;;) {
      try {
        return await Lane.#connect(place);
      } catch (error) {
        if (performance.now() > endMs) throw error;
        await Bun.sleep(10);
      }
    }
  }

  static async #connect(place: Place | PortPlace): Promise<Lane> {
    const made = Promise.withResolvers<Lane>();
    const where = "port" in place ? `port ${place.port}` : place.unix;
    const handlers = {
      data: async (_: Bun.Socket, chunk: Buffer) => (await made.promise).#came(chunk),
      drain: async () => (await made.promise).#sendRest(),
      close: async () => (await made.promise).#waiting?.reject(new Error(`${where} closed the connection`)),
    };
    const socket =
      "port" in place
        ? await Bun.connect({ hostname: "127.0.0.1", port: place.port, socket: handlers })
        : await Bun.connect({ unix: place.unix, socket: handlers });
    const lane = new Lane(socket);
    made.resolve(lane);
    return lane;
  }

  /** Sends a whole request. Rejects when the connection breaks. */
  ask(text: string): Promise<Answered> {
    this.#waiting = Promise.withResolvers();
    const bytes = Buffer.from(text);
    this.#unsent = bytes;
    this.#sendRest();
    return this.#waiting.promise;
  }

  /** The same; throws where the answer is no success, and returns its JSON. */
  async json(text: string): Promise<Record<string, unknown>> {
    const answer = await this.ask(text);
    if (answer.status >= 300) throw new Error(`${text.slice(0, 200)}\n${answer.status}: ${answer.text.slice(0, 600)}`);
    return JSON.parse(answer.text);
  }

  #sendRest(): void {
    this.#unsent = this.#unsent.subarray(Math.max(0, this.#socket.write(this.#unsent)));
  }

  #came(chunk: Uint8Array): void {
    // A view of a chunk is valid only during the callback, which has ended where there was a wait for the lane.
    const seen = Buffer.concat([this.#rest, chunk]);
    const length = answerLength(seen);
    this.#rest = length === undefined ? seen : Buffer.alloc(0);
    if (length === undefined) return;
    const body = seen.toString("utf8", seen.indexOf("\r\n\r\n") + 4, length);
    const isChunked = /\r\ntransfer-encoding: chunked/i.test(seen.toString("latin1", 0, seen.indexOf("\r\n\r\n")));
    this.#waiting?.resolve({
      status: Number(seen.toString("latin1", 9, 12)),
      text: isChunked ? unchunked(body) : body,
    });
  }

  [Symbol.dispose](): void {
    this.#waiting?.promise.catch(() => {});
    this.#socket.terminate();
  }
}

function unchunked(body: string): string {
  const parts: string[] = [];
  for (let at = 0; ; ) {
    const end = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.slice(at, end), 16);
    if (!(size > 0)) return parts.join("");
    parts.push(body.slice(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

/** Opens a stream, and calls `came` with each piece of text. Close it by `using`. */
export async function openStream(place: Place, request: string, came: (text: string) => void): Promise<Disposable> {
  const opened = Promise.withResolvers<void>();
  let isOpen = false;
  const decoder = new TextDecoder();
  const socket = await Bun.connect({
    unix: place.unix,
    socket: {
      data(_, chunk) {
        const text = decoder.decode(chunk, { stream: true });
        const [status = ""] = text.split("\r\n", 1);
        if (!isOpen && !status.startsWith("HTTP/1.1 200")) opened.reject(new Error(`no stream: ${status}`));
        isOpen = true;
        opened.resolve();
        came(text);
      },
      close: () => opened.reject(new Error(`${place.unix} closed a stream before it began`)),
    },
  });
  socket.write(request);
  await opened.promise;
  return { [Symbol.dispose]: () => void socket.terminate() };
}

/** Does `work` for the numbers from 0 on, with so many connections at once. */
export async function inLanes(
  place: Place,
  count: number,
  lanes: number,
  work: (lane: Lane, at: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    using lane = await Lane.open(place);
    while (next < count) await work(lane, next++);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, run));
}
