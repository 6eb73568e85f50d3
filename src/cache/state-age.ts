// How old the state of a full node may be, from what beats proved: edges add it to the age of what they answer (replication.md 28). It is what a follower of a leader that is cut off cannot hide.

/** What was heard of a member last. Times on this node's monotonic clock, in ms. */
export interface HeardState {
  /** When its answer came, and how long ago it may have been given at most before that. */
  atMs: number;
  roundTripMs: number | undefined;
  epoch: string;
  seq: number;
  term: number;
}

/** What this node knows of its fleet at one moment. */
export interface StateFacts {
  nowMs: number;
  /** Of this node. */
  epoch: string;
  seq: number;
  /** Member ids of all voters; this node's is `self`. */
  voters: readonly string[];
  self: string;
  /** Who orders writes, and in which term, as this node knows; undefined while nobody is known to. */
  leader: { node: string; term: number } | undefined;
  heard: (node: string) => HeardState | undefined;
}

/** Remembers the newest moment at which this node surely had all that was acknowledged. */
export class StateAge {
  #provenMs = Number.NEGATIVE_INFINITY;

  /** In ms; infinite while nothing is proved. */
  of(facts: StateFacts): number {
    this.#provenMs = Math.max(this.#provenMs, Math.min(ledAt(facts), followedAt(facts)));
    return facts.nowMs - this.#provenMs;
  }

  /** Another history begins. */
  forget(): void {
    this.#provenMs = Number.NEGATIVE_INFINITY;
  }
}

/** When the leader surely still led: a majority of the voters knew no later term than its own at that moment or after it. */
function ledAt({ nowMs, voters, self, leader, heard }: StateFacts): number {
  if (leader === undefined) return Number.NEGATIVE_INFINITY;
  const moments = voters.map((node) => {
    if (node === self) return nowMs;
    const last = heard(node);
    return last === undefined || last.term > leader.term ? Number.NEGATIVE_INFINITY : saidAt(last);
  });
  moments.sort((one, other) => other - one);
  return moments[Math.floor(voters.length / 2)] ?? Number.NEGATIVE_INFINITY;
}

/** When this node surely had what the leader had. */
function followedAt({ nowMs, epoch, seq, self, leader, heard }: StateFacts): number {
  if (leader === undefined || leader.node === self) return nowMs;
  const last = heard(leader.node);
  // Where the leader is ahead of what is applied here, an earlier beat counts, which is remembered.
  return last === undefined || last.epoch !== epoch || last.seq > seq ? Number.NEGATIVE_INFINITY : saidAt(last);
}

function saidAt({ atMs, roundTripMs = 0 }: HeardState): number {
  return atMs - roundTripMs;
}
