// Compares the histories of members: (seq, hash) and the running digest of each beat against the own (replication.md
// 3). A follower with another chain than its leader stops; a leader stops when most other members have another chain. A
// digest that differs under one chain is only reported: as long as no majority is asked (replication.md 33, planned),
// it cannot say which of the two members is wrong.

import { parseDigest } from "../../log/running-digest.ts";
import type { Member } from "../rows.ts";
import type { ReceivedBeat } from "./beat.ts";

export interface HistoryFacts {
  /** This node's epoch, and its chain hash of a change as hex, if it is kept. */
  epoch: string;
  hashAt: (seq: number) => string | undefined;
  /** This node's running digest after `count` commands, if it is remembered. */
  digestAt: (count: number) => string | undefined;
}

/** `digest`: the chains are the same and the running digests differ. */
export type Comparison = "same" | "digest" | "other" | "unknown";

/** Returns what a beat says of the two histories: the same, another chain or digest, or not comparable. */
export function compareHistory({ beat }: ReceivedBeat, { epoch, hashAt, digestAt }: HistoryFacts): Comparison {
  // An edge has no chain of its own.
  if (beat.epoch === "" || beat.seq === 0 || beat.hash === "") return "unknown";
  if (beat.epoch !== epoch) return "other";
  const own = hashAt(beat.seq);
  if (own === undefined) return "unknown";
  if (own !== beat.hash) return "other";
  const digest = parseDigest(beat.digest);
  if (digest === undefined) return "same";
  const ownDigest = digestAt(digest.count);
  if (ownDigest === undefined) return "unknown";
  return ownDigest === digest.hash ? "same" : "digest";
}

/** Remembers the newest comparison of each member. */
export class Histories {
  readonly #others = new Map<string, { name: string; seq: number }>();
  /** Members with the same chain and another digest: StableNodeID → name. */
  readonly #digests = new Map<string, string>();

  /** Takes one comparison. Returns why this node has to stop, or undefined. */
  take(
    member: Member,
    received: ReceivedBeat,
    facts: HistoryFacts & { leading: boolean; leaderNode: string | undefined; members: readonly Member[] },
  ): string | undefined {
    const found = compareHistory(received, facts);
    if (found === "unknown") return undefined;
    if (found === "digest") this.#digests.set(member.node, member.name);
    else this.#digests.delete(member.node);
    if (found === "same" || found === "digest") this.#others.delete(member.node);
    else this.#others.set(member.node, { name: member.name, seq: received.beat.seq });
    if (found === "same" || found === "digest") return undefined;
    const what = `${member.name} has another change ${received.beat.seq} than this node`;
    if (!facts.leading) return member.node === facts.leaderNode ? `${what}, and it leads` : undefined;
    const full = facts.members.filter(({ server }) => server !== "").length;
    return this.#others.size > full / 2 ? `${what}, and so do most members` : undefined;
  }

  /** Returns the differing members for the condition; undefined if there are none. */
  text(members: readonly Member[]): string | undefined {
    for (const known of [this.#others, this.#digests])
      for (const node of known.keys()) if (!members.some((member) => member.node === node)) known.delete(node);
    const chains = [...this.#others.values()].map(
      ({ name, seq }) => `${name} has another change ${seq} than this node`,
    );
    const digests = [...this.#digests.values()].map(
      (name) => `${name} has another state than this node under the same changes`,
    );
    const differing = [...chains, ...digests];
    return differing.length === 0 ? undefined : differing.join("; ");
  }
}
