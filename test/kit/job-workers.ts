// Nodes with workers over one store and log: real programs under real guards, by the real clock.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ACTION } from "../../src/features/job/action.ts";
import type { AttemptParts } from "../../src/features/job/attempt.ts";
import { jobConditions } from "../../src/features/job/conditions.ts";
import { Dispatcher } from "../../src/features/job/dispatch.ts";
import { LIVE_OUTPUT } from "../../src/features/job/live.ts";
import { OFFERS, Offers } from "../../src/features/job/offer.ts";
import { claimText } from "../../src/features/job/rows.ts";
import { SCHEDULE } from "../../src/features/job/schedules.ts";
import { Worker } from "../../src/features/job/worker.ts";
import { openSleepClock } from "../../src/lib/sleep-clock.ts";
import { registerSecret } from "../../src/observe/redact.ts";
import { FULL_MEMBERS } from "../../src/operation/node-parts.ts";
import { callerWith } from "./core.ts";
import { noPeers } from "./declarations.ts";
import { eventually } from "./eventually.ts";
import { type Shown, startJobs } from "./jobs.ts";

const root = join(import.meta.dir, "..", "..");
const MAIN = [process.execPath, join(root, "src", "main.ts")];

/** Starts nodes with these names; the first is the one that leads. Each agrees to run what its list names. */
export function startWorkers(agreed: Readonly<Record<string, readonly string[]>> = { a: ["*"] }, slots = 2) {
  const jobs = startJobs({ kinds: [ACTION, SCHEDULE], isReal: true });
  const folder = mkdtempSync(join(tmpdir(), "cairn-jobs-"));
  const names = Object.keys(agreed);
  const [first = ""] = names;
  const offers = new Offers();
  const blobs: { space: string; sha256: string; bytes: number }[] = [];
  const cut = new Set<string>();
  const reportBytes: number[] = [];
  jobs.services.provide(OFFERS, offers).provide(FULL_MEMBERS, {
    self: () => `n-${first}`,
    others: () => names.slice(1).map((name) => ({ node: `n-${name}`, name })),
    ...noPeers(),
  });
  const parts = (name: string): AttemptParts => ({
    ...{ command: MAIN, env: { PATH: process.env["PATH"], SECRET_OF_NODE: "hidden" }, folder: join(folder, name) },
    readSecret: (reference) => {
      const value = reference === "secret:SHORT" ? "abcdef" : `value-of-${reference}`;
      registerSecret(value);
      return value;
    },
    storeBlob: async ({ space, sha256, bytes }) => void blobs.push({ space, sha256, bytes }),
  });
  const workers = new Map<string, Worker>();
  const begin = (name: string) => {
    const worker = new Worker({
      ...{ reader: jobs.store.reader, log: () => jobs.log, declarations: jobs.declarations },
      agrees: (action) => (agreed[name] ?? []).some((entry) => entry === "*" || entry === action),
      ...{ slots, parts: parts(name), clock: openSleepClock(), say: () => {} },
      ask: async (report) => {
        reportBytes.push(Buffer.byteLength(JSON.stringify(report)));
        if (cut.has(name)) throw new Error("the leader is not reached");
        const id = name === first ? "local" : `local@n-${name}`;
        return jobs.call("job_work", report, callerWith({ kind: "local", id, node: `n-${name}`, login: "" }));
      },
    });
    workers.set(name, worker);
    worker.start();
  };
  for (const name of names) begin(name);
  const dispatcher = new Dispatcher({
    ...{ reader: jobs.store.reader, log: () => jobs.log, declarations: jobs.declarations, offers, say: () => {} },
    rank: async ({ labels }) =>
      names.filter((name) => labels.every((label) => label === `of-${name}`)).map((name) => `n-${name}`),
    nameOf: (node) => node.slice(2),
    conditions: jobs.conditions.of(jobConditions),
  });
  const leading = new AbortController();
  dispatcher.lead({ signal: leading.signal });
  jobs.services.provide(LIVE_OUTPUT, async (job) => workers.get(job.worker.slice(2))?.tail(claimText(job) ?? ""));
  return {
    ...jobs,
    ...{ folder, blobs, cut, workers },
    /** How often workers have called the leader. */
    asked: () => reportBytes.length,
    /** The bytes of each call. */
    reportBytes,
    /** Offers in the name of a node what it would run. */
    offer: (name: string, ...actions: string[]) =>
      offers.put({
        ...{ node: `n-${name}`, boot: workers.get(name)?.boot ?? "", free: 1, actions: new Set(actions) },
        atMs: performance.now(),
      }),
    /** Waits for a state of a job, and returns it. */
    until: async (id: string, ...states: string[]): Promise<Shown> => {
      let seen: Shown | undefined;
      const isThere = async () => {
        seen = (await jobs.get(id)).job;
        return states.includes(seen.state);
      };
      await eventually(`the job is ${states}`, isThere, { seen: () => JSON.stringify(seen) });
      return seen as Shown;
    },
    /** What a file of the folder of the test holds. */
    file: async (name: string) =>
      Bun.file(join(folder, name))
        .text()
        .catch(() => ""),
    [Symbol.asyncDispose]: async () => {
      if (jobs.fatal.length > 0) throw jobs.fatal[0];
      leading.abort();
      await Promise.all([...workers.values()].map((worker) => worker.stop()));
      await jobs[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
