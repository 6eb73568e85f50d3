// The queue of jobs in apply: whose word counts beside a cancellation, fences between two attempts, what is counted of
// texts, and commands of nodes about jobs of agents.

import { expect, test } from "bun:test";
import { jobDispatch } from "../../src/features/job/internal.ts";
import { MAX_ENDED_BYTES } from "../../src/features/job/queue.ts";
import { nodeCommand } from "../../src/log/node-command.ts";
import { startJobs } from "../kit/jobs.ts";

test("work that was done counts beside a cancellation, and what failed is not tried again; a second one says nothing", async () => {
  await using node = startJobs();
  await node.declareAction("review", { attempts: 3, backoff: 0 });
  for (const [outcome, state] of [
    ["succeeded", "succeeded"],
    ["failed", "cancelled"],
  ]) {
    const { id } = await node.start("review");
    const { fence } = (await node.claim("review")) ?? {};
    for (const _ of [1, 2]) expect(await node.as("ann", "job_cancel", { id })).toMatchObject({ cancelling: true });
    expect(await node.as("bob", "job_finish", { id, fence, outcome })).toEqual({ id, state });
    expect(node.outcomes(id)).toEqual(["queued", "claimed", "cancelling", state as string]);
  }
});

test("the fence of an attempt that is over writes nothing, also before the next one begins", async () => {
  await using node = startJobs();
  await node.declareAction("review", { attempts: 2, backoff: 60 });
  const { id } = await node.start("review");
  const { fence } = (await node.claim("review")) ?? {};
  const put = { id: "team/out", content: "x", fence };
  await node.as("bob", "context_put", put);
  expect(await node.as("bob", "job_finish", { id, fence, outcome: "failed" })).toEqual({ id, state: "queued" });
  await expect(node.as("bob", "context_put", put)).rejects.toMatchObject({ code: "fence_stale" });
});

test("a fence of another history is none of the claim", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const { id } = await node.start("review");
  const { fence = "" } = (await node.claim("review")) ?? {};
  const other = { id, fence: fence.replace("@1-", "@2-"), outcome: "succeeded" };
  expect(other.fence).not.toBe(fence);
  await expect(node.as("bob", "job_finish", other)).rejects.toMatchObject({ code: "lease_lost" });
  expect((await node.get(id)).job.state).toBe("claimed");
});

test("a dispatch leaves out jobs that agents do", async () => {
  await using node = startJobs();
  await node.declareAction("review");
  const { id } = await node.start("review");
  await node.log.propose(nodeCommand(jobDispatch, { jobs: [{ id, worker: "n-a", boot: "b" }] }));
  expect((await node.get(id)).job).toMatchObject({ state: "queued", attempt: 0 });
});

test("what is counted is what is kept: checkpoints and results count, and leave with their job", async () => {
  await using node = startJobs();
  await node.declareAction("review", { attempts: 2, backoff: 0 });
  const sums = () => ({
    rows: node.store.reader.all(
      "SELECT iif(place = 4, 'ended', 'open') AS kind, SUM(bytes) AS bytes FROM jobs GROUP BY 1",
    ),
    counted: node.store.reader.all("SELECT kind, bytes FROM job_usage WHERE kind <> 'caller' ORDER BY kind"),
  });
  const areEqual = () => expect(sums().counted).toEqual(sums().rows);
  const { id } = await node.start("review");
  const first = await node.claim("review");
  await node.as("bob", "job_heartbeat", { id, fence: first?.fence, checkpoint: "x".repeat(1000) });
  areEqual();
  await node.as("bob", "job_finish", { id, fence: first?.fence, outcome: "failed", error: "y".repeat(500) });
  areEqual();
  const { fence } = (await node.claim("review")) ?? {};
  await node.as("bob", "job_finish", { id, fence, outcome: "succeeded", result: "z".repeat(5000) });
  areEqual();
  expect(sums().counted).toEqual([{ kind: "ended", bytes: expect.any(Number) }]);
  const of = (kind: string) =>
    node.store.reader.get<{ bytes: number }>("SELECT bytes FROM job_usage WHERE kind = ?", kind);
  expect(of("ended")?.bytes).toBeGreaterThan(2 * 5000);
  // Beyond a number of bytes the first to expire goes.
  node.store.transaction((tx) => {
    tx.run("UPDATE job_usage SET bytes = ? WHERE kind = 'ended'", MAX_ENDED_BYTES);
  });
  const next = await node.start("review");
  await node.as("ann", "job_cancel", { id: next.id });
  await expect(node.get(id)).rejects.toMatchObject({ code: "not_found" });
  expect((await node.get(next.id)).job.state).toBe("cancelled");
});
