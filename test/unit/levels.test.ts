// The schema of a store is that of its fleet level (replication.md 8): opening a file changes nothing, the command that
// raises the level does. So a build of the level before can use a store or a copy until then, and none after.

import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { backupNode, checkBackup, restoreNode } from "../../src/datadir/backup.ts";
import { inspectNodeStore } from "../../src/datadir/inspect.ts";
import { recoverNode } from "../../src/datadir/recover.ts";
import { beginJoin } from "../../src/datadir/unfinished-join.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { verifyVersions } from "../../src/features/context/verify-versions.ts";
import { FEATURES, MIGRATIONS, STORE_SCHEMA } from "../../src/features/index.ts";
import { fleetValue } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { applyCommands, type BatchResult } from "../../src/log/apply-batch.ts";
import { writeApplied } from "../../src/log/engine/raft/applied-state.ts";
import { installStore } from "../../src/log/engine/raft/install.ts";
import { fleetOf, openHistory } from "../../src/log/history.ts";
import { LatestChanges } from "../../src/log/latest-changes.ts";
import { CLIENT_LEVEL, KNOWN_LEVEL, levelOf } from "../../src/log/level.ts";
import type { Apply, Command, Stamp } from "../../src/log/log.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { STATE_HASH_LEVEL } from "../../src/log/state-hash.ts";
import { verifyChain } from "../../src/log/verify.ts";
import { openEdgeStore } from "../../src/membership/edge-parts.ts";
import { migrationsOf } from "../../src/operation/derive.ts";
import { Store, type Writer } from "../../src/store/store.ts";
import { AppliedFleet, applyOn } from "../kit/applied-fleet.ts";
import { startCore } from "../kit/core.ts";
import { exampleCalls } from "../kit/examples.ts";
import { makeStoreAt, migrationsUpTo, schemaOfStore } from "../kit/level.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { digestOfStore } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { counterFeature } from "./toy/feature.tsx";

const BEFORE = STATE_HASH_LEVEL - 1;
const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function openStore(folder: string, schema: Pick<typeof STORE_SCHEMA, "migrations"> = STORE_SCHEMA): Store {
  const store = Store.open({ folder, ...STORE_SCHEMA, ...schema, log: () => {} });
  open.push(store);
  return store;
}

/** A store as a build knows it whose highest level this is. */
const openOld = (folder: string, level: number) => openStore(folder, { migrations: migrationsUpTo(level) });

const at = (level: number) => ({ level, schema: migrationsUpTo(level).length });
const levelAndSchema = (store: Store) => ({ level: levelOf(store.reader), schema: schemaOfStore(store.reader) });

const command = (name: string, input: Record<string, unknown>): Command => ({
  name,
  v: 1,
  input,
  caller: "local",
  via: "",
  key: "",
});

/** A fleet of one at a level, with a context. */
function fleetAt(level: number): AppliedFleet {
  const fleet = new AppliedFleet(level).begin();
  open.push(fleet.store);
  fleet.run("context_put", { id: "a/before", content: "x", title: "t" });
  return fleet;
}

function raise(fleet: AppliedFleet, level: number): void {
  expect(fleet.run("fleet_level_raise", { level, settings: { "history.max_versions": 7 } })).toEqual({ level });
}

const stateHashOf = (store: Store, target: string) =>
  store.reader.get<{ state_hash?: string }>("SELECT * FROM changes WHERE target = ? ORDER BY seq DESC", target)
    ?.state_hash;

describe("a store of a lower level", () => {
  test("keeps its schema however often it is opened and written to, and gets the next one with its level", async () => {
    const fleet = fleetAt(BEFORE);
    const { store } = fleet;
    expect(levelAndSchema(store)).toEqual(at(BEFORE));
    // The statements of reads and writes were prepared under the earlier schema.
    expect(stateHashOf(store, "a/before")).toBeUndefined();
    raise(fleet, STATE_HASH_LEVEL);
    expect(levelAndSchema(store)).toEqual(at(STATE_HASH_LEVEL));
    expect(stateHashOf(store, "a/before")).toBe("");
    expect(stateHashOf(store, "fleet/settings/history.max_versions")).toHaveLength(64);
    fleet.run("context_put", { id: "a/after", content: "x", title: "t" });
    expect(stateHashOf(store, "a/after")).toHaveLength(64);
    const { problem } = await verifyChain(store.reader, fleet.state, AbortSignal.timeout(5_000));
    expect(problem).toBeUndefined();
    store.close();
    expect(levelAndSchema(openStore(fleet.folder))).toEqual(at(STATE_HASH_LEVEL));
  });

  test("keeps outcomes with the fields of that level: they are replicated, and builds of it take part", () => {
    const fleet = fleetAt(BEFORE);
    const kept = (id: string) => {
      const key = `key of ${id}`;
      fleet.runKeyed("context_put", { id, content: "x", title: "t" }, key);
      const row = fleet.store.reader.get<{ outcome: string }>("SELECT outcome FROM idempotency WHERE key = ?", key);
      return Object.keys((JSON.parse(row?.outcome ?? "{}") as { output: object }).output);
    };
    const fields = ["id", "version", "etag", "created", "updated_at"];
    expect(kept("a/below").sort()).toEqual(fields.toSorted());
    raise(fleet, STATE_HASH_LEVEL);
    expect(kept("a/above").sort()).toEqual([...fields, "content_type"].sort());
  });

  test("keeps what a client says from that level on, also where a command of before had it", async () => {
    const fleet = fleetAt(BEFORE);
    const { store } = fleet;
    const put = contextOperations.find(({ name }) => name === "context_put");
    if (put?.kind !== "write") throw new Error("no context_put");
    const input = put.prepare(put.input.parse({ id: "a/said", content: "x" }), DEFAULT_WRITE_LIMITS);
    const said: Command = { name: put.name, v: put.v, input, caller: "ann", via: "", key: "", client: "agent 1" };
    const apply = () => Object.assign(fleet, applyOn(store, fleet.state, fleet.nowMs, [said]));
    apply();
    expect(store.reader.get("SELECT * FROM changes ORDER BY seq DESC")).not.toHaveProperty("client");
    raise(fleet, CLIENT_LEVEL);
    apply();
    for (const table of ["changes WHERE target = 'a/said'", "versions WHERE id = 'a/said'"])
      expect(store.reader.all(`SELECT client FROM ${table} ORDER BY seq`)).toEqual([
        { client: "" },
        { client: "agent 1" },
      ]);
    const latest = new LatestChanges();
    const signal = AbortSignal.timeout(5_000);
    expect(await verifyChain(store.reader, fleet.state, signal, (row) => latest.add(row))).not.toHaveProperty(
      "problem",
    );
    expect(await verifyVersions(store.reader, latest, { signal, spend: () => {} })).toEqual({ versions: 3 });
  });

  test("takes no agent from a command, neither for its stamp nor for its change and chain", () => {
    const { store, state, nowMs } = fleetAt(BEFORE);
    const plain: Command = { ...command("toy", {}), caller: "ann" };
    const agent = { name: "builder", key: "0".repeat(64), type: "coder" };
    const stamps: object[] = [];
    const apply: Apply = Object.assign(
      (_tx: Writer, _command: Command, stamp: Stamp) => {
        stamps.push(stamp);
        return { output: {}, changes: [{ target: "a/x", version: 0, contentHash: "", outcome: "made" }] };
      },
      { asked: (): [Command["v"], Command["input"]] => [1, {}] },
    );
    /** What an entry with the command makes of the state, which stays as it is. */
    const made = (of: Command) => {
      let result: BatchResult | undefined;
      const undone = new Error("undone");
      const work = () =>
        store.transaction((tx) => {
          const header = { level: BEFORE, origin: "0".repeat(32), ticket: 1, stampMs: nowMs };
          result = applyCommands(store, tx, apply, state, { header, commands: [of] });
          throw undone;
        });
      expect(work).toThrow(undone);
      return result;
    };
    expect(made({ ...plain, agent })).toEqual(made(plain));
    expect(stamps[0]).toEqual(stamps[1]);
  });

  test("can be used by the build of that level again, and by none after the level was raised", () => {
    const fleet = fleetAt(BEFORE);
    fleet.store.close();
    const old = openOld(fleet.folder, BEFORE);
    expect(levelAndSchema(old)).toEqual(at(BEFORE));
    old.close();
    Object.assign(fleet, { store: openStore(fleet.folder) });
    raise(fleet, STATE_HASH_LEVEL);
    fleet.store.close();
    expect(() => openOld(fleet.folder, BEFORE)).toThrow(
      expect.objectContaining({
        code: "data_newer",
        message: expect.stringContaining(`has schema ${at(STATE_HASH_LEVEL).schema}; this version of cairn knows`),
      }),
    );
  });

  test("is raised equally however the commands are cut into entries, and not at all where the entry is undone", () => {
    const commands = [
      command("fleet_level_raise", { level: STATE_HASH_LEVEL, settings: {} }),
      command("fleet_profile_set", { profile: "wan" }),
      command("fleet_member_approve", { node: "n9", role: "edge", spaces: ["*"] }),
    ];
    const one = fleetAt(BEFORE);
    const copy = temporaryFolder();
    makeStoreAt(copy, BEFORE);
    const other = openStore(copy);
    one.store.close();
    new Database(join(one.folder, "1", "cairn.db")).run("VACUUM INTO ?", [join(copy, "copy.db")]);
    other.replaceBy(join(copy, "copy.db"), () => {});
    const store = openStore(one.folder);
    expect(() =>
      store.transaction((tx) => {
        writeMeta(tx, { fleet_level: STATE_HASH_LEVEL });
        store.migrate(STATE_HASH_LEVEL);
        expect(schemaOfStore(tx)).toBe(at(STATE_HASH_LEVEL).schema);
        throw new Error("the disk is full");
      }),
    ).toThrow("the disk is full");
    expect(levelAndSchema(store)).toEqual(at(BEFORE));
    applyOn(store, openHistory(store), one.nowMs, commands);
    let state = openHistory(other);
    for (const each of commands) state = { ...state, ...applyOn(other, state, one.nowMs, [each]).state };
    expect([levelAndSchema(store), levelAndSchema(other)]).toEqual([at(STATE_HASH_LEVEL), at(STATE_HASH_LEVEL)]);
    expect(stateHashOf(store, "fleet/members/n9")).toHaveLength(64);
    expect(digestOfStore(other)).toBe(digestOfStore(store));
  });

  test.each(Array.from({ length: KNOWN_LEVEL }, (_, index) => index + 1))(
    "serves every operation: level %d",
    async (level) => {
      const folder = temporaryFolder();
      makeStoreAt(join(folder, "store"), level);
      await using core = startCore({ folder });
      expect(levelAndSchema(core.store)).toEqual(at(level));
      const calls = exampleCalls().filter(({ name }) => core.invoker.registry.get(name) !== undefined);
      expect(calls.length).toBeGreaterThan(10);
      for (const { name, example } of calls)
        await core
          .call(name, example)
          .catch((error: unknown) => expect([name, error]).toEqual([name, expect.any(Fault)]));
      expect([core.fatal, core.unexpected]).toEqual([[], []]);
      expect(levelAndSchema(core.store)).toEqual(at(level));
    },
  );
});

describe("a copy", () => {
  /** A member of a fleet at a level, and a copy of its store. */
  async function memberWithCopy(level: number) {
    const { store, folder } = fleetAt(level);
    store.transaction((tx) => {
      writeMeta(tx, { raft_server: "peer" });
      writeApplied(tx, 9, 1);
    });
    const path = join(folder, "copy.db");
    await store.copyTo(path);
    return { path, ...fleetOf(store.reader) };
  }
  const install = (store: Store, { path, fleet, epoch }: { path: string; fleet: string; epoch: string }) =>
    installStore(store, { do: "install", server: "own", path, index: 9, term: 1 }, { fleet, epoch, clean: () => {} });

  test("of a store of the level before goes to builds of both levels, and is as it was sent", async () => {
    const copy = await memberWithCopy(BEFORE);
    for (const level of [BEFORE, KNOWN_LEVEL]) {
      const own = openOld(temporaryFolder(), level);
      install(own, copy);
      expect(levelAndSchema(own)).toEqual(at(BEFORE));
    }
  });

  test("of a higher level is refused by an older build, with nothing changed", async () => {
    const copy = await memberWithCopy(STATE_HASH_LEVEL);
    const folder = temporaryFolder();
    makeStoreAt(folder, BEFORE);
    const own = openOld(folder, BEFORE);
    expect(() => install(own, copy)).toThrow(expect.objectContaining({ code: "data_newer" }));
    // A level need not have a migration.
    const higher = new Database(copy.path);
    higher.run("UPDATE meta SET value = ? WHERE key = 'fleet_level'", [KNOWN_LEVEL + 1]);
    higher.close();
    const newest = openStore(temporaryFolder());
    openHistory(newest);
    expect(() => install(newest, copy)).toThrow(
      expect.objectContaining({
        code: "data_newer",
        message: `The copy of a peer has fleet level ${KNOWN_LEVEL + 1}; this version of cairn knows levels up to ${KNOWN_LEVEL}`,
      }),
    );
    expect([levelOf(own.reader), levelOf(newest.reader)]).toEqual([BEFORE, KNOWN_LEVEL]);
  });

  test("whose schema is ahead of its level is refused, as is such a store, its backup and its inspection", async () => {
    const copy = await memberWithCopy(STATE_HASH_LEVEL);
    const planted = new Database(copy.path);
    planted.run("UPDATE meta SET value = ? WHERE key = 'fleet_level'", [BEFORE]);
    planted.close();
    const words = `it has schema ${at(STATE_HASH_LEVEL).schema}, and that of its fleet level is ${at(BEFORE).schema}`;
    expect(() => install(openStore(temporaryFolder()), copy)).toThrow(words);
    const { store, folder } = fleetAt(STATE_HASH_LEVEL);
    store.transaction((tx) => writeMeta(tx, { fleet_level: BEFORE }));
    store.close();
    expect(() => openStore(folder)).toThrow(words);
  });
});

describe("a data folder of the level before", () => {
  async function dataFolder(): Promise<string> {
    const dataDir = temporaryFolder();
    makeStoreAt(join(dataDir, "store"), BEFORE);
    const core = startCore({ folder: dataDir });
    await core.call("context_put", { id: "a/x", content: 1, title: "kept" });
    await core.close();
    return dataDir;
  }

  test("is backed up, checked, restored and recovered at its level", async () => {
    const dataDir = await dataFolder();
    expect(inspectNodeStore(dataDir)).toMatchObject({ schema: at(BEFORE).schema, seen: { contexts: 1 } });
    const to = join(temporaryFolder(), "backup");
    expect(await backupNode({ dataDir, to })).toMatchObject({ schema: at(BEFORE).schema });
    expect((await checkBackup(to, new Map())).manifest.content).toMatchObject({ contexts: 1 });
    const restored = temporaryFolder();
    // Each may follow a join that was not finished, and what they make is not of that join.
    for (const folder of [restored, dataDir]) beginJoin(folder);
    await restoreNode({ from: to, dataDir: restored });
    await recoverNode({ dataDir });
    for (const folder of [restored, dataDir]) expect(existsSync(join(folder, "joining"))).toBe(false);
    for (const folder of [restored, dataDir])
      expect(levelAndSchema(openStore(join(folder, "store")))).toEqual(at(BEFORE));
  });

  test("of a higher level than this build knows is neither backed up, recovered nor inspected", async () => {
    const dataDir = await dataFolder();
    const store = openStore(join(dataDir, "store"));
    store.transaction((tx) => {
      store.migrate(KNOWN_LEVEL);
      writeMeta(tx, { fleet_level: KNOWN_LEVEL + 1 });
    });
    store.close();
    const newer = expect.objectContaining({
      code: "data_newer",
      message: expect.stringContaining(`has fleet level ${KNOWN_LEVEL + 1}`),
    });
    expect(() => inspectNodeStore(dataDir)).toThrow(newer);
    const to = join(temporaryFolder(), "backup");
    await expect(backupNode({ dataDir, to })).rejects.toEqual(newer);
    await expect(recoverNode({ dataDir })).rejects.toEqual(newer);
  });
});

test("an edge that goes back to an older build begins with an empty cache", () => {
  const data = temporaryFolder();
  const newer = openEdgeStore(data, [...FEATURES, counterFeature(MIGRATIONS.length + 1)]);
  newer.transaction((tx) => writeMeta(tx, { fleet_name: "kept" }));
  newer.close();
  const older = openEdgeStore(data);
  open.push(older);
  expect(schemaOfStore(older.reader)).toBe(MIGRATIONS.length + 1);
  expect(fleetValue(older.reader, "fleet_name")).toBe("");
  older.transaction((tx) => writeMeta(tx, { fleet_name: "kept" }));
  older.close();
  const again = openEdgeStore(data);
  open.push(again);
  expect(fleetValue(again.reader, "fleet_name")).toBe("kept");
});

test("migrations have levels that never fall, and none above what this build knows", () => {
  const levels = MIGRATIONS.map(({ level }) => level);
  expect(levels).toEqual(levels.toSorted((one, other) => one - other));
  expect(levels.at(-1)).toBeLessThanOrEqual(KNOWN_LEVEL);
  const feature = (...migrations: { id: number; level: number; sql: string }[]) => [{ name: "x", migrations }];
  expect(() => migrationsOf(feature({ id: 1, level: 2, sql: "" }, { id: 2, level: 1, sql: "" }))).toThrow("too low");
});
