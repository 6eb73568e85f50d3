// The rows of the fleet against the changes that made them: what audit_verify finds of edits from outside.

import { describe, expect, test } from "bun:test";
import { fleetRowProblem } from "../../src/fleet/index.ts";
import { fleetKeys, newFleetKey } from "../../src/log/fleet-key.ts";
import { fleetOf, openHistory } from "../../src/log/history.ts";
import { LatestChanges } from "../../src/log/latest-changes.ts";
import { writeMeta, writeMetaNamed } from "../../src/log/meta.ts";
import { verifyChain } from "../../src/log/verify.ts";
import { AppliedFleet } from "../kit/applied-fleet.ts";

/** The first problem of chain and rows. */
async function auditOf(fleet: AppliedFleet): Promise<string | undefined> {
  const { reader } = fleet.store;
  const latest = new LatestChanges();
  const chain = await verifyChain(reader, fleet.state, new AbortController().signal, (row) => latest.add(row));
  latest.catchUp(reader);
  return chain.problem ?? fleetRowProblem(reader, latest);
}

describe("an edit of the fleet's rows from outside is found:", () => {
  const edits: [string, string, string][] = [
    ["a member with another role", "UPDATE members SET role = 'central' WHERE node = 'n3'", "the member n3 is not as"],
    [
      "a wider edge",
      "UPDATE members SET spaces = char(10) || 'b' || char(10) WHERE node = 'n3'",
      "the member n3 is not",
    ],
    ["another server", "UPDATE members SET server = 'evil' WHERE node = 'n2'", "the member n2 is not as"],
    ["a member that is gone", "DELETE FROM members WHERE node = 'n2'", "the member n2 is not as"],
    [
      "a planted member",
      "INSERT INTO members VALUES ('n9', '', 'evil', 'edge', 'active', '', 3, '1', 1)",
      "the members n9, n1 were added by no change",
    ],
    [
      "a removed member that is back",
      "INSERT INTO members VALUES ('n4', '', 'evil', 'edge', 'active', '', 3, '1', 1)",
      "the member n4 is not as",
    ],
    ["a longer ticket", "UPDATE tickets SET expires_at = expires_at + 1 WHERE used_by = ''", "is not as change"],
    ["a stronger ticket", "UPDATE tickets SET role = 'central' WHERE used_by = ''", "is not as change"],
    [
      "a planted ticket",
      "INSERT INTO tickets VALUES ('ab', 'central', '', '', 99999999999999, 'local', '')",
      "a ticket for the role central was made by no change",
    ],
    [
      "a planted approval",
      "INSERT INTO tickets VALUES ('node:n9', 'central', '', 'n9', 99999999999999, 'local', '')",
      "an approval for the role central was made by no change",
    ],
    ["another profile", "UPDATE meta SET value = 'wan' WHERE key = 'fleet_profile'", "the profile of the fleet"],
    [
      "another setting",
      `UPDATE meta SET value = replace(value, '7', '8') WHERE key = 'fleet_settings'`,
      "max_days of the",
    ],
    ["another edge mode", "UPDATE meta SET value = 'stale' WHERE key = 'edge:run'", "edges may keep a space is not as"],
    ["an edge mode that is gone", "DELETE FROM meta WHERE key = 'edge:run'", "edges may keep a space is not as"],
    ["a planted edge mode", "INSERT INTO meta VALUES ('edge:secret', 'stale')", "edges may keep a space"],
  ];
  test.each(edits)("%s", async (_name, sql, problem) => {
    const fleet = new AppliedFleet().begin();
    fleet.join("n2", { ticket: fleet.ticket("regional") });
    fleet.join("n3", { server: "", ticket: fleet.ticket("edge") });
    fleet.join("n4", { server: "", ticket: fleet.ticket("edge") });
    fleet.run("fleet_member_remove", { node: "n4" });
    fleet.run("fleet_profile_set", { profile: "lan" });
    fleet.run("fleet_settings_set", { name: "history.max_days", value: 7 });
    fleet.run("space_configure", { space: "run", edge: "never" });
    fleet.ticket("edge");
    fleet.run("fleet_member_approve", { node: "n5", role: "edge" });
    expect(await auditOf(fleet)).toBeUndefined();
    fleet.store.transaction((tx) => tx.run(sql));
    expect(await auditOf(fleet)).toContain(problem);
  });
});

test("a fleet from before the state hashes gets a key for its backups with the level, and its rows still verify", async () => {
  const fleet = new AppliedFleet();
  fleet.store.transaction((tx) => {
    writeMeta(tx, { fleet_level: 2 });
    writeMetaNamed(tx, "key:", fleetOf(tx).fleet, undefined);
  });
  fleet.state = openHistory(fleet.store);
  fleet.begin();
  fleet.join("n2", { ticket: fleet.ticket("regional") });
  const key = newFleetKey();
  expect(fleet.run("fleet_level_raise", { level: 3, key })).toEqual({ level: 3 });
  expect([...fleetKeys(fleet.store.reader).values()]).toEqual([key]);
  expect(await auditOf(fleet)).toBeUndefined();
  fleet.run("fleet_member_promote", { node: "n2" });
  expect(await auditOf(fleet)).toBeUndefined();
  fleet.store.transaction((tx) => tx.run("UPDATE members SET role = 'regional' WHERE node = 'n2'"));
  expect(await auditOf(fleet)).toContain("the member n2 is not as change");
});
