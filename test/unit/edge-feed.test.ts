// Both sides of the feed, and the clock under it: what is held, whole entries, behind, forked and below the floor told
// apart, whom an edge follows and when it leaves.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { EdgeState } from "../../src/cache/edge-state.ts";
import { FeedClient } from "../../src/cache/feed-client.ts";
import type { FeedAnswer, FeedRequest } from "../../src/cache/feed-frames.ts";
import { FeedServer, type FeedServerOptions, wholeEntries } from "../../src/cache/feed-server.ts";
import { Freshness } from "../../src/cache/freshness.ts";
import { edgeMigrations } from "../../src/cache/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { CLEARED_BY_FORK, MIGRATIONS } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { openSleepClock } from "../../src/lib/sleep-clock.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { forkHistory } from "../../src/log/new-epoch.ts";
import { formatPosition } from "../../src/log/position.ts";
import { Store } from "../../src/store/store.ts";
import { type Core, granted, startCore } from "../kit/core.ts";
import { handClock } from "../kit/edge.ts";
import { eventually } from "../kit/eventually.ts";
import { temporaryFolder } from "../kit/temporary.ts";

function serverOf(
  core: Core,
  enrolled: () => readonly string[] | undefined = () => ["*"],
  modes: ReturnType<FeedServerOptions["modes"]> = [],
): FeedServer {
  return new FeedServer({
    isPublic: () => true,
    log: core.log,
    reader: core.store.reader,
    enrolled,
    levelOf: () => KNOWN_LEVEL,
    members: () => [],
    modes: () => modes,
    fleet: () => "f1",
    ageMs: () => 0,
    nowMs: () => performance.now(),
  });
}

const request = (since: string | null, more: Partial<FeedRequest> = {}): FeedRequest => ({
  since,
  holdMs: 0,
  epoch: "",
  spaces: ["*"],
  terms: "",
  ...more,
});
const soon = () => AbortSignal.timeout(5000);
const put = (core: Core, id: string) => core.call("context_put", { id, content: "x" });
const here = (core: Core) => formatPosition(core.log.position());

describe("the full node's side", () => {
  test("holds until a change of an enrolled space comes; others move only the position", async () => {
    await using core = startCore();
    const server = serverOf(core, () => ["team-*"]);
    const first = await server.serve("n", request(null), soon());
    expect(first).toMatchObject({ items: [], more: false, position: here(core) });
    const terms = first.terms?.id ?? "";
    const { epoch } = core.log.position();
    const held = server.serve("n", request(here(core), { holdMs: 30_000, terms, epoch }), soon());
    await put(core, "other/x");
    await put(core, "team-a/x");
    const answer = await held;
    expect(answer.items.map(({ target, seq }) => [target, seq])).toEqual([["team-a/x", 2]]);
    expect(answer).toMatchObject({ terms: null, epochs: null, position: here(core) });
    expect(answer.heldMs).toBeLessThan(30_000);
    const nothing = await server.serve("n", request(here(core), { holdMs: 60, terms, epoch }), soon());
    expect(nothing).toMatchObject({ items: [], position: here(core) });
    expect(nothing.heldMs).toBeGreaterThanOrEqual(60);
  });

  test("gives reserved spaces only to an edge that is enrolled for them by name", async () => {
    await using core = startCore();
    const admin = granted({ role: "admin", spaces: ["*", "fleet", "_x"] });
    const modes = ["fleet", "_x", "team-a"].map((space) => [space, "never"] as const);
    const ids = ["fleet/x", "_x/x", "team-a/x"];
    for (const id of ids) await core.call("context_put", { id, content: "x" }, admin);
    const { epoch } = core.log.position();
    const asks = async (enrolled: string[], spaces = ["*", "fleet", "_x"]) => {
      const answer = await serverOf(core, () => enrolled, modes).serve("n", request(`${epoch}-0`, { spaces }), soon());
      expect(answer.terms?.modes.map(([space]) => `${space}/x`)).toEqual(answer.items.map(({ target }) => target));
      return answer.items.map(({ target }) => target);
    };
    expect(await asks(["*"])).toEqual(["team-a/x"]);
    expect(await asks(["*", "_x"])).toEqual(["_x/x", "team-a/x"]);
    expect(await asks(["*", "fleet", "_x"])).toEqual(ids);
    // Nor does an edge that wants everything want them.
    expect(await asks(["*", "fleet", "_x"], ["*"])).toEqual(["team-a/x"]);
  });

  test("cuts long stretches only between entries", async () => {
    let nowMs = 1_000_000;
    await using core = startCore({ nowMs: () => nowMs });
    for (let entry = 0; entry < 6; entry += 1) {
      nowMs += 1;
      await core.call("context_many", {
        writes: [0, 1, 2, 3].map((n) => ({ operation: "context_put", id: `a/${entry}-${n}`, content: "x" })),
      });
    }
    for (const max of [5, 6, 7, 8, 9]) {
      const found = wholeEntries(core.log.changes, 0, max);
      expect([max, found.upTo % 4, found.more]).toEqual([max, 0, true]);
      expect(found.changes.at(-1)?.seq).toBe(found.upTo);
    }
    expect(wholeEntries(core.log.changes, 0, 2)).toMatchObject({ upTo: 4, more: true });
    expect(wholeEntries(core.log.changes, 20, 100)).toMatchObject({ upTo: 24, more: false });
  });

  test("answers at once where the edge has no position, though it knows everything else", async () => {
    await using core = startCore();
    await put(core, "a/x");
    const server = serverOf(core);
    const first = await server.serve("n", request(null), soon());
    const { epoch } = core.log.position();
    const again = request(null, { holdMs: 5000, terms: first.terms?.id ?? "", epoch });
    expect(await server.serve("n", again, soon())).toMatchObject({ items: [], terms: null, position: here(core) });
  });

  test("ends an answer after so many changes: of other spaces, and of one log time", async () => {
    await using core = startCore();
    await put(core, "a/x");
    const { epoch, seq } = core.log.position();
    const count = 25_000;
    core.store.transaction((tx) =>
      tx.run(
        `INSERT INTO changes (seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         SELECT ? + i, ?, i / 9000, '', '', 'context_put', 'other/x', 1, '', 'created', x'' FROM n`,
        count,
        seq,
        epoch,
      ),
    );
    core.log.changes.restart({ epoch, seq: seq + count });
    const answer = await serverOf(core, () => ["a"]).serve("n", request(`${epoch}-${seq}`), soon());
    expect(answer).toMatchObject({ items: [], more: true });
    expect(Number(answer.position.split("-")[1])).toBeWithin(20_000, 25_000);
    // Nine thousand have one log time, as where a clock was set back: no entry has so many.
    const found = wholeEntries(core.log.changes, seq, 1000);
    expect([found.changes.length, found.upTo, found.more]).toEqual([4000, seq + 4000, true]);
  });

  test("tells behind, forked, below the floor and no member apart", async () => {
    await using core = startCore();
    for (let n = 0; n < 5; n += 1) await put(core, `a/${n}`);
    let enrolled: readonly string[] | undefined = ["*"];
    const server = serverOf(core, () => enrolled);
    const { epoch } = core.log.position();
    const ask = (since: string, holdMs = 0) => server.serve("n", request(since, { holdMs }), soon());
    await expect(ask(`${epoch}-9`)).rejects.toMatchObject({ code: "unavailable", details: { behind: true } });
    const reached = ask(`${epoch}-6`, 1000);
    await put(core, "a/6");
    expect(await reached).toMatchObject({ position: `${epoch}-6`, items: [] });
    await expect(ask("00000000aa-1")).rejects.toMatchObject({ code: "history_forked" });
    core.store.transaction((tx) => {
      tx.run("DELETE FROM changes WHERE seq <= 3");
      tx.run("UPDATE head SET floor = 3");
    });
    core.log.changes.restart(core.log.position());
    await expect(ask(`${epoch}-2`)).rejects.toMatchObject({ code: "below_floor" });
    expect((await ask(`${epoch}-3`)).items).toHaveLength(3);
    enrolled = undefined;
    await expect(ask(`${epoch}-3`)).rejects.toMatchObject({ code: "not_a_member" });
  });
});

test("an upstream that cannot say how old its state is makes no one fresh", () => {
  const clock = openSleepClock();
  const freshness = new Freshness(clock, Date.now);
  freshness.recordAnswer(clock.nowMs(), Number.POSITIVE_INFINITY);
  expect(freshness.isFresh()).toBe(false);
  freshness.recordAnswer(clock.nowMs(), 300);
  expect(freshness.isFresh()).toBe(true);
  freshness.recordAnswer(clock.nowMs(), Number.POSITIVE_INFINITY);
  expect(freshness.isFresh()).toBe(true);
  expect(freshness.ageOf(freshness.provenMs)).toBeGreaterThanOrEqual(300);
});

describe("whom an edge follows", () => {
  function startClient(nodes: Record<string, { roundTripMs: number; answer: () => Promise<unknown> }>) {
    const clock = openSleepClock();
    const freshness = new Freshness(clock, Date.now);
    const store = Store.open({
      folder: join(temporaryFolder(), "edge"),
      migrations: edgeMigrations(MIGRATIONS),
      log: () => {},
    });
    const state = new EdgeState({
      store,
      reads: contextFeature.edge ?? [],
      freshness,
      spaces: ["*"],
      maxBytes: 1024 * 1024,
      maxStaleMs: 0,
      rightsAreKnown: () => true,
      isDisconnected: () => client.isDisconnected(),
      onError: () => {},
    });
    const asked: string[] = [];
    const client: FeedClient = new FeedClient({
      state,
      freshness,
      nodes: () => Object.keys(nodes),
      roundTripMs: (node) => nodes[node]?.roundTripMs,
      graceMs: 150,
      ask: (node, _request, { signal, timeoutMs }) => {
        asked.push(node);
        const late = Promise.withResolvers<never>();
        AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]).addEventListener("abort", () =>
          late.reject(new Fault("unavailable", "no answer")),
        );
        return Promise.race([nodes[node]?.answer() ?? late.promise, late.promise]);
      },
    });
    client.start();
    const stop = async () => {
      await client.stop();
      store.close();
    };
    return { client, state, asked, stop };
  }

  const answerOf = (more: Partial<FeedAnswer> = {}): FeedAnswer => ({
    epoch: "00000000ab",
    position: "00000000ab-7",
    items: [],
    more: false,
    heldMs: 0,
    ageMs: 0,
    epochs: [{ n: 1, id: "00000000ab", parent: null, forkSeq: 0 }],
    terms: { id: "t", fleet: "f1", spaces: ["*"], wanted: ["*"], modes: [], members: [] },
    ...more,
  });
  const answers = (more?: Partial<FeedAnswer>) => async () => {
    await Bun.sleep(20);
    return answerOf(more);
  };
  const silent = () => new Promise<never>(() => {});

  test("the nearest; another one when it does not answer or is old itself; the first again when it is well", async () => {
    let near: () => Promise<unknown> = answers();
    const { client, asked, stop } = startClient({
      far: { roundTripMs: 80, answer: answers() },
      near: { roundTripMs: 2, answer: () => near() },
    });
    const follows = (node: string) =>
      eventually(`it to follow ${node}`, () => client.upstream()?.node === node && !client.isDisconnected());
    await follows("near");
    const abandoned = client.upstream()?.abandoned;
    near = silent;
    await follows("far");
    expect(abandoned?.aborted).toBe(true);
    near = answers();
    await follows("near");
    near = answers({ ageMs: 60_000 });
    await follows("far");
    expect(asked.filter((node) => node === "near").length).toBeLessThan(asked.length);
    await stop();
  });

  test("one node alone that says it is no member ends it; one of several does not", async () => {
    const refuses = () => Promise.reject(new Fault("not_a_member", "who?", { facts: { fromPeer: true } }));
    let good: () => Promise<unknown> = answers();
    const { client, state, stop } = startClient({
      new: { roundTripMs: 1, answer: refuses },
      old: { roundTripMs: 50, answer: () => good() },
    });
    await eventually("it to follow", () => !client.isDisconnected());
    expect([client.upstream()?.node, state.log.ready()]).toEqual(["old", true]);
    good = refuses;
    await eventually("everything to be forgotten", () => !state.log.ready());
    await stop();
  });
});

test("another history empties the log of an edge and ends who followed it; one that goes on does not", async () => {
  await using core = startCore();
  await put(core, "a/1");
  const clock = handClock();
  const freshness = new Freshness(clock, clock.wallMs);
  const store = Store.open({
    folder: join(temporaryFolder(), "edge"),
    migrations: edgeMigrations(MIGRATIONS),
    log: () => {},
  });
  const state = new EdgeState({
    store,
    reads: contextFeature.edge ?? [],
    freshness,
    spaces: ["*"],
    maxBytes: 1024 * 1024,
    maxStaleMs: 0,
    rightsAreKnown: () => true,
    isDisconnected: () => false,
    onError: () => {},
  });
  const take = async (server: FeedServer) =>
    state.apply(await server.serve("n", state.request(0), soon()), {
      sentMs: clock.nowMs(),
      tookMs: 0,
      from: "nCENTRAL",
    });
  await take(serverOf(core));
  const before = state.log.position();
  const cursor = state.log.changes.cursor();
  const folder = core.folder;
  await core.close();
  const restored = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  forkHistory(restored, CLEARED_BY_FORK);
  restored.close();
  const next = startCore({ folder });
  await put(next, "a/2");
  await take(serverOf(next));
  expect(state.log.position()).toEqual(next.log.position());
  expect(state.log.sameHistory(before)).toBe(true);
  expect(cursor.next(10).map(({ target }) => target)).toEqual(["a/2"]);
  const pending = cursor.wait(soon());
  state.reset();
  await expect(pending).rejects.toMatchObject({ code: "history_forked" });
  expect([state.log.ready(), freshness.isFresh()]).toEqual([false, false]);
  await next.close();
  store.close();
});

describe("kept ages", () => {
  test("an age is never too small after a restart; a wall clock that was set back leaves it unknown", () => {
    const clock = handClock();
    const kept = new Freshness(clock, clock.wallMs).toStored(clock.nowMs() - 400);
    clock.add(5000);
    const again = new Freshness(clock, () => 0);
    expect(again.ageOf(again.fromStored(kept))).toBe(5400);
    const other = new Freshness({ ...handClock(7), since: "another boot" }, clock.wallMs);
    expect(other.ageOf(other.fromStored(kept))).toBe(5400);
    const back = new Freshness({ ...handClock(7), since: "another boot" }, () => 0);
    expect(back.ageOf(back.fromStored(kept))).toBe(Number.POSITIVE_INFINITY);
  });
});
