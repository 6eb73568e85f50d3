// The only way to run an operation; DESIGN.md lists its steps. REST, MCP, pages and calls forwarded by other nodes end
// here. The command line comes by HTTP, and so does the bridge.

import type { Access, Ask } from "../access/access.ts";
import { type Caller, callerName } from "../access/caller.ts";
import type { Refusal } from "../access/refusals.ts";
import type { Grant, Rights } from "../access/rights.ts";
import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import { Turns } from "../lib/turns.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Change, Changes } from "../log/changes.ts";
import type { Log } from "../log/log.ts";
import { formatPosition } from "../log/position.ts";
import type { Tracer } from "../observe/trace/tracer.ts";
import { damagedForCallers, isDamaged } from "../store/damage.ts";
import type { Store } from "../store/store.ts";
import { Actors, type Asker } from "./actors.ts";
import type { Admitted } from "./admitted.ts";
import type { AgentTable } from "./agents.ts";
import type { Answer } from "./answer.ts";
import type { Call, Outcome, Surface } from "./call.ts";
import { CallSpans, type FailedCall } from "./call-span.ts";
import { type CallerLimits, LimitedCallers, type Spend, tooManyCostly } from "./caller-limits.ts";
import { changeCursor } from "./change-cursor.ts";
import {
  type ActOperation,
  type AnyWrite,
  type CallContext,
  type MacroOperation,
  type Operation,
  type ReadOperation,
  spacesOf,
  type WriteLimits,
} from "./define.ts";
import { Following } from "./follow.ts";
import { followUpstream } from "./follow-upstream.ts";
import { runMacro } from "./macro.ts";
import { parseInput } from "./parse-input.ts";
import { neededPosition, Positions } from "./positions.ts";
import { MAX_POSITION_WAIT_MS, ReadRouter } from "./read-router.ts";
import { Registry } from "./registry.ts";
import { drawSecret } from "./reveal.ts";
import { fleetNameOf, type Routing } from "./routing.ts";
import { actForwarded, notFollowed, waitingFault } from "./routing-faults.ts";
import type { ChangeRules } from "./viewer.ts";
import { WriteRouter } from "./write-router.ts";
import { WritesOfCall, type WritesOfCallOptions } from "./writes-of-call.ts";

/** What an invoker works on. */
export interface InvokerOptions {
  operations: readonly Operation[];
  store: Store;
  log: Log;
  access: Access;
  /** The agents of the fleet. Default: there are none. */
  agents?: AgentTable | undefined;
  /** Who may see which changes. Default: all who may read their space. */
  changeRules?: ChangeRules;
  /** Returns the limits on writes, as they are now. */
  limits: () => WriteLimits;
  callerLimits: CallerLimits;
  /** Returns why no write can be accepted now (a full disk), or undefined. */
  writesRefused?: () => Fault | undefined;
  /** The rest of the fleet. Default: none, so this node runs every call. */
  routing?: Routing;
  /** Called with each call that the gate refused. */
  onRefused?: (refusal: Refusal) => void;
  /** Records spans of the calls. Default: there are none. */
  tracer?: Tracer | undefined;
  /** Called with each call that failed and whose span is recorded. */
  onFailed?: (failed: FailedCall) => void;
  /** Called at the end of each call. */
  onOutcome?: (outcome: Outcome) => void;
  nowMs: () => number;
  /** Called with errors that are no Fault; returns the id under which the error was logged. */
  onUnexpected: (error: unknown, operation: string, trace: TraceContext | undefined) => string;
}

type WhoAsks = Pick<Call, "caller" | "client" | "forwarded">;

/** Costly reads that may wait for their turn, of one caller and of all. */
const COSTLY = { perKey: 4, total: 64 };

/** Runs operations for all surfaces. */
export class Invoker {
  readonly registry: Registry;
  readonly changes: Changes;
  /** Whether this node records spans: then surfaces hand on the trace of a request. */
  readonly isTraced: boolean;
  readonly spans: CallSpans | undefined;
  readonly #options: InvokerOptions;
  readonly #limited: LimitedCallers;
  readonly #costly = new Turns(COSTLY);
  readonly #positions: Positions;
  readonly #actors: Actors;
  readonly #reads: ReadRouter;
  readonly #writes: WriteRouter;
  readonly #ofWrites: WritesOfCallOptions;

  constructor(options: InvokerOptions) {
    this.#options = options;
    this.isTraced = options.tracer !== undefined;
    this.spans = options.tracer && new CallSpans(options.tracer, options.onFailed);
    this.registry = new Registry(options.operations);
    this.changes = options.log.changes;
    const { log, store, limits, writesRefused, routing, agents, tracer, changeRules = new Map() } = options;
    this.#limited = new LimitedCallers(options.callerLimits, options.nowMs);
    this.#positions = new Positions(log);
    this.#reads = new ReadRouter({ log, positions: this.#positions, routing });
    const { reader } = store;
    const positions = this.#positions;
    this.#actors = new Actors({ agents, reader, routing, access: options.access, changeRules });
    this.#ofWrites = { log, reader, agents, writesRefused, routing };
    this.#writes = new WriteRouter({ ...this.#ofWrites, positions, limits, tracer });
  }

  /** Runs a call and counts how it ended. Rejects only with a Fault. */
  invoke(call: Call): Promise<Answer> {
    return this.#counted(call, performance.now(), async (traced) => {
      const admitted = this.#admit(traced);
      const answer = await this.#route(admitted);
      this.#options.routing?.acknowledge?.(answer.position);
      const key = admitted.newKey ?? admitted.agentKey;
      if (key !== undefined) call.onAgent?.(key);
      return answer;
    });
  }

  /**
   * Follows the change feed by an operation that can: the call is admitted like any other, and counts as one of the
   * caller's streams until it is closed. Rejects only with a Fault.
   */
  follow(call: Call): Promise<Following> {
    return this.#counted(call, undefined, async (traced) => this.#follow(this.#admit(traced)));
  }

  /**
   * Throws Fault `forbidden` where a caller may not use an operation at all, or not on the target that `known` names
   * (arguments of the path), and `unknown_operation`: what can be said before the body of a request is read
   * (security.md 14). `invoke` judges again.
   */
  refuseUnread(name: string, who: WhoAsks, known: Readonly<Record<string, unknown>>, surface: Surface): void {
    try {
      const operation = this.registry.find(name);
      const target = operation.kind === "write" ? operation.target : undefined;
      const named = target === undefined ? undefined : operation.input.shape[target]?.safeParse(known[target]);
      const isNamed =
        typeof operation.access.spaces !== "function" || (target !== undefined && named?.success === true);
      const spaces = isNamed ? spacesOf(operation, target === undefined ? {} : { [target]: named?.data }) : "visible";
      this.#judge(who, operation, spaces);
    } catch (error) {
      if (error instanceof Fault) this.#count({ operation: name, surface }, error.code, undefined);
      throw error;
    }
  }

  /** Throws Fault `forbidden` for a caller without any right; `what` names what it wanted to use. */
  refuseStranger(caller: Caller, what: string): void {
    if (this.rights(caller).permitsAnything()) return;
    this.#judged({ caller }, { operation: what, verb: "read", spaces: "visible" });
  }

  /** Records that a surface refused a request, where this node records spans. */
  recordRefused(call: Pick<Call, "operation" | "caller" | "surface" | "trace">, fault: Fault): void {
    this.spans?.refused(call, this.#nameOf(call), fault);
  }

  /** Counts a request of a caller with rights for what is no operation. Throws Fault `rate_limited`. */
  countRequest(caller: Caller): void {
    this.#limited.request(caller, this.rights(caller).grants);
  }

  rights(caller: Caller): Rights {
    return this.#options.access.rights(caller);
  }

  /**
   * Throws Fault `forbidden` if this node does not receive the changes of a space: an edge that is not enrolled for it.
   */
  refuseFollow(space: string): void {
    this.#options.routing?.refuseFollow?.([space]);
  }

  /**
   * Reports whether who asks, and may read the space of a change, may see the change: for readers of the feed that are
   * no call. One whose agent has ended sees what its caller may.
   */
  maySee(asker: Asker, change: Change): boolean {
    try {
      return this.#actors.maySee(asker, change);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return this.#actors.maySee({ ...asker, agentKey: undefined }, change);
    }
  }

  /** Returns the position that is applied on this node. */
  position(): string {
    return this.#positions.here();
  }

  /** Returns the position of a seq of this history. */
  positionAt(seq: number): string {
    return formatPosition(this.#options.log.positionAt(seq));
  }

  /**
   * Waits (at most 2 s) until a position that a caller sent is applied here, and returns its seq. Rejects with Fault
   * `invalid_input`, `history_forked` or `unavailable`.
   */
  reach(position: string, signal: AbortSignal): Promise<number> {
    return this.#positions.reach(position, MAX_POSITION_WAIT_MS, signal);
  }

  /** Counts an open stream of a caller until the returned function is called. Throws Fault `rate_limited`. */
  holdStream(caller: Caller): () => void {
    return this.#limited.holdStream(caller);
  }

  /** Streams and waits that are open now, of all callers. */
  get openStreams(): number {
    return this.#limited.openStreams;
  }

  /** The steps before anything of the store is read. Each may throw a Fault. */
  #admit(call: Call): Admitted {
    const operation = this.registry.find(call.operation);
    const { input, common, given } = parseInput(operation, call.input, call.exact === true ? "exactly" : "leniently");
    const spaces = spacesOf(operation, input);
    const grants = this.#judge(call, operation, spaces);
    this.#refuseUnfollowed(operation, spaces);
    const spend = this.#limit(call, grants);
    const agentKey = common.agentKey ?? call.agentKey;
    if (agentKey !== undefined) this.#actors.refuseLevel();
    return { spend, call, operation, input, common, given, spaces, agentKey };
  }

  /** Runs an admitted call on the node that has to run it. */
  #route(admitted: Admitted): Promise<Answer> {
    const { operation } = admitted;
    switch (operation.kind) {
      case "write":
        return this.#write(operation, admitted);
      case "read":
        return this.#read(operation, admitted);
      case "act":
        return this.#act(operation, admitted);
      case "macro":
        return this.#macro(operation, admitted);
    }
  }

  /** Returns the grants that allow the call. Records a refusal and throws Fault `forbidden`. */
  #judge(call: WhoAsks, { name, access }: Operation, spaces: readonly string[] | "visible"): readonly Grant[] {
    return this.#judged(call, { operation: name, verb: access.verb, spaces });
  }

  #judged({ caller, client = "", forwarded }: WhoAsks, ask: Ask): readonly Grant[] {
    const cap = forwarded === undefined ? {} : { cap: forwarded };
    try {
      return this.#options.access.judge(caller, { ...ask, ...cap });
    } catch (error) {
      const space = error instanceof Fault ? error.facts.refusedSpace : undefined;
      const { operation, verb } = ask;
      this.#options.onRefused?.({ caller: callerName(caller), client, verb, space: space ?? "*", operation });
      throw error;
    }
  }

  /** Throws Fault `forbidden` for a wait in a space whose changes this node does not receive. */
  #refuseUnfollowed(operation: Operation, spaces: readonly string[] | "visible"): void {
    const follows = operation.kind === "read" && operation.follow !== undefined && operation.followsTables !== true;
    if (follows && spaces !== "visible") this.#options.routing?.refuseFollow?.(spaces);
  }

  /** Counts the call for its caller and for the member that forwarded it. Throws Fault `rate_limited`. */
  #limit({ caller, forwarded }: Call, grants: readonly Grant[]): Spend {
    const ofMember = forwarded === undefined ? undefined : this.#limited.forwarded(forwarded.via);
    const own = this.#limited.request(caller, grants);
    return (units) => {
      ofMember?.(units);
      own(units);
    };
  }

  async #write(operation: AnyWrite, admitted: Admitted): Promise<Answer> {
    const { call, common, spaces, spend, agentKey } = admitted;
    const { caller, client = "", forwarded, signal, trace } = call;
    // The node that took a forwarded call has drawn it.
    const drawn = forwarded === undefined ? drawSecret(operation, admitted.input) : undefined;
    const input = { ...admitted.input, ...drawn?.arguments };
    const raw = { ...admitted.given, ...drawn?.arguments };
    const countsType = (type: string) => this.#actors.countsType(caller, type, spaces);
    const asker = { caller, agentKey, forwarded, operation: operation.name };
    const node = forwarded?.via ?? this.#options.routing?.self() ?? "";
    const proposer = { viewer: (space: string) => this.#actors.viewer(asker, space), node, ...(trace && { trace }) };
    const who = { caller, client, agentKey, countsType, proposer, forwarded, trace };
    const key = common.idempotencyKey;
    try {
      const answer = await this.#writes.run({ ...who, spend, operation, spaces, input, raw, key, signal });
      if (drawn === undefined) return answer;
      const output = drawn.answer(answer.output);
      if (Object.hasOwn(output, operation.reveals?.output ?? "")) admitted.newKey = drawn.key;
      return { ...answer, output };
    } catch (error) {
      const isHere = (this.#options.routing?.mode() ?? "leader") === "leader";
      if (!(error instanceof Fault) || operation.explain === undefined || !isHere) throw error;
      throw operation.explain(input, error, this.#options.store.reader);
    }
  }

  async #read(operation: ReadOperation, admitted: Admitted): Promise<Answer> {
    const { call, input, common, given, agentKey } = admitted;
    const { caller, forwarded, signal, trace } = call;
    const { whole } = operation;
    const run = async (): Promise<Answer> => {
      const context = this.#context(admitted);
      const position = this.position();
      const output = await operation.run(this.#options.store.reader, input, context);
      return { output, position: admitted.wrote ?? position };
    };
    const asked = whole === undefined ? given : whole.input(input);
    const isOfLeader = operation.atLeader === true || this.#actors.isMissing(operation, caller, agentKey);
    const consistency = isOfLeader ? "leader" : common.consistency;
    const minPosition = neededPosition(operation, input, common.minPosition);
    const who = { caller, forwarded, minPosition, ...(agentKey && { agentKey }), ...(trace && { trace }) };
    const read = { ...who, consistency, operation, input: asked, parsed: input, signal, run };
    const answer = await this.#reads.run(read);
    if (whole === undefined) return answer;
    return { ...answer, output: whole.shape(answer.output, input, call.maxChars) };
  }

  async #act(operation: ActOperation, admitted: Admitted): Promise<Answer> {
    const { call, input, common } = admitted;
    if (call.forwarded !== undefined) throw actForwarded(operation.name);
    if (common.minPosition !== undefined) await this.reach(common.minPosition, call.signal);
    const position = this.position();
    return { output: await operation.run(input, this.#context(admitted)), position };
  }

  async #macro(operation: MacroOperation, admitted: Admitted): Promise<Answer> {
    const { call, input, common, agentKey } = admitted;
    const { agentKey: acting, ...answer } = await runMacro(operation, {
      ...{ call, input, common, agentKey },
      find: (name) => this.registry.find(name),
      invoke: (step) => this.invoke(step),
      position: () => this.position(),
    });
    if (acting !== undefined) admitted.newKey = acting;
    return answer;
  }

  async #follow(admitted: Admitted): Promise<Following> {
    const { call, operation, input, common, spaces } = admitted;
    if (operation.kind !== "read" || operation.follow === undefined) throw notFollowed(operation.name);
    const { routing } = this.#options;
    if (routing?.mode() === "waiting") throw waitingFault(routing);
    const isAsked = routing?.mode() === "edge" && operation.followsTables === true;
    const needed = isAsked ? undefined : neededPosition(operation, input, common.minPosition);
    if (needed !== undefined) await this.#positions.reachKnown(needed, MAX_POSITION_WAIT_MS, call.signal);
    const context = this.#context(admitted);
    const followed = isAsked
      ? await followUpstream(operation, admitted, (one) => this.#read(operation, one), routing.leader())
      : await operation.follow(input, context, this.#options.store.reader);
    const release = this.holdStream(call.caller);
    try {
      const cursor = "take" in followed ? followed : await changeCursor(followed, context);
      return new Following({ cursor, judge: () => this.#judge(call, operation, spaces), release });
    } catch (error) {
      release();
      throw error;
    }
  }

  #context(admitted: Admitted): CallContext {
    const { call, operation, spend, agentKey, common } = admitted;
    const { access, log } = this.#options;
    const { name } = operation;
    const { verb } = operation.access;
    const agent = this.#actors.agentOf(call.caller, agentKey);
    const { caller, forwarded } = call;
    const asker = { caller, agentKey, forwarded, operation: name };
    const visible = (space: string) => access.permits(caller, { operation: name, verb, space }, forwarded);
    return {
      ...(agent === undefined ? {} : { agent }),
      spend,
      inTurn: (work) => this.#inTurn(call.caller, work),
      caller: call.caller,
      author: fleetNameOf(call.caller, this.#options.routing),
      rights: access.rights(call.caller),
      signal: call.signal,
      visible,
      viewer: (space) => this.#actors.viewer(asker, space),
      maySee: (change) => visible(spaceOf(change.target)) && this.#actors.maySee(asker, change),
      minPosition: common.minPosition,
      changes: log.changes,
      position: () => log.position(),
      head: () => log.head(),
      positionAt: (seq) => this.positionAt(seq),
      reach: (position) => this.reach(position, call.signal),
      holdWait: () => this.#limited.holdWait(call.caller),
      writes: new WritesOfCall(this.#ofWrites, admitted),
    };
  }

  #inTurn<T>(caller: Caller, work: () => T | Promise<T>): Promise<T> {
    const running = this.#costly.run(callerName(caller), work);
    if (running === undefined) throw tooManyCostly();
    return running;
  }

  /** Runs `body` and counts its outcome. `startMs` is undefined for a stream. */
  async #counted<T>(call: Call, startMs: number | undefined, body: (call: Call) => Promise<T>): Promise<T> {
    const span = this.spans?.begin(call, this.#nameOf(call));
    try {
      const result = await body(span === undefined ? call : { ...call, trace: span.context });
      this.#count(call, "ok", startMs);
      span?.end();
      return result;
    } catch (error) {
      const fault = this.#faultOf(error, call, span?.context);
      this.#count(call, fault.code, startMs);
      if (span !== undefined) this.spans?.failed(span, call, this.#nameOf(call), fault);
      throw fault;
    }
  }

  #nameOf({ operation }: Pick<Call, "operation">): string {
    return this.registry.get(operation) === undefined ? "unknown" : operation;
  }

  #count(call: Pick<Call, "operation" | "surface">, code: Outcome["code"], startMs: number | undefined): void {
    this.#options.onOutcome?.({
      operation: this.#nameOf(call),
      surface: call.surface ?? "other",
      code,
      seconds: startMs === undefined ? undefined : (performance.now() - startMs) / 1000,
    });
  }

  #faultOf(error: unknown, call: Call, trace: TraceContext | undefined): Fault {
    if (error instanceof Fault) return error;
    if (call.signal.aborted) return new Fault("cancelled", `${call.operation} was cancelled by its caller`);
    const id = this.#options.onUnexpected(error, call.operation, trace);
    if (isDamaged(error)) return damagedForCallers(error);
    return unexpectedFault(call.operation, id);
  }
}
