// A copy of a peer becomes the store only when it is what it should be, to the letter; what only this node has is kept
// before anything is given up.

import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { removeRefusals } from "../../src/access/refusals.ts";
import { archiveForks, quarantineData } from "../../src/datadir/quarantine.ts";
import { archiveRetired, retireData } from "../../src/datadir/retire.ts";
import { readExport } from "../../src/features/context/index.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { DirectLog } from "../../src/log/engine/direct/index.ts";
import { appliedState, writeApplied } from "../../src/log/engine/raft/applied-state.ts";
import { installStore } from "../../src/log/engine/raft/install.ts";
import { fleetOf, forkOf } from "../../src/log/history.ts";
import { Store } from "../../src/store/store.ts";
import { flipBit } from "../kit/flip-bit.ts";
import { applyContexts, digestOfStore, putCommand } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function openStore(folder: string): Store {
  const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  open.push(store);
  return store;
}

async function write(store: Store, ids: readonly string[]): Promise<void> {
  const log = new DirectLog({ store, apply: applyContexts, nowMs: Date.now, onFatal: () => {} });
  for (const id of ids) await log.propose(putCommand(id, id));
  await log.close();
}

const member = (store: Store, server: string, index: number) =>
  store.transaction((tx) => {
    tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('raft_server', ?)", server);
    writeApplied(tx, index, 1);
  });

/** A peer's store, this node's which has its first changes, and a copy of the peer's. */
async function peerAndOwn() {
  const [peerFolder, folder] = [temporaryFolder(), temporaryFolder()];
  const peer = openStore(peerFolder);
  await write(peer, ["a/1", "a/2"]);
  const early = join(peerFolder, "early.db");
  await peer.copyTo(early);
  await write(peer, ["a/3", "a/4"]);
  member(peer, "peer", 10);
  peer.transaction((tx) =>
    tx.run("INSERT INTO refusals (minute, caller, verb, space, operation, count) VALUES (1, 'x', 'read', 's', 'o', 1)"),
  );
  const copy = join(peerFolder, "copy.db");
  await peer.copyTo(copy);
  const own = openStore(folder);
  own.replaceBy(early, () => {});
  member(own, "own", 3);
  return { peer, own, copy, folder };
}

const options = (peer: Store) => ({ ...fleetOf(peer.reader), clean: removeRefusals });
const ask = (path: string, index = 9) => ({ do: "install", server: "own", path, index, term: 1 }) as const;

test("a good copy becomes the store, with this node's id and without the refusals of the other", async () => {
  const { peer, own, copy } = await peerAndOwn();
  installStore(own, ask(copy), options(peer));
  expect(appliedState(own.reader)).toEqual({ index: 10, term: 1, server: "own" });
  expect(digestOfStore(own)).toBe(digestOfStore(peer));
  expect(own.reader.get("SELECT COUNT(*) AS n FROM refusals")).toEqual({ n: 0 });
  expect(peer.reader.get("SELECT COUNT(*) AS n FROM refusals")).toEqual({ n: 1 });
});

describe("refused, with nothing changed:", () => {
  const sql = (text: string) => (path: string) => {
    const copy = new Database(path);
    copy.run(text);
    copy.close();
  };
  test.each<[string, (path: string) => void, string]>([
    [
      "a planted trigger",
      sql("CREATE TRIGGER evil AFTER INSERT ON meta BEGIN DELETE FROM changes; END"),
      "trigger evil, which no migration makes",
    ],
    ["a planted view", sql("CREATE VIEW evil AS SELECT * FROM meta"), "view evil"],
    ["an extra table", sql("CREATE TABLE evil (x)"), "table evil"],
    ["a missing index", sql("DROP INDEX contexts_by_space"), "contexts_by_space is missing"],
    ["a changed table", sql("ALTER TABLE idempotency ADD COLUMN evil TEXT"), "table idempotency"],
    ["another application", sql("PRAGMA application_id = 7"), "no file of Cairn"],
    ["a newer schema", sql("PRAGMA user_version = 99"), "schema 99"],
    ["another fleet", sql("UPDATE meta SET value = 'ff' WHERE key = 'fleet_id'"), "is of fleet ff"],
    ["another epoch", sql("UPDATE epochs SET id = 'eeeeeeeeee'"), "in epoch eeeeeeeeee"],
    ["an older state than its label", sql("UPDATE meta SET value = 8 WHERE key = 'applied_index'"), "before its label"],
    ["damaged pages", (path) => flipBit(path, (8 * 4096) / statSync(path).size), "damaged"],
  ])("%s", async (_name, spoil, words) => {
    const { peer, own, copy, folder } = await peerAndOwn();
    spoil(copy);
    const before = { digest: digestOfStore(own), current: readFileSync(join(folder, "store", "CURRENT"), "utf8") };
    let refusal: unknown;
    try {
      installStore(own, ask(copy), options(peer));
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ message: expect.stringContaining(words) });
    expect({ digest: digestOfStore(own), current: readFileSync(join(folder, "store", "CURRENT"), "utf8") }).toEqual(
      before,
    );
    expect(appliedState(own.reader).server).toBe("own");
    await write(own, ["a/after"]);
  });
});

describe("a disk that fails in the middle of an install leaves the store as it was, and the next one works:", () => {
  test.each<[string, (folder: string) => void, (folder: string) => void]>([
    [
      "CURRENT cannot be switched",
      (store) => mkdirSync(join(store, "CURRENT.new", "x"), { recursive: true }),
      (store) => rmSync(join(store, "CURRENT.new"), { recursive: true }),
    ],
    [
      "the new file cannot be opened",
      (store) => mkdirSync(join(store, "3", "cairn.db-open", "x"), { recursive: true }),
      () => {},
    ],
  ])("%s", async (_name, spoil, mend) => {
    const { peer, own, copy, folder } = await peerAndOwn();
    const store = join(folder, "store");
    const prepare = { ...options(peer), clean: () => spoil(store) };
    const before = digestOfStore(own);
    expect(() => installStore(own, ask(copy), prepare)).toThrow();
    expect(
      readdirSync(store)
        .filter((name) => name !== "CURRENT.new")
        .sort(),
    ).toEqual(["2", "CURRENT"]);
    expect(digestOfStore(own)).toBe(before);
    await write(own, ["a/after"]);
    own.close();
    mend(store);
    const again = openStore(folder);
    expect(appliedState(again.reader)).toMatchObject({ index: 3, server: "own" });
    again.transaction((tx) => tx.run("DELETE FROM changes WHERE seq > 2"));
    again.replaceBy(copy, () => {});
    expect(digestOfStore(again)).toBe(digestOfStore(peer));
    expect(readdirSync(store).sort()).toEqual(["3", "CURRENT"]);
  });
});

test("changes that the fleet does not have: the copy is refused, and once the store is given up they are kept as an export that can be read and imported", async () => {
  const { peer, own, copy, folder } = await peerAndOwn();
  await write(own, ["b/mine", "a/1"]);
  expect(forkOf(own.reader, peer.reader)).toBe(2);
  let refusal: { details?: Record<string, unknown> } = {};
  try {
    installStore(own, ask(copy), options(peer));
  } catch (error) {
    refusal = error as typeof refusal;
  }
  const home = join(folder, "aside", "2026-01-02-1");
  expect(refusal).toMatchObject({ code: "data_corrupt", details: { fork: 2 } });
  expect(own.reader.get("SELECT seq FROM head")).toEqual({ seq: 4 });
  expect(existsSync(join(folder, "aside"))).toBe(false);
  own.close();
  // It is kept, and not yet in aside/, until the fleet's store is here.
  expect(retireData(folder, "two histories", ["store"])).toBe(join(folder, "retired", "1"));
  expect(existsSync(join(folder, "aside"))).toBe(false);
  expect(archiveRetired(folder, Date.UTC(2026, 0, 2))).toEqual([home]);
  expect(archiveForks(folder, peer.reader)).toEqual([home]);
  expect(readdirSync(folder).sort()).toEqual(["aside", "early.db"].filter((name) => existsSync(join(folder, name))));
  const lines = readFileSync(join(home, "contexts.jsonl"), "utf8").trim().split("\n");
  const kept: { id: string; version: number; content: unknown }[] = [];
  for await (const line of readExport(lines)) kept.push(JSON.parse(line));
  // The whole history of what changed, so that it stands by itself; what did not change since the fork is in the fleet.
  expect(kept.map(({ id, version }) => [id, version])).toEqual([
    ["a/1", 1],
    ["a/1", 2],
    ["b/mine", 1],
  ]);
  const changes = readFileSync(join(home, "changes.jsonl"), "utf8").trim().split("\n");
  expect(changes.map((line) => JSON.parse(line).target)).toEqual(["b/mine", "a/1"]);
});

test("what a node gave up to join is written down beside it once the fleet's store is there, and only what the fleet does not have", async () => {
  const { peer, own, folder } = await peerAndOwn();
  await write(own, ["b/mine"]);
  own.close();
  const day = Date.UTC(2026, 0, 2);
  const home = quarantineData(folder, "Joined another fleet", day) ?? "";
  // Another one, that holds nothing of its own.
  const same = openStore(folder);
  const early = join(folder, "early.db");
  await peer.copyTo(early);
  same.replaceBy(early, () => {});
  same.close();
  quarantineData(folder, "again", day);
  expect(archiveForks(folder, peer.reader)).toEqual([home]);
  expect(archiveForks(folder, peer.reader)).toEqual([]);
  const ids: string[] = [];
  const lines = readFileSync(join(home, "contexts.jsonl"), "utf8").trim().split("\n");
  for await (const line of readExport(lines)) ids.push(JSON.parse(line).id);
  expect(ids).toEqual(["b/mine"]);
  expect(readFileSync(join(home, "changes.jsonl"), "utf8").trim().split("\n")).toHaveLength(1);
});

test("a store that goes on into the other has no fork, compacted or not", async () => {
  const { peer, own } = await peerAndOwn();
  expect(forkOf(own.reader, peer.reader)).toBeUndefined();
  expect(forkOf(peer.reader, own.reader)).toBe(2);
  peer.transaction((tx) => {
    const hash = tx.get<{ hash: Uint8Array }>("SELECT hash FROM changes WHERE seq = 3")?.hash ?? new Uint8Array();
    tx.run("UPDATE head SET floor = 3, floor_hash = ?", hash);
    tx.run("DELETE FROM changes WHERE seq <= 3");
  });
  expect(forkOf(own.reader, peer.reader)).toBeUndefined();
  const stranger = openStore(temporaryFolder());
  await write(stranger, ["a/1", "a/2", "a/3", "a/4", "a/5"]);
  expect(forkOf(stranger.reader, peer.reader)).toBe(0);
});

test("what is set aside keeps its place for good, each time its own", async () => {
  const { own, folder } = await peerAndOwn();
  own.close();
  const day = Date.UTC(2026, 0, 2);
  expect(quarantineData(folder, "because", day)).toBe(join(folder, "aside", "2026-01-02-1"));
  expect(quarantineData(folder, "nothing there", day)).toBeUndefined();
  await write(openStore(folder), ["a/1"]);
  expect(quarantineData(folder, "again", day)).toBe(join(folder, "aside", "2026-01-02-2"));
  for (const at of [1, 2]) {
    const home = join(folder, "aside", `2026-01-02-${at}`);
    expect(readdirSync(home).sort()).toEqual(["store", "why.txt"]);
    expect(existsSync(join(home, "store", "CURRENT"))).toBe(true);
  }
});
