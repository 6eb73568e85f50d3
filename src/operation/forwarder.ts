// Sends a call to the node that orders writes, and stays with it over a change of leader: the same call with the same key, to the next leader, until the time is over.

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { backoffMs } from "../lib/retry.ts";
import type { Answer } from "./answer.ts";
import { answerOf, wireOf } from "./forward-wire.ts";
import { afterTries, type ForwardCall, gaveUp } from "./routing.ts";

/** What a forwarder needs to know and to do. */
export interface ForwarderOptions {
  /**
   * Asks the path `forward` of a member. Rejects with the Fault that it answered (`facts.fromPeer`), or with
   * `unavailable` and whether anything was sent (`facts.outcome`).
   */
  ask(node: string, value: unknown, options: { timeoutMs: number; signal: AbortSignal }): Promise<unknown>;
  /** Member id of the node that is known to order writes; undefined while nobody is. */
  leader(): string | undefined;
  /** Whether this node orders writes itself. */
  leadsHere(): boolean;
  /** Calls `listener` after each change of who leads; answers the function that ends it. */
  onLeader(listener: () => void): () => void;
  /** For tests: when it gives up, in ms, instead of 30 s. */
  withinMs?: number;
}

/** Forwarders stop after this time (replication.md 10). */
const WITHIN_MS = 30_000;
/** Between two tries while no other node is known to lead. */
const RETRY = { firstMs: 25, lastMs: 400 };

/** The way to the leader, whoever that is. */
export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The leader's answer, or its Fault; `here` as soon as this node leads, whatever was tried before. Fault `unavailable` after 30 s. */
  async toLeader(call: ForwardCall, signal: AbortSignal): Promise<Answer | "here"> {
    const { withinMs = WITHIN_MS, leader, leadsHere } = this.#options;
    const value = wireOf(call);
    const late = AbortSignal.timeout(withinMs);
    const either = AbortSignal.any([signal, late]);
    const isWrite = call.kind === "write";
    let mayBeDone = false;
    let last: unknown;
    let told: string | undefined;
    for (let tries = 1; ; tries += 1) {
      if (leadsHere()) return "here";
      const node = told ?? leader();
      told = undefined;
      if (node !== undefined) {
        try {
          return answerOf(await this.#attempt(node, value, either, withinMs));
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof Fault && isFinal(error)) throw afterTries(error.passedOn(), mayBeDone);
          mayBeDone ||= isWrite && !isUntouched(error);
          last = error;
          told = otherLeader(error, node);
        }
      }
      if (late.aborted) throw gaveUp(mayBeDone, last);
      if (told === undefined) await this.#changeOr(backoffMs(tries, RETRY), either);
      signal.throwIfAborted();
      if (late.aborted) throw gaveUp(mayBeDone, last);
    }
  }

  /** One try at one node, such as an edge's upstream; its answer, its Fault, or `unavailable`. */
  async toNode(node: string, call: ForwardCall, signal: AbortSignal, timeoutMs: number): Promise<Answer> {
    try {
      return answerOf(await this.#options.ask(node, wireOf(call), { timeoutMs, signal }));
    } catch (error) {
      throw error instanceof Fault ? error.passedOn() : error;
    }
  }

  /** Given up when another node is known to lead: one that is cut off or stopped would hold the call to the end. */
  async #attempt(node: string, value: unknown, signal: AbortSignal, timeoutMs: number): Promise<unknown> {
    const { ask, leader, leadsHere, onLeader } = this.#options;
    const moved = new AbortController();
    const before = leader();
    const stop = onLeader(() => {
      const now = leader();
      if (leadsHere() || (now !== undefined && now !== node && now !== before)) moved.abort();
    });
    try {
      return await ask(node, value, { timeoutMs, signal: AbortSignal.any([signal, moved.signal]) });
    } finally {
      stop();
    }
  }

  async #changeOr(ms: number, signal: AbortSignal): Promise<void> {
    const changed = new AbortController();
    const stop = this.#options.onLeader(() => changed.abort());
    try {
      await pause(ms, AbortSignal.any([signal, changed.signal]));
    } catch {
      // Woken before the time: by a change, or by the end that the loop looks for itself.
    } finally {
      stop();
    }
  }
}

/** What another node would say as well; `unavailable` is the one that may be different elsewhere, unless it is about a position nobody has. */
function isFinal({ code, facts }: Fault): boolean {
  return code !== "unavailable" && code !== "not_ready" ? true : facts.applied !== undefined;
}

function isUntouched(error: unknown): boolean {
  if (!(error instanceof Fault)) return false;
  const { outcome } = error.facts;
  return outcome === "not_sent" || outcome === "not_done" || error.code === "not_ready";
}

/** Who the asked node says leads instead. */
function otherLeader(error: unknown, asked: string): string | undefined {
  const named = error instanceof Fault ? error.facts.leader?.node : undefined;
  return named === asked ? undefined : named;
}
