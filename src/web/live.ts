// The stream that keeps an open page fresh: it says that something which the caller may see has changed, never what. The page then asks again, under the rights of that moment.
// A loop over context_wait, a cursor and a wake-up: nothing is queued for a client that does not read, and the limit of streams per caller is that operation's.

import { Fault } from "../lib/fault.ts";
import { Outlet } from "../lib/outlet.ts";
import { pause } from "../lib/pause.ts";
import type { Asker } from "./ask.ts";

/** A quiet stream says `tick` this often: proxies keep it, and the page looks at what is no context, such as conditions. */
const TICK_SECONDS = 20;
/** Changes that come faster are told together. */
const GATHER_MS = 250;

export interface LiveRequest {
  /** Position of the page, or "" for now. */
  since: string;
  /** What the page shows: `{id}`, `{prefix}` or everything. */
  about: { id?: string; prefix?: string };
}

export class LiveStreams {
  readonly #open = new Map<AbortController, string>();

  /** The body of the stream. Throws Faults before it begins: no right, an old position, too many streams. */
  async open(asker: Asker, { since, about }: LiveRequest): Promise<ReadableStream<Uint8Array>> {
    const end = new AbortController();
    const asking = asker.until(AbortSignal.any([asker.signal, end.signal]));
    let at = since;
    const wait = async (seconds: number): Promise<boolean> => {
      const { changes, position } = await asking.ask("context_wait", {
        ...about,
        ...(at === "" ? {} : { since: at }),
        timeout_seconds: seconds,
      });
      at = position;
      return changes.length > 0;
    };
    let changed = await wait(0);
    this.#open.set(end, asker.caller.id);
    const close = () => this.#open.delete(end);
    asking.signal.addEventListener("abort", close, { once: true });
    let first = true;
    const next = async (): Promise<void> => {
      try {
        if (!first) {
          if (changed) await pause(GATHER_MS);
          changed = await wait(TICK_SECONDS);
        }
        const event = changed ? "change" : first ? "open" : "tick";
        outlet.write(`${first ? "retry: 2000\n" : ""}id: ${at}\nevent: ${event}\ndata: ${at}\n\n`);
        first = false;
      } catch (error) {
        close();
        const reason = error instanceof Fault ? error.code : "internal";
        outlet.end(asker.signal.aborted ? undefined : `event: end\ndata: ${reason}\n\n`);
      }
    };
    const outlet = new Outlet({ onIdle: () => void next(), onEnd: () => end.abort() });
    return outlet.body;
  }

  /** Streams that are open now. */
  get size(): number {
    return this.#open.size;
  }

  /** Ends the streams of these callers (by `Caller.id`), or of all. */
  end(callerIds?: readonly string[]): void {
    for (const [end, callerId] of [...this.#open]) {
      if (callerIds === undefined || callerIds.includes(callerId)) end.abort();
    }
  }
}
