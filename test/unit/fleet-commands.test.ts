// The members table: who comes in by what, who goes, and that the same commands end in the same rows on another store.

import { describe, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DIGEST_TABLES, MIGRATIONS } from "../../src/features/index.ts";
import { drawSecret, fleetFeature, fleetValue, hashOf, PENDING } from "../../src/fleet/index.ts";
import { fleetRevision, spaceList } from "../../src/fleet/rows.ts";
import { Work } from "../../src/lib/work.ts";
import { digestOf } from "../../src/log/digest.ts";
import { openHistory } from "../../src/log/history.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { isAlone, readMetaNamed, writeMetaNamed } from "../../src/log/meta.ts";
import { STATE_HASH_LEVEL } from "../../src/log/state-hash.ts";
import type { Operation } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { Store } from "../../src/store/store.ts";
import { AppliedFleet, applyOn, OPERATIONS } from "../kit/applied-fleet.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const MINUTE = 60_000;
const INTERNAL = [
  "fleet_begin",
  "fleet_member_join",
  "fleet_member_update",
  "fleet_member_forget",
  "fleet_level_raise",
  "fleet_observe",
];
const IDEMPOTENT = [
  ...["fleet_member_approve", "fleet_member_promote", "fleet_profile_set", "fleet_settings_set"],
  ...["node_log_levels", "node_reload"],
];
const DESTRUCTIVE = ["fleet_member_remove", "fleet_settings_set", "fleet_leave"];

describe("the begin of a fleet", () => {
  test("makes its first member central, and no change: the store stays one that no one wrote to", () => {
    const fleet = new AppliedFleet().begin();
    expect(fleet.members()).toEqual(["n1 s1 central active"]);
    expect(fleet.state.seq).toBe(0);
    expect(isAlone(fleet.store.reader)).toBe(true);
  });

  test("gives the only member another device, and refuses where there are others", () => {
    const fleet = new AppliedFleet().begin("n1").begin("n2");
    expect(fleet.members()).toEqual(["n2 s1 central active"]);
    fleet.join("n3", { ticket: fleet.ticket("regional") });
    expect(
      fleet.run("fleet_begin", {
        fleet: "x",
        profile: "lan",
        node: "n4",
        server: "s1",
        name: "one",
        version: "1",
        level: KNOWN_LEVEL,
      }),
    ).toMatchObject({ fault: "data_exists" });
  });

  /** The feed: `target outcome` of each change after a seq. */
  const changesOf = (fleet: AppliedFleet, after: number) =>
    fleet.store.reader
      .all<{ text: string }>("SELECT target || ' ' || outcome AS text FROM changes WHERE seq > ? ORDER BY seq", after)
      .map(({ text }) => text);
  const beginAs = (fleet: AppliedFleet, node: string, server: string) =>
    fleet.run("fleet_begin", {
      ...{ fleet: "x", profile: "lan", node, server, name: "one", version: "1", level: KNOWN_LEVEL },
    });

  test("of one member is its own again by its device or its server, and by nothing else", () => {
    const fleet = new AppliedFleet().begin();
    fleet.nowMs += MINUTE;
    const joined = () => fleet.store.reader.get<{ joined_at: number }>("SELECT joined_at FROM members")?.joined_at;
    expect(beginAs(fleet, "n4", "s4")).toMatchObject({ fault: "data_exists" });
    expect(beginAs(fleet, "n1", "s-new")).toEqual({ begun: false });
    expect([fleet.members(), fleet.state.seq, joined()]).toEqual([
      ["n1 s-new central active"],
      0,
      fleet.nowMs - MINUTE,
    ]);
    // Its name and profile stay, an edge is no second full member.
    fleet.join("n5", { server: "", role: "edge", granted: ["edge"] });
    expect(beginAs(fleet, "n2", "s-new")).toEqual({ begun: false });
    expect([fleetValue(fleet.store.reader, "fleet_name"), fleetValue(fleet.store.reader, "fleet_profile")]).toEqual([
      "home",
      "home",
    ]);
    expect(beginAs(new AppliedFleet(), "n1", "s1")).toEqual({ begun: true });
  });

  test.each([
    [STATE_HASH_LEVEL, ["fleet/members/n1 removed", "fleet/members/n2 begun", "fleet/members/n2 begun"]],
    [STATE_HASH_LEVEL - 1, []],
  ])("in a store that was written to is a change of the feed from the level on that hashes it: %d", (level, feed) => {
    const fleet = new AppliedFleet(level).begin();
    fleet.run("context_put", { id: "a/x", content: 1 });
    const { seq } = fleet.state;
    beginAs(fleet, "n2", "s1");
    beginAs(fleet, "n2", "s-new");
    expect(changesOf(fleet, seq)).toEqual(feed);
  });
});

test("only nodes propose the commands by which they keep the tables, and clients know what repeats and destroys", () => {
  const fleet = operationsOf(
    [fleetFeature],
    new Services().provide(PENDING, () => []),
  );
  const named = (is: (operation: Operation) => boolean | undefined) =>
    fleet.filter((operation) => is(operation) === true).map(({ name }) => name);
  expect(named((operation) => operation.kind === "write" && operation.internal)).toEqual(INTERNAL);
  expect(named(({ hints }) => hints?.idempotent)).toEqual(IDEMPOTENT);
  expect(named(({ hints }) => hints?.destructive)).toEqual(DESTRUCTIVE);
});

describe("a join", () => {
  test("by a ticket has the ticket's role, and ends the store's being alone", () => {
    const fleet = new AppliedFleet().begin();
    expect(fleet.join("n2", { ticket: fleet.ticket("regional") })).toMatchObject({
      role: "regional",
      outcome: "joined",
    });
    expect(fleet.members()).toEqual(["n1 s1 central active", "n2 s-n2 regional active"]);
    expect(isAlone(fleet.store.reader)).toBe(false);
  });

  test("uses a ticket once", () => {
    const fleet = new AppliedFleet().begin();
    const ticket = fleet.ticket("regional");
    fleet.join("n2", { ticket });
    expect(fleet.join("n3", { ticket })).toMatchObject({ fault: "join_refused", reason: "ticket_used" });
    // The same device again, whose answer was lost, is in already.
    expect(fleet.join("n2", { ticket })).toMatchObject({ outcome: "member" });
  });

  test.each([
    [
      "late",
      "ticket_expired",
      (fleet: AppliedFleet) => {
        const ticket = fleet.ticket("regional");
        fleet.nowMs += 15 * MINUTE;
        return fleet.join("n2", { ticket });
      },
    ],
    ["with an unknown ticket", "ticket_unknown", (fleet: AppliedFleet) => fleet.join("n2", { ticket: hashOf("x") })],
    [
      "with the ticket of another device",
      "ticket_other_node",
      (fleet: AppliedFleet) => fleet.join("n2", { ticket: fleet.ticket("regional", { node: "n9" }) }),
    ],
    [
      "as more than the ticket says",
      "ticket_other_role",
      (fleet: AppliedFleet) => fleet.join("n2", { ticket: fleet.ticket("regional"), role: "central" }),
    ],
    [
      "to a fleet with another id",
      "other_fleet",
      (fleet: AppliedFleet) => fleet.join("n2", { ticket: fleet.ticket("regional"), fleet: "0".repeat(32) }),
    ],
    ["with nothing", "needs_approval", (fleet: AppliedFleet) => fleet.join("n2")],
    [
      "as central by a grant",
      "needs_approval",
      (fleet: AppliedFleet) => fleet.join("n2", { role: "central", granted: ["edge"] }),
    ],
    [
      "as central by a grant that says so",
      "needs_approval",
      (fleet: AppliedFleet) => fleet.join("n2", { role: "central", granted: ["central"] }),
    ],
  ] as const)("%s is refused: %s", (_, reason, run) => {
    const fleet = new AppliedFleet().begin();
    expect(run(fleet)).toMatchObject({ fault: "join_refused", reason });
    expect(fleet.members()).toEqual(["n1 s1 central active"]);
  });

  test("with a build that does not know the fleet's level is refused: too_old", () => {
    const fleet = new AppliedFleet().begin();
    const operation = OPERATIONS.find(({ name }) => name === "fleet_member_join");
    if (operation?.kind !== "write") throw new Error("no join");
    const self = { fleet: fleet.fleetId, node: "n2", server: "s2", name: "two", version: "1", granted: [] };
    const joinAt = (level: number) => () =>
      fleet.store.transaction((tx) => {
        tx.run("UPDATE meta SET value = ? WHERE key = 'fleet_level'", KNOWN_LEVEL + 1);
        const command = operation.prepare(operation.input.parse({ ...self, level }), DEFAULT_WRITE_LIMITS);
        operation.apply(tx, command, {
          timeMs: fleet.nowMs,
          caller: "node",
          via: "",
          seq: 1,
          level: KNOWN_LEVEL,
          work: new Work(),
        });
      });
    expect(joinAt(KNOWN_LEVEL)).toThrow(
      `Its build knows levels up to ${KNOWN_LEVEL}, and this fleet is at ${KNOWN_LEVEL + 1}`,
    );
    expect(joinAt(KNOWN_LEVEL + 1)).toThrow("is not approved");
  });

  test("a ticket counts to the last moment of its 15 minutes", () => {
    const fleet = new AppliedFleet().begin();
    const ticket = fleet.ticket("regional");
    fleet.nowMs += 15 * MINUTE - 1;
    expect(fleet.join("n2", { ticket })).toMatchObject({ outcome: "joined" });
  });

  test("by a grant is for edges, which have no server", () => {
    const fleet = new AppliedFleet().begin();
    expect(fleet.join("n2", { server: "", role: "edge", granted: ["edge"] })).toMatchObject({
      role: "edge",
      spaces: ["*"],
    });
    expect(fleet.members()).toContain("n2  edge active");
    expect(isAlone(fleet.store.reader)).toBe(true);
  });

  test("by an approval has its role, once", () => {
    const fleet = new AppliedFleet().begin();
    fleet.run("fleet_member_approve", { node: "n2", role: "central" });
    expect(fleet.join("n3")).toMatchObject({ reason: "needs_approval" });
    expect(fleet.join("n2")).toMatchObject({ role: "central" });
    fleet.run("fleet_member_remove", { node: "n2" });
    fleet.run("fleet_member_forget", { node: "n2", server: "s-n2" });
    expect(fleet.join("n2")).toMatchObject({ reason: "needs_approval" });
  });

  test("an edge's ticket names what it may keep", () => {
    const fleet = new AppliedFleet().begin();
    const ticket = fleet.ticket("edge", { spaces: ["team-a", "pub-*"] });
    expect(fleet.join("n2", { server: "", ticket })).toMatchObject({ role: "edge", spaces: ["team-a", "pub-*"] });
  });

  test("what could be no space is refused as one that an edge keeps", () => {
    for (const good of ["team-a", "docs-*", "*", "a.b~c:d@e"]) expect(spaceList.safeParse([good]).success).toBe(true);
    for (const bad of ["a/b", "two words", "", "line\n"]) expect(spaceList.safeParse([bad]).success).toBe(false);
  });

  test("a full node cannot use the approval of an edge, and it stays good", () => {
    const fleet = new AppliedFleet().begin();
    fleet.run("fleet_member_approve", { node: "n2", role: "edge" });
    expect(fleet.join("n2")).toMatchObject({ fault: "invalid_input" });
    expect(fleet.join("n2", { server: "" })).toMatchObject({ role: "edge" });
  });
});

describe("coming back", () => {
  test("a wiped disk: the device is in again with its new server, and keeps its role", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("central") });
    expect(fleet.join("n2", { server: "s-new", role: "regional" })).toMatchObject({
      role: "central",
      outcome: "rejoined",
    });
    expect(fleet.members()).toContain("n2 s-new central active");
  });

  test("a wiped disk and tailnet state: another device, which needs a ticket or an approval", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("central") });
    expect(fleet.join("n2b", { name: "n2" })).toMatchObject({ reason: "needs_approval" });
  });

  test("a copied folder: its server is another device's", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("central") });
    expect(fleet.join("n3", { server: "s-n2", ticket: fleet.ticket("central") })).toMatchObject({
      reason: "server_of_another",
    });
  });

  test("an edge does not become a full member without a ticket", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { server: "", role: "edge", granted: ["edge"] });
    expect(fleet.join("n2", { server: "s2", role: "regional", granted: ["edge"] })).toMatchObject({
      reason: "needs_approval",
    });
    expect(fleet.join("n2", { server: "s2", ticket: fleet.ticket("regional") })).toMatchObject({ role: "regional" });
  });
});

describe("promotion and leaving", () => {
  test("regional becomes central, an edge does not", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("regional") });
    fleet.join("n3", { server: "", ticket: fleet.ticket("edge") });
    expect(fleet.run("fleet_member_promote", { node: "n2" })).toEqual({ node: "n2", role: "central" });
    expect(fleet.run("fleet_member_promote", { node: "n3" })).toMatchObject({ fault: "invalid_input" });
    expect(fleet.run("fleet_member_promote", { node: "n9" })).toMatchObject({ fault: "not_found" });
  });

  test("the only central stays; another one leaves in two steps, and then the last one is alone again", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("regional") });
    expect(fleet.run("fleet_member_remove", { node: "n1" })).toMatchObject({ fault: "last_voter" });
    fleet.run("fleet_member_promote", { node: "n2" });
    expect(fleet.run("fleet_member_remove", { node: "n1" })).toMatchObject({ state: "leaving" });
    expect(fleet.join("n1", { server: "s1" })).toMatchObject({ reason: "leaving" });
    expect(fleet.run("fleet_member_remove", { node: "n2" })).toMatchObject({ fault: "last_voter" });
    expect(fleet.run("fleet_member_forget", { node: "n1", server: "other" })).toEqual({ forgotten: false });
    expect(fleet.run("fleet_member_forget", { node: "n1", server: "s1" })).toEqual({ forgotten: true });
    expect(fleet.members()).toEqual(["n2 s-n2 central active"]);
    expect(isAlone(fleet.store.reader)).toBe(true);
  });

  test("done again changes nothing more", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("central") });
    const { seq } = fleet.state;
    expect(fleet.run("fleet_member_promote", { node: "n2" })).toEqual({ node: "n2", role: "central" });
    fleet.run("fleet_profile_set", { profile: "home" });
    expect(fleet.state.seq).toBe(seq);
    for (const leaves of [1, 2]) {
      expect(fleet.run("fleet_member_remove", { node: "n2" }), `time ${leaves}`).toMatchObject({ state: "leaving" });
      expect(fleet.state.seq).toBe(seq + 1);
    }
    expect(fleet.run("fleet_member_promote", { node: "n2" })).toMatchObject({ fault: "invalid_input" });
    expect(fleet.run("fleet_member_forget", { node: "n2", server: "other" })).toEqual({ forgotten: false });
    expect([fleet.state.seq, isAlone(fleet.store.reader)]).toEqual([seq + 1, false]);
    expect(fleet.run("fleet_member_forget", { node: "n2", server: "s-n2" })).toEqual({ forgotten: true });
    expect(fleet.state.seq).toBe(seq + 2);
  });

  test("what changes the members moves their revision, and nothing else does", () => {
    const fleet = new AppliedFleet().begin();
    const revision = () => fleetRevision(fleet.store.reader);
    fleet.join("n2", { ticket: fleet.ticket("central") });
    const member = { node: "n2", name: "two", version: "2", level: KNOWN_LEVEL };
    for (const [name, input] of [
      ["fleet_member_update", member],
      ["fleet_member_remove", { node: "n2" }],
      ["fleet_member_forget", { node: "n2", server: "s-n2" }],
      ["fleet_profile_set", { profile: "wan" }],
    ] as const) {
      const before = revision();
      fleet.run(name, input);
      expect(revision(), name).toBe(before + 1);
    }
    const before = revision();
    fleet.run("fleet_member_forget", { node: "n2", server: "s-n2" });
    fleet.run("fleet_profile_set", { profile: "wan" });
    expect(revision()).toBe(before);
    expect(fleet.run("fleet_member_update", member)).toEqual({ updated: false });
  });

  test("an edge is gone at once", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { server: "", ticket: fleet.ticket("edge") });
    expect(fleet.run("fleet_member_remove", { node: "n2" })).toMatchObject({ state: "removed" });
    expect(fleet.members()).toEqual(["n1 s1 central active"]);
  });
});

describe("level, profile, bounds", () => {
  test("the level rises by one, when every full member knows it", () => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("regional"), level: KNOWN_LEVEL + 1 });
    fleet.join("n3", { server: "", ticket: fleet.ticket("edge") });
    expect(fleet.run("fleet_level_raise", { level: KNOWN_LEVEL + 1 })).toEqual({ level: KNOWN_LEVEL });
    fleet.run("fleet_member_update", { node: "n1", name: "uno", version: "2", level: KNOWN_LEVEL + 2 });
    expect(fleet.run("fleet_level_raise", { level: KNOWN_LEVEL + 2 })).toEqual({ level: KNOWN_LEVEL });
    // All say that they know it; a build that does not, such as this one, stops instead of going on blindly.
    expect(() => fleet.run("fleet_level_raise", { level: KNOWN_LEVEL + 1 })).toThrow(`fleet level ${KNOWN_LEVEL + 1}`);
  });

  test("each raise is by one, and the first key of a fleet stays its key", () => {
    const keyed = { key: "a".repeat(64) };
    const start = (level: number) => {
      const fleet = new AppliedFleet(level).begin();
      // As a build from before such keys left it.
      fleet.store.transaction((tx) => writeMetaNamed(tx, "key:", fleet.fleetId, undefined));
      return {
        key: () => readMetaNamed(fleet.store.reader, "key:", fleet.fleetId),
        raise: (to: number, more = {}) => fleet.run("fleet_level_raise", { level: to, ...more })["level"],
      };
    };
    const fleet = start(KNOWN_LEVEL - 2);
    expect([fleet.raise(KNOWN_LEVEL, keyed), fleet.key()]).toEqual([KNOWN_LEVEL - 2, undefined]);
    expect([fleet.raise(KNOWN_LEVEL - 1, keyed), fleet.key()]).toEqual([KNOWN_LEVEL - 1, keyed.key]);
    expect([fleet.raise(KNOWN_LEVEL, { key: "b".repeat(64) }), fleet.key()]).toEqual([KNOWN_LEVEL, keyed.key]);
    expect(fleet.raise(KNOWN_LEVEL)).toBe(KNOWN_LEVEL);
    const late = start(KNOWN_LEVEL - 1);
    expect([late.raise(KNOWN_LEVEL), late.key()]).toEqual([KNOWN_LEVEL, undefined]);
  });

  test("tickets are bounded, and expired ones make room", () => {
    const fleet = new AppliedFleet().begin();
    for (let count = 0; count < 64; count += 1) fleet.ticket("edge");
    const more = { hash: hashOf(drawSecret()), role: "edge" };
    expect(fleet.run("fleet_ticket_create", more)).toMatchObject({ fault: "rate_limited" });
    fleet.nowMs += 15 * MINUTE;
    expect(fleet.run("fleet_ticket_create", more)).toMatchObject({ role: "edge" });
  });
});

test("replayed on a copy of the store, however cut into entries, everything ends the same", () => {
  const fleet = new AppliedFleet();
  const twin = temporaryFolder();
  Store.open({ folder: twin, migrations: MIGRATIONS, log: () => {} }).close();
  fleet.store.close();
  copyFileSync(join(fleet.folder, "1", "cairn.db"), join(twin, "1", "cairn.db"));
  const [first, second] = [fleet.folder, twin].map((folder) =>
    Store.open({ folder, migrations: MIGRATIONS, log: () => {} }),
  );
  if (first === undefined || second === undefined) throw new Error("no stores");
  Object.assign(fleet, { store: first });
  fleet.begin();
  fleet.run("fleet_settings_set", { name: "events.own", value: "*" });
  const ticket = fleet.ticket("regional");
  fleet.join("n2", { ticket });
  fleet.join("n3", { ticket });
  fleet.run("fleet_member_approve", { node: "n3", role: "central" });
  fleet.join("n3", { level: KNOWN_LEVEL });
  fleet.run("fleet_member_promote", { node: "n2" });
  fleet.nowMs += MINUTE;
  fleet.join("n2", { server: "s-other" });
  fleet.run("fleet_profile_set", { profile: "wan" });
  fleet.run("fleet_observe", { observed: [{ target: "fleet/health/n3", value: "down", outcome: "down" }] }, "node");
  fleet.run("fleet_member_remove", { node: "n3" });
  fleet.run("fleet_member_forget", { node: "n3", server: "s-n3" });

  let state = openHistory(second);
  const early = fleet.commands.filter(({ stampMs }) => stampMs < fleet.nowMs);
  const late = fleet.commands.filter(({ stampMs }) => stampMs === fleet.nowMs);
  for (const part of [early, late]) {
    const applied = applyOn(
      second,
      state,
      part[0]?.stampMs ?? 0,
      part.map(({ command }) => command),
    );
    state = { ...state, ...applied.state };
  }
  const tables = DIGEST_TABLES;
  expect(fleet.members()).toEqual(["n1 s1 central active", "n2 s-other central active"]);
  const types = second.reader.all<{ type: string }>("SELECT type FROM events ORDER BY offset").map(({ type }) => type);
  expect(types.slice(-3)).toEqual(["cairn.member.down", "cairn.member.changed", "cairn.member.changed"]);
  expect(digestOf(second.reader, tables)).toBe(digestOf(first.reader, tables));
});
