// A disk that is full while a program of a job writes: the program goes on, and what is missing is said.

import { expect, mock, test } from "bun:test";
import * as fs from "node:fs";

let isFull = false;
const { writeSync } = fs;
mock.module("node:fs", () => ({
  ...fs,
  writeSync: (...given: Parameters<typeof writeSync>) => {
    if (isFull) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    return writeSync(...given);
  },
}));
const { startWorkers } = await import("../kit/job-workers.ts");

test("a program whose output cannot be kept runs to its end", async () => {
  await using node = startWorkers();
  const script = "i=0; while [ $i -lt 4000 ]; do printf '%099d\\n' $i; i=$((i+1)); done; echo the end";
  await node.declareAction("flood", { argv: ["sh", "-c", script], timeout: 60 });
  isFull = true;
  try {
    const job = await node.start("flood");
    const ended = await node.until(job.id, "succeeded", "dead");
    expect(ended).toMatchObject({ state: "succeeded", error: "its whole output is not kept: its disk is full" });
    expect(ended.output_sha256).toBeUndefined();
    const { output } = (await node.as("ray", "job_output", { id: job.id })) as { output: string };
    expect(output).toEndWith("\nthe end\n");
    expect(node.blobs).toEqual([]);
  } finally {
    isFull = false;
  }
}, 120_000);
