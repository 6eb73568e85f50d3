// Lets a writer of a server-sent stream know when the client has taken everything, so that it never writes to one who does not read (architecture.md 2: a subscriber is a cursor and a wake-up, never a queue).

import { Outlet } from "../lib/outlet.ts";

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
      // Only when nothing is there to be read at once has everything been taken.
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
