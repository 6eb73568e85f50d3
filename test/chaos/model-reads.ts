// The reads of model.ts, at full members and through the edge, and the bugs that are planted in how they are answered.

import { DELETED, isDeletion, type Place, READS, type Row, type SeenChange } from "./history.ts";
import { type Client, KEYS, type Member, tagText, type World } from "./model-world.ts";

const EDGE = "edge";
const LIMIT = 5;

export function read(world: World, client: Client): void {
  const { random, nowMs } = world;
  const key = world.key();
  const consistency = random.pick(["any", "session", "leader"] as const);
  const operation = random.chance(0.5) ? "get" : random.pick(READS);
  const atEdge = operation === "get" && consistency !== "leader" && random.chance(0.6);
  const member = random.pick(world.members);
  const shown = consistency === "session" ? client.position : undefined;
  const found = atEdge ? askEdge(world, key, shown) : askMember(world, member, consistency, client.position);
  const completeMs = nowMs + random.next() * 3;
  client.busyUntilMs = completeMs;
  const blank = { process: client.name, operation, key, invokeMs: nowMs, completeMs, consistency, shown };
  const { seq, ageMs } = found;
  const position = { epoch: world.epoch, seq };
  const more = { node: atEdge ? EDGE : member.name, outcome: "ok" as const, code: "", position, ageMs, cached: atEdge };
  const state = "change" in found ? new Map([[key, found.change]]) : found.state;
  const row: Row = { ...blank, ...more, ...answer(world, client, operation, key, state, seq) };
  // A fault has no position.
  if (row.absent !== undefined) row.position = undefined;
  world.rows.push(row);
  if (operation === "get" && row.absent === undefined) client.tags.set(key, `${row.version}-${row.hash}`);
  if (
    row.position !== undefined &&
    consistency !== "any" &&
    (client.position === undefined || seq > client.position.seq)
  )
    client.position = position;
}

type State = ReadonlyMap<string, SeenChange | undefined>;

function answer(
  world: World,
  client: Client,
  operation: Row["operation"],
  key: string,
  state: State,
  seq: number,
): Pick<Row, "version" | "hash"> & Partial<Row> {
  const { random } = world;
  const head = state.get(key);
  switch (operation) {
    case "list":
      return listed(world, state, seq);
    case "history": {
      if (head === undefined) return absent(head);
      const all = world.order.filter((change) => change.key === key && change.seq <= seq).toReversed();
      const isHit = all.length > 2 && world.hits("history without a version", 0.2);
      return { version: 0, hash: "", key, limit: LIMIT, listed: (isHit ? all.toSpliced(1, 1) : all).slice(0, LIMIT) };
    }
    case "metadata":
      return head === undefined ? absent(head) : { version: head.version, hash: head.hash };
    case "version": {
      const named = random.between(1, 1 + (head?.version ?? 1));
      const change = named > (head?.version ?? 0) ? undefined : world.version(key, named);
      return { ...document(world, change), named };
    }
    case "at": {
      const at = { epoch: world.epoch, seq: random.between(0, seq) };
      // The version after the one that was the newest then.
      const step = world.hits("another version at a position", 0.2) ? 1 : 0;
      const change = world.newest(key, at.seq);
      const other = change === undefined ? undefined : world.version(key, change.version + step);
      return { ...document(world, other ?? change), at };
    }
    default: {
      const known = random.chance(0.2) ? client.tags.get(key) : undefined;
      const isKnown = head !== undefined && known === tagText(head);
      if (isKnown) return { version: head.version, hash: head.hash, known, unchanged: true };
      return { ...document(world, head), known };
    }
  }
}

function document(world: World, change: SeenChange | undefined): Pick<Row, "version" | "hash"> & Partial<Row> {
  if (change === undefined || isDeletion(change)) return absent(change);
  return { version: change.version, hash: change.hash, body: bodyOf(world, change) };
}

function absent(change: SeenChange | undefined): Pick<Row, "version" | "hash"> & Partial<Row> {
  if (change === undefined) return { version: 0, hash: "", absent: "not_found" };
  return { version: change.version, hash: DELETED, absent: "deleted" };
}

function listed(world: World, state: State, seq: number) {
  const from = world.hits("list of another position", 0.2) ? world.stateAt(Math.max(0, seq - 20)) : state;
  const keys = Array.from({ length: KEYS }, (_, at) => `k${at}`).sort();
  const after = world.random.chance(0.5) ? undefined : world.random.pick(keys);
  const all = keys.flatMap((key) => (after !== undefined && key <= after ? [] : (from.get(key) ?? [])));
  const living = all.filter((change) => !isDeletion(change));
  const page = living.slice(0, LIMIT);
  return { version: 0, hash: "", key: "k", after, limit: LIMIT, more: living.length > page.length, listed: page };
}

/** Hash of what a read receives; the planted bug answers one in twenty with the version before. */
function bodyOf(world: World, change: SeenChange): string {
  if (!world.hits("body of the version before", 0.05)) return change.hash;
  return world.version(change.key, change.version - 1)?.hash ?? change.hash;
}

function askMember(world: World, member: Member, consistency: string, shown: Place | undefined) {
  const { order } = world;
  if (consistency === "leader") {
    const old = world.hits("leader read without a barrier", 0.05) ? world.old : undefined;
    if (old !== undefined) return { ...old, ageMs: undefined };
    return { state: world.stateAt(order.length), seq: order.length, ageMs: undefined };
  }
  if (consistency === "session" && shown !== undefined && shown.seq > member.seq) world.catchUp(member, order.length);
  return { state: member.state, seq: member.seq, ageMs: undefined };
}

function askEdge(world: World, key: string, shown: Place | undefined) {
  const { cache, order, random } = world;
  if (shown !== undefined && shown.seq > world.edge.seq) world.followByEdge();
  const { seq } = world.edge;
  const cached = cache.get(key);
  const ageMs = world.nowMs - world.edge.asOfMs;
  const positionOf = (found: SeenChange | undefined) => world.whole(Math.max(seq, found?.seq ?? 0));
  if (cached !== undefined) return { change: cached.change, seq: positionOf(cached.change), ageMs };
  // A cache fill: requested some changes ago, arriving now. Changes since then make it unfit to keep.
  const askedSeq = world.whole(random.between(Math.max(0, seq - 3), order.length));
  const change = world.newest(key, askedSeq);
  const passed = order.slice(askedSeq, seq).some((later) => later.key === key);
  if (!passed || world.has("edge fill race")) cache.set(key, { change, seq: askedSeq });
  const answered = passed ? world.newest(key) : change;
  return { change: answered, seq: positionOf(answered), ageMs };
}
