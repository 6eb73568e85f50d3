// What an edge returns for a session after it was restarted (replication.md 27): never less than it had returned
// before, also where its process was killed or its machine lost power. An edge that is not stopped is a killed one.

import { afterEach, expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { granted } from "../kit/core.ts";
import { type EdgePair, type EdgePairOptions, handClock, startEdgePair } from "../kit/edge.ts";

const member = granted({ role: "member", spaces: ["*"] });

const open: EdgePair[] = [];
afterEach(async () => {
  for (const pair of open.splice(0).reverse()) await pair.close();
});

function start(options: EdgePairOptions = {}): EdgePair {
  const pair = startEdgePair(options);
  open.push(pair);
  return pair;
}

/** An edge that keeps `run/book` of a space that may be served stale, and follows everything. */
async function startWithBook(options: EdgePairOptions = {}): Promise<EdgePair> {
  const pair = start(options);
  await pair.poll();
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  await pair.upstream.call("context_put", { id: "run/book", content: "kept" });
  await pair.poll();
  await book(pair);
  pair.edge.state.cache.entries.flush();
  return pair;
}

/** The same edge in its next process, which reaches no full member at first. */
function restart(pair: EdgePair, clock = pair.clock): EdgePair {
  const { folder, upstream } = pair;
  const again = start({ folder, upstream, clock });
  cut(again);
  return again;
}

const otherBoot = (since: string) => ({ ...handClock(1_005_000), since });
const cut = (pair: EdgePair) =>
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
const mend = (pair: EdgePair) => pair.setLink((_path, deliver) => deliver());
const book = (pair: EdgePair, more: Record<string, unknown> = {}) =>
  pair.invoke("context_get", { id: "run/book", ...more }, member);
const stale = { output: { content: "kept" }, cache: { state: "stale" } };
const unavailable = { code: "unavailable", details: { retryAfterSeconds: 1 } };

test("a killed edge waits for the write that it returned, which the feed had not brought", async () => {
  const pair = await startWithBook();
  const { position } = await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
  const again = restart(pair);
  const startMs = performance.now();
  await expect(book(again)).rejects.toMatchObject(unavailable);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(1900);
  expect(await book(again, { consistency: "any" })).toMatchObject(stale);
  mend(again);
  // The upstream may be behind too: only the leader after a barrier surely has it.
  const read = await again.invoke("context_get", { id: "a/x" }, member);
  expect([read.output["content"], read.position]).toEqual(["mine", position]);
  expect(again.inputs.at(-1)).toMatchObject({ id: "a/x", consistency: "leader" });
  await again.poll();
  await again.invoke("context_get", { id: "a/x" }, member);
  expect(again.inputs.at(-1)).toMatchObject({ id: "a/x", consistency: "session", min_position: position });
});

test("a killed edge that had followed what it returned goes on at once", async () => {
  const pair = await startWithBook();
  await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
  await pair.poll();
  const again = restart(pair);
  expect(await book(again)).toMatchObject(stale);
});

test("what it returned at a position that only its memory had is in the file too", async () => {
  const pair = await startWithBook({ enrolled: ["run"] });
  for (const id of ["other/1", "other/2"]) {
    await pair.upstream.call("context_put", { id, content: "elsewhere" });
    await pair.poll();
    const { position, cache } = await book(pair);
    expect([position, cache?.state]).toEqual([pair.upstream.invoker.position(), "hit"]);
  }
  expect(restart(pair).edge.log.position()).toEqual(pair.upstream.log.position());
  // As it passes a write of its own in a space that it does not follow.
  const { position } = await pair.upstream.invoker.invoke({
    operation: "context_put",
    input: { id: "other/3", content: "elsewhere" },
    caller: member,
    signal: AbortSignal.timeout(5000),
  });
  pair.edge.state.acknowledged.add(position);
  await pair.poll();
  expect(await book(restart(pair))).toMatchObject(stale);
});

test("after a loss of power it needs the feed's proof, as its file may lack what it returned; then a kill is one again", async () => {
  const pair = await startWithBook();
  const clock = otherBoot("second boot");
  const again = restart(pair, clock);
  await expect(book(again)).rejects.toMatchObject(unavailable);
  expect(await book(again, { consistency: "any" })).toMatchObject(stale);
  mend(again);
  again.setUpstreamAge(500);
  clock.add(400);
  await again.poll();
  // That state is older than this process: an edge of before may have returned more.
  await book(again);
  expect(again.inputs.at(-1)).toMatchObject({ consistency: "leader" });
  clock.add(200);
  await again.poll();
  const asked = again.inputs.length;
  expect(await book(again)).toMatchObject({ output: { content: "kept" }, cache: { state: "hit" } });
  expect(again.inputs).toHaveLength(asked);
  expect(await book(restart(again, clock))).toMatchObject(stale);
});

test("a planned stop needs no proof in the next boot; a loss of power after it does", async () => {
  const pair = await startWithBook();
  await pair.edge.stop();
  const again = restart(pair, otherBoot("second boot"));
  expect(await book(again)).toMatchObject(stale);
  const third = restart(again, otherBoot("third boot"));
  await expect(book(third)).rejects.toMatchObject(unavailable);
  // A planned stop proves nothing of what the process before may have returned.
  await third.edge.stop();
  await expect(book(restart(third, otherBoot("fourth boot")))).rejects.toMatchObject(unavailable);
});

test("a position that a full disk did not take is known after a planned stop", async () => {
  const pair = await startWithBook();
  const { log } = pair.edge;
  const full = () => {
    throw new Error("the disk is full");
  };
  log.writePosition = full;
  await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
  // That of the class again.
  Reflect.deleteProperty(log, "writePosition");
  await pair.edge.stop();
  await expect(book(restart(pair, otherBoot("second boot")))).rejects.toMatchObject(unavailable);
});

test("a position that a full disk did not take is written with the next answer that names it", async () => {
  const pair = await startWithBook();
  const { log } = pair.edge;
  log.writePosition = () => {
    throw new Error("the disk is full");
  };
  const { position } = await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
  // That of the class again.
  Reflect.deleteProperty(log, "writePosition");
  pair.edge.state.acknowledged.add(position);
  await expect(book(restart(pair))).rejects.toMatchObject(unavailable);
});

test("where a boot has no name, a killed edge needs the feed's proof, as after a loss of power", async () => {
  const pair = await startWithBook({ clock: { ...handClock(), since: "" } });
  const again = restart(pair);
  await expect(book(again)).rejects.toMatchObject(unavailable);
  mend(again);
  await again.poll();
  expect(await book(again)).toMatchObject({ cache: { state: "hit" } });
});

test("another history ends what was returned in this one", async () => {
  const pair = await startWithBook();
  await pair.invoke("context_put", { id: "a/x", content: "mine" }, member);
  pair.edge.state.reset();
  const again = restart(pair);
  expect(again.edge.state.acknowledged.isCurrent()).toBe(true);
});

test("what is returned in another history is written, however far this one was", async () => {
  const pair = await startWithBook();
  const { epoch, seq } = pair.edge.log.position();
  pair.edge.state.acknowledged.add(`${epoch}-${seq + 1_000}`);
  pair.edge.state.reset();
  await pair.poll();
  pair.edge.state.acknowledged.add(`${epoch}-${seq + 1}`);
  expect(restart(pair).edge.state.acknowledged.isCurrent()).toBe(false);
});

test("a list of a session is never older than what this edge has followed", async () => {
  const pair = await startWithBook();
  await pair.invoke("context_list", {}, member);
  expect(pair.inputs.at(-1)).toMatchObject({ min_position: pair.upstream.invoker.position() });
  await pair.invoke("context_list", { consistency: "any" }, member);
  expect(pair.inputs.at(-1)?.["min_position"]).toBeUndefined();
});
