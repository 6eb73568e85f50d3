// Decides which node runs a read: this one as it is, this one once it has applied a position, or another one.
// Implements the three levels of consistency (architecture.md 5).

import { callerName } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { openSleepClock } from "../lib/sleep-clock.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, type Position } from "../log/position.ts";
import type { Answer } from "./answer.ts";
import { DEFAULT_WAIT_SECONDS, type ReadOperation } from "./define.ts";
import type { Positions } from "./positions.ts";
import type { CachedCall, Forwarded, Routing } from "./routing.ts";
import { notCurrent, notLeader, notReady, refusedThere, waitingFault } from "./routing-faults.ts";

/** A read that was parsed and admitted on this node. */
export interface AdmittedRead extends Omit<CachedCall, "operation" | "kind"> {
  operation: ReadOperation;
  forwarded: Forwarded | undefined;
  /** Runs it on the store of this node. */
  run(): Promise<Answer>;
}

export interface ReadRouterOptions {
  log: Log;
  positions: Positions;
  routing: Routing | undefined;
}

/** How long a read waits for a position that this node has not applied yet. */
export const MAX_POSITION_WAIT_MS = 2000;
/** How often a session read looks whether this node became current. */
const CURRENT_CHECK_MS = 20;

/** Routes reads. */
export class ReadRouter {
  readonly #options: ReadRouterOptions;
  /** Measures how long a read took. */
  readonly #clock = openSleepClock();

  constructor(options: ReadRouterOptions) {
    this.#options = options;
  }

  /** Returns the answer, or rejects with the read's Fault, `unavailable`, `not_ready` or `history_forked`. */
  run(read: AdmittedRead): Promise<Answer> {
    const { operation, consistency } = read;
    const mode = this.#mode();
    if (operation.local === true) return read.run();
    if (mode === "waiting") throw waitingFault(this.#options.routing);
    // A wait reads this node's own feed in every mode; `since` is in its `minPosition`.
    if (operation.follow !== undefined && !(mode === "edge" && operation.followsTables)) return this.#localFrom(read);
    if (mode === "edge") return this.#onEdge(read);
    if (consistency === "leader") return this.#fromLeader(read);
    if (consistency === "any") return this.#local(read);
    const missing = this.#missing(read);
    return missing === undefined && this.#isCurrent(read) ? this.#local(read) : this.#session(read, missing);
  }

  #mode() {
    return this.#options.routing?.mode() ?? "leader";
  }

  /**
   * Reads the store of this node as it is, with the age that is proved for it. That a node leads proves nothing: it may
   * have been paused while another one was elected.
   */
  async #local(read: AdmittedRead): Promise<Answer> {
    // Taken before the read, which may see a newer state, and asked after it, which may wait.
    const age = this.#options.routing?.stateAge?.();
    const answer = await read.run();
    return age === undefined ? answer : { ...answer, ageSeconds: age() / 1000 };
  }

  /** Reads the store of this node once it has applied `min_position`. */
  async #localFrom(read: AdmittedRead): Promise<Answer> {
    if (read.minPosition !== undefined) await this.#reach(read, read.minPosition);
    return this.#local(read);
  }

  #reach(read: AdmittedRead, position: string): Promise<number> {
    return this.#options.positions.reach(position, MAX_POSITION_WAIT_MS, read.signal);
  }

  /**
   * Reports whether this node has what it acknowledged itself before a restart. A forwarded call names what its caller
   * has seen.
   */
  #isCurrent({ forwarded }: AdmittedRead): boolean {
    return forwarded !== undefined || this.#options.routing?.isCurrent?.() !== false;
  }

  /**
   * Reads at a position that this node has not applied, or while it may lack what it acknowledged: asks the leader at
   * once, and reads here if this node catches up first or the leader cannot be asked (replication.md 27).
   */
  async #session(read: AdmittedRead, missing: Position | undefined): Promise<Answer> {
    const { positions, routing } = this.#options;
    const minPosition = missing === undefined ? read.minPosition : formatPosition(missing);
    // What was acknowledged before has no position here: only a leader that passed a barrier surely has it.
    const consistency = this.#isCurrent(read) ? read.consistency : "leader";
    const done = new AbortController();
    const signal = AbortSignal.any([read.signal, done.signal]);
    try {
      const reached = this.#caughtUp(read, missing, signal);
      reached.catch(() => {});
      // A forwarded call waits here: the node that forwarded it can ask the leader itself.
      if (routing !== undefined && routing.mode() !== "leader" && read.forwarded === undefined) {
        const asked = this.#tryLeader({ ...read, consistency, minPosition, signal }, routing);
        asked.catch(() => {});
        const first = await Promise.race([asked, reached.then((isReached) => (isReached ? "local" : undefined))]);
        if (first !== undefined && first !== "local") return first;
      }
      if (await reached) return this.#mode() === "edge" ? await this.#nearby(read) : await this.#local(read);
    } finally {
      done.abort();
    }
    throw missing === undefined || !this.#isCurrent(read) ? notCurrent() : positions.behind(formatPosition(missing));
  }

  /** Reports whether this node became current and reached a position within the time of a session read. */
  async #caughtUp(read: AdmittedRead, missing: Position | undefined, signal: AbortSignal): Promise<boolean> {
    const untilMs = performance.now() + MAX_POSITION_WAIT_MS;
    while (!this.#isCurrent(read)) {
      if (performance.now() >= untilMs) return false;
      await pause(CURRENT_CHECK_MS, signal);
    }
    if (missing === undefined) return true;
    return this.#options.positions.reached(missing, Math.max(0, untilMs - performance.now()), signal);
  }

  /**
   * Returns the position that a session read needs and this node has not applied. For a forwarded call only what it
   * names counts: the node that forwarded it knows what the caller has seen.
   */
  #missing(read: AdmittedRead): Position | undefined {
    const { positions } = this.#options;
    return positions.missing(read.forwarded === undefined ? callerName(read.caller) : "", read.minPosition);
  }

  /** Reads on the leader, after a barrier; goes on over changes of leader. */
  async #fromLeader(read: AdmittedRead): Promise<Answer> {
    const { routing } = this.#options;
    if (read.minPosition !== undefined && this.#mode() === "leader") await this.#reach(read, read.minPosition);
    for (;;) {
      read.signal.throwIfAborted();
      const own = this.#mode() === "leader" ? await this.#afterBarrier(read) : undefined;
      if (own !== undefined) return own;
      if (routing === undefined || read.forwarded !== undefined) throw notLeader(routing?.leader());
      const answer = await this.#forward(read, "leader", routing).catch((error: unknown) => {
        throw read.operation.atLeader === true ? refusedThere(error, routing.leader()) : error;
      });
      if (answer !== "local") return answer;
    }
  }

  /** Reads here after a barrier. Returns undefined if this node lost the leadership to another one. */
  async #afterBarrier(read: AdmittedRead): Promise<Answer | undefined> {
    const { log, routing } = this.#options;
    const askedMs = this.#clock.nowMs();
    try {
      await log.barrier();
      // The barrier proves the state: it was proposed after the read arrived.
      const answer = await read.run();
      if (routing === undefined) return answer;
      return { ...answer, ageSeconds: (this.#clock.nowMs() - askedMs + this.#clock.stepMs) / 1000 };
    } catch (error) {
      if (routing?.hasOtherNodes() === true && isLeadershipLost(error, routing)) return undefined;
      throw error;
    }
  }

  /** Reads on an edge: at the leader, or nearby once this edge is current. */
  #onEdge(read: AdmittedRead): Promise<Answer> {
    if (read.consistency === "leader") return this.#ask(read, "leader");
    return read.consistency === "any" || this.#isCurrent(read) ? this.#nearby(read) : this.#session(read, undefined);
  }

  /** Reads from the cache of an edge, or its upstream. */
  async #nearby(read: AdmittedRead): Promise<Answer> {
    const { routing, positions } = this.#options;
    const { operation, input, caller, agentKey, parsed, consistency, signal } = read;
    const missing = consistency === "session" ? this.#missing(read) : undefined;
    const minPosition = missing === undefined ? read.minPosition : formatPosition(missing);
    const who = { caller, ...(agentKey === undefined ? {} : { agentKey }) };
    const call = { operation: operation.name, kind: "read" as const, input, ...who };
    const cached = await routing?.readCached?.({ ...call, parsed, consistency, minPosition, signal });
    if (cached !== undefined) {
      positions.saw(callerName(caller), cached.position);
      return cached;
    }
    // The upstream may be behind the one that this edge followed before.
    const isSession = consistency === "session" && missing === undefined;
    return this.#ask({ ...read, minPosition: isSession ? positions.here() : minPosition }, "upstream");
  }

  /** Returns the answer of another node to a read on an edge. */
  async #ask(read: AdmittedRead, to: "leader" | "upstream"): Promise<Answer> {
    const { routing } = this.#options;
    const answer = routing === undefined ? "local" : await this.#forward(read, to, routing);
    if (answer === "local") throw notReady();
    return answer;
  }

  /** Returns the leader's answer; undefined if it cannot be had, so that this node reads for itself. */
  async #tryLeader(read: AdmittedRead, routing: Routing): Promise<Answer | undefined> {
    try {
      const answer = await this.#forward(read, "leader", routing);
      return answer === "local" ? undefined : answer;
    } catch (error) {
      // The leader may not see the caller; this node does, and will have the position in a moment.
      if (error instanceof Fault && (error.code === "unavailable" || error.code === "forward_unseen")) return undefined;
      throw error;
    }
  }

  async #forward(read: AdmittedRead, to: "leader" | "upstream", routing: Routing): Promise<Answer | "local"> {
    const { operation, input, caller, agentKey, consistency, minPosition, signal, trace } = read;
    const asked = {
      ...input,
      consistency,
      ...(minPosition === undefined ? {} : { min_position: minPosition }),
    };
    const call = {
      operation: operation.name,
      kind: "read" as const,
      input: asked,
      caller,
      ...(agentKey === undefined ? {} : { agentKey }),
      ...(trace === undefined ? {} : { trace }),
      ...waitOf(operation, input),
    };
    const answer = await routing.forward(call, to, signal);
    if (answer !== "local") this.#options.positions.saw(callerName(caller), answer.position);
    return answer;
  }
}

/** Returns how long a read that waits may take at another node, beside what every call takes. */
function waitOf({ waits }: ReadOperation, { timeout_seconds }: Record<string, unknown>): { waitMs?: number } {
  if (waits !== true) return {};
  return { waitMs: 1000 * (typeof timeout_seconds === "number" ? timeout_seconds : DEFAULT_WAIT_SECONDS) };
}

/** Reports whether a barrier failed because this node no longer leads. */
function isLeadershipLost(error: unknown, routing: Routing): boolean {
  return error instanceof Fault && error.code === "unavailable" && routing.mode() !== "leader";
}
