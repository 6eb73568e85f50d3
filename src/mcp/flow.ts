// Lets a writer of a server-sent stream know when the client has taken everything, so that it never writes to one who does not read (architecture.md 2: a subscriber is a cursor and a wake-up, never a queue).

/** Bun sends the headers of a stream with its first bytes; without any, the client would wait for the first keep-alive to learn that the stream is open. */
export const OPENED = new TextEncoder().encode(": open\n\n");

export interface Flow {
  /** The same body, given out only as fast as the client's connection takes it. */
  body: ReadableStream<Uint8Array>;
  /** Whether everything written so far has been taken. */
  idle(): boolean;
  /** The writer says that it wrote: not idle until that is taken. */
  wrote(): void;
}

/** Wraps `source`. `onIdle` runs each time everything is taken, `onEnd` once when the stream ends from either side. `preface` goes before everything. */
export function meterFlow(
  source: ReadableStream<Uint8Array>,
  onIdle: () => void,
  onEnd: () => void,
  preface?: Uint8Array,
): Flow {
  const reader = source.getReader();
  let idle = false;
  let ended = false;
  const end = () => {
    idle = false;
    if (ended) return;
    ended = true;
    onEnd();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        if (preface !== undefined) controller.enqueue(preface);
      },
      async pull(controller) {
        const next = reader.read();
        // Only when nothing is there to be read at once has everything been taken.
        let here = false;
        next.then(
          () => {
            here = true;
          },
          () => {
            here = true;
          },
        );
        await Promise.resolve();
        await Promise.resolve();
        if (!here && !ended) {
          idle = true;
          onIdle();
        }
        try {
          const { done, value } = await next;
          idle = false;
          if (done) {
            end();
            controller.close();
          } else controller.enqueue(value);
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel(reason) {
        end();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return {
    body,
    idle: () => idle,
    wrote: () => {
      idle = false;
    },
  };
}
