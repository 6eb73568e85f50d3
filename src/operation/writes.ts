// The way of one write to the node that orders writes: here, or by forward, over any change of leader, with one key (replication.md 10).

import { type Caller, callerName } from "../access/caller.ts";
import { isReservedSpace } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import type { Log } from "../log/log.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import type { Answer } from "./answer.ts";
import type { Operation, WriteLimits } from "./define.ts";
import type { Positions } from "./positions.ts";
import {
  afterTries,
  type ForwardCall,
  type Forwarded,
  gaveUp,
  localName,
  neverForwarded,
  newNodeKey,
  notLeader,
  notReady,
  type Routing,
  type ServingMode,
} from "./routing.ts";

/** A write, parsed and admitted on this node. */
export interface AdmittedWrite {
  operation: Extract<Operation, { kind: "write" }>;
  spaces: string[] | "visible";
  input: Record<string, unknown>;
  /** The arguments as they came, for the node that they are forwarded to. */
  raw: Record<string, unknown>;
  caller: Caller;
  key: string | undefined;
  forwarded: Forwarded | undefined;
  signal: AbortSignal;
}

export interface WritesOptions {
  log: Log;
  positions: Positions;
  limits: WriteLimits;
  writesRefused: (() => Fault | undefined) | undefined;
  routing: Routing | undefined;
}

/** After this time a write whose outcome is not known is answered so. */
const WITHIN_MS = 30_000;
/** Between two tries at this node while it hands the leadership over, or takes it. */
const HERE_AGAIN_MS = 50;
/** Most of what a leader has on its way when it loses the leadership is applied soon after. */
const MOVED_GRACE_MS = 500;
/** How long a forwarded write waits until it is applied here as well, so that whoever asks here next sees it. */
const APPLIED_HERE_MS = 5_000;

/** Takes writes to where they are ordered. */
export class Writes {
  readonly #options: WritesOptions;

  constructor(options: WritesOptions) {
    this.#options = options;
  }

  /** Rejects with the write's Fault, or with `unavailable` and what is known of its outcome. */
  run(write: AdmittedWrite): Promise<Answer> {
    const { routing } = this.#options;
    const mode = routing?.mode() ?? "leader";
    if (mode === "waiting") throw notReady();
    if (routing === undefined || (mode === "leader" && !routing.several()))
      return this.#propose(write, { key: keyOf(write, undefined) });
    if (write.forwarded === undefined) return this.#anywhere(write, routing);
    return this.#asLeader(write, routing, mode);
  }

  /** Never on from here: the node that forwarded it finds the leader itself, and is judged by its own role. */
  async #asLeader(write: AdmittedWrite, routing: Routing, mode: ServingMode): Promise<Answer> {
    if (mode !== "leader") throw notLeader(routing.leader());
    const answer = await this.#unlessMoved(this.#propose(write, { key: keyOf(write, write.forwarded?.nodeKey) }));
    if (answer === "moved") throw lostMeanwhile(routing.leader());
    return answer;
  }

  async #anywhere(write: AdmittedWrite, routing: Routing): Promise<Answer> {
    const key = keyOf(write, newNodeKey());
    const { caller } = write;
    // By whatever node it is ordered in the end: the same caller, operation and key.
    const name = caller.kind === "local" ? localName(caller.id, routing.self()) : callerName(caller);
    const late = AbortSignal.timeout(WITHIN_MS);
    const signal = AbortSignal.any([write.signal, late]);
    let mayBeDone = false;
    let last: unknown;
    while (!late.aborted) {
      if (routing.mode() === "leader") {
        try {
          const answer = await this.#unlessMoved(this.#propose(write, { key, name }));
          if (answer !== "moved") return answer;
          mayBeDone = true;
        } catch (error) {
          const outcome = error instanceof Fault ? error.facts.outcome : undefined;
          if (outcome !== "not_done" && outcome !== "unknown") throw afterTries(error, mayBeDone);
          mayBeDone ||= outcome === "unknown";
          last = error;
        }
        await pause(HERE_AGAIN_MS);
        continue;
      }
      refuseUnforwardable(write, routing);
      const answer = await this.#forward(write, key, routing, signal).catch((error: unknown) => {
        write.signal.throwIfAborted();
        throw late.aborted && !(error instanceof Fault) ? gaveUp(true, last) : afterTries(error, mayBeDone);
      });
      if (answer !== "here") return answer;
      // Which tries went out before this node began to lead is not told.
      mayBeDone = true;
    }
    throw gaveUp(mayBeDone, last);
  }

  /** What was proposed here may wait for long once another node leads; that one is asked again, and knows it by its key. */
  async #unlessMoved(proposed: Promise<Answer>): Promise<Answer | "moved"> {
    const moved = Promise.withResolvers<"moved">();
    let grace: ReturnType<typeof setTimeout> | undefined;
    const stop = this.#options.log.onLeadership(({ leading }) => {
      if (!leading) grace ??= setTimeout(() => moved.resolve("moved"), MOVED_GRACE_MS);
    });
    proposed.catch(() => {});
    try {
      return await Promise.race([proposed, moved.promise]);
    } finally {
      stop();
      clearTimeout(grace);
    }
  }

  async #forward(
    { operation, raw, caller, signal: gone }: AdmittedWrite,
    key: Key,
    routing: Routing,
    signal: AbortSignal,
  ): Promise<Answer | "here"> {
    const { positions } = this.#options;
    const call: ForwardCall = {
      operation: operation.name,
      input: raw,
      caller,
      kind: "write",
      ...(key.by === "node" ? { nodeKey: key.text } : {}),
    };
    const answer = await routing.forward(call, "leader", signal);
    if (answer === "here") return answer;
    positions.saw(callerName(caller), answer.position);
    // An edge has what it may have: a session read that misses this write goes upstream.
    if (routing.mode() === "replica")
      await positions.reached(parsePosition(answer.position), APPLIED_HERE_MS, gone).catch(() => false);
    return answer;
  }

  async #propose(
    { operation, input, caller, forwarded }: AdmittedWrite,
    { key, name = callerName(caller) }: { key: Key | undefined; name?: string },
  ): Promise<Answer> {
    const { log, limits, writesRefused } = this.#options;
    const refused = writesRefused?.();
    if (refused !== undefined) throw refused;
    const command: unknown = operation.prepare(input, limits);
    const applied = await log.propose({
      name: operation.name,
      v: operation.v,
      input: command,
      caller: name,
      via: forwarded?.via ?? "",
      key: key?.text ?? "",
      ...(key?.by === "node" ? { nodeKey: true as const } : {}),
      weight: operation.weight?.(command) ?? 0,
    });
    return { output: applied.output, position: formatPosition(applied.position) };
  }
}

/** An idempotency key, by the caller or made by a node that forwards. */
interface Key {
  text: string;
  by: "caller" | "node";
}

/** The caller's key wins. */
function keyOf(write: AdmittedWrite, nodeKey: string): Key;
function keyOf(write: AdmittedWrite, nodeKey: string | undefined): Key | undefined;
function keyOf({ key }: AdmittedWrite, nodeKey: string | undefined): Key | undefined {
  if (key !== undefined) return { text: key, by: "caller" };
  return nodeKey === undefined ? undefined : { text: nodeKey, by: "node" };
}

/** What needs admin is done where admin was proved: at the leader, or nowhere. */
function refuseUnforwardable({ operation, spaces }: AdmittedWrite, routing: Routing): void {
  const { verb } = operation.access;
  const needsAdmin = verb === "admin" || (spaces !== "visible" && spaces.some(isReservedSpace));
  if (needsAdmin) throw neverForwarded(operation.name, routing.leader());
}

function lostMeanwhile(leader: { node: string } | undefined): Fault {
  return new Fault("unavailable", "This node lost the leadership while it ordered the write", {
    hint: "Ask the leader, with the same idempotency key.",
    facts: { outcome: "unknown", leader: leader && { node: leader.node } },
    details: { retryAfterSeconds: 1 },
  });
}
