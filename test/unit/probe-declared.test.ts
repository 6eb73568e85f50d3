// How probes are declared: what is wrong in each field, when they are due over changes of the clock, and what a result
// makes of a state.

import { describe, expect, test } from "bun:test";
import { PROBE, probeShape } from "../../src/features/probe/declared.ts";
import { after, beginning, type CheckResult } from "../../src/features/probe/state.ts";
import { firstCheck, inMaintenance, nextCheck } from "../../src/features/probe/timing.ts";
import { judgeValue } from "../../src/operation/judge-declared.ts";

const HTTP = { type: "http", target: "https://example.com/" };
const BEAT = { type: "beat" };
const judged = (value: object, name = "web") => judgeValue(PROBE, name, value as Record<string, unknown>);

test.each<object>([
  PROBE.example,
  {
    ...HTTP,
    headers: { authorization: "Bearer secret:API" },
    expect: { status: [200, "3xx"], json: [{ path: "/a/0", above: 1 }] },
  },
  {
    ...HTTP,
    schedule: { pattern: "*/5 * * * *", timezone: "Europe/Berlin" },
    value: "/total_count",
    depends_on: ["router"],
  },
  { type: "tcp", target: "db.example:5432", tls: true },
  { type: "dns", target: "_sip._tcp.example.com", record: "TXT", expect: { address: "v=spf1" } },
  { type: "ping", target: "pi", where: "all" },
  {
    type: "command",
    command: ["df", "-h"],
    environment: { TOKEN: "secret:API" },
    expect: { exit_code: 1, contains: "x" },
  },
  { ...BEAT, interval: 86_400, grace: 3600, space: "ops" },
])("%j can be declared", (value) => {
  expect(judged(value)).not.toHaveProperty("problem");
});

test.each<[object, string]>([
  [{}, "type is missing"],
  [{ ...HTTP, type: "icmp" }, "type"],
  [{ ...HTTP, target: "ftp://example.com" }, "target: takes https://"],
  [{ ...HTTP, target: "https://user:pw@example.com/" }, "target"],
  [{ ...HTTP, target: `https://example.com/${"x".repeat(2100)}` }, "target"],
  [{ type: "http" }, "target is missing"],
  [{ ...HTTP, network: "lan" }, "network"],
  [{ ...HTTP, tls: "yes" }, "tls"],
  [{ ...HTTP, record: "PTR" }, "record"],
  [{ ...HTTP, headers: { host: "x" } }, "headers"],
  [{ ...HTTP, headers: { "cairn-agent": "x" } }, "headers"],
  [{ ...HTTP, headers: { "x y": "x" } }, "headers"],
  [{ ...HTTP, headers: { x: "a\nb" } }, "headers"],
  [{ ...HTTP, where: "everywhere" }, "where"],
  [{ ...HTTP, where: "label:" }, "where"],
  [{ ...HTTP, interval: 1 }, "interval"],
  [{ ...HTTP, interval: 90_000 }, "interval"],
  [{ ...HTTP, interval: 7.5 }, "interval"],
  [{ ...HTTP, schedule: { pattern: "99 * * * *" } }, "pattern"],
  [{ ...HTTP, schedule: { pattern: "0 0 30 2 *" } }, "never due"],
  [{ ...HTTP, schedule: { pattern: "0 3 * * *", timezone: "Mars/Base" } }, "Mars/Base"],
  [{ ...HTTP, schedule: { pattern: "* * * * * *" } }, "pattern"],
  [{ ...HTTP, retry: 0 }, "retry"],
  [{ ...HTTP, timeout: 61 }, "timeout"],
  [{ ...HTTP, expect: { status: [] } }, "expect.status"],
  [{ ...HTTP, expect: { status: ["6xx"] } }, "expect.status"],
  [{ ...HTTP, expect: { contains: "" } }, "expect.contains"],
  [{ ...HTTP, expect: { json: [{ path: "a.b" }] } }, "expect.json.0.path"],
  [{ ...HTTP, expect: { json: [{ path: "/a~2" }] } }, "expect.json.0.path"],
  [{ ...HTTP, expect: { latency_ms: 0 } }, "expect.latency_ms"],
  [{ ...HTTP, expect: { certificate_days: 400 } }, "expect.certificate_days"],
  [{ ...HTTP, target: "http://example.com", expect: { certificate_days: 7 } }, "http has no certificate"],
  [{ ...HTTP, expect: { address: "1.2.3.4" } }, "expect.address"],
  [{ ...HTTP, expect: { body: "x" } }, "body"],
  [{ ...HTTP, value: "" }, "value"],
  [{ ...HTTP, value: "count" }, "value"],
  [{ ...HTTP, down: 0 }, "down"],
  [{ ...HTTP, up: 21 }, "up"],
  [{ ...HTTP, grace: -1 }, "grace"],
  [{ ...HTTP, depends_on: ["A B"] }, "depends_on"],
  [{ ...HTTP, depends_on: ["web"] }, "depends on itself"],
  [{ ...HTTP, maintenance: [{ pattern: "0 3 * * *" }] }, "maintenance.0.minutes"],
  [{ ...HTTP, maintenance: [{ pattern: "x", minutes: 5 }] }, "pattern"],
  [{ ...HTTP, labels: ["Not A Label"] }, "labels"],
  [{ ...HTTP, space: "Ops" }, "space"],
  [{ ...HTTP, description: "x".repeat(600) }, "description"],
  [{ ...HTTP, colour: "red" }, "colour"],
  [{ type: "tcp", target: "example.com" }, "HOST:PORT"],
  [{ type: "tcp", target: "example.com:70000" }, "HOST:PORT"],
  [{ type: "tcp", target: "mini:5432", network: "tailnet", tls: true }, "encrypted"],
  [{ type: "tcp", target: "example.com:1", headers: {} }, "headers: a probe of the type tcp has none"],
  [{ type: "dns", target: "not a name" }, "target"],
  [{ type: "ping", target: "a b" }, "target"],
  [{ type: "command" }, "command is missing"],
  [{ type: "command", command: [] }, "command"],
  [{ type: "command", command: ["a\nb"] }, "command.0"],
  [{ type: "command", command: ["a\0b"] }, "command.0"],
  [{ type: "command", command: ["a"], target: "x" }, "target"],
  [{ type: "command", command: ["a"], environment: { "A B": "x" } }, "environment"],
  [{ ...HTTP, command: ["a"] }, "command: a probe of the type http has none"],
  [{ ...BEAT, target: "x" }, "has none"],
  [{ ...BEAT, where: "all" }, "beats are counted by the leader"],
  [{ ...BEAT, schedule: { pattern: "0 3 * * *" } }, "schedule"],
  [{ ...BEAT, expect: { latency_ms: 5 } }, "expect.latency_ms"],
])("%j cannot: %s", (value, why) => {
  const found = judged(value);
  expect("problem" in found ? found.problem : "nothing").toContain(why);
});

describe("a schedule", () => {
  const at = (text: string) => Date.parse(text);
  const due = (pattern: string, timezone: string, from: string, count: number) => {
    const probe = probeShape.parse({ ...HTTP, schedule: { pattern, timezone } });
    const times: string[] = [];
    for (let now = firstCheck("web", probe, at(from)); times.length < count; now = nextCheck(probe, false, now))
      times.push(new Date(now).toISOString().slice(0, 16));
    return times;
  };

  // 2026-03-29 and 2026-10-25 in Berlin; 2026-03-08 and 2026-11-01 in New York.
  test.each<[string, string, string, string[]]>([
    ["30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:30"]],
    ["30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]],
    ["30 2 * * *", "America/New_York", "2026-03-07T12:00Z", ["2026-03-08T07:00", "2026-03-09T06:30"]],
    ["30 1 * * *", "America/New_York", "2026-10-31T12:00Z", ["2026-11-01T05:30", "2026-11-02T06:30"]],
    [
      "*/30 * * * *",
      "Europe/Berlin",
      "2026-10-25T00:15Z",
      ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"],
    ],
    ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["2026-10-03T15:30"]],
  ])("%s in %s after %s", (pattern, timezone, from, times) => {
    expect(due(pattern, timezone, from, times.length)).toEqual(times);
  });

  test("a window is open from its beginning for its minutes", () => {
    const { maintenance } = probeShape.parse({
      ...HTTP,
      maintenance: [{ pattern: "0 3 * * 0", timezone: "Europe/Berlin", minutes: 90 }],
    });
    const open = (text: string) => inMaintenance({ maintenance }, at(text));
    expect(["00:59", "01:00", "02:29", "02:31"].map((time) => open(`2026-07-05T${time}:00Z`))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(["01:59", "02:00", "03:29", "03:31"].map((time) => open(`2026-12-06T${time}:00Z`))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test("an interval begins at a moment of its name, and is shorter while the probe is suspect", () => {
    const probe = probeShape.parse({ ...HTTP, interval: 60 });
    const first = firstCheck("web", probe, 0);
    expect(first).toBe(firstCheck("web", probe, 0));
    expect(new Set(["a", "b", "c", "d"].map((name) => firstCheck(name, probe, 0))).size).toBe(4);
    expect(first).toBeLessThan(10_000);
    expect([nextCheck(probe, false, 0), nextCheck(probe, true, 0)]).toEqual([60_000, 10_000]);
  });
});

describe("a result", () => {
  const GOOD: CheckResult = { outcome: "good", cause: "", detail: "ok" };
  const BAD: CheckResult = { outcome: "bad", cause: "service", detail: "no" };
  const BLIND: CheckResult = { outcome: "blind", cause: "network", detail: "cut off" };
  const states = (from: Parameters<typeof beginning>[0], results: CheckResult[], inGrace = false) => {
    let live = beginning(from);
    return results.map((result) => {
      live = after(live, result, { down: 3, up: 2, inGrace });
      return live.state;
    });
  };

  test.each<[Parameters<typeof beginning>[0], CheckResult[], string[]]>([
    ["starting", [GOOD], ["up"]],
    ["starting", [BAD, BAD, BAD], ["suspect", "suspect", "down"]],
    ["up", [BAD, BAD, GOOD, BAD], ["suspect", "suspect", "up", "suspect"]],
    ["down", [GOOD, GOOD], ["down", "up"]],
    ["down", [GOOD, BAD, GOOD, GOOD], ["down", "down", "down", "up"]],
    ["down", [BLIND, BAD, BAD, BAD], ["unknown", "suspect", "suspect", "down"]],
    ["up", [BAD, BAD, BLIND, BAD, BAD], ["suspect", "suspect", "unknown", "suspect", "suspect"]],
    ["unknown", [GOOD, GOOD], ["unknown", "up"]],
    // A new leader counts anew what was suspect.
    ["suspect", [BAD, BAD, BAD], ["suspect", "suspect", "down"]],
  ])("from %s", (from, results, expected) => {
    expect(states(from, results)).toEqual(expected as never);
  });

  test("that is bad does not count in the grace", () => {
    expect(states("starting", [BAD, BAD, BAD, BAD], true)).toEqual(["starting", "starting", "starting", "starting"]);
    expect(states("starting", [BAD, BLIND, GOOD], true)).toEqual(["starting", "unknown", "unknown"]);
  });
});
