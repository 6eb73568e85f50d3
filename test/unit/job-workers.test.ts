// Nodes that run jobs: real programs, their input and output, limits of time, cancellation, lost claims, and who runs
// what.

import { expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { startWorkers } from "../kit/job-workers.ts";
import { isRunning } from "../kit/processes.ts";

/** Words of a script whose parameters follow it, as data. */
const sh = (script: string, ...words: string[]) => ({ argv: ["sh", "-c", script, "sh", ...words] });

test("a program gets its words, its folder and no more of the node; its result, progress and output are kept", async () => {
  await using node = startWorkers();
  const script = `echo "$1|$2|$3"; echo oops >&2; cat "$CAIRN_JOB_FOLDER/input.json"; echo; env; echo "$CAIRN_FENCE $CAIRN_ATTEMPT" > "$CAIRN_JOB_FOLDER/result"`;
  const parameters = {
    text: { type: "string" },
    n: { type: "integer", default: 7 },
    none: { type: "string", optional: true },
  };
  await node.declareAction("say", { ...sh(script, "{text}", "{none}", "n={n}"), parameters });
  const job = await node.start("say", { input: { text: "a; $(id) `id`" } });
  await node.until(job.id, "succeeded");
  const { output, bytes } = (await node.as("ray", "job_output", { id: job.id })) as { output: string; bytes: number };
  expect(output).toContain("a; $(id) `id`|n=7|\n");
  expect(output).toContain("oops\n");
  expect(output).toContain('{"text":"a; $(id) `id`","n":7}');
  expect(output).not.toContain("hidden");
  expect(bytes).toBe(Buffer.byteLength(output));
  expect((await node.get(job.id)).result).toBe(`${job.id}@${await fenceOf(node, job.id)} 1\n`);
  expect(node.outcomes(job.id)).toEqual(["queued", "claimed", "started", "succeeded"]);
  expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
});

/** The numbers of the first claim of a job. */
async function fenceOf(
  { store }: Pick<Awaited<ReturnType<typeof startWorkers>>, "store">,
  id: string,
): Promise<string> {
  const sql = "SELECT seq FROM changes WHERE target = ? AND outcome = 'claimed' ORDER BY seq";
  return `1-${store.reader.get<{ seq: number }>(sql, id.replace("/", "/jobs/"))?.seq}`;
}

test("what fails is tried again with its checkpoint, up to its attempts; some exit codes are final", async () => {
  await using node = startWorkers();
  const script = `cat "$CAIRN_JOB_FOLDER/checkpoint" 2>/dev/null; printf %s "x$CAIRN_ATTEMPT" > "$CAIRN_JOB_FOLDER/checkpoint"; echo; echo no disk >&2; exit $1`;
  const parameters = { code: { type: "integer" } };
  await node.declareAction("fail", { ...sh(script, "{code}"), parameters, attempts: 2, backoff: 0, exit_final: [9] });
  const job = await node.start("fail", { input: { code: 3 } });
  expect(await node.until(job.id, "dead")).toMatchObject({ attempt: 2, error: "exit code 3: no disk" });
  expect(await node.as("ray", "job_output", { id: job.id })).toMatchObject({ output: "x1\nno disk\n" });
  expect((await node.get(job.id)).checkpoint).toBe("x2");
  const final = await node.start("fail", { input: { code: 9 } });
  expect(await node.until(final.id, "failed")).toMatchObject({ attempt: 1, error: "exit code 9: no disk" });
  await node.declareAction("none", { argv: ["no-such-program-here"] });
  const none = await node.start("none");
  expect((await node.until(none.id, "dead")).error).toContain("no-such-program-here");
});

test("a program that ignores SIGTERM ends at its time, and at a cancellation", async () => {
  await using node = startWorkers();
  const deaf = sh(`trap '' TERM; echo $$ >> "$1"; while :; do sleep 0.05; done`, join(node.folder, "{file}"));
  const parameters = { file: { type: "string", characters: "name" } };
  await node.declareAction("deaf", { ...deaf, parameters, timeout: 1, grace: 0 });
  await node.declareAction("long", { ...deaf, parameters, grace: 0 });
  const timed = await node.start("deaf", { input: { file: "timed" } });
  expect((await node.until(timed.id, "dead")).error).toBe("it ran for longer than 1 s");
  const cancelled = await node.start("long", { input: { file: "cancelled" } });
  await node.until(cancelled.id, "running");
  await node.as("ann", "job_cancel", { id: cancelled.id });
  expect((await node.until(cancelled.id, "cancelled")).error).toBe("it was cancelled");
  for (const file of ["timed", "cancelled"]) {
    const pid = Number(await node.file(file));
    expect(pid).toBeGreaterThan(1);
    expect(isRunning(pid)).toBe(false);
  }
});

test("a flood of output is kept up to its bound as a blob, and its end with the job; it can be read meanwhile", async () => {
  await using node = startWorkers();
  const script = `i=0; while [ $i -lt 2000 ]; do printf '%0500d\\n' $i; i=$((i+1)); done; echo the end; [ -z "$1" ] || sleep 60`;
  const parameters = { waits: { type: "string", optional: true } };
  await node.declareAction("flood", { ...sh(script, "{waits}"), parameters, output_bytes: 500_000 });
  const job = await node.start("flood");
  const ended = await node.until(job.id, "succeeded");
  expect(ended).toMatchObject({ output_bytes: 2000 * 501 + 8, output_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(node.blobs).toEqual([{ space: "team", sha256: ended.output_sha256 ?? "", bytes: 500_000 }]);
  const shown = (await node.as("ray", "job_output", { id: job.id })) as { output: string };
  expect(shown.output).toEndWith("\nthe end\n");
  expect(shown.output.length).toBeLessThan(9000);
  const live = await node.start("flood", { input: { waits: "y" } });
  await node.until(live.id, "running");
  const seen = await eventually("its output", async () => {
    const shown = (await node.as("ray", "job_output", { id: live.id })) as { output: string };
    return shown.output.includes("the end") && shown;
  });
  expect(seen).toMatchObject({ running: true, bytes: 2000 * 501 + 8 });
  await node.as("ann", "job_cancel", { id: live.id });
  await node.until(live.id, "cancelled");
}, 60_000);

test("a program that writes 1 GiB: memory, disk and store hold its bound, and the job says what is not kept", async () => {
  await using node = startWorkers();
  const MIB = 1024 * 1024;
  const script = `head -c ${1024 * MIB} /dev/zero; echo the end`;
  await node.declareAction("pour", { ...sh(script), output_bytes: 4 * MIB });
  const bytesBelow = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce(
        (sum, { parentPath, name }) => sum + (statSync(join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      );
  const seen = () => ({
    memory: process.memoryUsage().rss,
    disk: bytesBelow(node.folder),
    store: bytesBelow(dirname(node.store.path)),
  });
  Bun.gc(true);
  const before = seen();
  const most = { memory: 0, disk: 0, store: 0 };
  const watch = setInterval(() => {
    const now = seen();
    for (const of of ["memory", "disk", "store"] as const) most[of] = Math.max(most[of], now[of] - before[of]);
  }, 20);
  const job = await node.start("pour");
  const ended = await node.until(job.id, "succeeded").finally(() => clearInterval(watch));
  const bytes = 1024 * MIB + 8;
  expect(ended).toMatchObject({ output_bytes: bytes, output_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(ended.error).toBe(`the first ${4 * MIB} of ${bytes} bytes of its output are kept, and the end`);
  expect(node.blobs).toEqual([{ space: "team", sha256: ended.output_sha256 ?? "", bytes: 4 * MIB }]);
  const { output } = (await node.as("ray", "job_output", { id: job.id })) as { output: string };
  expect([output.length < 9000, output.endsWith("the end\n")]).toEqual([true, true]);
  expect(most.memory).toBeLessThan(128 * MIB);
  expect(most.disk).toBeGreaterThan(MIB);
  expect(most.disk).toBeLessThan(5 * MIB);
  expect(most.store).toBeLessThan(MIB);
  await eventually("its folder is gone", () => bytesBelow(node.folder) < 64 * 1024);
}, 120_000);

test("binary outputs that end at once are told in several reports, each below what a leader takes", async () => {
  await using node = startWorkers({ a: ["*"] }, 8);
  const texts = ["result", "checkpoint"].map((file) => `cp "$1/full" "$CAIRN_JOB_FOLDER/${file}"`).join("; ");
  const script = `echo >> "$1/begun"; until [ -e "$1/go" ]; do sleep 0.05; done; ${texts}; cat "$1/full"`;
  await node.declareAction("spit", { ...sh(script, node.folder), kind: "spit" });
  await Bun.write(join(node.folder, "full"), "\u0001".repeat(64 * 1024));
  const jobs = await Promise.all(Array.from({ length: 8 }, () => node.start("spit")));
  await eventually("all run", async () => (await node.file("begun")).length === jobs.length, { withinMs: 60_000 });
  // They end while the leader is not reached, so all of them are there when it is.
  node.cut.add("a");
  await Bun.write(join(node.folder, "go"), "");
  const isSent = () => node.reportBytes.some((bytes) => bytes > 7 * 1024 * 1024);
  await eventually("all have ended", isSent, { withinMs: 60_000, seen: () => String(node.reportBytes.at(-1)) });
  node.cut.delete("a");
  for (const { id } of jobs) await node.until(id, "succeeded");
  // Three texts of each, whose characters take six bytes: 9 MiB in all.
  expect(Math.max(...node.reportBytes)).toBeLessThan(8.1 * 1024 * 1024);
}, 120_000);

test("only nodes that agree run an action, by its label or name; what nobody wants waits", async () => {
  await using node = startWorkers({ a: ["other", "named"], b: ["work", "named", "labelled"], c: ["labelled", "work"] });
  const script = sh("true");
  await node.declareAction("work", script);
  await node.declareAction("named", { ...script, where: "member:a" });
  await node.declareAction("labelled", { ...script, where: "label:of-c" });
  await node.declareAction("unwanted", script);
  const unwanted = await node.start("unwanted");
  const wanted: [string, string][] = [
    ["work", "n-b"],
    ["named", "n-a"],
    ["labelled", "n-c"],
  ];
  for (const [action, worker] of wanted) {
    const job = await node.start(action);
    expect([action, (await node.until(job.id, "succeeded")).worker]).toEqual([action, worker]);
  }
  expect((await node.get(unwanted.id)).job).toMatchObject({ state: "queued", attempt: 0 });
  await expect(node.as("bob", "job_work", { boot: "x", free: 1, actions: [], attempts: [] })).rejects.toMatchObject({
    code: "forbidden",
  });
});

test("a node that is cut off ends its program before another one begins, and its late word does not count", async () => {
  await using node = startWorkers({ a: ["*"], b: ["*"] });
  const script = `echo "begin $CAIRN_ATTEMPT" >> "$1"; trap 'echo "end $CAIRN_ATTEMPT" >> "$1"; exit 1' TERM
    if [ "$CAIRN_ATTEMPT" = 2 ]; then echo "done 2" >> "$1"; exit 0; fi; while :; do sleep 0.05; done`;
  await node.declareAction("hold", {
    ...sh(script, join(node.folder, "log")),
    claim: 5,
    attempts: 3,
    backoff: 0,
    grace: 1,
  });
  const job = await node.start("hold");
  const { worker = "" } = await node.until(job.id, "running");
  node.cut.add(worker.slice(2));
  const ended = await node.until(job.id, "succeeded");
  expect(ended.attempt).toBe(2);
  expect(ended.worker).not.toBe(worker);
  expect((await node.file("log")).trim().split("\n")).toEqual(["begin 1", "end 1", "begin 2", "done 2"]);
  node.cut.clear();
  expect(node.outcomes(job.id)).toEqual(["queued", "claimed", "started", "retried", "claimed", "started", "succeeded"]);
}, 60_000);

test("secrets are read on the node, and reach no output, error or result that is kept", async () => {
  await using node = startWorkers();
  const script = `echo "got $KEY"; echo "$KEY" > "$CAIRN_JOB_FOLDER/result"; echo "bad $KEY" >&2; exit 1`;
  await node.declareAction("secret", { ...sh(script), secrets: { KEY: "secret:API_KEY" } });
  const job = await node.start("secret");
  await node.until(job.id, "dead");
  const row = JSON.stringify(node.store.reader.get("SELECT * FROM jobs WHERE id = ?", job.id));
  expect(row).toContain("got ");
  expect(row).not.toContain("value-of-secret:API_KEY");
});

test("an action that changes between claim and begin fails at its node, and is judged anew", async () => {
  await using node = startWorkers();
  await node.declareAction("moves", { ...sh("true"), attempts: 2, backoff: 0 });
  node.cut.add("a");
  const job = await node.start("moves");
  // The node has offered, and is told of its claim only when it runs the action no more.
  node.offer("a", "moves");
  await node.until(job.id, "claimed");
  await node.declareAction("moves", { where: "any" });
  node.cut.clear();
  expect(await node.until(job.id, "queued", "dead")).toMatchObject({ error: expect.stringContaining("has changed") });
});

test("a node that is stopped says so: another one need not wait for the end of the claim", async () => {
  await using node = startWorkers({ a: ["*"], b: ["*"] });
  const script = `[ "$CAIRN_ATTEMPT" = 2 ] || sleep 300`;
  await node.declareAction("hold", { ...sh(script), claim: 3600, attempts: 2, backoff: 0, grace: 1 });
  const job = await node.start("hold");
  const { worker = "" } = await node.until(job.id, "running");
  await node.workers.get(worker.slice(2))?.stop();
  expect(await node.until(job.id, "succeeded")).toMatchObject({ attempt: 2 });
});

test("an offer that is not taken is repeated less and less often", async () => {
  await using node = startWorkers({ a: ["*"] });
  await node.declareAction("nowhere", { ...sh("true"), where: "label:no-such" });
  const job = await node.start("nowhere");
  await eventually("an offer", () => node.asked() > 0);
  // After 1, 3 and 7 s. Each is an entry of the log, which wears SD cards, and wakes the worker itself.
  await Bun.sleep(2500);
  expect(node.asked()).toBeLessThan(5);
  expect((await node.get(job.id)).job.state).toBe("queued");
});
