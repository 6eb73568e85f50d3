// The route of `cairn bridge --fleet`: uses one live member of the fleet, and changes to another one when that dies,
// hangs, stops or refuses the caller. What a change means for calls is in retry.ts, for sessions in session.ts.

import type { Fault } from "../lib/fault.ts";
import { pause, rejectOnAbort } from "../lib/pause.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { Backoff } from "../lib/retry.ts";
import { Candidates, type CandidatesOptions } from "./discovery/candidates.ts";
import { fetchCaller, fetchStatus, type ProbeResult, positionParts, probe } from "./discovery/probe.ts";
import { type LiveNode, type SearchOptions, searchLiveNodes } from "./discovery/search.ts";
import { REFUSED_STATUSES, type RequestOptions, type Send } from "./endpoint.ts";
import { NotSentError, OutcomeUnknownError, RefusedError } from "./errors.ts";
import { Heartbeat } from "./heartbeat.ts";
import { JsonRpcError, jsonRpcErrorOf } from "./json-rpc.ts";
import type { FailureKind, Member, Route, Switch } from "./route.ts";
import { fetchTools, type ToolList } from "./tool-list.ts";

/** Times in ms. */
export interface FleetTimes {
  /** How long a call that gets no response is retried. */
  retryForMs: number;
  /** While calls wait, the member is checked this often, and must respond within this time. */
  heartbeatMs: number;
  heartbeatTimeoutMs: number;
  /** Time limit of a probe. */
  probeMs: number;
  /** How long a member that is behind what the agent has seen is waited for. */
  catchUpMs: number;
  /** How often the member list is fetched again. */
  membersMs: number;
}

const FLEET_TIMES: FleetTimes = {
  retryForMs: 30_000,
  heartbeatMs: 1000,
  heartbeatTimeoutMs: 1500,
  probeMs: 2000,
  catchUpMs: 2000,
  membersMs: 60_000,
};

/** Pause between searches. */
const SEARCH_AGAIN = { firstMs: 50, lastMs: 2000 };
const CATCH_UP_STEP_MS = 50;
const BAD_GATEWAY = 502;

/** What a fleet route needs; `times` is for tests. */
export interface FleetRouteOptions extends CandidatesOptions {
  /** Uses edges rather than full members. */
  preferEdges: boolean;
  times?: Partial<FleetTimes>;
  /** Returns why no member can be reached from here at all, such as a tailnet that does not take the bridge. */
  blocked?: () => Fault | undefined;
  signal: AbortSignal;
}

interface CurrentMember extends Member {
  node: LiveNode;
  tools: ToolList;
  /** Aborts `gone`. */
  end: AbortController;
  heartbeat: Heartbeat;
}

/** The route to any live member of a fleet. */
export class FleetRoute implements Route {
  readonly hasSeveral = true;
  readonly retryForMs: number;
  readonly #options: FleetRouteOptions;
  readonly #candidates: Candidates;
  readonly #times: FleetTimes;
  readonly #search: SearchOptions;
  readonly #listeners: ((change: Switch) => void)[] = [];
  #current: CurrentMember | undefined;
  #choosing: Promise<void> | undefined;
  /** Calls that wait for a member. */
  #waiting = 0;
  /** The newest position that the agent has seen. */
  #seen = "";
  #previous: { name: string; tools: string } | undefined;
  /** Which member failed last, and why. */
  #lastFailure = "";
  #membersFetchedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FleetRouteOptions) {
    const { preferEdges, signal } = options;
    this.#options = options;
    this.#times = { ...FLEET_TIMES, ...options.times };
    this.retryForMs = this.#times.retryForMs;
    this.#candidates = new Candidates(options);
    const { probeMs } = this.#times;
    const isInHistory = (result: ProbeResult) => this.#isInHistory(result);
    this.#search = { candidates: this.#candidates, preferEdges, probeMs, isInHistory, signal };
  }

  async member(signal: AbortSignal): Promise<Member> {
    const late = AbortSignal.any([signal, this.#options.signal, AbortSignal.timeout(this.retryForMs)]);
    this.#waiting++;
    try {
      for (;;) {
        late.throwIfAborted();
        if (this.#current !== undefined) return this.#current;
        this.#choosing ??= this.#choose().finally(() => {
          this.#choosing = undefined;
        });
        await Promise.race([this.#choosing, rejectOnAbort(late)]);
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#options.signal.throwIfAborted();
      throw error instanceof JsonRpcError ? error : this.#unreachable();
    } finally {
      this.#waiting--;
    }
  }

  failed(member: Member, kind: FailureKind, why: string): void {
    this.#candidates.failed(member.name, kind, why);
    if (this.#current?.name !== member.name) return;
    this.#lastFailure = `${member.name}: ${why}`;
    if (kind !== "busy") this.#current.end.abort(why);
    this.#current = undefined;
  }

  awaitResponse(member: Member): () => void {
    return this.#current === member ? this.#current.heartbeat.keepAlive() : () => {};
  }

  sawPosition(position: string): void {
    const [seen, now] = [positionParts(this.#seen), positionParts(position)];
    if (seen.epoch !== now.epoch || now.seq > seen.seq) this.#seen = position;
  }

  onSwitch(listener: (change: Switch) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#current?.end.abort("the bridge ends");
    this.#current = undefined;
  }

  /** Finds a live member and makes it the current one; searches on while calls wait for one. */
  async #choose(): Promise<void> {
    const { signal, log } = this.#options;
    const backoff = new Backoff(SEARCH_AGAIN);
    for (let round = 0; this.#waiting > 0; round++) {
      signal.throwIfAborted();
      for (const node of await searchLiveNodes(this.#search, round > 0)) {
        const opened = await this.#open(node).catch((error: unknown) => {
          const kind = error instanceof RefusedError ? "refused" : "gone";
          this.#candidates.failed(node.candidate.name, kind, connectionReason(error));
        });
        if (opened !== undefined) return this.#use(opened);
      }
      // Only a new grant or a login helps where all refuse this caller or it has no network: waiting has no point.
      if (this.#candidates.allRefuse() || this.#options.blocked?.() !== undefined) throw this.#unreachable();
      if (round === 1) log("warning", `no member of the fleet is live: ${this.#candidates.reasons()}; trying again`);
      await backoff.wait(signal);
    }
  }

  /** Reports whether a node is in the history that the agent has seen. */
  #isInHistory({ position }: ProbeResult): boolean {
    return this.#seen === "" || positionParts(position).epoch === positionParts(this.#seen).epoch;
  }

  /** Fetches what calls need to know about a member, and lets it catch up with what the agent has seen. */
  async #open(node: LiveNode): Promise<CurrentMember> {
    const { name, send } = node.candidate;
    const { probeMs } = this.#times;
    const bound = AbortSignal.any([this.#options.signal, AbortSignal.timeout(probeMs * 2)]);
    const [caller, tools] = await Promise.race([
      Promise.all([fetchCaller(send, bound), fetchTools(send, bound)]),
      rejectOnAbort(bound),
    ]);
    if (tools.byName.size === 0) throw new RefusedError("it offers this caller no tools");
    const behind = await this.#catchUp(node);
    const end = new AbortController();
    const member: CurrentMember = {
      name,
      node,
      gone: end.signal,
      end,
      caller,
      tools,
      behind,
      send: (path, options) => this.#send(member, path, options),
      position: async (signal) => (await probe(send, signal).catch(() => undefined))?.position,
      heartbeat: this.#heartbeatOf(send, end, (kind, why) => this.#heartbeatFailed(member, kind, why)),
    };
    return member;
  }

  #heartbeatOf(send: Send, end: AbortController, failed: (kind: FailureKind, why: string) => void): Heartbeat {
    return new Heartbeat({
      send,
      intervalMs: this.#times.heartbeatMs,
      timeoutMs: this.#times.heartbeatTimeoutMs,
      signal: AbortSignal.any([this.#options.signal, end.signal]),
      onCheck: () => this.#refreshMembers(),
      onBusy: (why) => failed("busy", why),
      onDead: (why) => failed("gone", why),
    });
  }

  /** A member that is no longer current may still have pending calls; they end with it, and nothing else changes. */
  #heartbeatFailed(member: CurrentMember, kind: FailureKind, why: string): void {
    if (kind === "busy" || this.#current === member) this.failed(member, kind, why);
    else member.end.abort(why);
  }

  /** Waits until the node has what the agent has seen. Returns that position where it does not get there in time. */
  async #catchUp({ candidate, result }: LiveNode): Promise<string | undefined> {
    const seen = positionParts(this.#seen);
    if (this.#seen === "" || !this.#isInHistory(result)) return undefined;
    const { signal } = this.#options;
    const endMs = performance.now() + this.#times.catchUpMs;
    for (let { position } = result; positionParts(position).seq < seen.seq; ) {
      if (performance.now() > endMs) return this.#seen;
      await pause(CATCH_UP_STEP_MS, signal);
      const bound = AbortSignal.any([signal, AbortSignal.timeout(this.#times.probeMs)]);
      ({ position } = await probe(candidate.send, bound));
    }
    return undefined;
  }

  #use(member: CurrentMember): void {
    const { log } = this.#options;
    const { name, node, tools } = member;
    const isForked = !this.#isInHistory(node.result);
    if (isForked) this.#seen = "";
    const previous = this.#previous;
    this.#current = member;
    this.#previous = { name, tools: tools.fingerprint };
    this.#candidates.used(name, node.result);
    if (previous === undefined) log("info", `using ${name}`);
    else {
      const moved = previous.name === name ? `using ${name} again` : `switched from ${previous.name} to ${name}`;
      const history = isForked ? "; its history is another one, so read again what matters" : "";
      log("warning", `${moved} (${this.#lastFailure})${history}`);
      const toolsChanged = previous.tools !== tools.fingerprint;
      for (const listener of this.#listeners) listener({ to: member, toolsChanged });
    }
    void this.#fetchMembers(member);
  }

  #refreshMembers(): void {
    const isDue = performance.now() - this.#membersFetchedMs > this.#times.membersMs;
    if (isDue && this.#current !== undefined) void this.#fetchMembers(this.#current);
  }

  /** Asks the member which other members its fleet has. */
  async #fetchMembers({ node, gone }: CurrentMember): Promise<void> {
    this.#membersFetchedMs = performance.now();
    const bound = AbortSignal.any([this.#options.signal, gone, AbortSignal.timeout(this.#times.probeMs)]);
    // Not every caller may see the members; the bridge then uses the nodes that it was given.
    const status = await fetchStatus(node.candidate.send, bound).catch(() => undefined);
    if (status !== undefined) this.#candidates.learn(status, node.candidate.name, node.result.fleet);
  }

  /** Sends a call; a member that refuses the caller is left for another one. */
  async #send(member: CurrentMember, path: string, options: RequestOptions): Promise<Response> {
    const response = await member.node.candidate.send(path, options);
    const { status } = response;
    if (status !== BAD_GATEWAY && !REFUSED_STATUSES.has(status)) return response;
    await response.body?.cancel();
    if (status === BAD_GATEWAY) throw new OutcomeUnknownError("the connection to it broke");
    const why = `it refuses this caller (${status})`;
    this.failed(member, "refused", why);
    throw new NotSentError(why);
  }

  #unreachable(): JsonRpcError {
    const blocked = this.#options.blocked?.();
    if (blocked !== undefined) return jsonRpcErrorOf(blocked);
    const isRefused = this.#candidates.allRefuse();
    return new JsonRpcError(
      isRefused ? 403 : 503,
      `No member of the fleet can be reached: ${this.#candidates.reasons()}`,
      {
        code: isRefused ? "forbidden" : "not_running",
        hint: isRefused
          ? "The grant of this caller is missing; cairn whoami --url shows what a node says."
          : "Start a member with `cairn serve`, or name another one with --url.",
        retryable: !isRefused,
      },
    );
  }
}
