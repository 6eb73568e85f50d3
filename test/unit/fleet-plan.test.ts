// Whether a node whose data cannot be trusted any more may come back as a new member by itself: only where others of
// its fleet lead without it, and not for ever.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clearRequests } from "../../src/datadir/next-start.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { openHistory } from "../../src/log/history.ts";
import { requestRejoin } from "../../src/membership/rejoin.ts";
import { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/**
 * A store of a fleet with so many full members, and no raft folder beside it; of one of its servers, if that is named.
 */
function storeOf(members: number, server = ""): string {
  const dataDir = temporaryFolder();
  const store = Store.open({ folder: join(dataDir, "store"), migrations: MIGRATIONS, log: () => {} });
  openHistory(store);
  store.transaction((tx) => {
    tx.run("INSERT INTO meta (key, value) VALUES ('fleet_name', 'home')");
    tx.run("UPDATE meta SET value = 'f1' WHERE key = 'fleet_id'");
    if (server !== "") tx.run("INSERT INTO meta (key, value) VALUES ('raft_server', ?)", server);
    for (let at = 0; at < members; at++) {
      tx.run(
        "INSERT INTO members (node, server, name, role, state, spaces, level, version, joined_at) VALUES (?, ?, 'x', 'central', 'active', '', 1, '', 0)",
        `n${at}`,
        `s${at}`,
      );
    }
  });
  store.close();
  return dataDir;
}

const request = (dataDir: string) => join(dataDir, "set-aside.json");

test("a member that lost its raft folder asks its fleet again, which its store names", () => {
  const dataDir = storeOf(2);
  expect(requestRejoin(dataDir, "lost")).toBe(true);
  expect(JSON.parse(readFileSync(request(dataDir), "utf8"))).toMatchObject({
    why: "lost",
    rejoin: { place: "auto", fleet: "home", fleetId: "f1" },
  });
  clearRequests(dataDir);
  expect(existsSync(request(dataDir))).toBe(false);
});

test("who is alone has no one to ask: a person decides", () => {
  for (const members of [0, 1]) {
    const dataDir = storeOf(members);
    expect(requestRejoin(dataDir, "lost")).toBe(false);
    expect(existsSync(request(dataDir))).toBe(false);
  }
  const empty = temporaryFolder();
  expect(requestRejoin(empty, "lost")).toBe(false);
});

test("a central of two may be the only voter: what it holds stays where it is; of three the others let it in", () => {
  expect(requestRejoin(storeOf(2, "s0"), "lost")).toBe(false);
  expect(requestRejoin(storeOf(3, "s0"), "lost")).toBe(true);
});

test("what comes back again and again stays in the end: each time keeps a whole store", () => {
  const dataDir = storeOf(3, "s0");
  const nowMs = Date.parse("2026-01-02T10:00:00Z");
  for (let at = 1; at <= 16; at++) {
    expect(requestRejoin(dataDir, "lost", nowMs)).toBe(true);
    mkdirSync(join(dataDir, "aside", `2026-01-02-${at}`), { recursive: true, mode: 0o700 });
  }
  expect(requestRejoin(dataDir, "lost", nowMs)).toBe(false);
  expect(requestRejoin(dataDir, "lost", nowMs + 86_400_000)).toBe(true);
});

test("a store whose raft folder was left is found by the file there", () => {
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, "raft"), { mode: 0o700 });
  const member = (at: number) => ({
    node: `n${at}`,
    server: String(at).repeat(32),
    role: "central",
    name: "x",
    state: "active",
    spaces: [],
    level: 1,
    version: "",
    joinedMs: 0,
  });
  const file = {
    fleetId: "f2",
    epoch: "e".repeat(10),
    fleet: "home",
    profile: "lan",
    role: "central",
    node: "n1",
    spaces: [],
  };
  writeFileSync(
    join(dataDir, "raft", "fleet.json"),
    JSON.stringify({ ...file, members: [member(1), member(2), member(3)] }),
  );
  expect(requestRejoin(dataDir, "lost")).toBe(true);
  expect(JSON.parse(readFileSync(request(dataDir), "utf8")).rejoin.fleetId).toBe("f2");
});
