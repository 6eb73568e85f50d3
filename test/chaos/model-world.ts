// The fleet of model.ts: the leader's order, three full members that lag, an edge with a cache, and the bugs that are
// planted in how they apply, copy, pass on and recover. What clients ask for is model-writes.ts and model-reads.ts.

import { hashOf } from "./documents.ts";
import {
  DELETED,
  type Epoch,
  type Feed,
  isDeletion,
  type Place,
  type Row,
  type SeenChange,
  type Wakes,
} from "./history.ts";
import type { Bug, ModelOptions } from "./model.ts";
import type { RaftEvent } from "./raft-events.ts";
import { Random } from "./random.ts";

const FULL = ["one", "two", "three"] as const;
export const KEYS = 12;

export interface Member {
  name: string;
  changes: SeenChange[];
  /** What reads are served from: newest change by key. */
  state: Map<string, SeenChange>;
  /** Position that it claims to have applied. */
  seq: number;
  /** Extra versions, by key. */
  extra: Map<string, number>;
}

interface Cached {
  change: SeenChange | undefined;
  seq: number;
}

export interface Client {
  name: string;
  busyUntilMs: number;
  position: Place | undefined;
  /** The last ETag and the last write seen of each key. */
  tags: Map<string, string>;
  tokens: Map<string, string>;
}

export class World {
  readonly random: Random;
  readonly order: SeenChange[] = [];
  readonly members: Member[] = FULL.map((name) => ({ name, changes: [], state: new Map(), seq: 0, extra: new Map() }));
  readonly feeds: { feed: Feed & { changes: SeenChange[] }; member: Member }[];
  readonly wakes: { key: string; atMs: number }[] = [];
  readonly rows: Row[] = [];
  readonly raft: RaftEvent[] = [];
  readonly epochs: Epoch[] = [{ id: "e1", forkSeq: 0 }];
  readonly cache = new Map<string, Cached>();
  /** Position up to which the edge has followed its upstream, and when. */
  edge = { seq: 0, asOfMs: 0 };
  nowMs = 0;
  sinceMs = 0;
  /** Changes lost in a recovery: clients still know their ETags. */
  lost: SeenChange[] = [];
  /** The state from which an old leader, now paused, will serve when it resumes. */
  old: { state: Map<string, SeenChange>; seq: number } | undefined;
  readonly #bug: Bug | undefined;
  readonly #texts = new Map<SeenChange, string>();
  /** Positions between the parts of a batch. */
  readonly #inner = new Set<number>();
  #term = 1;

  constructor({ seed, bug }: ModelOptions) {
    this.random = new Random(seed);
    this.#bug = bug;
    const start = { epoch: "e1", seq: 0 };
    this.feeds = this.members.map((member) => ({
      member,
      feed: { follower: `at ${member.name}`, since: start, changes: [], prefix: "k", until: start },
    }));
  }

  get epoch(): string {
    return this.epochs.at(-1)?.id ?? "";
  }

  has(bug: Bug): boolean {
    return this.#bug === bug;
  }

  /** Reports whether a bug is planted and shows itself this time. */
  hits(bug: Bug, part: number): boolean {
    return this.has(bug) && this.random.chance(part);
  }

  key(): string {
    return `k${this.random.between(0, KEYS - 1)}`;
  }

  stateAt(seq: number): Map<string, SeenChange> {
    return new Map(this.order.slice(0, seq).map((change) => [change.key, change]));
  }

  newest(key: string, seq = this.order.length): SeenChange | undefined {
    return this.order.findLast((change) => change.key === key && change.seq <= seq);
  }

  version(key: string, version: number): SeenChange | undefined {
    return this.order.find((change) => change.key === key && change.version === version);
  }

  /** Returns the document after a change, "" after a deletion. */
  textOf(change: SeenChange | undefined): string {
    return change === undefined ? "" : (this.#texts.get(change) ?? "");
  }

  /** Adds a change with this document; undefined deletes. */
  commit(key: string, text: string | undefined): SeenChange {
    const version = (this.newest(key)?.version ?? 0) + 1;
    const hash = text === undefined ? DELETED : hashOf(text);
    const change = { epoch: this.epoch, seq: this.order.length + 1, key, version, hash };
    this.order.push(change);
    if (text !== undefined) this.#texts.set(change, text);
    return change;
  }

  /** The changes from this seq on were one command. */
  isBatch(from: number): void {
    for (let seq = from; seq < this.order.length; seq++) this.#inner.add(seq);
  }

  /** Returns this seq, or that of the end of the batch which it is in. */
  whole(seq: number): number {
    let end = seq;
    while (this.#inner.has(end)) end += 1;
    return end;
  }

  pause(): void {
    this.old = { state: this.stateAt(this.order.length), seq: this.order.length };
    this.#elect();
  }

  #elect(): void {
    this.#term += 1;
    const [leader, ...others] = FULL.map((_, at) => FULL[(this.#term + at) % FULL.length] ?? "one");
    if (leader === undefined) return;
    const event = { epoch: this.epoch, term: this.#term };
    for (const server of [leader, ...others.slice(0, 1)])
      this.raft.push({ ...event, kind: "votes", server, candidate: leader });
    this.raft.push({ ...event, kind: "leads", server: leader, candidate: "" });
    const [restarted = leader, other = leader] = others;
    if (this.hits("votes not stored", 0.5))
      this.raft.push({ ...event, kind: "votes", server: restarted, candidate: other });
  }

  /** Applies some of what it lacks, as one batch, and passes it to the follower. */
  catchUp(member: Member, wanted = this.random.between(member.seq, this.order.length)): void {
    const isFaulty = member.name === "three";
    const to = this.has("batch seen half way") && isFaulty ? wanted : this.whole(wanted);
    const before = member.seq;
    if (isFaulty && to > before + 2 && this.hits("label ahead of content", 0.5)) {
      // A copy that is older than its label: the difference is wrongly taken as applied.
      member.seq = to;
      return;
    }
    const batch = this.order.slice(before, to);
    // The member came to this position by a copy, which it does not have after its restart.
    const isLost = isFaulty && to > before + 2 && this.hits("lost pending copy", 0.2);
    for (const change of batch) {
      const isHit = isFaulty && change.seq % 97 === 0;
      if ((this.has("skipped apply") && isHit) || isLost) continue;
      if (this.has("doubled apply") && isHit) member.extra.set(change.key, (member.extra.get(change.key) ?? 0) + 1);
      const there = { ...change, version: change.version + (member.extra.get(change.key) ?? 0) };
      member.changes.push(there);
      if (!(isFaulty && isDeletion(change) && this.has("deletion not seen"))) member.state.set(change.key, there);
    }
    member.seq = to;
    if (batch.length > 0) this.#pass(member, batch);
  }

  #pass(member: Member, batch: readonly SeenChange[]): void {
    const until = { epoch: this.epoch, seq: member.seq };
    for (const { feed, member: of } of this.feeds) {
      if (of !== member) continue;
      const shown = this.has("feed drops the last row of a batch") && batch.length > 1 ? batch.slice(0, -1) : batch;
      const again = this.hits("stream repeats after a reconnect", 0.05) ? feed.changes.slice(-1) : [];
      const isCut = shown.length > 1 && this.hits("stream skips after a reconnect", 0.05);
      // A feed shows no hash of a deletion.
      const seen = shown.map((change) => (isDeletion(change) ? { ...change, hash: "" } : change));
      feed.changes.push(...again, ...(isCut ? seen.slice(1) : seen));
      feed.until = until;
    }
    if (member.name !== "one") return;
    for (const key of new Set(batch.map((change) => change.key)))
      if (!this.hits("lost notification", 0.3)) this.wakes.push({ key, atMs: this.nowMs });
  }

  followByEdge(): void {
    const upstream = this.members[0];
    if (upstream === undefined) return;
    this.catchUp(upstream, this.order.length);
    for (const change of this.order.slice(this.edge.seq)) {
      const cached = this.cache.get(change.key);
      if (cached !== undefined && change.seq > cached.seq) this.cache.delete(change.key);
    }
    this.edge = { seq: this.order.length, asOfMs: this.nowMs };
  }

  /** The rest of the fleet is lost: what one follower has becomes a new history. */
  recover(clients: readonly Client[]): void {
    const left = Math.min(...this.members.map(({ seq }) => seq), this.edge.seq);
    const forkSeq = this.whole(Math.max(0, left - 30));
    this.lost = this.order.splice(forkSeq);
    if (!this.has("position reused after recover")) this.epochs.push({ id: "e2", forkSeq });
    for (const { seq } of this.lost) this.#inner.delete(seq);
    for (const member of this.members) {
      member.changes = this.order.slice();
      member.state = this.stateAt(forkSeq);
      member.seq = forkSeq;
    }
    for (const { feed } of this.feeds) {
      feed.changes.length = 0;
      feed.since = { epoch: this.epoch, seq: forkSeq };
      feed.until = feed.since;
    }
    this.wakes.length = 0;
    this.sinceMs = this.nowMs;
    this.cache.clear();
    this.edge = { seq: forkSeq, asOfMs: this.nowMs };
    this.old = undefined;
    // All clients learned that the history forked and start again, but may still hold ETags.
    for (const client of clients) client.position = undefined;
  }

  wakesAtEnd(): Wakes {
    const keys = Array.from({ length: KEYS }, (_, at) => `k${at}`);
    return { follower: "a subscriber", keys, sinceMs: this.sinceMs, untilMs: this.nowMs + 1000, wakes: this.wakes };
  }
}

export function tagText(change: SeenChange): string {
  return `${change.version}-${change.hash}`;
}
