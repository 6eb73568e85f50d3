// Sends a call to the leader and follows changes of leader: the same call with the same key goes to the next leader
// until the time is over.

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { backoffMs } from "../lib/retry.ts";
import { openSleepClock } from "../lib/sleep-clock.ts";
import { TRACE_LEVEL } from "../log/level.ts";
import { errorTypeOf, type Tracer } from "../observe/trace/tracer.ts";
import { type Answer, olderBy } from "./answer.ts";
import { Attempts } from "./attempts.ts";
import { decodeAnswer, encodeCall } from "./forward-frame.ts";
import type { ForwardCall } from "./routing.ts";

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
  /** Records a span of each attempt. Default: none. */
  traces?: ForwardTraces | undefined;
  /** Time limit in ms, for tests. Default: 30 s. */
  withinMs?: number;
}

/** How forwards are traced. */
export interface ForwardTraces {
  tracer: Tracer;
  /** Returns the level of the fleet: below TRACE_LEVEL a frame names no span. */
  level(): number;
}

/** Time limit of a forwarded call (replication.md 10). */
const WITHIN_MS = 30_000;
/** Between two attempts while no other leader is known. */
const RETRY = { firstMs: 25, lastMs: 400 };

/** State of a forwarded call over all attempts. */
interface ForwardState {
  call: ForwardCall;
  /** Aborts when the caller goes away; `either` also when the time is over. */
  signal: AbortSignal;
  either: AbortSignal;
  attempts: Attempts;
  /** The leader that the last node named. */
  named: string | undefined;
}

/** Forwards calls. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  /** Measures how long an answer was under way. */
  readonly #clock = openSleepClock();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * Returns the leader's answer, or rejects with its Fault. Returns `local` as soon as this node leads, whatever was
   * tried before. Rejects with Fault `unavailable` after 30 s, and the time that the call itself may wait.
   */
  async toLeader(call: ForwardCall, signal: AbortSignal): Promise<Answer | "local"> {
    const { leader, leadsHere } = this.#options;
    const withinMs = this.#withinMs(call);
    const late = AbortSignal.timeout(withinMs);
    const either = AbortSignal.any([signal, late]);
    const { attempts = new Attempts(call.kind) } = call;
    const state: ForwardState = { call, signal, either, attempts, named: undefined };
    for (let rounds = 1; ; rounds += 1) {
      if (leadsHere()) return "local";
      const node = state.named ?? leader();
      state.named = undefined;
      const answer = node === undefined ? undefined : await this.#attempt(node, state);
      if (answer !== undefined) return answer;
      if (late.aborted) throw attempts.late();
      if (state.named === undefined) await this.#waitForChange(backoffMs(rounds, RETRY), either);
      if (signal.aborted) throw attempts.end(signal.reason, true);
      if (late.aborted) throw attempts.late();
    }
  }

  #withinMs({ waitMs = 0 }: ForwardCall): number {
    return (this.#options.withinMs ?? WITHIN_MS) + waitMs;
  }

  /** Asks one node once, such as an edge's upstream. Rejects with its Fault, or with `unavailable`. */
  async toNode(node: string, call: ForwardCall, signal: AbortSignal, timeoutMs: number): Promise<Answer> {
    try {
      const { waitMs = 0 } = call;
      const options = { timeoutMs: timeoutMs + waitMs, signal };
      return await this.#aged(() => this.#ask(node, call, options));
    } catch (error) {
      throw error instanceof Fault ? error.passedOn() : error;
    }
  }

  /**
   * Returns the answer in the frame that `ask` returns. The whole time of the call is added to its age, as the moment
   * at which the other node read its state is not known here.
   */
  async #aged(ask: () => Promise<unknown>): Promise<Answer> {
    const sentMs = this.#clock.nowMs();
    const answer = decodeAnswer(await ask());
    return olderBy(answer, this.#clock.nowMs() - sentMs + this.#clock.stepMs);
  }

  /** Asks one node. Returns undefined if another one has to be asked; rejects if every node would refuse alike. */
  async #attempt(node: string, state: ForwardState): Promise<Answer | undefined> {
    const { signal, attempts } = state;
    try {
      return { ...(await this.#aged(() => this.#askWhileLeading(node, state))), by: node };
    } catch (error) {
      attempts.failed(error);
      if (signal.aborted) throw attempts.end(signal.reason, true);
      if (error instanceof Fault && isFinal(error)) throw attempts.end(error.passedOn());
      state.named = this.#otherLeader(error, node);
      return undefined;
    }
  }

  /** Asks a node until another one leads: a node that is cut off would hold the call to its timeout. */
  async #askWhileLeading(node: string, { call, either }: ForwardState): Promise<unknown> {
    const { leader, leadsHere, onLeader } = this.#options;
    const moved = new AbortController();
    const before = leader();
    const stop = onLeader(() => {
      const now = leader();
      if (leadsHere() || (now !== undefined && now !== node && now !== before)) moved.abort();
    });
    try {
      const signal = AbortSignal.any([either, moved.signal]);
      return await this.#ask(node, call, { timeoutMs: this.#withinMs(call), signal });
    } finally {
      stop();
    }
  }

  /** Sends a call to a node, as a span of its own. */
  async #ask(node: string, call: ForwardCall, ends: Parameters<ForwarderOptions["ask"]>[2]): Promise<unknown> {
    const { ask, traces } = this.#options;
    const { trace: parent, ...untraced } = call;
    if (traces === undefined || parent === undefined) return ask(node, encodeCall(untraced), ends);
    const { operation } = call;
    const attributes = { "cairn.operation": operation, "cairn.member": node };
    const span = traces.tracer.begin(`forward ${operation}`, { kind: "client", parent, attributes });
    const mayCarry = traces.level() >= TRACE_LEVEL;
    try {
      const value = await ask(node, encodeCall(mayCarry ? { ...untraced, trace: span.context } : untraced), ends);
      span.end();
      return value;
    } catch (error) {
      const type = errorTypeOf(error);
      // A caller that has gone, or another leader, is no error; a node that does not answer in time is one.
      const isCalledOff = ends.signal.aborted && errorTypeOf(ends.signal.reason) !== "TimeoutError";
      span.end({ "error.type": type }, isCalledOff ? undefined : type);
      throw error;
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
 * position that no node has applied yet.
 */
function isFinal({ code, facts }: Fault): boolean {
  return (code !== "unavailable" && code !== "not_ready") || facts.applied !== undefined;
}
