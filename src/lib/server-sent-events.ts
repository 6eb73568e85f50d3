// Reads a body of server-sent events as an async generator. Parsing is eventsource-parser's; this adds the stream, the
// bound, and events that carry only an id, which the parser reports separately.

import { createParser, type ParseError } from "eventsource-parser";

/** One block of a stream. */
export interface ServerSentEvent {
  /** Value of `event:`; `message` without one. */
  event: string;
  /** The data lines, joined by newlines; "" for a block that only carries an id. */
  data: string;
  /** Value of `id:`, where the block has one: the position to resume from once the block has been handled. */
  id: string | undefined;
}

/** Yields the events of a body as they arrive. Throws when more than `maxChars` of one event are buffered. */
export async function* readEvents(body: ReadableStream<Uint8Array>, maxChars: number): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  const events: ServerSentEvent[] = [];
  let failure: ParseError | undefined;
  const parser = createParser({
    maxBufferSize: maxChars,
    onId: (id) => events.push({ event: "message", data: "", id }),
    onEvent: ({ event = "message", data, id }) => {
      // onId was called for this block just before.
      if (id !== undefined) events.pop();
      events.push({ event, data, id });
    },
    onError: (error) => {
      if (error.type === "max-buffer-size-exceeded") failure = error;
    },
  });
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* events.splice(0);
      if (failure !== undefined) throw failure;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
