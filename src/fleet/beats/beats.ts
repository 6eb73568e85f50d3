// Sends a beat to every full member once a second and keeps the newest beat of each. Judges nothing: leadership,
// freshness, clocks and health are read from here.

import { Fault } from "../../lib/fault.ts";
import { fleetMark } from "../../peer/fleet-mark.ts";
import type { Ask } from "../join/joiner.ts";
import { type Members, mayLead } from "../members.ts";
import type { Member } from "../rows.ts";
import { type Answered, BEAT, type Beat, beatShape, type ReceivedBeat } from "./beat.ts";

export interface BeatsOptions {
  link: Ask;
  members: Members;
  /** StableNodeID of this node; "" while it is not known. */
  self: () => string;
  /** Builds this node's own beat. */
  beat: () => Promise<Beat>;
  /** Monotonic and wall clock in ms. */
  monotonicMs: () => number;
  /** A clock in ms that counts sleep, for what answers prove; by default the monotonic clock. */
  elapsedMs?: () => number;
  nowMs: () => number;
  /** Called with each beat that arrives, question or answer. */
  onBeat?: (member: Member, received: ReceivedBeat) => void;
  /** Id of this node's fleet. */
  fleetId: () => string;
  /**
   * Called when a current member of the same fleet answers that this node is not a member. A member that was recovered
   * or restored into another fleet does not count (replication.md 18).
   */
  onNotAMember?: (by: Member) => void;
  /** Called after each round. */
  onRound?: () => void;
  everyMs?: number;
}

/** What the status and the health of a node read of its beats, at one moment. */
export interface BeatsView {
  /** This node's own newest beat; undefined before the first. */
  own: Beat | undefined;
  received: (node: string) => ReceivedBeat | undefined;
  /** Ms since the last beat of a member; since this node began to beat if there was none. */
  ageMs: (node: string) => number;
  isAway: (node: string) => boolean;
  /** The moment, on the monotonic clock. */
  monotonicMs: number;
}

/** Returns the newest beat of a member, also of this node (`self`); undefined before the first. */
export function beatOf(
  { self, own, received }: Pick<BeatsView, "own" | "received"> & { self: string },
  node: string,
): Beat | undefined {
  return node === self ? own : received(node)?.beat;
}

const EVERY_MS = 1_000;
/** How long an answer may take. Meanwhile beats go on to other members. */
const ANSWER_MS = 3_000;
/** A member without a beat for this long is away. */
const AWAY_MS = 5_000;

/** The beats of one node, from `start` to `stop`. */
export class Beats {
  readonly #options: BeatsOptions;
  readonly #received = new Map<string, ReceivedBeat>();
  readonly #answered = new Map<string, Answered>();
  /** Members whose answer is awaited. */
  readonly #asking = new Set<string>();
  readonly #stop = new AbortController();
  readonly #startedMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #own: Beat | undefined;
  #rounds: Promise<void> = Promise.resolve();

  constructor(options: BeatsOptions) {
    this.#options = options;
    this.#startedMs = options.monotonicMs();
  }

  /** Begins to send beats. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#rounds = this.round().catch(() => {});
    }, this.#options.everyMs ?? EVERY_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#rounds;
  }

  /** Sends one beat to every full member. Resolves when the answers have arrived or are late. */
  async round(): Promise<void> {
    const { members, self, beat, onRound } = this.#options;
    members.refresh();
    this.#forget();
    const own = await beat();
    this.#own = own;
    const asked = members
      .list()
      .filter((member) => member.role !== "edge" && member.node !== self() && !this.#asking.has(member.node));
    await Promise.all(asked.map((member) => this.#ask(member, own)));
    if (!this.#stop.signal.aborted) onRound?.();
  }

  /** Answers a member's beat. Fault `not_a_member`. */
  async answer(node: string, beat: Beat): Promise<Beat> {
    const { members, self } = this.#options;
    const member = members.get(node);
    if (member === undefined) {
      throw new Fault("not_a_member", `${node} is no member of this fleet`, { hint: "Let it join again." });
    }
    if (node !== self()) this.#take(member, beat, undefined);
    return this.#options.beat();
  }

  /** Returns the newest beat of a member; undefined if there was none. */
  received(node: string): ReceivedBeat | undefined {
    return this.#received.get(node);
  }

  /** Returns a member's newest answer to a beat of this node; undefined if there was none. */
  answered(node: string): Answered | undefined {
    return this.#answered.get(node);
  }

  /** Returns the ms since the last beat of a member; since this node began to beat if there was none. */
  ageMs(node: string): number {
    return this.#options.monotonicMs() - (this.#received.get(node)?.atMs ?? this.#startedMs);
  }

  isAway(node: string): boolean {
    return this.ageMs(node) > AWAY_MS;
  }

  /** Returns this node's own newest beat. */
  own(): Beat | undefined {
    return this.#own;
  }

  /** Returns everything above in one value, for `fleetPart` and `Health`. */
  view(): BeatsView {
    return {
      own: this.#own,
      received: (node) => this.received(node),
      ageMs: (node) => this.ageMs(node),
      isAway: (node) => this.isAway(node),
      monotonicMs: this.#options.monotonicMs(),
    };
  }

  /**
   * Returns the central member that reported, with the highest term, that it leads; for nodes without a raft member.
   * Another member that reports it is not believed (security.md 8).
   */
  leaderNode(): string | undefined {
    let best: ReceivedBeat | undefined;
    for (const [node, received] of this.#received) {
      if (!mayLead(this.#options.members.get(node))) continue;
      const { leading, term } = received.beat;
      if (leading && !this.isAway(node) && (best === undefined || term > best.beat.term)) best = received;
    }
    return best?.beat.node;
  }

  async #ask(member: Member, own: Beat): Promise<void> {
    const { link, monotonicMs, elapsedMs = monotonicMs, onNotAMember } = this.#options;
    this.#asking.add(member.node);
    const sentMs = monotonicMs();
    const askedMs = elapsedMs();
    try {
      const options = { timeoutMs: ANSWER_MS, signal: this.#stop.signal };
      const answer = await link.call({ node: member.node }, BEAT, { ...own, timeMs: this.#options.nowMs() }, options);
      const beat = beatShape.parse(answer);
      this.#answered.set(member.node, { beat, askedMs });
      this.#take(member, beat, monotonicMs() - sentMs);
    } catch (error) {
      const said = error instanceof Fault && error.facts.fromPeer === true && error.code === "not_a_member";
      const mark = fleetMark(this.#options.fleetId(), this.#options.self());
      const isOurs = said && mark !== "" && error.facts.fleetMark === mark;
      if (isOurs && !this.#stop.signal.aborted) onNotAMember?.(member);
    } finally {
      this.#asking.delete(member.node);
    }
  }

  #take(member: Member, beat: Beat, roundTripMs: number | undefined): void {
    const { monotonicMs, nowMs, onBeat } = this.#options;
    const before = this.#received.get(member.node);
    const received: ReceivedBeat = {
      beat: { ...beat, node: member.node },
      atMs: monotonicMs(),
      roundTripMs: roundTripMs ?? before?.roundTripMs,
      // The other clock was read about half a round trip ago.
      skewMs: beat.timeMs + (roundTripMs ?? before?.roundTripMs ?? 0) / 2 - nowMs(),
    };
    this.#received.set(member.node, received);
    onBeat?.(member, received);
  }

  /** Drops what is known of former members. */
  #forget(): void {
    for (const kept of [this.#received, this.#answered])
      for (const node of kept.keys()) if (this.#options.members.get(node) === undefined) kept.delete(node);
  }
}
