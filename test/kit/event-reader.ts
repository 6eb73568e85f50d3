// Reads a stream of server-sent events in tests: one event after the other, each with a deadline.

import { readEvents, type ServerSentEvent } from "../../src/lib/server-sent-events.ts";
import { within } from "./eventually.ts";

const MAX_EVENT = 1024 * 1024;

export class EventReader implements AsyncDisposable {
  readonly #events: AsyncGenerator<ServerSentEvent>;

  constructor(response: Response) {
    if (response.body === null) throw new Error(`an answer ${response.status} without a body`);
    this.#events = readEvents(response.body as ReadableStream<Uint8Array>, MAX_EVENT);
  }

  /** Returns the next event; undefined at the end of the stream. */
  async next(withinMs?: number): Promise<ServerSentEvent | undefined> {
    const { value, done } = await within("an event", this.#events.next(), withinMs);
    return done === true ? undefined : value;
  }

  /** Returns the next event that is a change, parsed; fails at the end of the stream. */
  async change(): Promise<Record<string, unknown> & { target: string; version: number; position: string }> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error("the stream ended");
      if (event.event === "end") throw new Error(`the stream ended: ${event.data}`);
      if (event.event === "change") return JSON.parse(event.data);
    }
  }

  /** Returns the last event; fails where another one follows. */
  async end(): Promise<{ reason: string; message: string }> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error("the stream ended without a reason");
      if (event.event !== "end") continue;
      if ((await this.next()) !== undefined) throw new Error("an event behind the end");
      return JSON.parse(event.data);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#events.return(undefined);
  }
}
