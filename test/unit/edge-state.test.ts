// How each answer of the feed changes an edge by itself: its log, what it has cached, its terms, and what it holds as
// proved.

import { afterEach, describe, expect, test } from "bun:test";
import { keyOf } from "../../src/cache/cache-key.ts";
import { EdgeState } from "../../src/cache/edge-state.ts";
import type { FeedAnswer, FeedTerms } from "../../src/cache/feed-frames.ts";
import { Freshness } from "../../src/cache/freshness.ts";
import { openEdgeStore } from "../../src/membership/edge-parts.ts";
import type { Store } from "../../src/store/store.ts";
import { handClock } from "../kit/edge.ts";
import { eventually } from "../kit/eventually.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const EPOCH = "aaaaaaaaaa";
const EPOCHS = [{ n: 1, id: EPOCH, parent: null, forkSeq: 0 }];

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function startState(over?: Store) {
  const store = over ?? openEdgeStore(temporaryFolder());
  if (over === undefined) open.push(store);
  const clock = handClock();
  const freshness = new Freshness(clock, clock.wallMs);
  const state = new EdgeState({
    store,
    reads: [
      { operation: "get", targetOf: () => undefined, upstream: () => ({}), bytesOf: () => 1, isIntact: () => true },
    ],
    freshness,
    spaces: ["*"],
    maxBytes: 1e6,
    maxStaleMs: 0,
    onError: (error) => {
      throw error;
    },
    rightsAreKnown: () => true,
    isDisconnected: () => false,
  });
  const apply = (answer: FeedAnswer, tookMs = 0) =>
    state.apply(answer, { sentMs: freshness.nowMs(), tookMs, from: "n-c" });
  const cache = (target: string, seq: number) =>
    state.cache.entries.put(keyOf("get", target), { output: {}, seq, provenMs: 0, certain: true });
  const cached = (target: string) => state.cache.entries.find(keyOf("get", target));
  const targets = () =>
    store.reader.all<{ target: string }>("SELECT target FROM changes ORDER BY seq").map(({ target }) => target);
  const floor = () => store.reader.get<{ floor: number }>("SELECT floor FROM head")?.floor;
  return { store, state, freshness, clock, apply, cache, cached, targets, floor };
}

const terms = (id: string, more: Partial<FeedTerms> = {}): FeedTerms => ({
  ...{ id, fleet: "f1", spaces: ["*"], wanted: ["*"], modes: [], members: [] },
  ...more,
});

function answer(seq: number, more: Partial<FeedAnswer> = {}): FeedAnswer {
  const proof = { more: false, heldMs: 0, ageMs: 0 };
  return { epoch: EPOCH, position: `${EPOCH}-${seq}`, items: [], ...proof, epochs: null, terms: null, ...more };
}

const item = (seq: number, target: string): FeedAnswer["items"][number] => ({
  ...{ seq, epoch: EPOCH, timeMs: seq, caller: "", via: "", operation: "context_put", target, version: 1 },
  ...{ contentHash: "", outcome: "created" },
});
const first = (more: Partial<FeedTerms> = {}) => answer(10, { epochs: EPOCHS, terms: terms("t1", more) });

describe("an answer", () => {
  test("is asked for from the start, then from its position; after a gap from the upstream's present, once", () => {
    const { state, apply, cache, cached, targets } = startState();
    expect(state.request(500)).toMatchObject({ since: null, holdMs: 0, epoch: "", terms: "" });
    apply(first());
    apply(answer(11, { items: [item(11, "a/x")] }));
    expect(state.request(500)).toMatchObject({ since: `${EPOCH}-11`, holdMs: 500, epoch: EPOCH, terms: "t1" });
    cache("a/x", 11);
    state.markGap();
    expect(state.request(500)).toMatchObject({ since: null, holdMs: 0, epoch: EPOCH });
    apply(answer(90));
    expect(state.request(500)).toMatchObject({ since: `${EPOCH}-90`, holdMs: 500 });
    // It may have changed among what was missed.
    expect(cached("a/x")).toMatchObject({ certain: false });
    expect(targets()).toEqual([]);
    cache("a/y", 90);
    apply(answer(91));
    expect(cached("a/y")).toMatchObject({ certain: true });
  });

  test("with other epochs empties the cache, also where the position goes on", () => {
    const { apply, cache, cached } = startState();
    apply(first());
    cache("a/x", 10);
    apply(answer(11));
    expect(cached("a/x")).toBeDefined();
    apply(answer(12, { epochs: [...EPOCHS, { n: 2, id: "bbbbbbbbbb", parent: EPOCH, forkSeq: 11 }] }));
    expect(cached("a/x")).toBeUndefined();
  });

  test("of another fleet ends everything of the one before", async () => {
    const { state, freshness, apply, cache, cached, targets } = startState();
    apply(first());
    apply(answer(11, { items: [item(11, "a/x")] }));
    cache("a/x", 11);
    state.erasure.note(11);
    await eventually("the purge is erased", () => state.erasure.state().erased === 11);
    state.acknowledged.add(`${EPOCH}-500`);
    apply(answer(12, { terms: terms("t2", { fleet: "f2" }), more: true }));
    expect([targets(), cached("a/x"), state.erasure.state().purged]).toEqual([[], undefined, 0]);
    expect([state.acknowledged.isAheadOfFile(), freshness.isFresh()]).toEqual([false, false]);
  });

  test("proves the moment at which it was read, and nothing while there are more changes", () => {
    const { freshness, clock, apply } = startState();
    const nowMs = clock.nowMs();
    apply({ ...first(), more: true, heldMs: 500 }, 800);
    expect(freshness.provenMs).toBe(Number.NEGATIVE_INFINITY);
    apply(answer(11, { heldMs: 500 }), 800);
    expect(freshness.provenMs).toBe(nowMs + 500);
    // It cannot have been held for longer than it took.
    apply(answer(12, { heldMs: 5_000 }), 800);
    expect(freshness.provenMs).toBe(nowMs + 800);
  });

  test("of an upstream of unknown age proves nothing", () => {
    const { freshness, apply } = startState();
    apply({ ...first(), ageMs: null });
    expect([freshness.isFresh(), freshness.provenMs]).toEqual([false, Number.NEGATIVE_INFINITY]);
  });
});

describe("terms", () => {
  test("say what may be cached: nothing before they are known, and nothing of other spaces", () => {
    const { state, apply } = startState();
    expect(state.modeOf("team-a")).toBe("never");
    const modes: FeedTerms["modes"] = [
      ["team-b", "stale"],
      ["team-c", "stale"],
    ];
    apply(first({ spaces: ["team-a", "team-b"], modes }));
    expect(["team-a", "team-b", "team-c"].map((space) => state.modeOf(space))).toEqual(["fresh", "stale", "never"]);
    expect(state.staleSpaces()).toEqual(["team-b"]);
  });

  test("are those of the next process too, until a reset removes them", () => {
    const { state, store, apply } = startState();
    apply(first({ spaces: ["team-a"] }));
    expect(startState(store).state.terms).toEqual(terms("t1", { spaces: ["team-a"] }));
    state.reset();
    for (const each of [state, startState(store).state])
      expect([each.terms, each.modeOf("team-a"), each.request(0).since]).toEqual([undefined, "never", null]);
  });

  test("that are narrower remove what is no longer of this edge", () => {
    const { apply, cache, cached, targets } = startState();
    apply(first({ spaces: ["team-a", "team-b"] }));
    apply(answer(12, { items: [item(11, "team-a/x"), item(12, "team-b/x")] }));
    for (const target of ["team-a/x", "team-b/x"]) cache(target, 12);
    apply(answer(13, { terms: terms("t2", { spaces: ["team-a"] }) }));
    expect([targets(), cached("team-b/x")]).toEqual([["team-a/x"], undefined]);
    expect(cached("team-a/x")).toBeDefined();
    apply(answer(14, { terms: terms("t3", { spaces: ["team-a"], modes: [["team-a", "never"]] }) }));
    expect(cached("team-a/x")).toBeUndefined();
  });

  test.each(["spaces", "wanted"] as const)("that are wider in %s begin the feed again: changes are missing", (name) => {
    const { apply, floor } = startState();
    apply(first({ [name]: ["team-a"] }));
    apply(answer(11, { items: [item(11, "team-a/x")] }));
    const before = floor();
    apply(answer(12, { terms: terms("t2", { [name]: ["team-a"], modes: [["team-a", "stale"]] }) }));
    expect(floor()).toBe(before);
    apply(answer(13, { terms: terms("t3", { [name]: ["team-a", "team-b"] }) }));
    expect(floor()).toBe(13);
  });
});
