// Metrics: the text format, the bound on series, what of a node is counted, who may read it; and what a node says it
// is.

import { expect, test } from "bun:test";
import type { BackupReport } from "../../src/features/backup/index.ts";
import { isCandidate } from "../../src/fleet/index.ts";
import { countCalls, registerGauges } from "../../src/node/report/metrics.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { callerWith, granted, localAdmin, startCore } from "../kit/core.ts";
import { ALONE } from "../kit/fleet-report.ts";

const BACKUPS: BackupReport = {
  schedule: "0 3 * * *",
  next: "2026-01-03T03:00:00.000Z",
  folder: "/b",
  bucket: null,
  running: false,
  last: {
    name: "cairn-mini-0",
    at: "2026-01-02T03:00:00.000Z",
    position: "0000000000-7",
    bytes: 4096,
    contexts: 2,
    in_bucket: false,
  },
  failed: null,
};

test("counters, gauges and histograms are written as Prometheus reads them", () => {
  const metrics = new Metrics();
  const counted = metrics.counter("c_total", 'Help with \\ and\nline and "quotes".', ["a", "b"]);
  counted.add(["x", 'quote " backslash \\ line\n']);
  counted.add(["x", 'quote " backslash \\ line\n'], 2.5);
  metrics.gauge("g", "G.", [], () => [[[], 3]]);
  metrics.gauge("none", "N.", ["l"], () => []);
  const seconds = metrics.histogram("h_seconds", "H.", ["op"], [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(["get"], value);
  expect(metrics.text()).toBe(`# HELP c_total Help with \\\\ and\\nline and "quotes".
# TYPE c_total counter
c_total{a="x",b="quote \\" backslash \\\\ line\\n"} 3.5
# HELP g G.
# TYPE g gauge
g 3
# HELP none N.
# TYPE none gauge
# HELP h_seconds H.
# TYPE h_seconds histogram
h_seconds_bucket{op="get",le="0.1"} 2
h_seconds_bucket{op="get",le="1"} 3
h_seconds_bucket{op="get",le="+Inf"} 4
h_seconds_sum{op="get"} 7.65
h_seconds_count{op="get"} 4
`);
  expect(() => metrics.gauge("g", "again", [], () => [])).toThrow("taken");
  expect(() => metrics.counter("Bad-Name", "", [])).toThrow("not a metric name");
});

test("more label sets than the bound are counted together", () => {
  const metrics = new Metrics();
  const counted = metrics.counter("c_total", "C.", ["who"]);
  for (let index = 0; index < 5000; index++) counted.add([`caller ${index}`]);
  const lines = metrics.text().trim().split("\n").slice(2);
  expect(lines.length).toBe(1001);
  expect(lines.at(-1)).toBe('c_total{who="other"} 4000');
});

test("a node counts calls by operation, surface and code, streams, its store and its conditions; no id and no caller", async () => {
  const conditions = new Conditions(() => {});
  conditions.raise("key_expires_soon", "in a day");
  const metrics = new Metrics();
  await using core = startCore({ onOutcome: countCalls(metrics) });
  const stop = registerGauges(metrics, {
    cache: () => undefined,
    backups: () => BACKUPS,
    fleet: () => ALONE,
    conditions,
    store: core.store,
    invoker: core.invoker,
  });
  try {
    const put = { method: "PUT", body: "1", headers: { "content-type": "application/json" } };
    for (let index = 0; index < 3; index++) await core.http("/contexts/secret-space/secret-id", put);
    await core.http("/contexts/secret-space/none");
    await core.http("/contexts/secret-space/none", {}, callerWith());
    await core.http("/operations/secret-operation", { method: "POST" });
    await core.http("/operations/context_get", {
      method: "POST",
      body: '{"id":1}',
      headers: { "content-type": "application/json" },
    });
    await core.call("context_list", {});
    const stream = await core.http("/changes?feed=sse");
    const text = metrics.text();
    const value = (series: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.split(" ")
          .at(-1),
      );
    expect({
      put: value('cairn_operations_total{operation="context_put",surface="rest",code="ok"}'),
      missing: value('cairn_operations_total{operation="context_get",surface="rest",code="not_found"}'),
      forbidden: value('cairn_operations_total{operation="context_get",surface="rest",code="forbidden"}'),
      invalid: value('cairn_operations_total{operation="context_get",surface="rest",code="invalid_input"}'),
      unknown: value('cairn_operations_total{operation="unknown",surface="rest",code="unknown_operation"}'),
      other: value('cairn_operations_total{operation="context_list",surface="other",code="ok"}'),
      followed: value('cairn_operations_total{operation="context_wait",surface="rest",code="ok"}'),
      backup: value("cairn_backup_last_time_seconds"),
      backupBytes: value("cairn_backup_bytes"),
      durations: value('cairn_operation_duration_seconds_count{operation="context_put",surface="rest"}'),
      streams: value("cairn_streams"),
      position: value("cairn_position_seq"),
      condition: value('cairn_conditions{code="key_expires_soon",severity="warning"}'),
      centrals: value('cairn_fleet_members{role="central"}'),
      voters: value("cairn_fleet_voters"),
      leading: value("cairn_fleet_leading"),
      away: value("cairn_fleet_members_away"),
      fsync: value("cairn_fleet_fsync_seconds"),
    }).toEqual({
      put: 3,
      missing: 1,
      forbidden: 1,
      invalid: 1,
      unknown: 1,
      other: 1,
      followed: 1,
      backup: Date.parse("2026-01-02T03:00:00Z") / 1000,
      backupBytes: 4096,
      durations: 3,
      streams: 1,
      position: 3,
      condition: 1,
      centrals: 1,
      voters: 1,
      leading: 1,
      away: 0,
      fsync: 0.0006,
    });
    expect(text).not.toContain("nSELF");
    // A stream lasts for hours; among durations it would only mislead.
    expect(text).not.toContain('duration_seconds_count{operation="context_wait"');
    for (const name of [
      "cairn_store_bytes",
      "cairn_store_wal_bytes",
      "process_resident_memory_bytes",
      "cairn_heap_bytes",
    ])
      expect([name, value(name) > 0]).toEqual([name, true]);
    expect(value("cairn_event_loop_lag_seconds")).toBeGreaterThanOrEqual(0);
    expect(text).not.toMatch(/secret|alice|nALICE/);
    expect(
      text.split("\n").every((line) => /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{.*\})? [0-9.e+-]+|)$/.test(line)),
    ).toBe(true);
    await stream.body?.cancel();
    expect(metrics.text()).toContain("\ncairn_streams 0\n");
  } finally {
    stop();
  }
});

test("/metrics wants the role reader on *, by that very word; no sum of grants, no glob, no other tool", async () => {
  await using core = startCore();
  const rows: [unknown[], number][] = [
    [[{ role: "reader", spaces: ["*"] }], 200],
    [[{ role: "admin", spaces: ["team", "*"] }], 200],
    [[{ role: "reader", spaces: ["*"], tools: ["metrics"] }], 200],
    [[{ role: "reader", spaces: ["*"], tools: ["context_*"] }], 403],
    [[{ role: "admin", spaces: ["**"] }], 403],
    [[{ role: "admin", spaces: ["a*", "b*"] }], 403],
    [
      [
        { role: "admin", spaces: ["team"] },
        { role: "reader", spaces: ["other"] },
      ],
      403,
    ],
    [[], 403],
  ];
  for (const [grants, status] of rows) {
    const answer = await core.http("/metrics", {}, granted(...grants));
    expect([grants, answer.status]).toEqual([grants, status]);
    if (status === 200) expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  }
  expect((await core.http("/metrics", {}, localAdmin)).status).toBe(200);
});

test("/.well-known/cairn says what the node is to callers with rights, and to those who could join", async () => {
  await using core = startCore({ isCandidate: (caller) => isCandidate(caller, ["tag:cairn"], []) });
  await core.call("context_put", { id: "a", content: 1 });
  const reader = granted({ role: "reader", spaces: ["team"] });
  const position = core.invoker.position();
  expect(await (await core.http("/.well-known/cairn", {}, reader)).json()).toEqual({
    version: "0.0.0-test",
    fleet: "test",
    fleet_id: "f".repeat(32),
    leader: "nLEADER",
    epoch: position.split("-")[0],
    position,
    role: "central",
    surfaces: { rest: "/openapi.json" },
  });
  const tagged = (tag: string) => callerWith({ kind: "tagged", login: "", tags: [tag] });
  expect((await core.http("/.well-known/cairn", {}, tagged("tag:cairn"))).status).toBe(200);
  for (const stranger of [callerWith(), tagged("tag:other"), callerWith({ kind: "shared", own: true })])
    expect((await core.http("/.well-known/cairn", {}, stranger)).status).toBe(403);
  expect((await core.http("/.well-known/cairn?x=1", {}, reader)).status).toBe(400);
});
