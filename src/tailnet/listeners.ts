// The event listeners of a Tailnet. A listener that throws is logged and does not stop the others.

import type { TailnetEvents, TailnetLog } from "./tailnet.ts";

type Table = { [K in keyof TailnetEvents]: Set<TailnetEvents[K]> };

export class Listeners {
  readonly #log: TailnetLog;
  readonly #table: Table = {
    state: new Set(),
    login: new Set(),
    authFailed: new Set(),
    netmap: new Set(),
    revoked: new Set(),
    fatal: new Set(),
  };

  constructor(log: TailnetLog) {
    this.#log = log;
  }

  /** Adds a listener. Returns the function that removes it. */
  on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void {
    const set: Set<TailnetEvents[K]> = this.#table[event];
    set.add(listener);
    return () => set.delete(listener);
  }

  /** Calls every listener of the event, in the order in which they were added. */
  emit<K extends keyof TailnetEvents>(event: K, ...args: Parameters<TailnetEvents[K]>): void {
    const set: Set<TailnetEvents[K]> = this.#table[event];
    for (const listener of [...set]) {
      try {
        (listener as (...values: Parameters<TailnetEvents[K]>) => void)(...args);
      } catch (error) {
        this.#log("error", `listener of tailnet event "${event}" threw: ${String(error)}`);
      }
    }
  }
}
