// One text after the other, from when it is sent until all followers of a stream have it.

import { openStream, type Place } from "./lane.ts";

const DELIVERED_MS = 10_000;
/** The first ones are not counted. */
const WARM = 10;

/**
 * Opens that many streams at the places in turn, and sends one text after the other, each when all have the one before.
 * Returns how long each took to each follower, and until it was acknowledged, in ms.
 */
export async function fanOut(options: {
  places: readonly Place[];
  followers: number;
  /** Of the stream. */
  path: string;
  send: (text: string) => Promise<unknown>;
  sends: number;
}): Promise<{ deliveredMs: number[]; ackedMs: number[] }> {
  const { places, followers, path, send, sends } = options;
  const deliveredMs: number[] = [];
  const ackedMs: number[] = [];
  let sentAt = 0;
  let current = -1;
  let left = 0;
  let all = Promise.withResolvers<void>();
  const streams: Disposable[] = [];
  const follow = async (place: Place): Promise<void> => {
    let tail = "";
    let last = -1;
    const came = (text: string): void => {
      tail += text;
      for (const [, n] of tail.matchAll(/"post-(\d+)-of-the-bench"/g)) {
        if (Number(n) <= last) continue;
        last = Number(n);
        if (last !== current) continue;
        if (last >= WARM) deliveredMs.push(performance.now() - sentAt);
        left -= 1;
        if (left === 0) all.resolve();
      }
      tail = tail.slice(-64);
    };
    const head = `GET ${path} HTTP/1.1\r\nHost: cairn\r\nAccept: text/event-stream\r\n${place.headers}\r\n`;
    streams.push(await openStream(place, head, came));
  };
  try {
    for (let at = 0; at < followers; at += 1) {
      const place = places[at % places.length];
      if (place !== undefined) await follow(place);
    }
    for (let n = 0; n < sends + WARM; n += 1) {
      all = Promise.withResolvers();
      [current, left] = [n, followers];
      sentAt = performance.now();
      await send(`post-${n}-of-the-bench`);
      if (n >= WARM) ackedMs.push(performance.now() - sentAt);
      const late = setTimeout(
        () => all.reject(new Error(`${left} of ${followers} followers have not got it`)),
        DELIVERED_MS,
      );
      await all.promise;
      clearTimeout(late);
    }
  } finally {
    for (const stream of streams) stream[Symbol.dispose]();
  }
  return { deliveredMs, ackedMs };
}
