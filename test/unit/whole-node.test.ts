// What is about the whole node is for callers of all spaces (security.md 17): a reader of one space learns of the rest
// no more than a count, and an operator of one space does nothing to all of them.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { backupOperations } from "../../src/features/backup/operations.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import type { NodeReport } from "../../src/fleet/index.ts";
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
