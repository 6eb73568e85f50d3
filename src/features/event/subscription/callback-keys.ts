// The secrets of callbacks, which clients of MCP Events give, and which of their addresses were proved. They are in the
// memory of the leader alone, so that no secret is in the log: after a change of leader nothing is sent until the
// client asks again, which it does before its subscription ends.

import { LRUCache } from "lru-cache";
import { ServiceKey } from "../../../operation/services.ts";

/** More than there can be subscriptions. */
const MAX_KEPT = 1000;
/** How long the secret before signs too, in ms. */
const BOTH_MS = 5 * 60_000;
/** How long an address counts as proved after its last use, in ms. */
const PROVED_MS = 3_600_000;

interface Kept {
  secret: string;
  untilMs: number;
  before: string | undefined;
  beforeUntilMs: number;
}

/** Secrets and proofs, for as long as they count. */
export class CallbackKeys {
  readonly #nowMs: () => number;
  readonly #kept = new LRUCache<string, Kept>({ max: MAX_KEPT });
  readonly #proved = new LRUCache<string, number>({ max: MAX_KEPT });

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Keeps the secret of a subscription for so long. Another one that it had signs too for some minutes. */
  keep(subscription: string, secret: string, forMs: number): void {
    const nowMs = this.#nowMs();
    const kept = this.#kept.get(subscription);
    const isSame = kept?.secret === secret;
    this.#kept.set(subscription, {
      secret,
      untilMs: nowMs + forMs,
      before: isSame ? kept.before : kept?.secret,
      beforeUntilMs: isSame ? kept.beforeUntilMs : nowMs + BOTH_MS,
    });
  }

  /** Returns what signs the messages of a subscription; none: its client has not asked, or its time is over. */
  of(subscription: string): string[] {
    const kept = this.#kept.get(subscription);
    const nowMs = this.#nowMs();
    if (kept === undefined || kept.untilMs <= nowMs) return [];
    return kept.before === undefined || kept.beforeUntilMs <= nowMs ? [kept.secret] : [kept.secret, kept.before];
  }

  /** Reports whether an address was proved for a caller. */
  isProved(caller: string, url: string): boolean {
    return (this.#proved.get(keyOf(caller, url)) ?? 0) > this.#nowMs();
  }

  /** Counts an address as proved for a caller, from now on for an hour. */
  prove(caller: string, url: string): void {
    this.#proved.set(keyOf(caller, url), this.#nowMs() + PROVED_MS);
  }
}

function keyOf(caller: string, url: string): string {
  return JSON.stringify([caller, url]);
}

/** The secrets of callbacks on this node. */
export const CALLBACK_KEYS: ServiceKey<CallbackKeys> = new ServiceKey("the secrets of callbacks");
