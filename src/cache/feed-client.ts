// Follows the feed of one full member: the nearest one that responds, and another one as soon as it fails.
// edge-state.ts applies the answers.

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { backoffMs } from "../lib/retry.ts";
import { type Position, parsePosition } from "../log/position.ts";
import type { EdgeState } from "./edge-state.ts";
import { type FeedRequest, feedAnswer, MAX_HOLD_MS } from "./feed-frames.ts";
import type { Freshness } from "./freshness.ts";

export interface FeedClientOptions {
  state: EdgeState;
  freshness: Freshness;
  /** Calls the peer path `feed` of a node. Rejects with the Faults of peer/link.ts. */
  ask: (node: string, request: FeedRequest, options: { timeoutMs: number; signal: AbortSignal }) => Promise<unknown>;
  /** Returns the StableNodeIDs of the known full members. */
  nodes: () => readonly string[];
  /** Returns the measured round trip to a node in ms; undefined if there is none. */
  roundTripMs: (node: string) => number | undefined;
  /** Called with a new upstream, or with undefined and the reason why there is none. */
  onChange?: (upstream: string | undefined, reason: string) => void;
  /** How long an answer may take beyond the time for which it is held, in ms. */
  graceMs?: number;
}

/** With a hold of a second the edge is no longer fresh when a half-open upstream is given up after this time. */
const GRACE_MS = 1500;
/** Wait before a failed node is asked again. */
const RETRY = { firstMs: 250, lastMs: 2000, jitter: 0.5 };
/** An upstream whose own state is older than this is left if another one is available. */
const MAX_UPSTREAM_AGE_MS = 10_000;
/** Another upstream is worth a move if its distance, by this factor and plus this time, is still smaller. */
const NEARER = { factor: 2, ms: 5 };
/** How long a failed node is no alternative to one that works. */
const RETURN = { firstMs: 3000, lastMs: 60_000 };

interface Failures {
  count: number;
  lastMs: number;
  /** Not asked before this time, on the clock that counts sleep. */
  retryAtMs: number;
}

/** Follows from `start`, which is called once, to `stop`. */
export class FeedClient {
  readonly #options: FeedClientOptions;
  readonly #stop = new AbortController();
  readonly #failures = new Map<string, Failures>();
  /** Nodes that refused this one as a non-member since the last successful call. */
  readonly #refusedBy = new Set<string>();
  /** The newest position in the answers of each node. */
  readonly #positions = new Map<string, Position>();
  #current: string | undefined;
  #isConnected = false;
  /** Aborts when the current upstream is given up. */
  #abandoned = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: FeedClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#abandoned.abort();
    await this.#running;
  }

  /** Returns the node to which uncached reads go: the one that is followed, or the next to try. */
  upstream(): { node: string; abandoned: AbortSignal } | undefined {
    const node = this.#current ?? this.#nearestReady();
    return node === undefined ? undefined : { node, abandoned: this.#abandoned.signal };
  }

  /** Reports whether the last call to an upstream failed, or none was made yet. */
  isDisconnected(): boolean {
    return !this.#isConnected;
  }

  /** Reports whether the feed of another node than `node` has reached a position of this history. */
  sawElsewhere(position: Position, node: string): boolean {
    if (!this.#options.state.log.sameHistory(position)) return false;
    return [...this.#positions].some(([other, { seq }]) => other !== node && seq >= position.seq);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const node = this.#nearestReady();
      if (node === undefined) {
        await this.#pause(RETRY.firstMs);
        continue;
      }
      this.#current = node;
      try {
        await this.#follow(node);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#leave(node, error);
        await this.#pause(this.#waitMs());
      }
    }
  }

  /** Polls one upstream. Returns when a nearer one is available; rejects when it is of no use. */
  async #follow(node: string): Promise<void> {
    const { onChange } = this.#options;
    for (let isFirst = true; ; ) {
      try {
        const ageMs = await this.#poll(node, isFirst ? 0 : MAX_HOLD_MS);
        this.#failures.delete(node);
        this.#refusedBy.clear();
        this.#isConnected = true;
        if (isFirst) onChange?.(node, "");
        isFirst = false;
        if (ageMs > MAX_UPSTREAM_AGE_MS && this.#alternatives(node).length > 0) throw tooOld(node, ageMs);
      } catch (error) {
        this.#handleRefusal(node, error);
      }
      if (this.#shouldMove(node)) return;
    }
  }

  /** Handles the refusals after which the same upstream can still be followed; throws every other error. */
  #handleRefusal(node: string, error: unknown): void {
    const { state } = this.#options;
    const code = error instanceof Fault && error.facts.fromPeer === true ? error.code : "";
    if (code === "below_floor") state.markGap();
    else if (code === "history_forked") state.reset();
    else {
      if (code === "not_a_member") this.#recordRefusal(node);
      throw error;
    }
  }

  /**
   * Discards everything once every full member that can be asked has refused this one as a member. One alone may be a
   * newcomer without a members table, which refuses everybody.
   */
  #recordRefusal(node: string): void {
    this.#refusedBy.add(node);
    if (this.#ready().some((other) => !this.#refusedBy.has(other))) return;
    this.#refusedBy.clear();
    this.#options.state.reset();
  }

  /** Makes one call and applies the answer. Returns how old the upstream's own state may be, in ms. */
  async #poll(node: string, holdMs: number): Promise<number> {
    const { state, freshness, ask, graceMs = GRACE_MS } = this.#options;
    const request = state.request(holdMs);
    const sentMs = freshness.nowMs();
    const value = await ask(node, request, { timeoutMs: request.holdMs + graceMs, signal: this.#stop.signal });
    const parsed = feedAnswer.safeParse(value);
    if (!parsed.success) {
      const problem = parsed.error.issues[0]?.message;
      throw new Fault("unavailable", `The node ${node} sent an answer that is not a feed: ${problem}`, {
        hint: "Run the same version of cairn on all nodes of the fleet.",
      });
    }
    this.#stop.signal.throwIfAborted();
    state.apply(parsed.data, { sentMs, tookMs: freshness.nowMs() - sentMs, from: node });
    this.#positions.set(node, parsePosition(parsed.data.position));
    return parsed.data.ageMs ?? Number.POSITIVE_INFINITY;
  }

  /** Returns the nearest node that may be asked now. */
  #nearestReady(): string | undefined {
    return this.#ready().sort((one, other) => this.#distance(one) - this.#distance(other))[0];
  }

  /** Returns the nodes that may be asked now: those that did not just fail. */
  #ready(): string[] {
    const now = this.#options.freshness.nowMs();
    return this.#options.nodes().filter((node) => (this.#failures.get(node)?.retryAtMs ?? now) <= now);
  }

  /** Returns other nodes that are worth a move: those that respond to beats and did not fail recently. */
  #alternatives(node: string): string[] {
    const { nodes, roundTripMs, freshness } = this.#options;
    const now = freshness.nowMs();
    return nodes().filter((other) => {
      if (other === node || roundTripMs(other) === undefined) return false;
      const failures = this.#failures.get(other);
      return failures === undefined || now - failures.lastMs > backoffMs(failures.count, RETURN);
    });
  }

  /** Reports whether another node is so much nearer that a move is worth it, or this one is no member any more. */
  #shouldMove(node: string): boolean {
    if (!this.#options.nodes().includes(node)) return true;
    const nearest = Math.min(...this.#alternatives(node).map((other) => this.#distance(other)));
    return nearest * NEARER.factor + NEARER.ms < this.#distance(node);
  }

  #distance(node: string): number {
    return this.#options.roundTripMs(node) ?? Number.MAX_SAFE_INTEGER;
  }

  /** Gives the upstream up after an error. */
  #leave(node: string, error: unknown): void {
    const { nodes, freshness, onChange } = this.#options;
    const count = (this.#failures.get(node)?.count ?? 0) + 1;
    const waitMs = backoffMs(count, RETRY);
    for (const byNode of [this.#failures, this.#positions])
      for (const known of byNode.keys()) if (!nodes().includes(known)) byNode.delete(known);
    const now = freshness.nowMs();
    this.#failures.set(node, { count, lastMs: now, retryAtMs: now + waitMs });
    this.#current = undefined;
    this.#isConnected = false;
    this.#abandoned.abort(error);
    this.#abandoned = new AbortController();
    onChange?.(undefined, reasonOf(error));
  }

  /** Returns how long to wait for the next attempt, in ms; 0 if another node can be asked at once. */
  #waitMs(): number {
    if (this.#nearestReady() !== undefined) return 0;
    const now = this.#options.freshness.nowMs();
    const waits = this.#options.nodes().map((node) => (this.#failures.get(node)?.retryAtMs ?? now) - now);
    return Math.max(0, Math.min(RETRY.lastMs, ...waits));
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, this.#stop.signal).catch(() => {});
  }
}

function tooOld(node: string, ageMs: number): Fault {
  const age = Number.isFinite(ageMs) ? `may be ${Math.round(ageMs / 1000)} s old` : "is of unknown age";
  return new Fault("unavailable", `The state of the node ${node} ${age}`, {
    hint: "Check whether it reaches the leader.",
  });
}
