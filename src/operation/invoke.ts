// The one road into Cairn: parse, gate, rate limit, run (architecture.md 7). REST, MCP, CLI and pages call this and nothing below it.

import type { Access } from "../access/access.ts";
import { type Caller, callerName } from "../access/caller.ts";
import type { Refusal } from "../access/refusals.ts";
import type { Grant, Rights } from "../access/rights.ts";
import { Fault, type FaultCode } from "../lib/fault.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Changes } from "../log/changes.ts";
import type { Log } from "../log/log.ts";
import { formatPosition } from "../log/position.ts";
import { damagedForCallers, isDamaged } from "../store/damage.ts";
import type { Store } from "../store/store.ts";
import type { Answer } from "./answer.ts";
import { type CallerLimits, LimitedCallers } from "./caller-limits.ts";
import type { CallContext, Operation, WriteLimits } from "./define.ts";
import { Following } from "./follow.ts";
import { splitInput } from "./input.ts";
import { Positions } from "./positions.ts";
import { MAX_POSITION_WAIT_MS, Reads } from "./reads.ts";
import { Registry } from "./registry.ts";
import { type Forwarded, notReady, type Routing } from "./routing.ts";
import { Writes } from "./writes.ts";

export interface Call {
  /** Name of the operation. */
  operation: string;
  /** Arguments as they came; `consistency`, `min_position` and `idempotency_key` are common to operations and taken out here. */
  input: unknown;
  caller: Caller;
  signal: AbortSignal;
  /** Through which surface it came, for the metrics; left out: `other`. */
  surface?: Surface;
  /** It came from another node of the fleet, and is judged by what that one may bring as well. */
  forwarded?: Forwarded;
}

/** The ways in, as the metrics name them. */
export type Surface = "rest" | "mcp" | "web" | "peer" | "other";

/** How a call ended: what is counted. */
export interface Outcome {
  /** Name of an operation of this build, or `unknown`. */
  operation: string;
  surface: Surface;
  /** `ok` or the code of the Fault. */
  code: FaultCode | "ok";
  /** How long the caller waited; undefined for a stream, which is counted when it opens. */
  seconds: number | undefined;
}

/** What an invoker runs operations over. */
export interface InvokerOptions {
  operations: readonly Operation[];
  store: Store;
  log: Log;
  access: Access;
  limits: WriteLimits;
  callerLimits: CallerLimits;
  /** Why no write can be taken now (a full disk), or undefined. */
  writesRefused?: () => Fault | undefined;
  /** The rest of the fleet; without it this node answers everything. */
  routing?: Routing;
  /** Hears each call that the gate refused. */
  onRefused?: (refusal: Refusal) => void;
  /** Hears how each call ended. */
  onOutcome?: (outcome: Outcome) => void;
  nowMs: () => number;
  /** Called with what is no Fault; answers the id under which it was logged. */
  onUnexpected: (error: unknown, operation: string) => string;
}

/** What every surface gets. */
export class Invoker {
  readonly registry: Registry;
  readonly changes: Changes;
  readonly #options: InvokerOptions;
  readonly #limited: LimitedCallers;
  readonly #positions: Positions;
  readonly #reads: Reads;
  readonly #writes: Writes;

  constructor(options: InvokerOptions) {
    this.#options = options;
    this.registry = new Registry(options.operations);
    this.changes = options.log.changes;
    const { log, limits, writesRefused, routing } = options;
    this.#limited = new LimitedCallers(options.callerLimits, options.nowMs);
    this.#positions = new Positions(log);
    this.#reads = new Reads({ log, positions: this.#positions, routing });
    this.#writes = new Writes({ log, positions: this.#positions, limits, writesRefused, routing });
  }

  rights(caller: Caller): Rights {
    return this.#options.access.rights(caller);
  }

  /** Throws where this node never hears of changes in a space, as an edge that is not enrolled for it. Fault `forbidden`. */
  refuseFollow(space: string): void {
    this.#options.routing?.refuseFollow?.([space]);
  }

  /** Position of what is applied on this node, as answers write it. */
  position(): string {
    return this.#positions.here();
  }

  /** Counts an open stream or wait of a caller until the answered function is called; Fault `rate_limited` above the limit. */
  holdStream(caller: Caller): () => void {
    return this.#limited.holdStream(caller);
  }

  /** Reads a position a caller shows and waits (at most 2 s) until it is applied here; answers its seq. Faults: `invalid_input`, `history_forked`, `unavailable`. */
  reach(position: string, signal: AbortSignal): Promise<number> {
    return this.#positions.reach(position, MAX_POSITION_WAIT_MS, signal);
  }

  /** The position of a seq of this history, as answers write it. */
  positionAt(seq: number): string {
    return formatPosition(this.#options.log.positionAt(seq));
  }

  /** Rejects with a Fault, never with anything else. */
  async invoke(call: Call): Promise<Answer> {
    const startMs = performance.now();
    try {
      const answer = await this.#run(call);
      this.#count(call, "ok", startMs);
      return answer;
    } catch (error) {
      const fault = this.#faultOf(error, call);
      this.#count(call, fault.code, startMs);
      throw fault;
    }
  }

  /** Follows the change feed by an operation that can: parsed, judged and limited as a call of it, and one of the caller's streams until it is closed. Rejects with a Fault. */
  async follow(call: Call): Promise<Following> {
    try {
      const following = await this.#follow(call);
      this.#count(call, "ok");
      return following;
    } catch (error) {
      const fault = this.#faultOf(error, call);
      this.#count(call, fault.code);
      throw fault;
    }
  }

  /** Streams and waits that are open now, of all callers. */
  get openStreams(): number {
    return this.#limited.openStreams;
  }

  async #follow(call: Call): Promise<Following> {
    const { operation, spaces, input, common } = this.#admit(call);
    if (operation.kind !== "read" || operation.follow === undefined) {
      throw new Fault("invalid_input", `${operation.name} cannot be followed`, { hint: "Follow context_wait." });
    }
    if (this.#options.routing?.mode() === "waiting") throw notReady();
    if (common.minPosition !== undefined) await this.reach(common.minPosition, call.signal);
    const context = this.#context(call, operation);
    const { since, show } = operation.follow(input, context);
    const release = context.holdStream();
    try {
      const seq = since === undefined ? context.position().seq : await context.reach(since);
      const following = new Following({
        cursor: context.changes.cursor(seq),
        position: context.positionAt(seq),
        show,
        judge: () => this.#judge(call, operation, spaces),
        release,
      });
      following.begin();
      return following;
    } catch (error) {
      release();
      throw error;
    }
  }

  #faultOf(error: unknown, call: Call): Fault {
    if (error instanceof Fault) return error;
    if (call.signal.aborted) return new Fault("cancelled", `${call.operation} was cancelled by its caller`);
    const id = this.#options.onUnexpected(error, call.operation);
    if (isDamaged(error)) return damagedForCallers(error);
    return unexpectedFault(call.operation, id);
  }

  #count(call: Call, code: Outcome["code"], startMs?: number): void {
    this.#options.onOutcome?.({
      operation: this.registry.get(call.operation) === undefined ? "unknown" : call.operation,
      surface: call.surface ?? "other",
      code,
      seconds: startMs === undefined ? undefined : (performance.now() - startMs) / 1000,
    });
  }

  /** Parse, gate, rate limit: what every call passes before anything of the store is looked at. */
  #admit(call: Call) {
    const operation = this.registry.get(call.operation)?.operation;
    if (operation === undefined) throw unknownOperation(call.operation, this.registry);
    const { input, common } = splitInput(operation, call.input);
    const spaces = operation.access.spaces === "visible" ? "visible" : operation.access.spaces(input);
    const grants = this.#judge(call, operation, spaces);
    const follows = operation.kind === "read" && operation.follow !== undefined;
    if (follows && spaces !== "visible") this.#options.routing?.refuseFollow?.(spaces);
    if (call.forwarded !== undefined) this.#limited.forwarded(call.forwarded.via);
    this.#limited.request(call.caller, grants);
    return { operation, input, common, spaces };
  }

  async #run(call: Call): Promise<Answer> {
    const { operation, input, common, spaces } = this.#admit(call);
    const { caller, signal, forwarded } = call;
    const raw = call.input as Record<string, unknown>;
    if (operation.kind === "write") {
      const key = common.idempotencyKey;
      return this.#writes.run({ operation, spaces, input, raw, caller, key, forwarded, signal });
    }
    const context = this.#context(call, operation);
    if (operation.kind === "act") {
      if (forwarded !== undefined) throw actsHere(operation.name);
      if (common.minPosition !== undefined) await this.reach(common.minPosition, signal);
      const position = this.position();
      return { output: await operation.run(input, context), position };
    }
    const run = async (): Promise<Answer> => {
      const position = this.position();
      return { output: await operation.run(this.#options.store.reader, input, context), position };
    };
    return this.#reads.run({ ...common, operation, input: raw, parsed: input, caller, forwarded, signal, run });
  }

  #judge({ caller, forwarded }: Call, operation: Operation, spaces: string[] | "visible"): readonly Grant[] {
    const { verb } = operation.access;
    const cap = forwarded === undefined ? {} : { cap: forwarded };
    try {
      return this.#options.access.judge(caller, { operation: operation.name, verb, spaces, ...cap });
    } catch (error) {
      const space = error instanceof Fault ? error.facts.refusedSpace : undefined;
      this.#options.onRefused?.({
        caller: callerName(caller),
        verb,
        space: space ?? "*",
        operation: operation.name,
      });
      throw error;
    }
  }

  #context(call: Call, operation: Operation): CallContext {
    const { access, log } = this.#options;
    return {
      caller: call.caller,
      rights: access.rights(call.caller),
      signal: call.signal,
      visible: (space) =>
        access.permits(call.caller, { operation: operation.name, verb: operation.access.verb, space }, call.forwarded),
      changes: log.changes,
      position: () => log.position(),
      head: () => log.head(),
      positionAt: (seq) => this.positionAt(seq),
      reach: (position) => this.reach(position, call.signal),
      holdStream: () => this.holdStream(call.caller),
    };
  }
}

/** What has its effect on one node is asked of that node by the caller itself: no member asks it of another in somebody's name. */
function actsHere(operation: string): Fault {
  return new Fault("forbidden", `${operation} has its effect on the node that is asked, and is never forwarded`, {
    hint: "Run it on that node itself.",
  });
}

function unknownOperation(name: string, registry: Registry): Fault {
  const near = registry
    .list()
    .find((entry) => entry.operation.name.includes(name) || name.includes(entry.operation.name));
  return new Fault("unknown_operation", `There is no operation ${JSON.stringify(name.slice(0, 80))}`, {
    hint:
      near === undefined
        ? `Known are: ${registry
            .list()
            .map((entry) => entry.operation.name)
            .join(", ")}.`
        : `Did you mean ${near.operation.name}?`,
  });
}
