// Follows a node's stream of changes or events: reconnects after every loss, from the last position that was handled.

import { FAULTS, Fault, isFaultCode } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";
import { Backoff } from "../lib/retry.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import { openStream } from "./client.ts";
import type { Invocation } from "./command.ts";
import { INTERRUPTED_EXIT, TERMINATED_EXIT } from "./exit.ts";
import { say, wantsJson, writeData } from "./output.ts";

/** More than the largest event. */
const MAX_EVENT_CHARS = 8 * 1024 * 1024;
/** The node sends something at least every 15 s; a stream that is silent for longer than this, in ms, is dead. */
const MAX_SILENCE_MS = 45_000;
/** Waits before reconnecting. */
const RECONNECT = { firstMs: 100, lastMs: 5_000 };

/**
 * Prints what a stream brings, one line each, until Ctrl-C or `maxCount`, and returns the exit code. `lineOf` makes the
 * line for people; with --json it is the JSON of the node.
 */
export async function printStream(
  invocation: Invocation,
  { path, since, maxCount }: { path: string; since: string; maxCount: number },
  lineOf: (value: Record<string, unknown>) => string,
): Promise<number> {
  const end = new AbortController();
  let exit = 0;
  const endWith = (code: number) => {
    exit = code;
    end.abort();
  };
  process.once("SIGINT", () => endWith(INTERRUPTED_EXIT));
  process.once("SIGTERM", () => endWith(TERMINATED_EXIT));
  let count = 0;
  try {
    const follower = new StreamFollower(invocation, path, since, end.signal);
    for await (const text of follower.values()) {
      const line = wantsJson(invocation) ? `${text}\n` : lineOf(parseObject(text) ?? {});
      count += 1;
      if (!(await writeData(line)) || count >= maxCount) break;
    }
  } catch (error) {
    if (!end.signal.aborted) throw error;
  }
  end.abort();
  return exit;
}

/** Follows the stream at one path of a node. */
export class StreamFollower {
  readonly #invocation: Invocation;
  readonly #path: string;
  readonly #signal: AbortSignal;
  /** The last position that was handled; "" before the first. */
  #position: string;
  #hasConnected = false;
  /** Whether the user knows that the connection is lost. */
  #isReported = false;
  readonly #backoff = new Backoff(RECONNECT);

  constructor(invocation: Invocation, path: string, since: string, signal: AbortSignal) {
    this.#invocation = invocation;
    this.#path = path;
    this.#position = since;
    this.#signal = signal;
  }

  /**
   * Yields each change or event as the node's JSON text, until the signal aborts. Throws the Fault of a stream that is
   * refused.
   */
  async *values(): AsyncGenerator<string> {
    for (;;) {
      try {
        yield* this.#readStream();
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof Fault && (!this.#hasConnected || !FAULTS[error.code].retryable)) throw error;
        this.#reportLoss();
      }
      await this.#backoff.wait(this.#signal);
    }
  }

  /** Connects once and yields what that stream brings. */
  async *#readStream(): AsyncGenerator<string> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), MAX_SILENCE_MS);
    try {
      const headers = {
        accept: "text/event-stream",
        ...(this.#position === "" ? {} : { "last-event-id": this.#position }),
      };
      const either = AbortSignal.any([this.#signal, silence.signal]);
      const body = await openStream(this.#invocation, this.#path, headers, either);
      this.#hasConnected = true;
      for await (const event of readEvents(refreshing(body, timer), MAX_EVENT_CHARS)) {
        this.#backoff.reset();
        this.#isReported = false;
        if (event.event === "end") refuseFinalEnd(event.data);
        else if (event.data !== "") yield event.data;
        // Only after the consumer has handled it: reconnecting from this position must not skip it.
        if (event.id !== undefined) this.#position = event.id;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #reportLoss(): void {
    const from = this.#position === "" ? "" : ` from ${this.#position}`;
    if (!this.#isReported) say(`the connection to the node is lost; reconnecting${from}`);
    this.#isReported = true;
  }
}

/** Restarts a timer with every chunk of a body. */
function refreshing(body: ReadableStream<Uint8Array>, timer: NodeJS.Timeout): ReadableStream<Uint8Array> {
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        timer.refresh();
        controller.enqueue(chunk);
      },
    }),
  );
}

/** Throws the Fault with which a node ends a stream, unless reconnecting may help. */
function refuseFinalEnd(data: string): void {
  const { reason, message, hint } = parseObject(data) ?? {};
  if (typeof reason !== "string" || !isFaultCode(reason) || FAULTS[reason].retryable) return;
  throw new Fault(reason, String(message), typeof hint === "string" ? { hint } : {});
}
