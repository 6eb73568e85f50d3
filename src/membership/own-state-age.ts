// How old what this full node has may be: puts together what its raft, its log and the answers of other members say. What follows from that is cache/state-age.ts.

import { openSleepClock, type Proof, type SleepClock, StateAge } from "../cache/index.ts";
import type { Answered, Member } from "../fleet/index.ts";
import type { Log } from "../log/log.ts";
import type { RaftState } from "../tailnet/index.ts";

export interface OwnAgeOptions {
  log: Log;
  /** StableNodeID of this node. */
  self: () => string;
  leader: () => Member | undefined;
  byServer: (server: string) => Member | undefined;
  answered: (node: string) => Answered | undefined;
  /** The machine's by default. */
  clock?: SleepClock;
}

export class OwnAge {
  readonly #options: OwnAgeOptions;
  readonly #age = new StateAge();
  readonly #clock: SleepClock;
  /** What raft said last, and when it was asked. */
  #raft: { askedMs: number; state: RaftState } | undefined;
  /** Term in which the duties of a leader began here. */
  #begun = 0;

  constructor(options: OwnAgeOptions) {
    this.#options = options;
    this.#clock = options.clock ?? openSleepClock();
  }

  /** On a clock that counts sleep. */
  elapsedMs(): number {
    return this.#clock.nowMs();
  }

  /** This node leads and has applied all that was acknowledged before. */
  begin(term: number): void {
    this.#begun = term;
  }

  /** Takes what raft said to a question of `askedMs`. */
  take(state: RaftState, askedMs: number): void {
    this.#raft = { askedMs, state };
  }

  /** The term in which this node leads with all that was acknowledged before; 0 where it does not. */
  begun(): number {
    const { leading, term } = this.#options.log.leadership();
    return leading && term === this.#begun ? term : 0;
  }

  /** In ms; infinite while nothing is proved. */
  ageMs(): number {
    const { log, byServer, leader: leads, self, answered } = this.#options;
    const leader = leads();
    const { state, askedMs = 0 } = this.#raft ?? {};
    return this.#age.of({
      nowMs: this.#clock.nowMs(),
      stepMs: this.#clock.stepMs,
      ...log.position(),
      own: state && { askedMs, raftTerm: state.term, configuration: state.configuration },
      self: self(),
      voters: (state?.members ?? []).filter(({ voter }) => voter).map(({ server }) => byServer(server)?.node ?? server),
      leader: leader === undefined ? undefined : { node: leader.node, term: log.leadership().term },
      begun: this.begun() !== 0,
      answered: (node) => proofOf(answered(node)),
    });
  }
}

function proofOf(answered: Answered | undefined): Proof | undefined {
  if (answered === undefined) return undefined;
  const { askedMs, beat } = answered;
  const { epoch, seq, configuration, raftTerm, begun = 0 } = beat;
  return { askedMs, epoch, seq, configuration, raftTerm, begun };
}
