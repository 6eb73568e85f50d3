// Follows the feed of one full node: the nearest that answers, and another as soon as it does not. What the answers mean is edge-state.ts.

import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { backoffMs } from "../lib/retry.ts";
import { type Position, parsePosition } from "../log/position.ts";
import type { EdgeState } from "./edge-state.ts";
import { type FeedRequest, feedAnswer, MAX_HOLD_MS } from "./frames.ts";
import type { Freshness } from "./freshness.ts";

export interface FeedClientOptions {
  state: EdgeState;
  freshness: Freshness;
  /** Asks the peer path `feed` of a node; Faults as peer/link.ts has them. */
  ask: (node: string, request: FeedRequest, options: { timeoutMs: number; signal: AbortSignal }) => Promise<unknown>;
  /** StableNodeIDs of the full members that are known. */
  nodes: () => readonly string[];
  /** Measured round trip to a node in ms; undefined where there is none. */
  roundTripMs: (node: string) => number | undefined;
  /** Hears what changed: the upstream, or why there is none. */
  onChange?: (upstream: string | undefined, reason: string) => void;
  /** Milliseconds that an answer may take beyond the time it is held. */
  patienceMs?: number;
}

/** A half-open upstream is given up after the hold and this, in ms; with a hold of a second the edge is not fresh any more by then. */
const PATIENCE_MS = 1500;
/** Wait before a node that failed is asked again. */
const RETRY = { firstMs: 250, lastMs: 2000, jitter: 0.5 };
/** An upstream whose own state is older than this is left, where another one answers; for so long, in ms. */
const OLD_MS = 10_000;
/** Another upstream must be nearer by this much to be worth a move. */
const NEARER = { factor: 2, ms: 5 };

/** One that failed is moved to only after this time; where no other answers it is tried sooner. */
const RETURN = { firstMs: 3000, lastMs: 60_000 };

interface Tried {
  failures: number;
  failedMs: number;
  /** Not asked before this time on the clock that counts sleep. */
  notBeforeMs: number;
}

/** One run of following; `start` it once, `stop` ends it. */
export class FeedClient {
  readonly #options: FeedClientOptions;
  readonly #stop = new AbortController();
  readonly #tried = new Map<string, Tried>();
  /** Nodes that said that this one is no member, since another said that it is. */
  readonly #refusedBy = new Set<string>();
  /** The newest position that each node answered. */
  readonly #positions = new Map<string, Position>();
  #current: string | undefined;
  #answers = false;
  /** Aborts when the upstream of now is given up. */
  #given = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: FeedClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#given.abort();
    await this.#running;
  }

  /** Whom reads that are not kept are asked: the node that is followed, or the one that is tried next. */
  upstream(): { node: string; given: AbortSignal } | undefined {
    const node = this.#current ?? this.#choose();
    return node === undefined ? undefined : { node, given: this.#given.signal };
  }

  /** Whether no upstream answered the last time. */
  away(): boolean {
    return !this.#answers;
  }

  /** Reports whether the feed of another node than `node` has reached a position of this history. */
  sawElsewhere(position: Position, node: string): boolean {
    if (!this.#options.state.log.sameHistory(position)) return false;
    return [...this.#positions].some(([other, { seq }]) => other !== node && seq >= position.seq);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const node = this.#choose();
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

  /** Asks one upstream again and again; ends when a nearer one is there, rejects when it is no use. */
  async #follow(node: string): Promise<void> {
    const { state, onChange } = this.#options;
    let first = true;
    for (;;) {
      try {
        const ageMs = await this.#poll(node, first ? 0 : MAX_HOLD_MS);
        this.#tried.delete(node);
        this.#refusedBy.clear();
        this.#answers = true;
        if (first) onChange?.(node, "");
        first = false;
        if (ageMs > OLD_MS && this.#others(node).length > 0) throw tooOld(node, ageMs);
      } catch (error) {
        const code = error instanceof Fault && error.facts.fromPeer === true ? error.code : "";
        if (code === "below_floor") state.missed();
        else if (code === "history_forked") state.forget();
        else {
          if (code === "not_a_member") this.#refused(node);
          throw error;
        }
      }
      if (this.#isFar(node)) return;
    }
  }

  /** A full node that has no table of members yet refuses as well: it counts when nobody who can be asked says otherwise. */
  #refused(node: string): void {
    this.#refusedBy.add(node);
    const others = this.#options.nodes().filter((other) => !this.#refusedBy.has(other) && !this.#tried.has(other));
    if (others.length > 0) return;
    this.#refusedBy.clear();
    this.#options.state.forget();
  }

  async #poll(node: string, holdMs: number): Promise<number> {
    const { state, freshness, ask, patienceMs = PATIENCE_MS } = this.#options;
    const request = state.request(holdMs);
    const sentMs = freshness.nowMs();
    const value = await ask(node, request, { timeoutMs: request.holdMs + patienceMs, signal: this.#stop.signal });
    const parsed = feedAnswer.safeParse(value);
    if (!parsed.success) {
      throw new Fault("unavailable", `The node ${node} answered what is no feed: ${parsed.error.issues[0]?.message}`, {
        hint: "Run the same version of cairn on all nodes of the fleet.",
      });
    }
    this.#stop.signal.throwIfAborted();
    state.take(parsed.data, { sentMs, tookMs: freshness.nowMs() - sentMs, from: node });
    this.#positions.set(node, parsePosition(parsed.data.position));
    return parsed.data.ageMs ?? Number.POSITIVE_INFINITY;
  }

  /** The nearest of those that may be asked now. */
  #choose(): string | undefined {
    const now = this.#options.freshness.nowMs();
    const ready = this.#options.nodes().filter((node) => (this.#tried.get(node)?.notBeforeMs ?? now) <= now);
    return ready.sort((one, other) => this.#distance(one) - this.#distance(other))[0];
  }

  /** Other nodes that are worth a move: those that answer beats and did not fail lately. */
  #others(node: string): string[] {
    const now = this.#options.freshness.nowMs();
    return this.#options.nodes().filter((other) => {
      const tried = this.#tried.get(other);
      if (other === node || this.#options.roundTripMs(other) === undefined) return false;
      if (tried === undefined) return true;
      return now - tried.failedMs > backoffMs(tried.failures, RETURN);
    });
  }

  /** Whether another node that did not fail is nearer by so much that a move is worth it; also when this one is no member any more. */
  #isFar(node: string): boolean {
    if (!this.#options.nodes().includes(node)) return true;
    const nearest = Math.min(...this.#others(node).map((other) => this.#distance(other)));
    return nearest * NEARER.factor + NEARER.ms < this.#distance(node);
  }

  #distance(node: string): number {
    return this.#options.roundTripMs(node) ?? Number.MAX_SAFE_INTEGER;
  }

  #leave(node: string, error: unknown): void {
    const failures = (this.#tried.get(node)?.failures ?? 0) + 1;
    const waitMs = backoffMs(failures, RETRY);
    for (const kept of [this.#tried, this.#positions])
      for (const known of kept.keys()) if (!this.#options.nodes().includes(known)) kept.delete(known);
    const now = this.#options.freshness.nowMs();
    this.#tried.set(node, { failures, failedMs: now, notBeforeMs: now + waitMs });
    this.#current = undefined;
    this.#answers = false;
    this.#given.abort(error);
    this.#given = new AbortController();
    this.#options.onChange?.(undefined, reasonOf(error));
  }

  /** Nothing where another one can be asked at once. */
  #waitMs(): number {
    if (this.#choose() !== undefined) return 0;
    const now = this.#options.freshness.nowMs();
    const waits = this.#options.nodes().map((node) => (this.#tried.get(node)?.notBeforeMs ?? now) - now);
    return Math.max(0, Math.min(RETRY.lastMs, ...waits));
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, this.#stop.signal).catch(() => {});
  }
}

function tooOld(node: string, ageMs: number): Fault {
  const said = Number.isFinite(ageMs)
    ? `may be ${Math.round(ageMs / 1000)} s old itself`
    : "is of an age that it cannot tell";
  return new Fault("unavailable", `What the node ${node} has ${said}`, { hint: "See whether it reaches the leader." });
}
