// Beats: asks every full member each second, keeps the newest of each, and judges nothing itself. Who leads, how fresh a member is, how clocks differ: all read here.

import { Fault } from "../../lib/fault.ts";
import { fleetMark } from "../../peer/fleet-mark.ts";
import type { Ask } from "../join/joiner.ts";
import type { Members } from "../members.ts";
import type { Member } from "../rows.ts";
import { type Answered, BEAT, type Beat, beatShape, type Heard } from "./beat.ts";

export interface BeatsOptions {
  link: Ask;
  members: Members;
  /** StableNodeID of this node; "" while it is not known. */
  self: () => string;
  /** This node's own beat, made anew. */
  beat: () => Promise<Beat>;
  /** Monotonic and wall clock in ms. */
  monotonicMs: () => number;
  /** A clock that counts sleep, in ms, for what answers prove; the monotonic one by default. */
  elapsedMs?: () => number;
  nowMs: () => number;
  /** Hears each beat that came, asked or answered. */
  onBeat?: (member: Member, heard: Heard) => void;
  /** Id of this node's fleet. */
  fleetId: () => string;
  /** A current member says that this node is none; one that has gone on in another fleet (recovered, restored) is none, whatever the list says (replication.md 18). */
  onNotAMember?: (by: Member) => void;
  /** Called after each round. */
  onRound?: () => void;
  everyMs?: number;
}

/** What the status and the health of a node read of its beats, at one moment. */
export interface BeatsView {
  /** This node's own newest beat; undefined before the first. */
  own: Beat | undefined;
  heard: (node: string) => Heard | undefined;
  /** Ms since a member was heard last; since this node began to beat if it never was. */
  ageMs: (node: string) => number;
  isAway: (node: string) => boolean;
  /** The moment, on the monotonic clock. */
  monotonicMs: number;
}

const EVERY_MS = 1_000;
/** A beat that took longer says little about now; the next one is sent meanwhile to others. */
const ANSWER_MS = 3_000;
/** A member that was not heard for so long is away. */
const AWAY_MS = 5_000;

/** The beats of one node; `start` them, `stop` ends them. */
export class Beats {
  readonly #options: BeatsOptions;
  readonly #heard = new Map<string, Heard>();
  readonly #answered = new Map<string, Answered>();
  /** Members whose answer is still awaited. */
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

  /** Begins to beat. */
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

  /** One beat to every full member; resolves when the answers are in or late. */
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

  /** Answers a member's beat; Fault `not_a_member` when it is none (any more). */
  async answer(node: string, beat: Beat): Promise<Beat> {
    const { members, self } = this.#options;
    const member = members.get(node);
    if (member === undefined) {
      throw new Fault("not_a_member", `${node} is no member of this fleet`, { hint: "Let it join again." });
    }
    if (node !== self()) this.#take(member, beat, undefined);
    return this.#options.beat();
  }

  /** The newest beat of a member; undefined when there was none. */
  heard(node: string): Heard | undefined {
    return this.#heard.get(node);
  }

  /** The newest answer of a member to a question of this node; undefined when there was none. */
  answered(node: string): Answered | undefined {
    return this.#answered.get(node);
  }

  /** ms since a member was heard last; since this node began to beat when it never was. */
  ageMs(node: string): number {
    return this.#options.monotonicMs() - (this.#heard.get(node)?.atMs ?? this.#startedMs);
  }

  isAway(node: string): boolean {
    return this.ageMs(node) > AWAY_MS;
  }

  /** This node's own newest beat. */
  own(): Beat | undefined {
    return this.#own;
  }

  /** Everything above in one value, for `fleetPart` and `Health`. */
  view(): BeatsView {
    return {
      own: this.#own,
      heard: (node) => this.heard(node),
      ageMs: (node) => this.ageMs(node),
      isAway: (node) => this.isAway(node),
      monotonicMs: this.#options.monotonicMs(),
    };
  }

  /** The member that most recently said that it leads, for nodes that have no raft member of their own. */
  leaderNode(): string | undefined {
    let best: Heard | undefined;
    for (const [node, heard] of this.#heard) {
      const { leading, term } = heard.beat;
      if (leading && !this.isAway(node) && (best === undefined || term > best.beat.term)) best = heard;
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
    const before = this.#heard.get(member.node);
    const heard: Heard = {
      beat: { ...beat, node: member.node },
      atMs: monotonicMs(),
      roundTripMs: roundTripMs ?? before?.roundTripMs,
      // Its clock was read about half a round trip ago.
      skewMs: beat.timeMs + (roundTripMs ?? before?.roundTripMs ?? 0) / 2 - nowMs(),
    };
    this.#heard.set(member.node, heard);
    onBeat?.(member, heard);
  }

  /** What is no member any more. */
  #forget(): void {
    for (const kept of [this.#heard, this.#answered])
      for (const node of kept.keys()) if (this.#options.members.get(node) === undefined) kept.delete(node);
  }
}
