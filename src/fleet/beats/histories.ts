// Compares the states of members by their beats: (seq, hash) and the running digest of each against the own
// (replication.md 3), and decides who is wrong: not one member alone, but a majority of full members that agree
// (replication.md 33). Only judges; refusing and giving way is done elsewhere.

import { parseDigest, type RunningDigest } from "../../log/running-digest.ts";
import type { Member } from "../rows.ts";
import type { ReceivedBeat } from "./beat.ts";

export interface HistoryFacts {
  /** This node's build. */
  version: string;
  /** This node's epoch, and its chain hash of a change as hex, if it is kept. */
  epoch: string;
  hashAt: (seq: number) => string | undefined;
  /** How many commands this node's running digest covers; 0 without one. */
  count: number;
  /** This node's running digest after `count` commands, if it is remembered. */
  digestAt: (count: number) => string | undefined;
}

/** `digest`: the chains are the same and the running digests differ. */
export type Comparison = "same" | "digest" | "other" | "unknown";

/** Returns what a beat says of the two histories: the same, another chain or digest, or not comparable. */
export function compareHistory(
  { beat }: ReceivedBeat,
  { epoch, hashAt, digestAt }: Omit<HistoryFacts, "count" | "version">,
): Comparison {
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

/** What is known of one member. Counts are of commands: two states that differ at one differ at all later ones. */
interface Known {
  name: string;
  /** How it differs, for people; undefined where it does not. */
  text: string | undefined;
  /** The latest count at which its digest was this node's; undefined since they differ. */
  sameAt: number | undefined;
  /** The first count at which they were seen to differ. */
  differsAt: number | undefined;
  /** A digest that this node could not compare yet: it is behind. */
  ahead: RunningDigest | undefined;
  /** Up to which count it agrees with others, as it reports itself. */
  agreed: ReadonlyMap<string, number>;
}

/** What a node has to do about members that differ. */
export interface Verdict {
  /** Members that a majority contradicts, this node among it. */
  refused: readonly Member[];
  /** Why this node is the one that is wrong; undefined where it is not, or that is unknown. */
  giveWay: string | undefined;
}

export interface VerdictFacts {
  /** StableNodeID of this node. */
  self: string;
  /** The leader's; undefined while none is known. */
  leaderNode: string | undefined;
  members: readonly Member[];
}

/** Remembers the comparisons with each member. */
export class Histories {
  readonly #known = new Map<string, Known>();

  /** Takes the comparison of one beat. */
  take(member: Member, received: ReceivedBeat, facts: HistoryFacts): void {
    const { beat } = received;
    const digest = parseDigest(beat.digest);
    // It has no state: it waits for its first copy, or for another one.
    if (beat.seq === 0) {
      this.#known.delete(member.node);
      return;
    }
    const known = this.#known.get(member.node) ?? {
      ...{ name: member.name, text: undefined, sameAt: undefined, differsAt: undefined, ahead: undefined },
      agreed: new Map(),
    };
    this.#known.set(member.node, known);
    known.name = member.name;
    known.agreed = new Map(beat.agreed?.map(({ node, count }) => [node, count]));
    const found = compareHistory(received, facts);
    if (found === "same") known.text = undefined;
    else if (found === "other") known.text = `${member.name} has another change ${beat.seq} than this node`;
    else if (found === "digest") known.text = `${member.name} has another state than this node under the same changes`;
    // Another version may by mistake answer or write otherwise without a new level: a digest alone proves nothing then.
    compareDigests(known, digest, { ...facts, mayDiffer: found === "other" || beat.version === facts.version });
  }

  /** Returns up to which count of commands each member agrees with this node, for its beat. */
  agreed(): { node: string; count: number }[] {
    return [...this.#known].flatMap(([node, { sameAt }]) => (sameAt === undefined ? [] : [{ node, count: sameAt }]));
  }

  /** Decides by what is known now. Below the level of digests no member is refused and none gives way. */
  judge({ self, leaderNode, members }: VerdictFacts): Verdict {
    this.#forget(members);
    const full = members.filter(({ server }) => server !== "");
    const others = full.flatMap((member) => {
      const known = this.#known.get(member.node);
      return member.node === self || known === undefined ? [] : [{ member, known }];
    });
    const isMajority = (count: number) => count > full.length / 2;
    const onOwnSide = (count: number) => 1 + others.filter(({ known }) => (known.sameAt ?? -1) >= count).length;
    const differing = others.flatMap(({ member, known: { differsAt, agreed } }) =>
      differsAt === undefined ? [] : [{ member, differsAt, agreed }],
    );
    const refused = differing.filter(({ differsAt }) => isMajority(onOwnSide(differsAt))).map(({ member }) => member);
    if (refused.length > 0) return { refused, giveWay: undefined };
    for (const one of differing) {
      const group = differing.filter((other) => other === one || agree(one, other));
      if (!isMajority(group.length)) continue;
      const names = group.map(({ member }) => member.name).join(", ");
      return { refused, giveWay: `${names} agree on another state than this node, and they are most members` };
    }
    // No majority on any side, and every member was compared: the leader decides.
    const leader = differing.find(({ member }) => member.node === leaderNode);
    if (leader === undefined || differing.length + onOwnSide(leader.differsAt) < full.length)
      return { refused, giveWay: undefined };
    const why = `${leader.member.name} has another state than this node, and it leads; no majority says otherwise`;
    return { refused, giveWay: why };
  }

  /** Returns the differing members for the condition; undefined if there are none. */
  text(members: readonly Member[], refused: readonly Member[] = []): string | undefined {
    this.#forget(members);
    const differing = [...this.#known].flatMap(([node, { text, differsAt, name }]) => {
      if (text === undefined && differsAt === undefined) return [];
      const what = text ?? `${name} has another state than this node`;
      return refused.some((member) => member.node === node) ? `${what}; most members contradict it` : what;
    });
    return differing.length === 0 ? undefined : differing.join("; ");
  }

  #forget(members: readonly Member[]): void {
    for (const node of this.#known.keys())
      if (!members.some((member) => member.node === node)) this.#known.delete(node);
  }
}

/** Under load a member may be ahead with each beat: its first digest that is waits until this node has reached it. */
function compareDigests(
  known: Known,
  digest: RunningDigest | undefined,
  { count, digestAt, mayDiffer }: HistoryFacts & { mayDiffer: boolean },
): void {
  for (const each of [known.ahead, digest]) {
    if (each === undefined) continue;
    if (each.count > count) {
      known.ahead ??= each;
      continue;
    }
    if (known.ahead === each) known.ahead = undefined;
    const own = digestAt(each.count);
    if (own === each.hash || (own !== undefined && mayDiffer)) compareAt(known, each.count, own === each.hash);
  }
}

function compareAt(known: Known, count: number, isSame: boolean): void {
  if (!isSame) {
    known.sameAt = undefined;
    known.differsAt ??= count;
  } else if (known.differsAt === undefined || count >= known.differsAt) {
    // States that differed are the same again only by a copy.
    known.differsAt = undefined;
    known.sameAt = Math.max(known.sameAt ?? 0, count);
  }
}

/** Reports whether two members that differ from this node agree with each other where they do. */
function agree(
  one: { member: Member; differsAt: number; agreed: ReadonlyMap<string, number> },
  other: typeof one,
): boolean {
  const count = Math.max(one.agreed.get(other.member.node) ?? -1, other.agreed.get(one.member.node) ?? -1);
  return count >= Math.min(one.differsAt, other.differsAt);
}
