// The doctor's judgements on facts that a test machine does not have: little room, a clock that was set back, keys
// about to expire, names that were taken.

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkLibrary, checkModes, judgeClock, judgeDisk } from "../../src/cli/doctor/check-data-folder.ts";
import { checkRunning } from "../../src/cli/doctor/check-node.ts";
import { overall } from "../../src/cli/doctor/finding.ts";
import { openHostPorts } from "../../src/cli/doctor/host-ports.ts";
import { loadSettings } from "../../src/config/load.ts";
import { SETTING_TABLES } from "../../src/features/index.ts";
import type { NodeReport } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { ALONE } from "../kit/fleet-report.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const GIB = 1024 ** 3;
const { settings } = loadSettings({ tables: SETTING_TABLES, env: { HOME: "/nowhere", CAIRN_DATA: "/nowhere/data" } });

const report: NodeReport = {
  status: "ok",
  version: "0.1.0",
  commit: "source",
  uptime_seconds: 1,
  position: "0000000000-1",
  ...ALONE,
  tailnet: {
    engine: "library",
    state: "Running",
    control: "connected",
    name: "cairn.example.ts.net",
    ips: ["100.64.0.1"],
    key_expiry: null,
    https: false,
    funnel_available: false,
  },
  urls: ["http://cairn.example.ts.net"],
  conditions: [],
};

type Condition = NodeReport["conditions"][number];
const condition = (code: string, severity: Condition["severity"]): Condition => ({
  code,
  severity,
  title: "Title",
  text: `text of ${code}`,
  hint: "hint",
  since: "2026-06-01T00:00:00Z",
});

/** Status of each check over a report that differs so. */
function judged(changes: Partial<NodeReport>, tailnet: Partial<NodeReport["tailnet"]> = {}): Record<string, string> {
  const found = checkRunning(
    { ...report, ...changes, tailnet: { ...report.tailnet, ...tailnet } },
    settings,
    undefined,
    NOW,
  );
  for (const { status, hint } of found) expect(hint !== "").toBe(status !== "ok");
  return Object.fromEntries(found.map(({ check, status }) => [check, status]));
}

describe("a running node", () => {
  test("all well", () => {
    expect(judged({})).toEqual({ control: "ok", name: "ok", "key expiry": "ok", grants: "ok", ports: "ok" });
  });

  test("its backups: one is there or due, or a person is asked", () => {
    const none = { at: null, position: null, bytes: null, target: "/b", next: null };
    const at = new Date(NOW - 7_200_000).toISOString();
    const textOf = (backup: NonNullable<NodeReport["backup"]>) =>
      checkRunning({ ...report, backup }, settings, undefined, NOW).find(({ check }) => check === "backup")?.text;
    expect(judged({ backup: none })["backup"]).toBe("warn");
    expect(judged({ backup: { ...none, next: at } })["backup"]).toBe("ok");
    expect(textOf({ ...none, at, position: "0-1", bytes: 1 })).toBe(
      "the last good one is 2 h old, in /b; none is scheduled",
    );
  });

  test.each([
    ["control away", { conditions: [condition("control_unreachable", "warning")] }, {}, "control", "warn"],
    ["a login is wanted", { conditions: [condition("needs_login", "warning")] }, {}, "control", "fail"],
    ["an approval is wanted", { conditions: [condition("needs_approval", "warning")] }, {}, "control", "fail"],
    ["a name that another device has", {}, { name: "cairn-1.example.ts.net" }, "name", "warn"],
    ["a key for ten days", {}, { key_expiry: "2026-06-11T00:00:00Z" }, "key expiry", "warn"],
    ["a key for ninety days", {}, { key_expiry: "2026-09-01T00:00:00Z" }, "key expiry", "ok"],
    ["an expired key", { conditions: [condition("key_expired", "error")] }, {}, "key expiry", "fail"],
    ["a grant worth nothing", { conditions: [condition("grant_invalid", "warning")] }, {}, "grants", "warn"],
    ["a wrong policy file", { conditions: [condition("policy_invalid", "error")] }, {}, "grants", "fail"],
    ["nothing served", { urls: [] }, {}, "ports", "warn"],
    ["any other condition", { conditions: [condition("something_new", "error")] }, {}, "title", "fail"],
  ] as const)("%s", (_name, changes, tailnet, check, status) => {
    expect(
      judged(
        {
          ...changes,
          conditions: [...("conditions" in changes ? changes.conditions : [])],
          urls: [...("urls" in changes ? changes.urls : report.urls)],
        },
        tailnet,
      )[check],
    ).toBe(status);
  });

  test.skipIf(process.platform !== "linux")(
    "a port of the host that is open beyond this machine fails [needs Linux]",
    () => {
      const server = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data() {} } });
      try {
        expect(openHostPorts(process.pid)).toContainEqual({ port: server.port, loopback: false });
        const found = checkRunning(report, settings, process.pid, NOW).find(({ check }) => check === "ports");
        expect(found).toMatchObject({ status: "fail", text: expect.stringContaining(String(server.port)) });
      } finally {
        server.stop(true);
      }
    },
  );
});

test("the disk: refused writes fail, a tenth is a warning", () => {
  const full = new Fault("storage_full", "full", { hint: "Free space." });
  expect(judgeDisk(full, { freeBytes: 0, totalBytes: 10 * GIB })).toMatchObject({
    status: "fail",
    hint: "Free space.",
  });
  expect(judgeDisk(undefined, { freeBytes: 0.9 * GIB, totalBytes: 10 * GIB })).toMatchObject({ status: "warn" });
  expect(judgeDisk(undefined, { freeBytes: 5 * GIB, totalBytes: 10 * GIB })).toMatchObject({ status: "ok", hint: "" });
  expect(judgeDisk(undefined, { freeBytes: 3 * GIB, totalBytes: 1000 * GIB })).toMatchObject({ status: "ok" });
});

test("the clock: a last change in the future", () => {
  expect(judgeClock(NOW - 1000, NOW).status).toBe("ok");
  expect(judgeClock(NOW + 60_000, NOW).status).toBe("warn");
  expect(judgeClock(NOW + 2 * 3_600_000, NOW).status).toBe("fail");
});

test("modes: a file that others can read is named, however deep", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "a", "b"), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "a", "b", "private"), "", { mode: 0o600 });
  expect(checkModes(folder).status).toBe("ok");
  const open = join(folder, "a", "b", "open");
  writeFileSync(open, "");
  Bun.spawnSync({ cmd: ["chmod", "644", open] });
  expect(checkModes(folder)).toMatchObject({ status: "fail", text: expect.stringContaining(`${open} (mode 644)`) });
});

test("the library: only files whose name is a hash are judged", async () => {
  const folder = temporaryFolder();
  expect((await checkLibrary(folder)).status).toBe("ok");
  mkdirSync(join(folder, "lib"));
  writeFileSync(join(folder, "lib", "notes.txt"), "x");
  const right = new Bun.CryptoHasher("sha256").update("x").digest("hex");
  writeFileSync(join(folder, "lib", `${right}.so`), "x");
  expect((await checkLibrary(folder)).status).toBe("ok");
  writeFileSync(join(folder, "lib", `${right}.so`), "y");
  expect((await checkLibrary(folder)).status).toBe("fail");
});

test("the worst finding is the whole", () => {
  const of = (...statuses: ("ok" | "warn" | "fail")[]) =>
    overall(statuses.map((status) => ({ check: "", status, text: "", hint: "" })));
  expect([of(), of("ok"), of("ok", "warn"), of("fail", "warn")]).toEqual(["ok", "ok", "warn", "fail"]);
});
