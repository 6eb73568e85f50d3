// The single values of a store: typed by key, and what a new history forgets of them.

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { levelOf } from "../../src/log/level.ts";
import {
  beginFleet,
  isAlone,
  listMeta,
  META_KEYS,
  REPLICATED_META,
  readMeta,
  readMetaNamed,
  writeAlone,
  writeMeta,
  writeMetaNamed,
} from "../../src/log/meta.ts";
import { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function openStore(): Store {
  const store = Store.open({ folder: join(temporaryFolder(), "store"), migrations: MIGRATIONS, log: () => {} });
  open.push(store);
  return store;
}

test("a state that names no level has the first one, as before there were levels", () => {
  const { reader, transaction } = bound(openStore());
  expect(levelOf(reader)).toBe(1);
  transaction((tx) => writeMeta(tx, { fleet_level: 3 }));
  expect(levelOf(reader)).toBe(3);
});

test("values come back by key with their type, undefined before they were written", () => {
  const { reader, transaction } = bound(openStore());
  for (const key of Object.keys(META_KEYS)) expect(readMeta(reader, key as keyof typeof META_KEYS)).toBeUndefined();
  transaction((tx) => writeMeta(tx, { fleet_name: "7", fleet_level: 3, applied_index: 12 }));
  expect(readMeta(reader, "fleet_name")).toBe("7");
  expect(readMeta(reader, "fleet_level")).toBe(3);
  transaction((tx) => writeMeta(tx, { fleet_level: 4 }));
  expect([readMeta(reader, "fleet_level"), readMeta(reader, "applied_index")]).toEqual([4, 12]);
});

test("a store is alone until another full member is written", () => {
  const { reader, transaction } = bound(openStore());
  expect(isAlone(reader)).toBe(true);
  transaction((tx) => writeAlone(tx, false));
  expect(isAlone(reader)).toBe(false);
  transaction((tx) => writeAlone(tx, true));
  expect(isAlone(reader)).toBe(true);
});

test("named values are kept, listed by name and removed", () => {
  const { reader, transaction } = bound(openStore());
  transaction((tx) => {
    writeMetaNamed(tx, "edge:", "team", "never");
    writeMetaNamed(tx, "edge:", "docs", "stale");
    writeMeta(tx, { fleet_name: "edge" });
  });
  expect(listMeta(reader, "edge:")).toEqual([
    ["docs", "stale"],
    ["team", "never"],
  ]);
  transaction((tx) => writeMetaNamed(tx, "edge:", "team", undefined));
  expect(readMetaNamed(reader, "edge:", "team")).toBeUndefined();
  expect(readMetaNamed(reader, "edge:", "docs")).toBe("stale");
});

test("a new fleet drops what was this node's own, and digests never see that", () => {
  const { reader, transaction } = bound(openStore());
  transaction((tx) => {
    writeMeta(tx, { fleet_id: "old", fleet_name: "home", alone: 0, fleet_level: 2 });
    writeMeta(tx, { applied_index: 9, applied_term: 2, raft_server: "s1" });
    writeMetaNamed(tx, "edge:", "team", "never");
  });
  const replicated = () => reader.all<{ key: string }>(REPLICATED_META).map(({ key }) => key);
  expect(replicated()).toEqual(["alone", "edge:team", "fleet_id", "fleet_level", "fleet_name"]);
  transaction((tx) => beginFleet(tx, "new"));
  expect(readMeta(reader, "applied_index")).toBeUndefined();
  expect(readMeta(reader, "applied_term")).toBeUndefined();
  expect(readMeta(reader, "raft_server")).toBeUndefined();
  expect([readMeta(reader, "fleet_id"), isAlone(reader)]).toEqual(["new", true]);
  expect([readMeta(reader, "fleet_level"), readMeta(reader, "fleet_name")]).toEqual([2, "home"]);
  expect(replicated()).toEqual(["alone", "edge:team", "fleet_id", "fleet_level", "fleet_name"]);
});

function bound(store: Store) {
  return { reader: store.reader, transaction: store.transaction.bind(store) };
}
