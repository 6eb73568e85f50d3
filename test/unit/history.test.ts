// The history of a store (replication.md 1): which positions belong to it after forks, a cut or changed tail, and where
// two stores separate.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { forkOf, openHistory } from "../../src/log/history.ts";
import { forkHistory } from "../../src/log/new-epoch.ts";
import { startCore } from "../kit/core.ts";

async function puts(core: ReturnType<typeof startCore>, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await core.call("context_put", { id: "a/x", content: n });
}

test("a position belongs to a history up to the fork of its epoch, and gets the epoch that made its change", async () => {
  await using core = startCore();
  const first = openHistory(core.store).epoch;
  await puts(core, 3);
  const unused = forkHistory(core.store, []);
  const newest = forkHistory(core.store, []);
  const history = openHistory(core.store);
  const belongs = (epoch: string) => [2, 3, 4, 900].filter((seq) => history.sameHistory({ epoch, seq }));
  expect(history).toMatchObject({ epoch: newest, seq: 3 });
  expect(belongs(first)).toEqual([2, 3]);
  expect(belongs(unused)).toEqual([2, 3]);
  expect(belongs(newest)).toEqual([2, 3, 4, 900]);
  expect(belongs("0".repeat(10))).toEqual([]);
  expect([1, 3, 4].map((seq) => history.positionAt(seq).epoch)).toEqual([first, first, newest]);
  // Before the first change there is only the history of now.
  expect(history.positionAt(0)).toEqual({ epoch: newest, seq: 0 });
});

test.each([
  ["cut", "DELETE FROM changes WHERE seq = 3"],
  ["continued", "UPDATE head SET seq = 2"],
  ["changed", "UPDATE changes SET hash = zeroblob(32) WHERE seq = 3"],
  ["emptied", "DELETE FROM changes"],
])("a store whose tail was %s from outside is not opened", async (_name, statement) => {
  await using core = startCore();
  await puts(core, 3);
  expect(openHistory(core.store).seq).toBe(3);
  core.store.transaction((tx) => tx.run(statement));
  expect(() => openHistory(core.store)).toThrow("was changed from outside");
});

/** A store of changes 1 to `end` that keeps those above `floor`; those above `shared` are of this store alone. */
function storeWith(name: string, { end, floor, shared }: { end: number; floor: number; shared: number }) {
  const database = new Database(":memory:");
  const hash = (seq: number) => Buffer.from(seq > shared ? `${name}${seq}` : `both${seq}`);
  database.run("CREATE TABLE changes (seq INTEGER, hash BLOB)");
  database.run("CREATE TABLE head (seq INTEGER, floor INTEGER, floor_hash BLOB)");
  database.run("INSERT INTO head VALUES (?,?,?)", [end, floor, floor === 0 ? Buffer.alloc(32) : hash(floor)]);
  for (let seq = floor + 1; seq <= end; seq += 1) database.run("INSERT INTO changes VALUES (?,?)", [seq, hash(seq)]);
  return {
    get: <Row>(sql: string, ...values: (string | number)[]) =>
      database.query<Row, (string | number)[]>(sql).get(...values) ?? undefined,
    all: () => [],
    iterate: () => [],
  };
}

test("the fork of two stores is the last change that both have, wherever their floors are", () => {
  const any = fc.record({
    own: fc.integer({ min: 0, max: 12 }),
    other: fc.integer({ min: 0, max: 12 }),
    shared: fc.integer({ min: 0, max: 12 }),
    ownFloor: fc.integer({ min: 0, max: 12 }),
    otherFloor: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(any, ({ own, other, ...drawn }) => {
      const shared = Math.min(drawn.shared, own, other);
      const floors = { own: Math.min(drawn.ownFloor, own), other: Math.min(drawn.otherFloor, other) };
      const found = forkOf(
        storeWith("own", { end: own, floor: floors.own, shared }),
        storeWith("other", { end: other, floor: floors.other, shared }),
      );
      // What the other store has compacted existed there; below the floors nothing can be compared.
      const continues = own <= floors.other || shared === own;
      const fork = shared >= Math.max(floors.own, floors.other) ? shared : 0;
      expect(found).toBe(continues ? undefined : fork);
    }),
    { numRuns: 2_000 },
  );
});
