// The cached outputs of an edge in memory and in its file: what stays, what goes, and what a restart finds.

import { afterEach, expect, test } from "bun:test";
import { keyOf } from "../../src/cache/cache-key.ts";
import { Entries, type EntriesOptions, type Entry } from "../../src/cache/entries.ts";
import { Freshness } from "../../src/cache/freshness.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Change } from "../../src/log/changes.ts";
import { openEdgeStore } from "../../src/membership/edge-parts.ts";
import type { EdgeRead } from "../../src/operation/feature.ts";
import type { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

const READ: EdgeRead = {
  operation: "get",
  targetOf: () => undefined,
  upstream: () => ({}),
  bytesOf: ({ size }) => Number(size ?? 0),
  isIntact: ({ isDamaged }) => isDamaged !== true,
};
/** What an entry without a size takes. */
const ENTRY_BYTES = 1024;

/** Outputs over a file, which those of the space `kept` reach. */
function startEntries(options: Partial<EntriesOptions> = {}) {
  const store = options.store ?? openEdgeStore(temporaryFolder());
  if (options.store === undefined) open.push(store);
  const freshness = new Freshness({ nowMs: () => 100_000, stepMs: 0, since: "boot" }, () => 1_000_000);
  freshness.recordAnswer(50_000, 0);
  const counts = { evicted: 0 };
  const entries = new Entries({
    reads: [READ],
    store,
    freshness,
    maxBytes: 100 * ENTRY_BYTES,
    isPersisted: (space) => space === "kept",
    onEvicted: () => {
      counts.evicted += 1;
    },
    onError: (error) => {
      throw error;
    },
    ...options,
  });
  const ids = () => store.reader.all<{ id: string }>("SELECT id FROM cached ORDER BY id").map(({ id }) => id);
  return { entries, store, counts, ids };
}

const key = (target: string) => keyOf("get", target);
const entry = (seq: number, more: Partial<Entry> = {}): Entry => ({
  output: { seq },
  seq,
  provenMs: 40_000,
  certain: true,
  ...more,
});
const change = (target: string, seq: number) => ({ target, seq }) as Change;

test("only outputs of spaces that may be served stale reach the file, and come back from it", () => {
  const { entries, store, ids } = startEntries();
  expect(entries.diskBytes).toBe(0);
  entries.put(key("kept/a"), entry(1));
  entries.put(key("kept/b"), entry(2, { certain: false }));
  entries.put(key("other/a"), entry(3));
  entries.flush();
  expect([ids(), entries.diskBytes]).toEqual([[key("kept/a"), key("kept/b")], 2 * ENTRY_BYTES]);
  const { entries: later } = startEntries({ store });
  expect([later.count, later.diskBytes]).toEqual([0, 2 * ENTRY_BYTES]);
  expect(later.find(key("kept/a"))).toEqual(entry(1));
  expect(later.find(key("kept/b"))).toEqual(entry(2, { certain: false }));
  expect([later.find(key("kept/none")), later.find(key("other/a"))]).toEqual([undefined, undefined]);
  // Under settings by which the space may not be served stale any more.
  expect(startEntries({ store, isPersisted: () => false }).entries.find(key("kept/a"))).toBeUndefined();
});

test("an output that the file does not hold as it was written is removed", () => {
  const { entries, store, ids } = startEntries();
  entries.put(key("kept/a"), entry(1, { output: { isDamaged: true } }));
  entries.flush();
  expect(startEntries({ store }).entries.find(key("kept/a"))).toBeUndefined();
  expect(ids()).toEqual([]);
});

test("what is dropped is gone in memory and in the file; only what makes room counts as evicted", () => {
  const { entries, counts, ids } = startEntries({ maxBytes: 2 * ENTRY_BYTES });
  entries.put(key("kept/a"), entry(1));
  entries.put(key("kept/b"), entry(2));
  entries.flush();
  // The file may be as large as its bound.
  expect([ids().length, entries.diskBytes, counts.evicted]).toEqual([2, 2 * ENTRY_BYTES, 0]);
  entries.drop(key("kept/b"));
  expect([ids(), entries.find(key("kept/b")), counts.evicted]).toEqual([[key("kept/a")], undefined, 0]);
  for (const [name, provenMs] of [
    ["kept/c", 30_000],
    ["kept/d", 60_000],
  ] as const)
    entries.put(key(name), entry(3, { provenMs }));
  expect(counts.evicted).toBe(1);
  entries.flush();
  // In the file the one goes that was proven for the earliest moment.
  expect([ids(), entries.diskBytes, counts.evicted]).toEqual([[key("kept/a"), key("kept/d")], 2 * ENTRY_BYTES, 2]);
});

test("a change makes older outputs old, and no other", () => {
  const { entries, store, ids } = startEntries();
  const fault = new Fault("not_found", "none");
  const notFound = { who: "ann", fault, seq: 5, provenMs: 0, untilMs: 0 };
  for (const name of ["kept/old", "kept/same", "kept/free"]) entries.put(key(name), entry(5));
  entries.flush();
  for (const name of ["other/old", "other/same"]) entries.putNotFound(key(name), notFound);
  const step = entries.applyChanges([
    change("kept/old", 6),
    change("kept/same", 5),
    change("other/old", 6),
    change("other/same", 5),
    change("other/unknown", 9),
  ]);
  expect(entries.count).toBe(2);
  store.transaction(step);
  expect(ids()).toEqual([key("kept/free"), key("kept/same")]);
  expect(entries.find(key("kept/old"))).toBeUndefined();
  expect(entries.findNotFound(key("other/old"))).toBeUndefined();
  expect(entries.findNotFound(key("other/same"))).toBe(notFound);
});

test("after missed changes outputs are proven until then and uncertain, and go with what may have purged them", () => {
  const { entries, store, ids } = startEntries();
  entries.put(key("kept/a"), entry(5));
  entries.put(key("other/b"), entry(5, { provenMs: 60_000 }));
  entries.flush();
  store.transaction(entries.markUncertain());
  const { entries: later } = startEntries({ store });
  for (const each of [entries, later])
    expect(each.find(key("kept/a"))).toEqual(entry(5, { provenMs: 50_000, certain: false }));
  expect(entries.find(key("other/b"))).toEqual(entry(5, { provenMs: 60_000, certain: false }));
  entries.put(key("kept/sure"), entry(1));
  entries.flush();
  store.transaction(entries.dropUncertain(5));
  expect([entries.count, ids().length]).toEqual([3, 2]);
  store.transaction(entries.dropUncertain(6));
  expect([entries.count, ids()]).toEqual([1, [key("kept/sure")]]);
});

test("spaces that may not be cached any more are removed, from the file those too that may not be served stale", () => {
  const { entries, store, ids } = startEntries({ isPersisted: () => true });
  for (const space of ["kept", "other", "gone"]) entries.put(key(`${space}/a`), entry(1));
  entries.flush();
  const { entries: later } = startEntries({ store });
  later.put(key("other/b"), entry(2));
  later.put(key("gone/b"), entry(2));
  store.transaction(later.retainSpaces((space) => space !== "gone"));
  expect([ids(), later.count]).toEqual([[key("kept/a")], 1]);
  store.transaction(later.clear());
  expect([ids(), later.count, later.diskBytes]).toEqual([[], 0, 0]);
});
