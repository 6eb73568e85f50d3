// The rules of one fetch (replication.md 28): which callers may share its result, and when that may be cached.

import { expect, test } from "bun:test";
import { ANY_KEY, type Fetched, Fetches } from "../../src/cache/fetches.ts";
import { FRESH_MS } from "../../src/cache/freshness.ts";
import { Fault } from "../../src/lib/fault.ts";

const never = new AbortController().signal;
const document = (seq: number): Fetched => ({
  ...{ output: { seq }, position: `0000000000-${seq}`, seq },
  ...{ sentMs: 0, provenMs: 0 },
});

/** Fetches whose clock, feed and answers a test moves. */
function edge() {
  const at = { ms: 10_000, seq: 5 };
  const cached: string[] = [];
  const fetches = new Fetches({
    nowMs: () => at.ms,
    feedSeq: () => at.seq,
    isForAll: (_key, { output }) => output["for"] === undefined,
    store: (key, { seq }) => cached.push(`${key} ${seq}`),
    storeNotFound: (key, fault, { seq }) => cached.push(`${key} ${fault.code} ${seq}`),
  });
  const sent: { answer: (found: Fetched) => void; fail: (error: unknown) => void; signal: AbortSignal }[] = [];
  const fetch = ({ key = "a/x", who = "ann", minSeq = 0, signal = never } = {}): Promise<Fetched> =>
    fetches.fetch({
      ...{ key, who, minSeq, signal },
      send: (stop) => {
        const { promise, resolve, reject } = Promise.withResolvers<Fetched>();
        sent.push({ answer: resolve, fail: reject, signal: stop });
        return promise;
      },
    });
  const last = () => sent.at(-1) as (typeof sent)[number];
  return { at, cached, fetches, fetch, sent, last };
}

test("callers share a fetch that is recent and new enough, and the result is cached once", async () => {
  const { at, cached, fetch, last, sent } = edge();
  const one = fetch();
  at.ms += FRESH_MS;
  const other = fetch({ minSeq: 7 });
  last().answer(document(7));
  expect([await one, await other]).toEqual([document(7), document(7)]);
  expect([sent.length, cached]).toEqual([1, ["a/x 7"]]);
});

test.each([
  ["older than the caller asks for", 0, 8],
  ["sent too long ago", FRESH_MS + 1, 0],
  ["both", FRESH_MS + 1, 8],
])("a caller does not share a result that is %s", async (_name, laterMs, minSeq) => {
  const { at, fetch, sent } = edge();
  const one = fetch();
  at.ms += laterMs;
  const other = fetch({ minSeq });
  sent[0]?.answer(document(7));
  expect(await one).toEqual(document(7));
  await Bun.sleep(0);
  expect(sent).toHaveLength(2);
  sent[1]?.answer(document(9));
  expect(await other).toEqual(document(9));
});

test.each([
  ["no such document, from a recent fetch", "not_found", 0, 5, true],
  ["no such document, from an old fetch", "not_found", FRESH_MS + 1, 0, false],
  ["no such document, before what the caller saw", "deleted", 0, 6, false],
  ["a refusal of the other caller", "forbidden", 0, 0, false],
] as const)("an error is shared if it says %s", async (_name, code, laterMs, minSeq, isShared) => {
  const { at, fetch, sent } = edge();
  const one = fetch().catch((error: unknown) => error);
  at.ms += laterMs;
  const other = fetch({ minSeq }).catch((error: unknown) => error);
  const fault = new Fault(code, "no", {});
  sent[0]?.fail(fault);
  expect(await one).toBe(fault);
  await Bun.sleep(0);
  expect(sent).toHaveLength(isShared ? 1 : 2);
  sent[1]?.answer(document(9));
  expect(await other).toEqual(isShared ? fault : document(9));
});

test("what is not for all, or is not there for one, is not shared with others", async () => {
  const { fetch, sent } = edge();
  const own = { ...document(7), output: { for: "ann" } };
  const ann = [fetch(), fetch()];
  const bob = fetch({ who: "bob" });
  sent[0]?.answer(own);
  expect(await Promise.all(ann)).toEqual([own, own]);
  await Bun.sleep(0);
  expect(sent).toHaveLength(2);
  const missing = new Fault("not_found", "no", {});
  const again = fetch();
  sent[1]?.fail(missing);
  await expect(bob).rejects.toBe(missing);
  await Bun.sleep(0);
  expect(sent).toHaveLength(3);
  sent[2]?.answer(own);
  expect(await again).toEqual(own);
});

test("a result is cached only if it is not behind the feed, and nothing changed the key meanwhile", async () => {
  const { cached, fetches, fetch, last } = edge();
  const run = async (found: Fetched | Fault, meanwhile: () => void = () => {}) => {
    const done = fetch().catch(() => {});
    meanwhile();
    if (found instanceof Fault) last().fail(found);
    else last().answer(found);
    await done;
    return cached.splice(0);
  };
  const missing = new Fault("not_found", "no", {});
  expect(await run(document(4))).toEqual([]);
  expect(await run(document(5))).toEqual(["a/x 5"]);
  expect(await run(missing)).toEqual(["a/x not_found 5"]);
  expect(await run(new Fault("forbidden", "no", {}))).toEqual([]);
  for (const found of [document(9), missing]) {
    expect(await run(found, () => fetches.markUncacheable(["a/x"]))).toEqual([]);
    expect(await run(found, () => fetches.markAllUncacheable())).toEqual([]);
    expect(await run(found, () => fetches.markUncacheable(["a/y"]))).not.toEqual([]);
  }
});

test.each(["a/x", ANY_KEY])("a write to %s guards the key until the feed has brought it", (key) => {
  const { at, fetches } = edge();
  expect(fetches.isGuarded("a/x")).toBe(false);
  const [first, second] = [fetches.guard(key), fetches.guard(key)];
  expect(fetches.isGuarded("a/x")).toBe(true);
  expect(fetches.isGuarded("a/y")).toBe(key === ANY_KEY);
  first(7);
  fetches.advanceTo(9);
  expect(fetches.isGuarded("a/x")).toBe(true);
  second(6);
  expect(fetches.isGuarded("a/x")).toBe(true);
  at.seq = 6;
  fetches.advanceTo(6);
  expect(fetches.isGuarded("a/x")).toBe(true);
  at.seq = 7;
  expect(fetches.isGuarded("a/x")).toBe(false);
  fetches.advanceTo(7);
  expect(fetches.isGuarded("a/x")).toBe(false);
});

test("more than 10,000 guards become one for all keys, until the feed has brought all of their writes", () => {
  const { at, fetches } = edge();
  for (let n = 0; n < 10_000; n += 1) fetches.guard(`a/${n}`)(n === 0 ? 8 : 6);
  expect(fetches.isGuarded("b/x")).toBe(false);
  const end = fetches.guard("a/last");
  expect(fetches.isGuarded("b/x")).toBe(true);
  // With the last single guard gone too, the one for all keys holds on.
  at.seq = 7;
  end(7);
  fetches.advanceTo(7);
  expect(fetches.isGuarded("b/x")).toBe(true);
  const unfinished = fetches.guard("a/last");
  at.seq = 8;
  fetches.advanceTo(8);
  expect(fetches.isGuarded("b/x")).toBe(false);
  expect(fetches.isGuarded("a/last")).toBe(true);
  unfinished();
  expect(fetches.isGuarded("a/last")).toBe(false);
});

test("a fetch goes on while a caller waits for it, and is ended with the last", async () => {
  const { fetch, last } = edge();
  const leaving = [new AbortController(), new AbortController()];
  const waiting = leaving.map(({ signal }) => fetch({ signal }).catch((error: unknown) => error));
  leaving[0]?.abort(new Error("left"));
  expect(await waiting[0]).toEqual(new Error("left"));
  expect(last().signal.aborted).toBe(false);
  leaving[1]?.abort(new Error("left"));
  await waiting[1];
  expect(last().signal.aborted).toBe(true);
});
