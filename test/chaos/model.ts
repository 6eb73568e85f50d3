// A fleet in memory, in virtual time, with clients that write and read. It is correct unless it is given one of the
// faults of replication.md 32. The checker is tested with it.

import type { Run, SeenChange } from "./history.ts";
import { read } from "./model-reads.ts";
import { type Client, World } from "./model-world.ts";
import { write } from "./model-writes.ts";

/** The planted bugs. */
export const BUGS = [
  "ack before commit",
  "leader read without a barrier",
  "skipped apply",
  "doubled apply",
  "dedupe lost in a snapshot",
  "label ahead of content",
  "feed drops the last row of a batch",
  "edge fill race",
  "etag without hash",
  "position reused after recover",
  "body of the version before",
  "forward keys not remembered",
  "votes not stored",
  "lost pending copy",
  "half of a batch",
  "batch seen half way",
  "patch of an earlier text",
  "restore of the version after",
  "deletion not seen",
  "decided by an older state",
  "list of another position",
  "history without a version",
  "another version at a position",
  "stream repeats after a reconnect",
  "stream skips after a reconnect",
  "lost notification",
] as const;

export type Bug = (typeof BUGS)[number];

export interface ModelOptions {
  seed: number;
  /** Kinds of requests. */
  asks: number;
  bug?: Bug;
  /** A recovery half way that loses what followers did not have. */
  recover?: boolean;
}

const CLIENTS = 8;

/** Runs the model and returns what its clients and followers saw. */
export function runModel(options: ModelOptions): Run {
  const { asks, recover } = options;
  const world = new World(options);
  const { random } = world;
  const clients: Client[] = Array.from({ length: CLIENTS }, (_, at) => ({
    name: `c${at}`,
    busyUntilMs: 0,
    position: undefined,
    tags: new Map(),
    tokens: new Map(),
  }));
  for (let asked = 0; asked < asks; asked++) {
    world.nowMs += random.next() * 3;
    for (const member of world.members) if (random.chance(0.4)) world.catchUp(member);
    if (random.chance(0.3)) world.followByEdge();
    if (random.chance(0.01)) world.pause();
    if (asked === Math.floor(asks / 2) && recover === true) world.recover(clients);
    const free = clients.filter(({ busyUntilMs }) => busyUntilMs < world.nowMs);
    if (free.length === 0) continue;
    const client = random.pick(free);
    if (random.chance(0.45)) write(world, client);
    else read(world, client);
  }
  return endOf(world, recover === true);
}

function endOf(world: World, mayLose: boolean): Run {
  for (const member of world.members) world.catchUp(member, world.order.length);
  const hashOf = (changes: readonly SeenChange[]) =>
    new Bun.CryptoHasher("sha256").update(JSON.stringify(changes)).digest("hex");
  return {
    rows: world.rows,
    feeds: world.feeds.map(({ feed }) => feed),
    wakes: [world.wakesAtEnd()],
    raft: world.raft,
    ends: world.members.map(({ name, changes, state, seq }) => ({
      node: name,
      seq,
      hash: hashOf(changes),
      digest: hashOf([...state.values()].toSorted((one, other) => (one.key < other.key ? -1 : 1))),
      changes,
      floor: 0,
    })),
    epochs: world.epochs,
    mayLose,
  };
}
