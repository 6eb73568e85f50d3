// Jobs: the queue, claims and their fences, attempts, keys, rights, and what is kept of ended ones.

import { Database } from "bun:sqlite";
import { expect, spyOn, test } from "bun:test";
import { ACTION } from "../../src/features/job/action.ts";
import { MAX_ENDED, readyActions, readyJobs } from "../../src/features/job/queue.ts";
import { openJobs } from "../../src/features/job/rule-fire.ts";
import { PEOPLE, startJobs } from "../kit/jobs.ts";

test("a job is started once by its key, claimed, reported on and finished", async () => {
  await using node = startJobs();
  await node.declareAction("review", {
    parameters: { file: { type: "string" }, deep: { type: "boolean", default: false } },
  });
  const input = { input: { file: "a.ts" }, idempotency_key: "k-1" };
  const job = await node.start("review", input);
  expect(await node.start("review", input)).toEqual(job);
  expect(job).toMatchObject({ state: "queued", attempt: 0, waits_for: "worker" });
  const claimed = await node.claim("other", "review");
  expect(claimed).toMatchObject({ id: job.id, attempt: 1, input: { file: "a.ts", deep: false } });
  expect(await node.claim("review")).toBeUndefined();
  const { fence = "" } = claimed ?? {};
  const beat = { id: job.id, fence, progress: "half", checkpoint: "line 40" };
  expect(await node.as("bob", "job_heartbeat", beat)).toMatchObject({ cancel: false, safe_seconds: 57 });
  expect(await node.get(job.id)).toMatchObject({ job: { state: "running" }, progress: "half", checkpoint: "line 40" });
  const waited = node.as("ray", "job_wait", { id: job.id, timeout_seconds: 5 });
  await node.as("bob", "job_finish", { id: job.id, fence, outcome: "succeeded", result: "fine" });
  expect(await waited).toMatchObject({ ended: true, timed_out: false, result: "fine", job: { state: "succeeded" } });
  expect(node.outcomes(job.id)).toEqual(["queued", "claimed", "started", "checkpoint", "succeeded"]);
  expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
});

test("a claim that is not kept goes to another attempt, and the late worker is refused by its fence", async () => {
  await using node = startJobs();
  await node.declareAction("review", { attempts: 3, backoff: 10, claim: 60 });
  const job = await node.start("review");
  const first = await node.claim("review");
  await node.as("bob", "job_heartbeat", { id: job.id, fence: first?.fence, checkpoint: "half" });
  await node.pass(59);
  expect((await node.get(job.id)).job.state).toBe("running");
  // A new leader knows no heartbeats, and gives a whole term.
  node.leadAnew();
  await node.pass(59);
  expect((await node.get(job.id)).job.state).toBe("running");
  await node.pass(2);
  expect((await node.get(job.id)).job).toMatchObject({
    state: "queued",
    waits_for: "time",
    error: expect.stringContaining("lost"),
  });
  const late = { id: job.id, fence: first?.fence, outcome: "succeeded" };
  await expect(node.as("bob", "job_finish", late)).rejects.toMatchObject({ code: "lease_lost" });
  expect(await node.claim("review")).toBeUndefined();
  await node.pass(10);
  const second = await node.claim("review");
  expect(second).toMatchObject({ attempt: 2, checkpoint: "half" });
  await expect(node.as("bob", "job_finish", late)).rejects.toMatchObject({ code: "lease_lost" });
  await expect(node.as("bob", "job_heartbeat", { id: job.id, fence: first?.fence })).rejects.toMatchObject({
    code: "lease_lost",
  });
  // A write that carries the fence of the attempt before is refused in apply.
  const put = { id: "team/out", content: "x" };
  await expect(node.as("bob", "context_put", { ...put, fence: first?.fence })).rejects.toMatchObject({
    code: "fence_stale",
  });
  await node.as("bob", "context_put", { ...put, fence: second?.fence });
  await node.as("bob", "job_finish", { id: job.id, fence: second?.fence, outcome: "failed", error: "no disk" });
  await node.pass(19);
  expect(await node.claim("review")).toBeUndefined();
  await node.pass(1);
  const third = await node.claim("review");
  expect(await node.as("bob", "job_finish", { id: job.id, fence: third?.fence, outcome: "failed" })).toEqual({
    id: job.id,
    state: "dead",
  });
  expect(await node.as("ann", "job_redrive", { id: job.id })).toMatchObject({ state: "queued", attempt: 0 });
  const last = await node.claim("review");
  const final = { id: job.id, fence: last?.fence, outcome: "failed", final: true };
  expect(await node.as("bob", "job_finish", final)).toMatchObject({ state: "failed" });
  await expect(node.as("bob", "context_put", { ...put, fence: last?.fence })).rejects.toMatchObject({
    code: "fence_stale",
  });
  expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
});

test("a heartbeat gives a whole term from its arrival", async () => {
  await using node = startJobs();
  await node.declareAction("review", { claim: 60 });
  const job = await node.start("review");
  const claimed = await node.claim("review");
  await node.pass(1);
  for (let beat = 0; beat < 3; beat += 1) {
    await node.pass(50);
    await node.as("bob", "job_heartbeat", { id: job.id, fence: claimed?.fence });
  }
  expect((await node.get(job.id)).job.state).toBe("running");
  await node.pass(61);
  expect((await node.get(job.id)).job.state).toBe("dead");
});

test("priority decides, then age; a time to come is waited for", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const low = await node.start("review", { priority: -5 });
  const old = await node.start("review");
  const high = await node.start("review", { priority: 5, delay_seconds: 60 });
  const at = new Date(node.nowMs() + 30_000).toISOString();
  const timed = await node.start("review", { priority: 3, run_at: at });
  const order: (string | undefined)[] = [(await node.claim("review"))?.id];
  await node.pass(30);
  order.push((await node.claim("review"))?.id);
  await node.pass(30);
  order.push((await node.claim("review"))?.id, (await node.claim("review"))?.id, (await node.claim("review"))?.id);
  expect(order).toEqual([old.id, timed.id, high.id, low.id, undefined]);
});

test("of the jobs with one key one is done at a time, the first by order, whatever becomes of it", async () => {
  await using node = startJobs();
  await node.declareAction("review", { backoff: 0, attempts: 2 });
  const [a, b, c] = [
    await node.start("review", { concurrency_key: "gpu" }),
    await node.start("review", { concurrency_key: "gpu" }),
    await node.start("review", { concurrency_key: "gpu", priority: 9 }),
  ];
  const free = await node.start("review", { concurrency_key: "cpu", priority: -9 });
  const first = await node.claim("review");
  expect(first?.id).toBe(c?.id as string);
  expect((await node.claim("review"))?.id).toBe(free.id);
  expect(await node.claim("review")).toBeUndefined();
  expect((await node.get(a?.id ?? "")).job.waits_for).toBe("key");
  // Failed, it is ready again, and before the others by its priority.
  await node.as("bob", "job_finish", { id: c?.id, fence: first?.fence, outcome: "failed" });
  const again = await node.claim("review");
  expect(again?.id).toBe(c?.id as string);
  expect(await node.claim("review")).toBeUndefined();
  await node.as("bob", "job_finish", { id: c?.id, fence: again?.fence, outcome: "succeeded" });
  // One in line that is cancelled leaves it.
  await node.as("ann", "job_cancel", { id: a?.id });
  expect((await node.claim("review"))?.id).toBe(b?.id as string);
});

test("a job in the queue is cancelled at once, of one that runs the worker is told", async () => {
  await using node = startJobs();
  await node.declareAction("review", { attempts: 5 });
  const queued = await node.start("review");
  expect(await node.as("ann", "job_cancel", { id: queued.id })).toMatchObject({ state: "cancelled" });
  const job = await node.start("review");
  const claimed = await node.claim("review");
  expect(claimed?.id).toBe(job.id);
  expect(await node.as("ann", "job_cancel", { id: job.id })).toMatchObject({ state: "claimed", cancelling: true });
  expect(await node.as("bob", "job_heartbeat", { id: job.id, fence: claimed?.fence })).toMatchObject({ cancel: true });
  await node.as("bob", "job_finish", { id: job.id, fence: claimed?.fence, outcome: "failed", error: "stopped" });
  expect((await node.get(job.id)).job).toMatchObject({ state: "cancelled", error: "stopped" });
  expect(await node.as("ann", "job_cancel", { id: job.id })).toMatchObject({ state: "cancelled" });
  // A worker that is never heard again does not keep a cancelled job.
  const lost = await node.start("review");
  await node.claim("review");
  await node.as("ann", "job_cancel", { id: lost.id });
  await node.pass(1);
  await node.pass(61);
  expect((await node.get(lost.id)).job.state).toBe("cancelled");
});

test("wrong input is refused in every field, with its name", async () => {
  await using node = startJobs();
  await node.declareAction("mix", {
    parameters: {
      name: { type: "string", characters: "name", max_length: 5 },
      line: { type: "string", optional: true },
      count: { type: "integer", min: 1, max: 9, default: 3 },
      ratio: { type: "number", optional: true },
      mode: { type: "string", one_of: ["a", "b"], default: "a" },
      dry: { type: "boolean", default: true },
    },
    argv: ["tool", "{line}", "--name={name}", "{count}"],
  });
  const wrong: [Record<string, unknown>, string][] = [
    [{}, "name is missing"],
    [{ name: "a/b" }, "name is not of letters"],
    [{ name: "abcdef" }, "more than 5 characters"],
    [{ name: 5 }, "name is no text"],
    [{ name: "a", line: "x\ny" }, "control characters"],
    [{ name: "a", line: "x\0" }, "NUL"],
    [{ name: "a", line: "-rf" }, "begins with -"],
    [{ name: "a", count: 0 }, "less than 1"],
    [{ name: "a", count: 10 }, "more than 9"],
    [{ name: "a", count: 1.5 }, "no whole number"],
    [{ name: "a", count: "2" }, "count is no number"],
    [{ name: "a", ratio: "x" }, "ratio is no number"],
    [{ name: "a", mode: "c" }, "none of a, b"],
    [{ name: "a", dry: "yes" }, "not true or false"],
    [{ name: "a", other: 1 }, "other is no parameter"],
  ];
  for (const [input, text] of wrong)
    await expect(node.start("mix", { input })).rejects.toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining(text),
    });
  await expect(node.start("none")).rejects.toMatchObject({ code: "not_found" });
  await expect(
    node.start("mix", { input: { name: "a" }, run_at: "2027-01-01T00:00:00Z", delay_seconds: 1 }),
  ).rejects.toMatchObject({ code: "invalid_input" });
  await expect(node.as("ann", "job_start", { action: "mix", space: "fleet" })).rejects.toMatchObject({
    code: "forbidden",
  });
  expect(await node.start("mix", { input: { name: "a" } })).toMatchObject({ runs: "member" });
});

test("a value may begin with - behind --", async () => {
  await using node = startJobs();
  const parameters = { file: { type: "string" } };
  await node.declareAction("before", { parameters, argv: ["rm", "{file}", "--", "x"] });
  await node.declareAction("behind", { parameters, argv: ["rm", "--", "{file}"] });
  const input = { file: "-rf" };
  await expect(node.start("before", { input })).rejects.toMatchObject({ code: "invalid_input" });
  expect(await node.start("behind", { input })).toMatchObject({ state: "queued" });
});

test.each([
  [{ argv: [] }, "argv"],
  [{ argv: ["{file}"], parameters: { file: { type: "string" } } }, "argv.0"],
  [{ argv: ["a", "{none}"] }, "no parameter none"],
  [{ argv: ["a", "{t}"], parameters: { t: { type: "string", characters: "text" } } }, "several lines"],
  [{ parameters: { x: { type: "string", min: 1 } } }, "parameters.x.min and max"],
  [{ parameters: { x: { type: "integer", max_length: 1 } } }, "for strings"],
  [{ parameters: { x: { type: "boolean", one_of: ["a"] } } }, "one_of"],
  [{ parameters: { x: { type: "integer", one_of: ["a"] } } }, 'one_of: "a" is no number'],
  [{ parameters: { x: { type: "integer", min: 3, default: 2 } } }, "default: 2 is less than 3"],
  [{ parameters: { "no-name": { type: "integer" } } }, "no-name"],
  [{ argv: ["a"], where: "somewhere" }, "where"],
  [{ argv: ["a"], environment: ["LD_PRELOAD"] }, "environment"],
  [{ argv: ["a"], secrets: { CAIRN_FENCE: "secret:A" } }, "secrets"],
  [{ argv: ["a"], secrets: { KEY: "plain" } }, "secrets"],
  [{ argv: ["a"], user: "nobody" }, "user needs folder"],
  [{ argv: ["a"], folder: "relative" }, "folder"],
  [{ user: "nobody", folder: "/" }, "need argv"],
  [{ argv: ["a"], attempts: 21 }, "attempts"],
  [{ argv: ["a"], timeout: 0 }, "timeout"],
  [{ argv: ["a"], claim: 4 }, "claim"],
  [{ argv: ["a"], exit_final: [0] }, "exit_final"],
  [{ argv: ["a"], space: "Big" }, "space"],
  [{ argv: ["a"], other: 1 }, "other"],
])("a wrong action is refused: %j", (declared, text) => {
  const parsed = ACTION.schema.safeParse(declared);
  const problem = parsed.success ? ACTION.problem?.(parsed.data, "a") : JSON.stringify(parsed.error.issues);
  expect(problem).toContain(text);
});

test("jobs go by the rights of their space, and a claim by its maker", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const job = await node.start("review");
  for (const [operation, input] of [
    ["job_get", { id: job.id }],
    ["job_list", { space: "team" }],
    ["job_output", { id: job.id }],
    ["job_wait", { id: job.id, timeout_seconds: 0 }],
  ] as const)
    await expect(node.as("zoe", operation, input)).rejects.toMatchObject({ code: "forbidden" });
  expect(await node.as("ray", "job_list", {})).toMatchObject({ jobs: [{ id: job.id }] });
  for (const [operation, input] of [
    ["job_start", { action: "review", space: "team" }],
    ["job_claim", { actions: ["review"], space: "team" }],
    ["job_cancel", { id: job.id }],
    ["job_redrive", { id: job.id }],
  ] as const)
    await expect(node.as("ray", operation, input)).rejects.toMatchObject({ code: "forbidden" });
  const claimed = await node.claim("review");
  const others = { id: job.id, fence: claimed?.fence };
  await expect(node.as("ann", "job_heartbeat", others)).rejects.toMatchObject({ code: "lease_lost" });
  await expect(node.as("ann", "job_finish", { ...others, outcome: "succeeded" })).rejects.toMatchObject({
    code: "lease_lost",
  });
  await expect(
    node.as("bob", "job_finish", { ...others, fence: "team/1-1@1-1", outcome: "succeeded" }),
  ).rejects.toMatchObject({ code: "invalid_input" });
  await expect(node.as("ann", "job_redrive", { id: job.id })).rejects.toMatchObject({ code: "invalid_input" });
  // Agents do not claim what nodes run.
  await node.declareAction("build", { argv: ["true"] });
  await node.start("build");
  expect(await node.claim("build")).toBeUndefined();
  expect(PEOPLE["zoe"]?.grants).toEqual([]);
});

test("ended jobs are forgotten after their time, and the oldest beyond a number at once", async () => {
  await using node = startJobs();
  await node.declareAction("review", { keep: 60 });
  const job = await node.start("review");
  await node.as("ann", "job_cancel", { id: job.id });
  node.store.transaction((tx) => {
    tx.run("UPDATE job_usage SET jobs = ? WHERE kind = 'ended'", MAX_ENDED);
  });
  const next = await node.start("review");
  await node.as("ann", "job_cancel", { id: next.id });
  await expect(node.get(job.id)).rejects.toMatchObject({ code: "not_found" });
  expect((await node.get(next.id)).job.state).toBe("cancelled");
  await node.pass(61);
  await node.log.propose({ name: "job_forget", v: 1, input: {}, caller: "node", via: "", key: "" });
  await expect(node.get(next.id)).rejects.toMatchObject({ code: "not_found" });
  expect(node.store.reader.get("SELECT jobs FROM job_usage WHERE kind = 'caller'")).toBeUndefined();
});

test("an action that gains or loses its program: jobs of both kinds wait, and none is in the way of the other", async () => {
  await using node = startJobs();
  const program = { argv: ["/bin/true"] };
  await node.declareAction("review", program);
  for (let at = 0; at < 10; at += 1) await node.start("review", { priority: 5 });
  await node.declareAction("review");
  const own = await node.start("review");
  expect((await node.claim("review"))?.id).toBe(own.id);
  expect(await node.claim("review")).toBeUndefined();
  await node.declareAction("lint");
  for (let at = 0; at < 10; at += 1) await node.start("lint", { priority: 5 });
  await node.declareAction("lint", program);
  const { id } = await node.start("lint");
  expect(readyActions(node.store.reader).map(({ action }) => action)).toEqual(["lint", "review"]);
  expect(readyJobs(node.store.reader, { runs: "member", space: "team", action: "lint" }, 8)).toMatchObject([{ id }]);
});

test("one caller cannot fill the queue", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const job = await node.start("review");
  node.store.transaction((tx) => {
    tx.run("UPDATE job_usage SET jobs = 50000 WHERE kind = 'caller'");
  });
  await expect(node.start("review")).rejects.toMatchObject({ code: "quota_exceeded" });
  await node.as("bob", "job_start", { action: "review", space: "team" });
  node.store.transaction((tx) => {
    tx.run("UPDATE job_usage SET jobs = 1 WHERE kind = 'caller'");
  });
  await node.as("ann", "job_cancel", { id: job.id });
  await node.start("review");
});

test("what listing and claiming look at does not grow with the queue", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const { id } = await node.start("review", { concurrency_key: "one" });
  const fill = (count: number) =>
    node.store.transaction((tx) => {
      const columns =
        "space, action, runs, priority, attempts, attempt, backoff_ms, timeout_ms, ttl_ms, keep_ms, caller, agent, schedule, created_at, changed_at, worker, worker_agent, boot, claim_n, claim_seq, cancel, expires_at, bytes, seq, output_bytes, output_sha256, error, input, checkpoint, result, output";
      tx.run(
        `INSERT INTO jobs (id, n, number, state, place, concurrency_key, run_at, ${columns})
           WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < ?)
           SELECT 'team/1-' || (1000000 + i), 1, 1000000 + i, 'queued', i % 3, CASE i % 3 WHEN 2 THEN 'one' ELSE '' END,
             CASE i % 3 WHEN 0 THEN 4000000000000 ELSE 1 END, ${columns} FROM jobs, i WHERE id = ?`,
        ...[count, id],
      );
    });
  fill(100_000);
  expect(node.store.reader.get<{ count: number }>("SELECT COUNT(*) AS count FROM jobs")?.count).toBe(100_001);
  // Each plan is a look-up by an index that has the order: no step sorts or walks over the table.
  const seen = new Set<string>();
  let asked = 0;
  const query = Database.prototype.query;
  using _spied = spyOn(Database.prototype, "query").mockImplementation(function (this: Database, sql: string) {
    seen.add(sql);
    asked += 1;
    return query.call(this, sql);
  } as typeof query);
  type Page = { jobs: unknown[]; cursor: string };
  const { jobs, cursor } = (await node.as("ray", "job_list", { state: "queued", limit: 50 })) as Page;
  expect(jobs).toHaveLength(50);
  const next = (await node.as("ray", "job_list", { action: "review", limit: 50, cursor })) as Page;
  expect(next.jobs).toHaveLength(50);
  asked = 0;
  const first = await node.claim("review");
  // As many statements as for a short queue.
  expect(asked).toBeLessThan(80);
  expect(first?.attempt).toBe(1);
  await node.as("bob", "job_finish", { id: first?.id, fence: first?.fence, outcome: "failed" });
  await node.as("ann", "job_cancel", { id });
  expect(readyActions(node.store.reader)).toEqual([]);
  expect(openJobs(node.store.reader, { space: "team", action: "review" }, 1000)).toBe(1000);
  asked = 0;
  await node.start("review");
  expect(asked).toBeLessThan(80);
  const reads = [...seen].filter((sql) => /\bFROM jobs\b/.test(sql));
  expect(reads.length).toBeGreaterThan(8);
  for (const sql of reads) {
    const plan = node.store.reader.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql.replaceAll("?", "1")}`);
    for (const { detail } of plan)
      expect(`${sql}: ${detail}`).toMatch(/: (?:SEARCH jobs USING|SCAN jobs USING (?:COVERING )?INDEX jobs_active)/);
  }
});
