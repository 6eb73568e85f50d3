// The stream that keeps an open page fresh: it says that something changed which the caller may see, never what; the
// page then asks again under the rights of that moment. A loop over the read that waits for changes: nothing is queued
// for a client that does not read, and filters, rights and the limit of streams per caller are that operation's.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { Outlet } from "../lib/outlet.ts";
import { pause } from "../lib/pause.ts";
import type { Follows } from "../operation/page.ts";
import type { Asker } from "./ask.ts";

/** How often a quiet stream says `tick`: proxies keep it open, and the page shows what makes no changes: conditions. */
const TICK_SECONDS = 20;
/** Changes within this time are one event. */
const GATHER_MS = 250;

/** What is read of the output of the waiting read. */
const waited = z.object({ changes: z.array(z.unknown()), position: z.string() });

export interface LiveRequest {
  /** Position of the page, or "" for now. */
  since: string;
  follows: Follows;
}

/** The open streams of a node. */
export class LiveStreams {
  readonly #open = new Map<AbortController, string>();
  readonly #waitedBy: string | undefined;

  /** `waitedBy` names the waiting read (`FeatureChanges.waitedBy`); without one there are no streams. */
  constructor(waitedBy: string | undefined) {
    this.#waitedBy = waitedBy;
  }

  /** Returns the body of a stream. Rejects with the Fault of the first call: no right, an old position, a limit. */
  async open(asker: Asker, { since, follows }: LiveRequest): Promise<ReadableStream<Uint8Array>> {
    const name = this.#waitedBy;
    if (name === undefined) throw new Fault("not_found", "Pages of this node have no live stream");
    const end = new AbortController();
    const asking = asker.until(AbortSignal.any([asker.signal, end.signal]));
    let at = since;
    const wait = async (seconds: number): Promise<boolean> => {
      const { changes, position } = await asking.ask(
        { name, output: waited },
        { ...follows, ...(at === "" ? {} : { since: at }), timeout_seconds: seconds },
      );
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

  /** How many streams are open now. */
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
