// What a start does about fleets, over real data folders: member, join, alone; what is set aside, what is refused.

import { describe, expect, jest, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemdUnit } from "../../src/cli/service/systemd.ts";
import { loadSettings } from "../../src/config/load.ts";
import { requestQuarantine, writeJoinRequest } from "../../src/datadir/next-start.ts";
import { refuseLostStore } from "../../src/datadir/open-engine.ts";
import { archiveRetired, takeBackRetired } from "../../src/datadir/retire.ts";
import { MIGRATIONS, SETTING_TABLES } from "../../src/features/index.ts";
import { drawSecret, type FleetFile, type Member, ticketText, writeFleetFile } from "../../src/fleet/index.ts";
import { FAULTS, Fault } from "../../src/lib/fault.ts";
import { quarantine } from "../../src/log/engine/raft/index.ts";
import { openHistory } from "../../src/log/history.ts";
import { writeMeta } from "../../src/log/meta.ts";
import { ownChanges, planFleet } from "../../src/membership/plan.ts";
import { comesBackAfter, mayGetCopy, requestRejoin } from "../../src/membership/rejoin.ts";
import { RemovalWatch } from "../../src/membership/removal-watch.ts";
import { UpstreamCondition } from "../../src/membership/upstream-condition.ts";
import { NodeFailure } from "../../src/node/node-failure.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const TICKET = ticketText({ role: "regional", fleetId: "a".repeat(32), secret: drawSecret() });
const NOW = Date.parse("2026-01-02T00:00:00Z");

function plan(data: string, flags: Record<string, string | boolean> = {}, joinTicket?: string) {
  const loaded = loadSettings({ tables: SETTING_TABLES, flags: { data, ...flags }, env: { HOME: data } });
  return planFleet(loaded, { authKey: undefined, clientSecret: undefined, joinTicket }, () => NOW);
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

/** A data folder whose store holds so many changes, and so many full members. */
function folderWith(seq: number, members = 0): string {
  const data = temporaryFolder();
  const store = Store.open({ folder: join(data, "store"), migrations: MIGRATIONS, log: () => {} });
  openHistory(store);
  store.transaction((tx) => {
    tx.run("UPDATE head SET seq = ?", seq);
    for (let count = 0; count < members; count += 1)
      tx.run("INSERT INTO members VALUES (?, ?, 'x', 'central', 'active', '', 1, '1', 0)", `n${count}`, `s${count}`);
  });
  store.close();
  mkdirSync(join(data, "raft"), { mode: 0o700 });
  return data;
}

const told = (name: string): Member => ({
  node: `n-${name}`,
  server: `s-${name}`,
  name,
  role: "central" as const,
  state: "active" as const,
  spaces: [],
  level: 1,
  version: "1",
  joinedMs: 0,
});
const UNIT = {
  ...{ command: ["/cairn"], user: true, account: "", dataDir: undefined, configFile: undefined },
  backupFolder: undefined,
};
const FILE: FleetFile = {
  fleetId: "f".repeat(32),
  epoch: "e",
  fleet: "home",
  profile: "home",
  role: "regional",
  node: "n-a",
  spaces: [],
  members: [told("a"), told("b")],
};

function memberFolder(file: FleetFile = FILE): string {
  const data = temporaryFolder();
  mkdirSync(join(data, "raft"), { mode: 0o700 });
  writeFleetFile(join(data, "raft"), file);
  return data;
}

const asideOf = (data: string): string[] => {
  const aside = join(data, "aside");
  return existsSync(aside)
    ? readdirSync(aside)
        .flatMap((name) => readdirSync(join(aside, name)))
        .sort()
    : [];
};

describe("a plain start", () => {
  test("is a fleet of its own", () => {
    expect(plan(temporaryFolder())).toEqual({ kind: "full", file: undefined, joinTarget: undefined, lines: [] });
  });

  test.each(["edge", "regional"])("as %s has nothing to join, and says so", (role) => {
    expect(codeOf(() => plan(temporaryFolder(), { role }))).toBe("config_invalid");
  });
});

describe("a start that joins", () => {
  test("auto looks for the fleet of the setting, a named host for whatever it is of", () => {
    expect(plan(temporaryFolder(), { join: "auto" }).joinTarget).toMatchObject({
      host: "auto",
      fleet: "cairn",
      role: undefined,
    });
    expect(plan(temporaryFolder(), { join: "one" }).joinTarget).toMatchObject({ host: "one", fleet: undefined });
    expect(plan(temporaryFolder(), { join: "one", fleet: "home" }).joinTarget).toMatchObject({ fleet: "home" });
  });

  test("takes ticket and role, and an edge by either", () => {
    expect(plan(temporaryFolder(), { join: "one" }, TICKET).joinTarget?.ticket?.role).toBe("regional");
    expect(plan(temporaryFolder(), { join: "one", role: "edge" }).kind).toBe("edge");
    expect(plan(temporaryFolder(), { join: "one" }, TICKET.replace("regional", "edge")).kind).toBe("edge");
    expect(codeOf(() => plan(temporaryFolder(), { join: "one" }, "none"))).toBe("config_invalid");
  });

  test("in another role than that of its ticket is refused, and no data are moved", () => {
    const data = folderWith(0);
    for (const role of ["central", "edge"]) {
      const refused = () => plan(data, { join: "one", role }, TICKET);
      expect(refused).toThrow(`The ticket is for the role regional, and this node is to join as ${role}`);
    }
    const removed = memberFolder({ ...FILE, removed: true });
    expect(codeOf(() => plan(removed, { join: "one", role: "edge" }, TICKET))).toBe("join_refused");
    expect([...asideOf(data), ...asideOf(removed)]).toEqual([]);
  });

  test("that was not finished leaves nothing behind, however often and whatever follows", () => {
    const begun = (data: string, seq: number, server = "") => {
      const made = folderWith(seq);
      const store = Store.open({ folder: join(made, "store"), migrations: MIGRATIONS, log: () => {} });
      if (server !== "") store.transaction((tx) => writeMeta(tx, { raft_server: server }));
      store.close();
      for (const name of ["store", "raft"]) renameSync(join(made, name), join(data, name));
    };
    const data = temporaryFolder();
    for (let start = 0; start < 2; start += 1) {
      plan(data, { join: "one" });
      begun(data, 0);
    }
    expect(plan(data, { join: "one" }).lines).toEqual([]);
    expect(readdirSync(data)).toEqual(["joining"]);
    begun(data, 0);
    expect(plan(data).joinTarget).toBeUndefined();
    expect(readdirSync(data)).toEqual([]);

    // What is there belongs to the node once the join is recorded, or where it holds changes in spite of the mark.
    plan(data, { join: "one" });
    begun(data, 7);
    expect(codeOf(() => plan(data, { join: "one" }))).toBe("data_exists");
    expect(readdirSync(data).sort()).toEqual(["raft", "store"]);
    const single = temporaryFolder();
    plan(single, { join: "one" });
    begun(single, 0, "s-a");
    plan(single);
    expect(readdirSync(single).sort()).toEqual(["raft", "store"]);
    const member = temporaryFolder();
    plan(member, { join: "one" });
    begun(member, 0);
    writeFleetFile(join(member, "raft"), FILE);
    expect(plan(member, { join: "one" }).file?.node).toBe("n-a");
    expect(readdirSync(member).sort()).toEqual(["raft", "store"]);
  });

  test("gives up an empty store of its own, and one with data only when told to; both are kept", () => {
    const empty = folderWith(0);
    expect(plan(empty, { join: "one" }).lines[0]).toContain("aside");
    expect(asideOf(empty)).toEqual(["raft", "store", "why.txt"]);

    const data = folderWith(7);
    expect(ownChanges(data)).toBe(7);
    expect(codeOf(() => plan(data, { join: "one" }))).toBe("data_exists");
    expect(existsSync(join(data, "store"))).toBe(true);
    plan(data, { join: "one", discard_local: true });
    expect([existsSync(join(data, "store")), asideOf(data)]).toEqual([false, ["raft", "store", "why.txt"]]);
  });

  test("does not touch the store of a first member whose file was not written yet", () => {
    const data = folderWith(7, 2);
    expect(plan(data, { join: "one", discard_local: true })).toMatchObject({ kind: "full", joinTarget: undefined });
    expect(existsSync(join(data, "store"))).toBe(true);
  });

  test("a request of cairn join counts like the flags, is private, and goes once the node is a member", () => {
    const data = temporaryFolder();
    writeJoinRequest(data, {
      place: "one",
      fleet: "home",
      role: "central",
      ticket: TICKET.replace("regional", "central"),
    });
    expect(statSync(join(data, "join.json")).mode & 0o777).toBe(0o600);
    expect(plan(data).joinTarget).toMatchObject({
      host: "one",
      fleet: "home",
      role: "central",
      ticket: { role: "central" },
    });
    mkdirSync(join(data, "raft"), { mode: 0o700 });
    writeFleetFile(join(data, "raft"), FILE);
    expect([plan(data).joinTarget, existsSync(join(data, "join.json"))]).toEqual([undefined, false]);
  });
});

describe("a member", () => {
  test("that is started with --join again just starts", () => {
    expect(plan(memberFolder(), { join: "auto", discard_local: true })).toMatchObject({
      kind: "full",
      joinTarget: undefined,
      file: FILE,
    });
    expect(plan(memberFolder({ ...FILE, role: "edge" }), { role: "edge" }).kind).toBe("edge");
  });

  test("does not become an edge by a flag, nor an edge a full member", () => {
    expect(codeOf(() => plan(memberFolder(), { role: "edge" }))).toBe("config_invalid");
    expect(codeOf(() => plan(memberFolder({ ...FILE, role: "edge" }), { role: "central" }))).toBe("config_invalid");
    // Its role is the table's: a promoted member keeps its old flag.
    expect(codeOf(() => plan(memberFolder(), { role: "central" }))).toBe("none");
  });

  test("that is the last of its fleet holds the only copy: only a wish of now takes that away, and keeps it", () => {
    const edge: Member = { ...told("e"), server: "", role: "edge" };
    for (const members of [[told("a")], [told("a"), edge]]) {
      const data = memberFolder({ ...FILE, members });
      const { joinTarget, lines } = plan(data, { join: "auto", discard_local: true });
      expect([joinTarget, lines.join()]).toEqual([undefined, expect.stringContaining("goes on as the last member of")]);
      expect(asideOf(data)).toEqual([]);
      writeJoinRequest(data, { place: "two" });
      expect(plan(data).joinTarget).toMatchObject({ host: "two" });
      expect(asideOf(data)).toEqual(["raft", "why.txt"]);
    }
  });

  test("that left begins again, with what it held set aside and the reason beside it", () => {
    const data = memberFolder();
    requestQuarantine(data, "This node left the fleet home");
    expect(plan(data)).toMatchObject({ file: undefined, joinTarget: undefined });
    expect(asideOf(data)).toEqual(["raft", "why.txt"]);
    const [name = ""] = readdirSync(join(data, "aside"));
    expect(readFileSync(join(data, "aside", name, "why.txt"), "utf8")).toContain("left the fleet home");
    expect(plan(data).lines).toEqual([]);
  });

  test("that several members call no member logs it once, with the first of them", () => {
    const lines: string[] = [];
    const conditions = new Conditions((_level, text) => lines.push(text));
    const folder = join(memberFolder(), "raft");
    const removal = new RemovalWatch({ folder, conditions, monotonicMs: () => 0 });
    conditions.raise("upstream_away", "b refuses this edge");
    lines.length = 0;
    for (let beats = 0; beats < 10; beats += 1) for (const name of ["b", "c"]) removal.refusedBy(told(name));
    expect(lines).toEqual([
      "No longer a member: b says that this node is no member of the fleet",
      "No full node reachable: resolved",
    ]);
    expect(conditions.list().map(({ code }) => code)).toEqual(["removed_from_fleet"]);
    removal.acceptedBy(told("c"));
    expect([removal.removed, lines.length]).toEqual([false, 3]);
  });

  test("that is no member is not said to lack an upstream, however long none answers", () => {
    const conditions = new Conditions(() => {});
    jest.useFakeTimers();
    try {
      const upstream = new UpstreamCondition(conditions, () => []);
      upstream.update(undefined, "b refuses this edge");
      conditions.raise("removed_from_fleet", "b says that this node is no member of the fleet");
      jest.advanceTimersByTime(60_000);
      expect(conditions.list().map(({ code }) => code)).toEqual(["removed_from_fleet"]);
      conditions.clear("removed_from_fleet");
      upstream.update("b", "");
      upstream.update(undefined, "b does not answer");
      jest.advanceTimersByTime(60_000);
      expect(conditions.list().map(({ code }) => code)).toEqual(["upstream_away"]);
    } finally {
      jest.useRealTimers();
    }
  });

  test("that its fleet forgot goes on as it is, and joins again where it is asked to join", () => {
    const data = memberFolder();
    const conditions = new Conditions(() => {});
    let nowMs = 0;
    const removal = new RemovalWatch({ folder: join(data, "raft"), conditions, monotonicMs: () => nowMs });
    const [ours, other] = [told("b"), told("c")];
    removal.acceptedBy(other);
    for (let beats = 0; beats < 4; beats += 1) removal.refusedBy(ours);
    expect([removal.removed, plan(data, { join: "auto" }).joinTarget]).toEqual([false, undefined]);
    nowMs = 5_000;
    removal.refusedBy(ours);
    expect(removal.removed).toBe(true);
    expect(plan(data)).toMatchObject({ file: { fleet: "home" }, joinTarget: undefined });
    expect(existsSync(join(data, "aside"))).toBe(false);
    removal.acceptedBy(other);
    expect([removal.removed, plan(data, { join: "auto" }).joinTarget]).toEqual([false, undefined]);
    nowMs = 10_000;
    for (let beats = 0; beats < 3; beats += 1) removal.refusedBy(ours);
    expect(plan(data, { join: "b" }, TICKET)).toMatchObject({
      kind: "full",
      file: undefined,
      joinTarget: { host: "b" },
    });
    expect(asideOf(data)).toEqual(["raft", "why.txt"]);
    const edge = memberFolder({ ...FILE, role: "edge", removed: true });
    expect(plan(edge, { join: "auto" })).toMatchObject({ kind: "edge", joinTarget: { role: "edge" } });
  });

  test("in quarantine comes back to its own fleet and no other", () => {
    const data = memberFolder();
    expect(requestRejoin(data, "The parts do not fit")).toBe(true);
    const { joinTarget, lines } = plan(data);
    expect(joinTarget).toMatchObject({ host: "auto", fleet: "home", fleetId: FILE.fleetId, role: undefined });
    expect(lines.join()).toContain("The parts do not fit; what this node held is kept in");
    // Nothing goes to aside/ before the fleet has taken it in and its copy is here.
    expect(existsSync(join(data, "aside"))).toBe(false);
    expect(readdirSync(join(data, "retired", "1")).sort()).toEqual(["raft", "why.txt"]);
    // A start that ends here asks again.
    expect(plan(data).joinTarget).toMatchObject({ fleetId: FILE.fleetId });
    archiveRetired(data);
    expect(asideOf(data)).toEqual(["raft", "why.txt"]);
    expect(existsSync(join(data, "retired"))).toBe(false);
  });

  test("with an unusable store gives up the store alone: it keeps its vote and joins nothing", () => {
    const data = memberFolder();
    mkdirSync(join(data, "store", "1"), { recursive: true });
    writeFileSync(join(data, "raft", "snapshot.json"), "{}");
    expect(comesBackAfter(data, quarantine("store_unusable", "The store is behind"))).toBe(true);
    const { file, joinTarget, lines } = plan(data);
    expect([file?.fleet, joinTarget]).toEqual(["home", undefined]);
    expect(lines.join()).toContain("The store is behind; what this node held is kept in");
    expect([existsSync(join(data, "store")), existsSync(join(data, "aside"))]).toEqual([false, false]);
    expect(readdirSync(join(data, "raft")).sort()).toEqual(["fleet.json", "snapshot.json"]);
    expect(readdirSync(join(data, "retired", "1")).sort()).toEqual(["store", "why.txt"]);
    refuseLostStore(data, mayGetCopy(data));
    expect(plan(data).lines).toEqual([]);
  });

  test("a raft folder that is wrong costs the server id, a store that is wrong does not", () => {
    for (const [reason, kept] of [
      ["store_lost", true],
      ["other_store", true],
      ["store_unusable", true],
      ["raft_lost", false],
      ["rolled_back", false],
      ["other_server", false],
    ] as const) {
      const data = memberFolder();
      expect(comesBackAfter(data, quarantine(reason, "x"))).toBe(true);
      expect([reason, plan(data).joinTarget === undefined, existsSync(join(data, "raft"))]).toEqual([
        reason,
        kept,
        kept,
      ]);
    }
    expect(comesBackAfter(memberFolder(), new Fault("data_corrupt", "x", { hint: "" }))).toBe(false);
  });

  test("that its next start brings back ends so that a service manager starts it again", async () => {
    const said = (data: string) => {
      const failure = new NodeFailure(data);
      failure.reportLog(quarantine("store_unusable", "The store is behind"));
      return failure.first;
    };
    const { code, message, facts } = await said(memberFolder());
    expect([code, message, facts.quarantine]).toEqual(["log_failed", "The store is behind", "store_unusable"]);
    const [, stays] = /^RestartPreventExitStatus=(.*)$/m.exec(systemdUnit(UNIT)) ?? [];
    expect(stays?.split(" ")).not.toContain(`${FAULTS[code].exit}`);
    expect((await said(memberFolder({ ...FILE, members: [told("a")] }))).code).toBe("data_corrupt");
  });

  test("that waits for a copy and is alone for good takes back what it gave up, to recover it", () => {
    const data = memberFolder();
    const store = (name: string) => {
      mkdirSync(join(data, "store"));
      writeFileSync(join(data, "store", name), "");
    };
    store("old");
    expect(comesBackAfter(data, quarantine("store_lost", "x"))).toBe(true);
    plan(data);
    store("new");
    takeBackRetired(data);
    expect(readdirSync(join(data, "store"))).toEqual(["old"]);
    expect(existsSync(join(data, "retired"))).toBe(false);
    expect(readdirSync(join(data, "aside"))).toHaveLength(2);
  });

  test("that is alone has nowhere to come back to: its store stays", () => {
    expect(requestRejoin(memberFolder({ ...FILE, members: [told("a")] }), "x")).toBe(false);
    expect(requestRejoin(temporaryFolder(), "x")).toBe(false);
    const alone = memberFolder({ ...FILE, members: [told("a")] });
    expect(comesBackAfter(alone, quarantine("store_unusable", "x"))).toBe(false);
    expect(mayGetCopy(alone)).toBe(false);
  });

  test("with a damaged file is refused with its path", () => {
    const data = memberFolder();
    Bun.spawnSync(["sh", "-c", `echo '{' > ${data}/raft/fleet.json`]);
    expect(codeOf(() => plan(data))).toBe("data_corrupt");
  });
});
