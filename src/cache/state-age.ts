// How old the state of a full node may be, from what answers to its beats proved: edges add it to the age of what they answer (replication.md 28). It is what a follower of a leader that is cut off cannot hide.
// Only an answer proves, and only for the moment at which its question was sent: whatever comes unasked may be as old as a broken link makes it.

/** What raft said of itself. */
export interface RaftProof {
  /** When it was asked, in ms on this node's clock: what it said was true then or later. */
  askedMs: number;
  /** The latest term that it knew; undefined where it could not tell. */
  raftTerm: number | undefined;
  /** Index of the newest configuration in its log. */
  configuration: number;
}

/** What a member answered last. */
export interface Proof extends RaftProof {
  epoch: string;
  seq: number;
  /** The term in which it leads and has applied all that was acknowledged before; 0 where it does not. */
  begun: number;
}

/** What this node knows of its fleet at one moment. */
export interface StateFacts {
  nowMs: number;
  /** By how much a difference of two readings of the clock may be too small. */
  stepMs: number;
  /** Of this node's raft, asked like anyone else. */
  own: RaftProof | undefined;
  /** What is applied here now. */
  epoch: string;
  seq: number;
  /** Member ids of all voters of the configuration in `own`; this node's is `self`. */
  voters: readonly string[];
  self: string;
  /** Who orders writes, and in which term, as this node knows; undefined while nobody is known to. */
  leader: { node: string; term: number } | undefined;
  /** Whether this node leads in that term and its duties have begun. */
  begun: boolean;
  answered: (node: string) => Proof | undefined;
}

/** Remembers the newest moment at which this node surely had all that was acknowledged. */
export class StateAge {
  #provenMs = Number.NEGATIVE_INFINITY;

  /** In ms; infinite while nothing is proved. To be called often: an answer proves something only while nothing newer has taken its place. */
  of(facts: StateFacts): number {
    this.#provenMs = Math.max(this.#provenMs, Math.min(ledAt(facts), followedAt(facts)));
    return this.#provenMs === facts.nowMs ? 0 : facts.nowMs - this.#provenMs + facts.stepMs;
  }
}

/** When nobody can have led in a later term: a majority of the voters knew none then. */
function ledAt({ nowMs, own, voters, self, leader, answered }: StateFacts): number {
  if (leader === undefined) return Number.NEGATIVE_INFINITY;
  // Nobody leads without the vote of the only voter.
  if (voters.length === 1 && voters[0] === self && leader.node === self) return nowMs;
  const moments = voters.map((node) => {
    const said = node === self ? own : answered(node);
    return said?.raftTerm === undefined || said.raftTerm > leader.term ? Number.NEGATIVE_INFINITY : said.askedMs;
  });
  moments.sort((one, other) => other - one);
  return moments[Math.floor(voters.length / 2)] ?? Number.NEGATIVE_INFINITY;
}

/** When this node surely had what the leader had, which had all of the terms before its own, and counted the same voters. */
function followedAt({ nowMs, own, epoch, seq, self, leader, begun, answered }: StateFacts): number {
  if (leader === undefined) return Number.NEGATIVE_INFINITY;
  if (leader.node === self) return begun ? nowMs : Number.NEGATIVE_INFINITY;
  const said = answered(leader.node);
  if (said === undefined || said.begun !== leader.term || said.epoch !== epoch) return Number.NEGATIVE_INFINITY;
  // Where the leader is ahead of what is applied here, an earlier answer counts, which is remembered.
  if (said.seq > seq || said.configuration > (own?.configuration ?? 0)) return Number.NEGATIVE_INFINITY;
  return said.askedMs;
}
