// How old the state of a full member may be, from what answers to its beats proved. Edges add this age to the age of
// what they return (replication.md 28), so a follower of a leader that is cut off cannot hide its age. Only an answer
// proves anything, and only for the moment at which its question was sent: an unsolicited message may have been delayed
// without limit.

import type { Answered, Member } from "../fleet/index.ts";
import { openSleepClock, type SleepClock } from "../lib/sleep-clock.ts";
import type { Log } from "../log/log.ts";
import type { RaftState } from "../tailnet/index.ts";

/** State of a raft process, as far as it proves something. */
export interface RaftProof {
  /** When the question was sent, in ms on this node's clock. The reply was true at that moment or later. */
  askedMs: number;
  /** The latest term that it knew; undefined where raft could not be read. */
  raftTerm: number | undefined;
  /** Index of the newest configuration in its log. */
  configuration: number;
}

/** A member's newest reply to a beat. */
export interface Proof extends RaftProof {
  epoch: string;
  seq: number;
  /** The term in which it leads and has applied everything acknowledged before; 0 where it does not lead. */
  begun: number;
}

/** What this node knows of its fleet at one moment. */
export interface StateFacts extends ProofFacts {
  nowMs: number;
  /** By how much a difference of two readings of the clock may be too small. */
  stepMs: number;
}

/** The part of it that proves something. */
interface ProofFacts {
  /** This node's own raft state. */
  own: RaftProof | undefined;
  /** What is applied here now. */
  epoch: string;
  seq: number;
  /** Member ids of all voters of the configuration in `own`; this node's is `self`. */
  voters: readonly string[];
  self: string;
  /** The leader and its term, as this node knows them; undefined while no leader is known. */
  leader: { node: string; term: number } | undefined;
  /** Whether this node leads in that term and its duties have begun. */
  begun: boolean;
  answered: (node: string) => Proof | undefined;
}

/** In place of a moment: this node cannot lack anything. */
const ALWAYS = Number.POSITIVE_INFINITY;

/** Remembers the newest moment at which this node is proved to have had everything acknowledged. */
export class StateAge {
  #provenMs = Number.NEGATIVE_INFINITY;

  /**
   * Returns the age in ms; infinite while nothing is proved. Call it often: a reply counts only until a newer one
   * replaces it.
   */
  of(facts: StateFacts): number {
    const { nowMs, stepMs } = facts;
    const provenMs = this.proven(facts);
    if (provenMs === ALWAYS) this.#provenMs = nowMs;
    return provenMs === ALWAYS ? 0 : nowMs - provenMs + stepMs;
  }

  /** Returns that moment; `ALWAYS` where nothing can be newer than the state; -Infinity while none is proved. */
  proven(facts: ProofFacts): number {
    const found = Math.min(ledAt(facts), followedAt(facts));
    if (found === ALWAYS) return ALWAYS;
    this.#provenMs = Math.max(this.#provenMs, found);
    return this.#provenMs;
  }
}

/** The newest moment at which no later leader can have existed: a majority of the voters knew no later term then. */
function ledAt({ own, voters, self, leader, answered }: ProofFacts): number {
  if (leader === undefined) return Number.NEGATIVE_INFINITY;
  // Without the vote of the only voter there is no other leader.
  if (voters.length === 1 && voters[0] === self && leader.node === self) return ALWAYS;
  const moments = voters.map((node) => {
    const said = node === self ? own : answered(node);
    return said?.raftTerm === undefined || said.raftTerm > leader.term ? Number.NEGATIVE_INFINITY : said.askedMs;
  });
  moments.sort((one, other) => other - one);
  return moments[Math.floor(voters.length / 2)] ?? Number.NEGATIVE_INFINITY;
}

/**
 * The newest moment at which this node is proved to have had everything the leader had. The leader has applied all
 * entries of earlier terms (`begun`), and knows no newer configuration of voters than this node does.
 */
function followedAt({ own, epoch, seq, self, leader, begun, answered }: ProofFacts): number {
  if (leader === undefined) return Number.NEGATIVE_INFINITY;
  if (leader.node === self) return begun ? ALWAYS : Number.NEGATIVE_INFINITY;
  const said = answered(leader.node);
  if (said === undefined || said.begun !== leader.term || said.epoch !== epoch) return Number.NEGATIVE_INFINITY;
  // The leader is ahead of this node: only an earlier reply counts, and StateAge remembers it.
  if (said.seq > seq || said.configuration > (own?.configuration ?? 0)) return Number.NEGATIVE_INFINITY;
  return said.askedMs;
}

/** Where a full member's facts come from. */
export interface StateAgeTrackerOptions {
  log: Log;
  /** StableNodeID of this node. */
  self: () => string;
  leader: () => Member | undefined;
  byServer: (server: string) => Member | undefined;
  answered: (node: string) => Answered | undefined;
  /** The machine's by default. */
  clock?: SleepClock;
}

/** The state age of one full member: collects the facts of its raft, its log and the replies of other members. */
export class StateAgeTracker {
  readonly #options: StateAgeTrackerOptions;
  readonly #age = new StateAge();
  readonly #clock: SleepClock;
  /** The newest raft state, and when it was requested. */
  #raft: { askedMs: number; state: RaftState } | undefined;
  /** Term in which this node's duties as leader began. */
  #begun = 0;

  constructor(options: StateAgeTrackerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? openSleepClock();
  }

  /** Ms on a clock that counts sleep. */
  elapsedMs(): number {
    return this.#clock.nowMs();
  }

  /** Records that this node leads in this term and has applied everything acknowledged before. */
  startedLeading(term: number): void {
    this.#begun = term;
  }

  /** Records a raft state that was requested at `askedMs`. */
  record(state: RaftState, askedMs: number): void {
    this.#raft = { askedMs, state };
  }

  /** Returns the term in which this node leads with everything acknowledged before applied; 0 where it does not. */
  leadingTerm(): number {
    const { leading, term } = this.#options.log.leadership();
    return leading && term === this.#begun ? term : 0;
  }

  /** Returns the age of this node's state in ms; infinite while nothing is proved. */
  ageMs(): number {
    return this.#age.of({ ...this.#facts(), nowMs: this.#clock.nowMs(), stepMs: this.#clock.stepMs });
  }

  /**
   * Returns a function for the age of the present state, in ms, at a later moment; undefined while nothing is proved.
   * Reads ask for it: the clock is read once, and not at all while this node cannot lack anything.
   */
  fromNow(): (() => number) | undefined {
    const provenMs = this.#age.proven(this.#facts());
    if (provenMs === Number.NEGATIVE_INFINITY) return undefined;
    if (provenMs !== ALWAYS) return () => this.#clock.nowMs() - provenMs + this.#clock.stepMs;
    // What was read is the newest until then, also after a sleep: only a wait for it takes time.
    const startMs = performance.now();
    return () => Math.floor(performance.now() - startMs);
  }

  #facts(): ProofFacts {
    const { log, byServer, leader: leads, self, answered } = this.#options;
    const leader = leads();
    const { state, askedMs = 0 } = this.#raft ?? {};
    return {
      ...log.position(),
      own: state && { askedMs, raftTerm: state.term, configuration: state.configuration },
      self: self(),
      voters: (state?.members ?? []).filter(({ voter }) => voter).map(({ server }) => byServer(server)?.node ?? server),
      leader: leader === undefined ? undefined : { node: leader.node, term: log.leadership().term },
      begun: this.leadingTerm() !== 0,
      answered: (node) => asProof(answered(node)),
    };
  }
}

function asProof(answered: Answered | undefined): Proof | undefined {
  if (answered === undefined) return undefined;
  const { askedMs, beat } = answered;
  const { epoch, seq, configuration, raftTerm, begun = 0 } = beat;
  return { askedMs, epoch, seq, configuration, raftTerm, begun };
}
