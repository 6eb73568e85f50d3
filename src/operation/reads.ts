// Where a read is answered: by this node as it is, once it is far enough, or by the node that is. The three levels of architecture.md 5.

import { callerName } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, type Position } from "../log/position.ts";
import type { Answer } from "./answer.ts";
import type { ReadOperation } from "./define.ts";
import type { Positions } from "./positions.ts";
import { type CachedCall, type Forwarded, notLeader, notReady, type Routing } from "./routing.ts";

/** A read, parsed and admitted on this node. */
export interface AdmittedRead extends Omit<CachedCall, "operation" | "kind"> {
  operation: ReadOperation;
  forwarded: Forwarded | undefined;
  /** Runs it on the store of this node. */
  run(): Promise<Answer>;
}

export interface ReadsOptions {
  log: Log;
  positions: Positions;
  routing: Routing | undefined;
}

/** How long a read waits for a position that this node has not applied yet, elsewhere or here. */
export const MAX_POSITION_WAIT_MS = 2000;

/** Finds who answers a read. */
export class Reads {
  readonly #options: ReadsOptions;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /** Rejects with the read's Fault, or with `unavailable`, `not_ready`, `history_forked`. */
  run(read: AdmittedRead): Promise<Answer> {
    const { operation, consistency } = read;
    const mode = this.#options.routing?.mode() ?? "leader";
    if (operation.here === true) return read.run();
    if (mode === "waiting") throw notReady();
    // A wait for changes is of this node's own feed, whatever it is; how new that must be is said by `since`.
    if (operation.follow !== undefined) return this.#hereFrom(read);
    if (mode === "edge") return this.#onEdge(read);
    if (consistency === "leader") return this.#fromLeader(read);
    const missing = consistency === "any" ? undefined : this.#missing(read);
    return missing === undefined ? this.#here(read, mode) : this.#session(read, missing);
  }

  /** From the store of this node as it is. */
  #here(read: AdmittedRead, mode = this.#options.routing?.mode()): Promise<Answer> {
    return mode === "replica" ? this.#aged(read) : read.run();
  }

  async #aged(read: AdmittedRead): Promise<Answer> {
    // Before the read, whose state may be that of now; a wait takes its time.
    const ageSeconds = this.#options.routing?.ageSeconds?.();
    const startMs = performance.now();
    const answer = await read.run();
    if (ageSeconds === undefined) return answer;
    return { ...answer, ageSeconds: ageSeconds + (performance.now() - startMs) / 1000 };
  }

  async #hereFrom(read: AdmittedRead): Promise<Answer> {
    if (read.minPosition !== undefined)
      await this.#options.positions.reach(read.minPosition, MAX_POSITION_WAIT_MS, read.signal);
    return this.#here(read);
  }

  /** Behind: asked at once where it is known, and answered here if that is sooner or cannot be (replication.md 27). */
  async #session(read: AdmittedRead, missing: Position): Promise<Answer> {
    const { positions, routing } = this.#options;
    const text = formatPosition(missing);
    const done = new AbortController();
    const signal = AbortSignal.any([read.signal, done.signal]);
    try {
      const reached = positions.reached(missing, MAX_POSITION_WAIT_MS, signal);
      reached.catch(() => {});
      // A call that was forwarded already waits here: the node that sent it can ask the leader itself.
      if (routing?.mode() === "replica" && read.forwarded === undefined) {
        const asked = this.#try({ ...read, minPosition: text, signal }, routing);
        asked.catch(() => {});
        const first = await Promise.race([asked, reached.then((isHere) => (isHere ? "here" : undefined))]);
        if (first !== undefined && first !== "here") return first;
      }
      if (await reached) return await this.#here(read);
    } finally {
      done.abort();
    }
    throw positions.behind(text);
  }

  /** The position that a session read needs and this node has not; what other nodes forward shows what they need. */
  #missing(read: AdmittedRead): Position | undefined {
    const { positions } = this.#options;
    return positions.missing(read.forwarded === undefined ? callerName(read.caller) : "", read.minPosition);
  }

  async #fromLeader(read: AdmittedRead): Promise<Answer> {
    const { log, routing } = this.#options;
    if (read.minPosition !== undefined && (routing?.mode() ?? "leader") === "leader")
      await this.#options.positions.reach(read.minPosition, MAX_POSITION_WAIT_MS, read.signal);
    for (;;) {
      read.signal.throwIfAborted();
      if ((routing?.mode() ?? "leader") === "leader") {
        try {
          await log.barrier();
          return await this.#here(read);
        } catch (error) {
          if (routing === undefined || !routing.several() || !isLost(error, routing)) throw error;
        }
      }
      if (routing === undefined) throw notLeader(undefined);
      if (read.forwarded !== undefined) throw notLeader(routing.leader());
      const answer = await this.#ask(read, "leader", routing, read.signal);
      if (answer !== "here") return answer;
    }
  }

  async #onEdge(read: AdmittedRead): Promise<Answer> {
    const { routing, positions } = this.#options;
    if (routing === undefined) throw notReady();
    const missing = read.consistency === "session" ? this.#missing(read) : undefined;
    const minPosition = missing === undefined ? read.minPosition : formatPosition(missing);
    const { operation, input, caller, parsed, consistency, signal } = read;
    const call: CachedCall = {
      ...{ operation: operation.name, kind: "read" as const, input, caller },
      ...{ parsed, consistency, minPosition, signal },
    };
    const cached = consistency === "leader" ? undefined : await routing.answer?.(call);
    if (cached !== undefined) {
      positions.saw(callerName(caller), cached.position);
      return cached;
    }
    const to = consistency === "leader" ? "leader" : "upstream";
    const answer = await this.#ask(minPosition === undefined ? read : { ...read, minPosition }, to, routing, signal);
    if (answer === "here") throw notReady();
    return answer;
  }

  /** The leader's answer, or undefined where it cannot be had: then this node goes on by itself. */
  async #try(read: AdmittedRead, routing: Routing): Promise<Answer | undefined> {
    try {
      const answer = await this.#ask(read, "leader", routing, read.signal);
      return answer === "here" ? undefined : answer;
    } catch (error) {
      // A leader that does not see the caller is no reason to refuse what this node will have in a moment.
      if (error instanceof Fault && (error.code === "unavailable" || error.code === "forward_unseen")) return undefined;
      throw error;
    }
  }

  async #ask(
    read: AdmittedRead,
    to: "leader" | "upstream",
    routing: Routing,
    signal: AbortSignal,
  ): Promise<Answer | "here"> {
    const { operation, input, caller, consistency, minPosition } = read;
    const asked = {
      ...input,
      consistency,
      ...(minPosition === undefined ? {} : { min_position: minPosition }),
    };
    const answer = await routing.forward(
      { operation: operation.name, kind: "read" as const, input: asked, caller },
      to,
      signal,
    );
    if (answer !== "here") this.#options.positions.saw(callerName(caller), answer.position);
    return answer;
  }
}

/** Whether a barrier failed because this node leads no more. */
function isLost(error: unknown, routing: Routing): boolean {
  return error instanceof Fault && error.code === "unavailable" && routing.mode() !== "leader";
}
