// The guard of a child: a process of its own that ends the child at its deadline, whatever becomes of the node. The
// node is a process here too (kit/guarded-main.ts), so that it can be killed and stopped.

import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { deadlineIn, momentOf } from "../../src/features/process/guard-messages.ts";
import { GuardedProcess, type GuardOptions, type ProcessEnd } from "../../src/features/process/index.ts";
import { eventually, within } from "../kit/eventually.ts";
import type { GuardedArguments } from "../kit/guarded-main.ts";
import { commandLine, environment, isRunning, processTree } from "../kit/processes.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const root = join(import.meta.dir, "..", "..");
const command = [process.execPath, join(root, "src", "main.ts")];
const cwd = temporaryFolder();
const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
let files = 0;

/** Processes that a test started, for what it leaves behind when it fails. */
const started: (() => readonly number[])[] = [];
afterEach(() => {
  const isOurs = (pid: number) => "CAIRN_PROCESS" in environment(pid) || /guard/.test(commandLine(pid));
  for (const pid of started.splice(0).flatMap((pids) => pids().filter(isOurs))) {
    for (const target of [pid, -pid]) {
      try {
        process.kill(target, "SIGKILL");
      } catch {
        // It has ended, or leads no group.
      }
    }
  }
});

/** A script that ignores SIGTERM, has a child and a daemon that do so too, and says in its file that it lives. */
function stubborn(): { script: string; pids: () => number[]; ticks: () => number; begun: () => Promise<void> } {
  files += 1;
  const file = join(cwd, `s${files}`);
  const script = `trap '' TERM; echo $$ >> ${file}
    sh -c 'echo $$ >> ${file}; sleep 300; sleep 300' &
    setsid sh -c 'echo $$ >> ${file}; sleep 300; sleep 300' &
    while :; do printf '%20000s\\n' tick; echo tick >> ${file}; sleep 0.02; done`;
  const lines = () => (existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []);
  const pids = () =>
    lines()
      .filter((line) => line !== "tick")
      .map(Number);
  started.push(pids);
  const ticks = () => lines().length - pids().length;
  const begun = async () => void (await eventually("all processes of the script", () => pids().length === 3));
  return { script, pids, ticks, begun };
}

const specOf = (script: string) => ({ argv: ["sh", "-c", script], env: { PATH }, cwd });
const allGone = (pids: readonly number[]) => eventually("the end of the command", () => !pids.some(isRunning));

/** Starts a node with a child under a guard. */
async function startNode(script: string, options: Omit<GuardOptions, "command">, renew?: GuardedArguments["renew"]) {
  const given = { spec: specOf(script), options: { command, ...options }, ...(renew === undefined ? {} : { renew }) };
  const node = Bun.spawn({
    cmd: [process.execPath, join(root, "test", "kit", "guarded-main.ts"), JSON.stringify(given)],
    env: { PATH, TS_AUTHKEY: "tskey-canary", BUN_CANARY: "canary" },
    // A group of its own, which a test can kill.
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const read = (async () => {
    for await (const chunk of node.stdout) text += Buffer.from(chunk).toString();
  })();
  const line = (at: number) =>
    eventually(`line ${at} of the node`, () => text.split("\n").slice(0, -1)[at]).then((found) => JSON.parse(found));
  started.push(() => [node.pid]);
  const { guard, child } = (await line(0)) as { guard: number; child: number };
  started.push(() => [guard, child]);
  const end = () => line(1).then((found) => (found as { end: ProcessEnd }).end);
  return { node, guard, child, end, read };
}

describe.skipIf(process.platform !== "linux")("the guard of a child [needs Linux]", () => {
  test("node killed: the child ends with all that it started, and the guard after it", async () => {
    const { script, pids, begun } = stubborn();
    const { node, guard } = await startNode(script, { graceMs: 100, leaseMs: 600_000 });
    await begun();
    const all = [guard, ...pids()];
    expect(all.every(isRunning)).toBe(true);
    node.kill("SIGKILL");
    await allGone(all);
  });

  test("node killed: a child that listens to SIGTERM has its grace", async () => {
    const file = join(cwd, "polite");
    const script = `trap 'sleep 0.2; echo bye >> ${file}; exit' TERM; echo on > ${file}; while :; do sleep 0.02; done`;
    const { node, guard, child } = await startNode(script, { graceMs: 60_000, leaseMs: 600_000 });
    await eventually("the child to listen", () => existsSync(file));
    node.kill("SIGKILL");
    await allGone([guard, child]);
    expect(readFileSync(file, "utf8")).toBe("on\nbye\n");
  });

  test("node killed, and the child may run on: it does, without a reader of its output, until its deadline", async () => {
    const { script, pids, ticks, begun } = stubborn();
    const options: Partial<GuardOptions> = { graceMs: 100, leaseMs: 12_000, onNodeGone: "deadline" };
    const { node, guard } = await startNode(script, options, { leaseMs: 12_000, everyMs: 100 });
    await begun();
    process.kill(-node.pid, "SIGKILL");
    await node.exited;
    const before = ticks();
    await eventually("it to work on", () => ticks() > before + 5);
    expect(isRunning(guard)).toBe(true);
    await allGone([guard, ...pids()]);
  });

  test("deadline renewed: it runs on. Node stopped: it ends at the deadline, and the node sees why", async () => {
    const { script, pids, begun } = stubborn();
    const options = { graceMs: 100, leaseMs: 2500 };
    const { node, guard, end } = await startNode(script, options, { leaseMs: 2500, everyMs: 100 });
    await begun();
    const uptime = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    const begunAt = uptime();
    await eventually("more than the first deadline to pass", () => uptime() > begunAt + 3);
    const all = pids();
    expect(all.every(isRunning)).toBe(true);
    node.kill("SIGSTOP");
    await allGone([...all, guard]);
    node.kill("SIGCONT");
    expect(await end()).toMatchObject({ cause: "deadline", signal: "SIGKILL", wasKilled: true, left: [] });
    expect(await node.exited).toBe(0);
  });

  test("neither the guard nor the child sees a secret of the node, and the child has no channel of the guard", async () => {
    const { script, begun } = stubborn();
    const { node, guard, child } = await startNode(script, { graceMs: 0 });
    await begun();
    for (const pid of [guard, child]) {
      expect(Object.keys(environment(pid))).toContain("PATH");
      expect(JSON.stringify(environment(pid))).not.toContain("canary");
    }
    expect(environment(child)).not.toHaveProperty("NODE_CHANNEL_FD");
    expect(processTree(guard)).toContain(child);
    node.kill("SIGKILL");
    await allGone([guard, child]);
  });

  const start = (script: string, options: Partial<GuardOptions> = {}) =>
    GuardedProcess.start(specOf(script), { command, graceMs: 100, ...options });

  test("guard killed: the child ends at once, with all that it started", async () => {
    const { script, pids, begun } = stubborn();
    const guarded = start(script);
    await begun();
    process.kill(guarded.guardPid, "SIGKILL");
    expect(await guarded.ended).toMatchObject({ cause: "guard_gone", code: undefined, left: [] });
    expect(pids().filter(isRunning)).toEqual([]);
  });

  test("guard and node killed at once: the kernel kills the child", async () => {
    // It writes nothing, which would end it too.
    const script = "trap '' TERM HUP; sleep 300 & wait; sleep 300";
    const { node, guard, child } = await startNode(script, { graceMs: 100 });
    const [sleeper = 0] = await eventually("its child", () => {
      const others = processTree(child).filter((pid) => pid !== child);
      return others.length > 0 && others;
    });
    node.kill("SIGSTOP");
    process.kill(guard, "SIGKILL");
    await allGone([child]);
    node.kill("SIGKILL");
    // Nobody is left to end what it started: this is the limit that DESIGN.md states.
    expect(isRunning(sleeper)).toBe(true);
    process.kill(sleeper, "SIGKILL");
  });

  test("guard stopped: the node ends it and the child, at the deadline and when it is asked to", async () => {
    for (const end of [(one: GuardedProcess) => one.stop(0), (one: GuardedProcess) => one.renew(100)]) {
      const { script, pids, begun } = stubborn();
      const guarded = start(script, { leaseMs: 600_000 });
      await begun();
      process.kill(guarded.guardPid, "SIGSTOP");
      void end(guarded);
      expect(await guarded.ended).toMatchObject({ cause: "guard_gone", left: [] });
      expect(pids().filter(isRunning)).toEqual([]);
    }
  });

  test("guard stopped while it ends the child: renewals do not put the end off", async () => {
    const { script, pids, begun } = stubborn();
    const guarded = start(script, { leaseMs: 600_000 });
    await begun();
    process.kill(guarded.guardPid, "SIGSTOP");
    void guarded.stop(0);
    const renewing = setInterval(() => guarded.renew(600_000), 50);
    expect(await within("its end", guarded.ended)).toMatchObject({ cause: "guard_gone", left: [] });
    clearInterval(renewing);
    expect(pids().filter(isRunning)).toEqual([]);
  });

  test("the guard is asked to end, as systemd asks all processes of a unit: it ends the child first", async () => {
    const { script, pids, begun } = stubborn();
    const guarded = start(script);
    await begun();
    process.kill(guarded.guardPid, "SIGTERM");
    expect(await guarded.ended).toMatchObject({ cause: "stopped", signal: "SIGKILL", wasKilled: true, left: [] });
    expect(pids().filter(isRunning)).toEqual([]);
  });
});

test("a child that ends while the guard starts, or by a signal: its output, code and signal are known", async () => {
  const run = async (script: string, also?: (one: GuardedProcess) => void) => {
    const guarded = GuardedProcess.start(specOf(script), { command, graceMs: 10_000 });
    also?.(guarded);
    const end = await within("the end of the child", guarded.ended);
    return { ...end, out: guarded.output?.stdout.text(), err: guarded.output?.stderr.text() };
  };
  expect(await run("echo out; echo err >&2; exit 9")).toMatchObject({
    ...{ cause: "exited", code: 9, out: "out\n", err: "err\n" },
  });
  expect(await run("exec 1>&-; trap 'exit 5' USR1; kill -USR1 $$; sleep 100")).toMatchObject({ code: 5 });
  // What is asked before it runs is done when it does.
  expect(await run("sleep 100", (one) => void one.stop())).toMatchObject({ cause: "stopped", signal: "SIGTERM" });
});

test("a program or guard that does not start is a Fault, of `started` and of `ended`", async () => {
  expect(() => GuardedProcess.start({ argv: ["no-such"], env: { PATH }, cwd }, { command })).toThrow('"no-such"');
  expect(() => GuardedProcess.start(specOf("true"), { command: ["/no/such"] })).toThrow("guard of a process");
  const late = GuardedProcess.start(specOf("true"), { command, leaseMs: 5, graceMs: 10 });
  await expect(late.started).rejects.toThrow("could not be started: its time was over");
  await expect(late.ended).rejects.toThrow("could not be started: its time was over");
  const hangs = GuardedProcess.start(specOf("true"), { command: ["sleep", "300"], startMs: 100 });
  await expect(within("the end of a guard that hangs", hangs.started)).rejects.toThrow();
  expect(await hangs.ended).toMatchObject({ cause: "guard_gone", left: [] });
  const silent = GuardedProcess.start(specOf("true"), { command: ["true"] });
  await expect(silent.started).rejects.toThrow("its guard has ended");
  expect(await silent.ended).toMatchObject({ cause: "guard_gone", left: [] });
});

test("a deadline that waited in the channel of a stopped process counts from when it was sent", () => {
  const clock = (nowMs: number, since: string) => ({ nowMs: () => nowMs, since, stepMs: 10 });
  const sent = deadlineIn(1000, clock(5000, "boot"));
  expect(momentOf(sent, clock(9000, "boot"))).toBe(6000);
  // Readings of clocks that cannot be compared.
  expect(momentOf(sent, clock(70, "other"))).toBe(1070);
  expect(momentOf(deadlineIn(1000, clock(5000, "")), clock(70, ""))).toBe(1070);
});
