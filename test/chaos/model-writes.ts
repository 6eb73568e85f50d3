// The writes of model.ts: puts, patches, deletions, restores and batches, with and without conditions, and the bugs
// that are planted in how they are decided, remembered and acknowledged.

import { has, hashOf, patched, textOf } from "./documents.ts";
import { DELETED, isDeletion, OTHER_PART, type Row, type SeenChange } from "./history.ts";
import { type Client, tagText, type World } from "./model-world.ts";

/** Asks for one write, or for several as a batch. */
export function write(world: World, client: Client): void {
  const { random, nowMs } = world;
  const completeMs = nowMs + 1 + random.next() * 20;
  client.busyUntilMs = completeMs;
  const batch = random.chance(0.1) ? `b${world.rows.length}` : undefined;
  const keys = batch === undefined ? [world.key()] : [...new Set([world.key(), world.key(), world.key()])];
  const rows = keys.map((key, at): Row => {
    const blank = { process: client.name, key, invokeMs: nowMs, completeMs, node: random.pick(world.members).name };
    const more = { outcome: "ok" as const, code: "", version: 0, position: undefined };
    return { ...blank, ...more, ...draw(world, client, key, at), ...(keys.length > 1 ? { batch } : {}) };
  });
  world.rows.push(...rows);
  decide(world, client, rows);
}

function draw(world: World, client: Client, key: string, at: number): Pick<Row, "operation" | "hash"> & Partial<Row> {
  const { random } = world;
  const token = `t${world.rows.length}-${at}`;
  const current = world.newest(key);
  const seen = client.tags.get(key);
  const lost = world.lost.find((change) => change.key === key && change.version === current?.version);
  const known = lost === undefined ? (seen ?? "new") : tagText(lost);
  const wanted = at === 0 ? "put" : random.pick(["put", "patch", "delete", "restore"] as const);
  const operation = seen === undefined ? "put" : random.chance(0.5) ? wanted : random.pick(OTHERS);
  const condition = random.chance(0.5) && (operation === "put" || known !== "new") ? known : undefined;
  switch (operation) {
    case "put":
      return { operation, token, condition, hash: hashOf(textOf(token)) };
    case "patch":
      return { operation, token, condition, hash: "", needs: random.chance(0.3) ? client.tokens.get(key) : undefined };
    case "delete":
      return { operation, condition, hash: DELETED };
    case "restore":
      return { operation, condition, hash: "", named: random.between(1, current?.version ?? 1) };
  }
}

const OTHERS = ["put", "put", "patch", "delete", "restore"] as const;

function decide(world: World, client: Client, rows: readonly Row[]): void {
  const { random } = world;
  const fate = random.next();
  // An older state decides, such as that of a follower.
  const isOld = world.hits("decided by an older state", 0.1);
  const refusals = rows.map((row) => refusalOf(world, row, isOld ? olderState(world, row) : world.newest(row.key)));
  if (refusals.some((refusal) => refusal !== undefined)) {
    refuse(world, client, rows, refusals);
    return;
  }
  if (fate < 0.03) {
    for (const row of rows) Object.assign(row, { outcome: "unknown", code: "unavailable", hash: hashBefore(row) });
    if (random.chance(0.5)) commitAll(world, rows);
    return;
  }
  const [first] = rows;
  if (first?.operation === "put" && world.has("ack before commit") && fate > 0.99) {
    const seq = world.order.length + 1;
    const version = (world.newest(first.key)?.version ?? 0) + 1;
    for (const [at, row] of rows.entries())
      Object.assign(row, { version, position: { epoch: world.epoch, seq: seq + at } });
    return;
  }
  let changes = commitAll(world, rows);
  // The first response was lost and the client retried with the same key: the outcome is that of the first attempt.
  if (world.has("dedupe lost in a snapshot") && fate > 0.98) commitAll(world, rows);
  // A node sent it to the leader again, and passes the second response on.
  if (world.has("forward keys not remembered") && fate > 0.98) changes = commitAll(world, rows);
  for (const [at, row] of rows.entries()) acknowledge(client, row, changes[at]);
}

function olderState(world: World, { key }: Row): SeenChange | undefined {
  const current = world.newest(key);
  return current === undefined ? undefined : world.version(key, current.version - 3);
}

/** Hash of a row before there is a response: only that of a put or a deletion is known. */
function hashBefore({ operation, hash }: Row): string {
  return operation === "put" || operation === "delete" ? hash : "";
}

function acknowledge(client: Client, row: Row, change: SeenChange | undefined): void {
  if (change === undefined) return;
  const hash = row.operation === "put" ? row.hash : change.hash;
  Object.assign(row, { version: change.version, hash, position: { epoch: change.epoch, seq: change.seq } });
  client.position = row.position;
  if (isDeletion(change)) client.tags.delete(row.key);
  else client.tags.set(row.key, tagText(change));
  if (row.token !== undefined) client.tokens.set(row.key, row.token);
}

/** Returns the code with which the state refuses a write; undefined where it does not. */
function refusalOf(world: World, row: Row, current: SeenChange | undefined): Partial<Row> | undefined {
  const living = current === undefined || isDeletion(current) ? undefined : current;
  if (row.operation === "delete" && living === undefined) return { code: "not_found" };
  if (row.operation === "patch" && living === undefined)
    return { code: current === undefined ? "not_found" : "deleted" };
  if (row.operation === "restore") {
    const named = world.version(row.key, row.named ?? 0);
    if (named === undefined || (current?.version ?? 0) < named.version) return { code: "not_found" };
    if (!holds(world, row.condition, living)) return mismatch(living);
    return isDeletion(named) ? { code: "deleted" } : undefined;
  }
  if (!holds(world, row.condition, living)) return mismatch(living);
  if (row.needs !== undefined && !has(world.textOf(current), row.needs)) return { code: "patch_failed" };
  return undefined;
}

function mismatch(living: SeenChange | undefined): Partial<Row> {
  return { code: "version_mismatch", current: living === undefined ? "none" : tagText(living) };
}

function holds(world: World, condition: string | undefined, living: SeenChange | undefined): boolean {
  if (condition === undefined) return true;
  if (condition === "new") return living === undefined;
  if (living === undefined) return false;
  if (world.has("etag without hash")) return condition.split("-")[0] === String(living.version);
  return condition === tagText(living);
}

function refuse(
  world: World,
  client: Client,
  rows: readonly Row[],
  refusals: readonly (Partial<Row> | undefined)[],
): void {
  const index = refusals.findIndex((refusal) => refusal !== undefined);
  // The parts before the one that was refused stay done.
  if (rows.length > 1 && index > 0 && world.hits("half of a batch", 0.5)) commitAll(world, rows.slice(0, index));
  for (const [at, row] of rows.entries()) {
    const hash = hashBefore(row);
    Object.assign(row, { outcome: "fail", hash }, at === index ? refusals[at] : { code: OTHER_PART });
    client.tags.delete(row.key);
    if (at === index && row.current !== undefined && row.current !== "none") client.tags.set(row.key, row.current);
  }
}

/** Commits all rows as one command; returns their changes. */
function commitAll(world: World, rows: readonly Row[]): SeenChange[] {
  const from = world.order.length + 1;
  const changes = rows.map((row) => world.commit(row.key, textAfter(world, row)));
  world.isBatch(from);
  return changes;
}

function textAfter(world: World, { operation, key, token = "", named = 0 }: Row): string | undefined {
  const current = world.newest(key);
  const before = (steps: number) => world.textOf(world.version(key, (current?.version ?? 0) - steps));
  switch (operation) {
    case "put":
      return textOf(token);
    case "patch":
      // What was written in between is lost.
      if (world.has("patch of an earlier text") && before(1) !== "") return patched(before(1), token);
      return patched(before(0), token);
    case "restore":
      if (world.has("restore of the version after")) return world.textOf(world.version(key, named + 1)) || textOf(key);
      return world.textOf(world.version(key, named));
    default:
      return undefined;
  }
}
