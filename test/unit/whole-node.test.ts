// What is about the whole node is for callers of all spaces (security.md 17): a reader of one space learns of the rest
// no more than a count, and an operator of one space does nothing to all of them.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { backupOperations } from "../../src/features/backup/operations.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { probeConditions } from "../../src/features/probe/conditions.ts";
import type { NodeReport } from "../../src/fleet/index.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { Services } from "../../src/operation/services.ts";
import { granted, localAdmin, startCore } from "../kit/core.ts";
import { ALONE, statusWith } from "../kit/fleet-report.ts";

const narrow = granted({ role: "admin", spaces: ["team-*", "fleet"] });
const wide = granted({ role: "reader", spaces: ["*"] });

/** Words that stand for what a caller of one space must not see. */
const SECRET = "ann@example.com /srv/cairn team-b";

function report(): NodeReport {
  const part = ALONE;
  const [own] = part.members;
  if (own === undefined) throw new Error("no member");
  return {
    ...part,
    fleet: { ...part.fleet, settings: { "history.spaces": SECRET } },
    members: [{ ...own, position: SECRET, relay: SECRET, lag: 7, round_trip_ms: 7, conditions: [SECRET] }],
    status: "warning",
    version: "1",
    commit: "",
    uptime_seconds: 1,
    position: "0123456789-1",
    tailnet: {
      engine: "loopback",
      state: "",
      control: "",
      name: "",
      ips: [],
      key_expiry: null,
      https: false,
      funnel_available: false,
    },
    backup: { at: null, position: null, bytes: null, target: SECRET, next: null },
    urls: [],
    conditions: [condition],
  };
}

const condition = {
  code: "policy_invalid",
  severity: "warning" as const,
  title: "Policy file invalid",
  text: SECRET,
  hint: "Mend it.",
  since: "2026-01-01T00:00:00.000Z",
};

describe("a caller of some spaces", () => {
  test.each([
    ["some spaces", narrow, false],
    ["all spaces", wide, true],
    ["this machine", localAdmin, true],
  ])("of %s sees details of the node: %#", async (_name, caller: Caller, isWhole) => {
    await using core = startCore({
      operations: [...operationsOf([contextFeature], new Services()), statusWith(async () => report())],
      conditions: [condition],
    });
    const status = await core.call("node_status", {}, caller);
    expect(JSON.stringify(status).includes(SECRET)).toBe(isWhole);
    // Who the members are, and what is wrong, in the words of the table.
    expect(status).toMatchObject({
      members: [{ name: expect.stringMatching(/./), role: "central" }],
      conditions: [{ code: "policy_invalid", title: condition.title, hint: condition.hint }],
    });
    for (const path of ["/health", "/ready"]) {
      const body = await (await core.http(path, {}, caller)).text();
      expect([path, body.includes(SECRET), body.includes("policy_invalid")]).toEqual([path, isWhole, true]);
    }
  });

  test.each([
    ["all spaces", wide, "2 probes are down"],
    ["all spaces, and fleet by its name", granted({ role: "reader", spaces: ["*", "fleet"] }), "web: status 500"],
    ["this machine", localAdmin, "web: status 500"],
    ["some spaces", narrow, ""],
  ])("of %s sees of a condition about named spaces what it may: %#", async (_name, caller: Caller, text) => {
    const conditions = new Conditions(() => {}, Date.now, probeConditions);
    const within = { spaces: ["fleet", "ops", "ops"], plain: "2 probes are down" };
    conditions.of(probeConditions).raise("probe_down", "web: status 500", within);
    await using core = startCore({
      operations: [
        ...operationsOf([contextFeature], new Services()),
        statusWith(async ({ reads }) => ({ ...report(), conditions: conditions.list(reads) })),
      ],
      conditions: (reads) => conditions.list(reads),
    });
    const shown = { conditions: [{ code: "probe_down", text, severity: "warning" }] };
    expect(await core.call("node_status", {}, caller)).toMatchObject(shown);
    for (const path of ["/health", "/ready"])
      expect(await (await core.http(path, {}, caller)).json()).toMatchObject(shown);
    expect(Object.keys(conditions.list()[0] ?? {}).sort()).toEqual(Object.keys(condition).sort());
  });

  test("may not verify the audit of all spaces, nor make, list or fetch backups of them", async () => {
    const backups = backupOperations(new Services());
    expect(backups.map(({ name }) => name)).toEqual(["backup_list", "backup_now", "backup_fetch"]);
    const operations = operationsOf([contextFeature], new Services());
    const whole = [...backups, ...operations.filter(({ name }) => name === "audit_verify")];
    await using core = startCore();
    for (const { name, access } of whole) {
      const spaces = typeof access.spaces === "function" ? access.spaces({}) : access.spaces;
      const judge = (caller: Caller) => () => core.access.judge(caller, { operation: name, verb: access.verb, spaces });
      expect(judge(narrow)).toThrow(
        expect.objectContaining({ code: "forbidden", hint: expect.stringContaining('["*"]') }),
      );
      expect(judge(wide)).toThrow(expect.objectContaining({ code: "forbidden" }));
      expect(judge(granted({ role: "operator", spaces: ["*"] }))).not.toThrow();
    }
    await expect(core.call("audit_verify", {}, narrow)).rejects.toMatchObject({ code: "forbidden" });
    expect(await core.call("audit_verify", {}, granted({ role: "operator", spaces: ["*"] }))).toMatchObject({
      ok: true,
    });
  });
});
