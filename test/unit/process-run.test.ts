// Child processes of a node: how they begin, what they are given, and that nothing of them is left (features.md 1).

import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCgroup, ownCgroup } from "../../src/features/process/cgroup.ts";
import {
  environmentFor,
  OutputKeeper,
  OutputRing,
  type ProcessSpec,
  type RunOptions,
  runProcess,
} from "../../src/features/process/index.ts";
import { ProcessTree } from "../../src/features/process/process-tree.ts";
import { startChild } from "../../src/features/process/run.ts";
import { Fault } from "../../src/lib/fault.ts";
import { eventually } from "../kit/eventually.ts";
import { environment, isRunning } from "../kit/processes.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const cwd = temporaryFolder();
const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
const never = new AbortController().signal;

function run(argv: readonly string[], options: Partial<RunOptions> = {}, spec: Partial<ProcessSpec> = {}) {
  const whole = { timeoutMs: 60_000, signal: never, graceMs: 200, ...options };
  return runProcess({ argv, env: { PATH }, cwd, ...spec }, whole);
}
const sh = (script: string, options: Partial<RunOptions> = {}, spec: Partial<ProcessSpec> = {}) =>
  run(["sh", "-c", script], options, spec);

/** Returns the process ids that a script wrote to a file, when it has. */
const pidsIn = (file: string, count: number) =>
  eventually(`${count} process ids in ${file}`, () => {
    const words = tryRead(file).split(/\s+/).filter(Boolean).map(Number);
    return words.length >= count ? words : undefined;
  });

test("gives the words as they are, the environment that is named, the folder, and the exit code", async () => {
  const script = 'printf "%s|" "$@"; pwd; env | sort; echo oh >&2; exit 7';
  const env = environmentFor(
    { PATH, TS_AUTHKEY: "tskey-canary", SECRET: "canary", LD_PRELOAD: "", HOME: "/h", NODE_OPTIONS: "x" },
    { names: ["HOME"], values: { CAIRN_FENCE: "1-2" } },
  );
  const { end, output } = await run(["sh", "-c", script, "x", "a b", "$(id)", ";", "-n"], {}, { env });
  expect(end).toMatchObject({ cause: "exited", code: 7, signal: undefined, wasKilled: false, left: [] });
  expect(end.memoryBytes).toBeGreaterThan(100_000);
  const text = output.stdout.text();
  expect(text).toStartWith(`a b|$(id)|;|-n|${cwd}\n`);
  expect(text).toContain("\nCAIRN_FENCE=1-2\n");
  expect(text).not.toContain("canary");
  expect(text.match(/^\w+(?==)/gm)?.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name))).toEqual([
    "CAIRN_FENCE",
    "CAIRN_PROCESS",
    "HOME",
    "PATH",
  ]);
  expect(output.stderr.text()).toBe("oh\n");
});

test("no child gets keys of the tailnet, or what steers a runtime, even where they are named", () => {
  for (const name of ["TS_AUTHKEY", "TAILSCALE_X", "BUN_OPTIONS", "LD_PRELOAD", "DYLD_X", "NODE_OPTIONS", "a=b"]) {
    expect(() => environmentFor({}, { names: [name] })).toThrow(`cannot get the variable "${name}"`);
    expect(() => environmentFor({}, { values: { [name]: "x" } })).toThrow(`cannot get the variable "${name}"`);
  }
});

test("says which program is missing or cannot be executed, and which folder or account is not there", async () => {
  const file = join(cwd, "plain");
  writeFileSync(file, "#!/bin/sh\necho yes\n");
  const faultOf = async (running: Promise<unknown>) => {
    const fault = await running.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(fault instanceof Fault)) throw new Error(`no Fault: ${fault}`);
    return [fault.code, `${fault.message} ${fault.hint}`];
  };
  const found = (code: string, ...words: string[]) => [code, expect.stringMatching(new RegExp(words.join(".*")))];
  expect(await faultOf(run(["no-such-program"]))).toEqual(found("not_found", '"no-such-program"', "Looked in .*/bin"));
  expect(await faultOf(run(["./gone"]))).toEqual(found("not_found", '"./gone"', `${cwd}/gone`));
  expect(await faultOf(run([file]))).toEqual(found("invalid_input", "plain cannot be executed", "chmod \\+x"));
  expect(await faultOf(run([cwd]))).toEqual(found("invalid_input", "cannot be executed", "It is a folder"));
  expect(await faultOf(run([]))).toEqual(found("invalid_input", "no program"));
  expect(await faultOf(run(["true", "a\0b"]))).toEqual(found("invalid_input", "NUL"));
  expect(await faultOf(run(["true", "x".repeat(200_000)]))).toEqual(found("too_large", "200004 bytes"));
  expect(await faultOf(run(["true"], {}, { cwd: "/no/such" }))).toEqual(found("not_found", '"/no/such"'));
  expect(await faultOf(run(["true"], {}, { cwd: "relative" }))).toEqual(found("not_found", '"relative"'));
  expect(await faultOf(run(["true"], {}, { user: "nobody-here" }))).toEqual(found("not_found", '"nobody-here"'));
  chmodSync(file, 0o755);
  expect((await run(["./plain"])).output.stdout.text()).toBe("yes\n");
});

test.skipIf(process.getuid?.() !== 0 || process.platform !== "linux")(
  "runs as another user without any group of root [needs root]",
  async () => {
    const { output, end } = await sh(
      "id -u; id -G; echo $HOME",
      {},
      {
        user: "nobody",
        cwd: "/",
        env: environmentFor({ PATH, HOME: "/root" }, { user: "nobody" }),
      },
    );
    expect([end.code, output.stdout.text()]).toEqual([0, "65534\n65534\n/nonexistent\n"]);
    // Where there is no setpriv the engine changes the user.
    const words = ["id", "-G"];
    const launch = { ...{ program: "id", cmd: words, cwd: "/", env: { PATH }, cgroup: undefined, mark: "none" } };
    const child = startChild({ ...launch, user: { uid: 65534, gid: 65534 } }, { stdio: "pipe", graceMs: 0 });
    expect(await new Response(child.process.stdout).text()).toBe("65534\n");
    expect(await child.ended).toMatchObject({ code: 0 });
  },
);

test("a child that ignores SIGTERM is killed with its children when its time is over", async () => {
  const file = join(cwd, "stubborn");
  const script = `trap '' TERM; sleep 100 & echo $$ $! > ${file}; wait; sleep 100`;
  const { end } = await sh(script, { timeoutMs: 500 });
  expect(end).toMatchObject({ cause: "timeout", code: undefined, signal: "SIGKILL", wasKilled: true, left: [] });
  expect((await pidsIn(file, 2)).filter(isRunning)).toEqual([]);
});

test("a child that ends by SIGTERM has its time for it, and is not killed", async () => {
  const leaving = new AbortController();
  const file = join(cwd, "polite");
  const script = `trap 'echo bye; exit 3' TERM; echo $$ > ${file}; while :; do sleep 0.02; done`;
  const running = sh(script, { signal: leaving.signal, graceMs: 30_000 });
  await pidsIn(file, 1);
  leaving.abort();
  const { end, output } = await running;
  expect(end).toMatchObject({ cause: "cancelled", code: 3, signal: undefined, wasKilled: false });
  expect(output.stdout.text()).toBe("bye\n");
  await expect(sh("true", { signal: leaving.signal })).rejects.toThrow();
});

test.skipIf(process.platform !== "linux")(
  "what a child leaves behind ends with it: forks, and daemons in sessions of their own [needs Linux]",
  async () => {
    const file = join(cwd, "left");
    const script = `echo $$ >> ${file}; sleep 100 & echo $! >> ${file}; setsid sh -c 'trap "" TERM HUP; echo $$ >> ${file}; sleep 100; sleep 100' > /dev/null 2>&1 &
      while [ "$(wc -l < ${file})" -lt 3 ]; do sleep 0.01; done; exit 4`;
    const leaving = new AbortController();
    const running = sh(script, { signal: leaving.signal, graceMs: 1000 });
    const [main = 0] = await pidsIn(file, 3);
    await eventually("the child to exit", () => !isRunning(main));
    // What is asked when it has ended by itself changes nothing about that.
    leaving.abort();
    const { end, bounds } = await running;
    expect(end).toMatchObject({ cause: "exited", code: 4, left: [] });
    expect((await pidsIn(file, 3)).filter(isRunning)).toEqual([]);
    expect(bounds).toMatchObject({ found: ownCgroup() === undefined ? "mark" : expect.any(String) });
  },
  20_000,
);

test.skipIf(process.platform !== "linux")(
  "a daemon is found by the mark of its environment where there is no control group [needs Linux]",
  async () => {
    const file = join(cwd, "marked");
    const script = `setsid sh -c 'trap "" TERM; echo $$ > ${file}; sleep 100; sleep 100' & wait`;
    const spawned = Bun.spawn({ cmd: ["sh", "-c", script], env: { PATH, CAIRN_PROCESS: "m-1" }, detached: true });
    const [daemon = 0] = await pidsIn(file, 1);
    expect(environment(daemon)["CAIRN_PROCESS"]).toBe("m-1");
    expect(new ProcessTree({ group: spawned.pid, mark: "m", cgroup: undefined }).living()).not.toContain(daemon);
    const tree = new ProcessTree({ group: spawned.pid, mark: "m-1", cgroup: undefined });
    expect(tree.living()).toContain(daemon);
    const end = await tree.end(50);
    expect(end).toEqual({ wasKilled: true, left: [] });
    expect([daemon, spawned.pid].filter(isRunning)).toEqual([]);
    await spawned.exited;
  },
);

test.skipIf(process.platform !== "linux")(
  "a process that has ended and was not waited for is none that runs [needs Linux]",
  async () => {
    const file = join(cwd, "zombie");
    const script = `sh -c 'echo $$ > ${file}' & exec sleep 100`;
    const spawned = Bun.spawn({ cmd: ["sh", "-c", script], env: { PATH }, detached: true });
    const [zombie = 0] = await pidsIn(file, 1);
    await eventually("its end", () => !isRunning(zombie));
    const tree = new ProcessTree({ group: spawned.pid, mark: "none", cgroup: undefined });
    expect(tree.living()).toEqual([spawned.pid]);
    expect(await tree.end(60_000)).toEqual({ wasKilled: false, left: [] });
    await spawned.exited;
  },
);

test("of a flood the last bytes are kept, in bounded memory", async () => {
  const before = process.memoryUsage.rss();
  const { end, output } = await sh("head -c 1000000000 /dev/zero; echo the end", { ringBytes: 4096 });
  expect(end.code).toBe(0);
  expect([output.stdout.totalBytes, output.stdout.droppedBytes]).toEqual([1_000_000_008, 1_000_000_008 - 4096]);
  expect(output.stdout.bytes().byteLength).toBe(4096);
  expect(output.stdout.text()).toEndWith("\0the end\n");
  expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
}, 60_000);

test("the ring keeps the last bytes in order, whatever the chunks", () => {
  for (const size of [1, 2, 3, 5, 7, 64, 200]) {
    const ring = new OutputRing(50);
    let all = "";
    for (let at = 0; all.length < 300; at += 1) {
      const chunk = Array.from({ length: size }, (_, index) => String.fromCharCode(97 + ((7 * at + index) % 26))).join(
        "",
      );
      all += chunk;
      ring.push(Buffer.from(chunk));
      expect(ring.text()).toBe(all.slice(-50));
      expect(ring.droppedBytes).toBe(Math.max(0, all.length - 50));
    }
  }
});

test("the whole output goes to whoever keeps it, up to a bound, as slowly as that takes it", async () => {
  const chunks: Uint8Array[] = [];
  const keeper = new OutputKeeper(100_000, async (given) => {
    for await (const chunk of given) chunks.push(chunk);
    return "name";
  });
  const { output } = await sh("head -c 250000 /dev/zero", { stdout: keeper.write, ringBytes: 10 });
  expect(await keeper.close()).toEqual({ stored: "name", droppedBytes: 150_000 });
  expect(Buffer.concat(chunks).byteLength).toBe(100_000);
  expect(output.stdout.droppedBytes).toBe(249_990);
  const whole = new OutputKeeper(100_000, async (given) => (await Array.fromAsync(given)).map((each) => each.length));
  for (let at = 0; at < 4; at += 1) await whole.write(new Uint8Array(40_000));
  expect(await whole.close()).toEqual({ stored: [40_000, 40_000, 20_000], droppedBytes: 60_000 });
  const failing = new OutputKeeper(100_000, async (given) => {
    for await (const _ of given) throw new Error("no room");
  });
  expect((await sh("head -c 250000 /dev/zero", { stdout: failing.write })).end.code).toBe(0);
  await expect(failing.close()).rejects.toThrow("no room");
});

test("limits are set in a control group, and it is said of each why it does not hold", () => {
  const parent = temporaryFolder();
  const limits = { memoryBytes: 1e6, processes: 5, cpus: 0.5 };
  writeFileSync(join(parent, "cgroup.controllers"), "cpu pids\n");
  writeFileSync(join(parent, "cgroup.subtree_control"), "pids\n");
  const made = makeCgroup(limits, "a", parent);
  expect(made.folder).toStartWith(join(parent, "cairn-process-"));
  // These files are the kernel's: where they are missing nothing is set.
  expect(made.unset).toEqual({
    memoryBytes: expect.stringContaining("has no controller memory"),
    processes: expect.stringContaining("pids.max"),
    cpus: expect.stringContaining("cpu.max"),
  });
  expect(readFileSync(join(parent, "cgroup.subtree_control"), "utf8")).toContain("+cpu");
  expect(makeCgroup(limits, "b", join(parent, "none")).unset.cpus).toContain("no control group can be made in");
  // What an earlier process left is removed, and nothing of one that runs.
  const left = join(parent, "cairn-process-999999999-x");
  mkdirSync(left);
  makeCgroup({}, "c", parent);
  expect(() => readFileSync(left)).toThrow("ENOENT");
});

function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
