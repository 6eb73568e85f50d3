// Tells the writer of a server-sent stream when its client has taken everything, so that nothing is queued for a client
// that does not read (architecture.md 2: a subscriber is a cursor and a wake-up, never a queue).

import { Outlet } from "../lib/outlet.ts";

/**
 * First bytes of a stream. Bun sends the headers with them; without them the client would learn only by the first
 * keep-alive that the stream is open.
 */
export const OPENED = new TextEncoder().encode(": open\n\n");

export interface Flow {
  /** The same body, given out only as fast as the client's connection takes it. */
  body: ReadableStream<Uint8Array>;
  /** Reports whether the client has taken everything written so far. */
  idle(): boolean;
  /** Called by the writer: not idle until the client has taken what it wrote. */
  wrote(): void;
}

/**
 * Wraps `source`. Calls `onIdle` each time everything is taken, and `onEnd` once when the stream ends from either side.
 * `preface` is sent first.
 */
export function meterFlow(
  source: ReadableStream<Uint8Array>,
  onIdle: () => void,
  onEnd: () => void,
  preface?: Uint8Array,
): Flow {
  const reader = source.getReader();
  let idle = false;
  const next = async () => {
    try {
      const reading = reader.read();
      let here = false;
      const answered = () => {
        here = true;
      };
      reading.then(answered, answered);
      await Promise.resolve();
      await Promise.resolve();
      // Everything has been taken only if the source has nothing to read at once.
      if (!here && !outlet.ending) {
        idle = true;
        onIdle();
      }
      const { done, value } = await reading;
      idle = false;
      if (done) outlet.close();
      else outlet.write(value);
    } catch (error) {
      outlet.cut(error);
    }
  };
  const outlet = new Outlet({
    ...(preface === undefined ? {} : { preface }),
    onIdle: () => void next(),
    onEnd: (reason) => {
      idle = false;
      onEnd();
      reader.cancel(reason).catch(() => {});
    },
  });
  return {
    body: outlet.body,
    idle: () => idle,
    wrote: () => {
      idle = false;
    },
  };
}
