// Sends a call to the leader and follows changes of leader: the same call with the same key goes to the next leader
// until the time is over.

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { backoffMs } from "../lib/retry.ts";
import type { Answer } from "./answer.ts";
import { decodeAnswer, encodeCall } from "./forward-frame.ts";
import type { ForwardCall } from "./routing.ts";
import { afterAttempts, gaveUp } from "./routing-faults.ts";

/** What a forwarder needs of the fleet. */
export interface ForwarderOptions {
  /**
   * Asks the path `forward` of a member. Rejects with the Fault that the member returned (`facts.fromPeer`), or with
   * `unavailable` and whether anything was sent (`facts.outcome`).
   */
  ask(node: string, value: unknown, options: { timeoutMs: number; signal: AbortSignal }): Promise<unknown>;
  /** Member id of the node that is known to lead; undefined while none is. */
  leader(): string | undefined;
  /** Reports whether a member may lead, by the members table. Another node that is named as the leader is not asked. */
  mayLead(node: string): boolean;
  /** Whether this node leads. */
  leadsHere(): boolean;
  /** Calls `listener` after each change of leader; returns a function that removes it. */
  onLeader(listener: () => void): () => void;
  /** Time limit in ms, for tests. Default: 30 s. */
  withinMs?: number;
}

/** Time limit of a forwarded call (replication.md 10). */
const WITHIN_MS = 30_000;
/** Between two attempts while no other leader is known. */
const RETRY = { firstMs: 25, lastMs: 400 };

/** Forwards calls. */
export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * Returns the leader's answer, or rejects with its Fault. Returns `local` as soon as this node leads, whatever was
   * tried before. Rejects with Fault `unavailable` after 30 s.
   */
  async toLeader(call: ForwardCall, signal: AbortSignal): Promise<Answer | "local"> {
    const { withinMs = WITHIN_MS, leader, leadsHere } = this.#options;
    const frame = encodeCall(call);
    const late = AbortSignal.timeout(withinMs);
    const either = AbortSignal.any([signal, late]);
    let mayBeDone = false;
    let lastError: unknown;
    /** The leader that the last node named. */
    let named: string | undefined;
    for (let attempts = 1; ; attempts += 1) {
      if (leadsHere()) return "local";
      const node = named ?? leader();
      named = undefined;
      if (node !== undefined) {
        try {
          return { ...decodeAnswer(await this.#attempt(node, frame, either, withinMs)), by: node };
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof Fault && isFinal(error)) throw afterAttempts(error.passedOn(), mayBeDone);
          mayBeDone ||= call.kind === "write" && !isCertainlyNotDone(error);
          lastError = error;
          named = this.#otherLeader(error, node);
        }
      }
      if (late.aborted) throw gaveUp(mayBeDone, lastError);
      if (named === undefined) await this.#waitForChange(backoffMs(attempts, RETRY), either);
      signal.throwIfAborted();
      if (late.aborted) throw gaveUp(mayBeDone, lastError);
    }
  }

  /** Asks one node once, such as an edge's upstream. Rejects with its Fault, or with `unavailable`. */
  async toNode(node: string, call: ForwardCall, signal: AbortSignal, timeoutMs: number): Promise<Answer> {
    try {
      return decodeAnswer(await this.#options.ask(node, encodeCall(call), { timeoutMs, signal }));
    } catch (error) {
      throw error instanceof Fault ? error.passedOn() : error;
    }
  }

  /**
   * Asks one node. Gives up as soon as another node leads: a node that is cut off would hold the call to its timeout.
   */
  async #attempt(node: string, frame: unknown, signal: AbortSignal, timeoutMs: number): Promise<unknown> {
    const { ask, leader, leadsHere, onLeader } = this.#options;
    const moved = new AbortController();
    const before = leader();
    const stop = onLeader(() => {
      const now = leader();
      if (leadsHere() || (now !== undefined && now !== node && now !== before)) moved.abort();
    });
    try {
      return await ask(node, frame, { timeoutMs, signal: AbortSignal.any([signal, moved.signal]) });
    } finally {
      stop();
    }
  }

  /** Returns the node that the asked one named as the leader, if it is another one that may lead. */
  #otherLeader(error: unknown, asked: string): string | undefined {
    const named = error instanceof Fault ? error.facts.leader?.node : undefined;
    return named === undefined || named === asked || !this.#options.mayLead(named) ? undefined : named;
  }

  /** Waits for a change of leader, at most `ms`. */
  async #waitForChange(ms: number, signal: AbortSignal): Promise<void> {
    const changed = new AbortController();
    const stop = this.#options.onLeader(() => changed.abort());
    try {
      await pause(ms, AbortSignal.any([signal, changed.signal]));
    } catch {
      // Ended early: by a change, or by a signal that the loop checks itself.
    } finally {
      stop();
    }
  }
}

/**
 * Reports whether every node would refuse alike. `unavailable` may be different elsewhere, unless it is about a
 * position that nobody has applied.
 */
function isFinal({ code, facts }: Fault): boolean {
  return (code !== "unavailable" && code !== "not_ready") || facts.applied !== undefined;
}

/** Reports whether it is certain that the asked node did not do the write. */
function isCertainlyNotDone(error: unknown): boolean {
  if (!(error instanceof Fault)) return false;
  const { outcome } = error.facts;
  return outcome === "not_sent" || outcome === "not_done" || error.code === "not_ready";
}
