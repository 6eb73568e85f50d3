// The body of a response that is written only as fast as its client reads. A chunk is accepted only when the client has
// taken everything before, so at most one chunk and the last one are held for a slow client.

export interface OutletOptions {
  /** Sent first, whether the client is waiting or not. */
  preface?: string | Uint8Array;
  /** Called each time the client has taken everything and waits for more; not after `end`. */
  onIdle: () => void;
  /** Called once, when the stream is over from either side; with the client's reason where it went away. */
  onEnd: (reason?: unknown) => void;
}

/** One response body with back-pressure. */
export class Outlet {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onEnd: (reason?: unknown) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #idle = false;
  #ending = false;
  #over = false;
  #writtenMs = performance.now();

  constructor({ preface, onIdle, onEnd }: OutletOptions) {
    this.#onEnd = onEnd;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
          this.#controller = controller;
          if (preface !== undefined) controller.enqueue(bytesOf(preface));
        },
        pull: () => {
          if (this.#idle) return;
          this.#idle = true;
          if (this.#ending) this.close();
          else onIdle();
        },
        cancel: (reason) => {
          this.#finish(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Whether the client has taken everything and waits for more. */
  get idle(): boolean {
    return this.#idle;
  }

  /** Whether nothing more can be written: `end` was called, or the stream is over. */
  get ending(): boolean {
    return this.#ending;
  }

  /** When something was written last, in ms of `performance.now()`. */
  get writtenMs(): number {
    return this.#writtenMs;
  }

  /** Writes a chunk and returns true; false, with nothing written, where the client is not waiting for one. */
  write(chunk: string | Uint8Array): boolean {
    if (!this.#idle || this.#ending) return false;
    this.#enqueue(chunk);
    return true;
  }

  /** Writes a last chunk and closes: at once where the client was waiting, else when it has taken that chunk. */
  end(last?: string | Uint8Array): void {
    if (this.#ending) return;
    this.#ending = true;
    const waited = this.#idle;
    if (last !== undefined) this.#enqueue(last);
    if (waited) this.close();
  }

  /** Closes now; what was written is still delivered. */
  close(): void {
    if (this.#finish()) this.#controller?.close();
  }

  /** Breaks the connection. Without a reason the server prints nothing. */
  cut(reason?: unknown): void {
    if (this.#finish()) this.#controller?.error(reason);
  }

  #enqueue(chunk: string | Uint8Array): void {
    this.#idle = false;
    this.#writtenMs = performance.now();
    this.#controller?.enqueue(bytesOf(chunk));
  }

  #finish(reason?: unknown): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#ending = true;
    this.#idle = false;
    this.#onEnd(reason);
    return true;
  }
}

function bytesOf(chunk: string | Uint8Array): Uint8Array {
  return typeof chunk === "string" ? Buffer.from(chunk, "utf8") : chunk;
}
