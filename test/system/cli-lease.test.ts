// The commands about leases: run under a lease and what becomes of its children, and the guard of git.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";
import { commandLine, isRunning, processTree } from "../kit/processes.ts";

let node: TestNode;
beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  await node.ready();
}, 120_000);
afterAll(() => node[Symbol.asyncDispose](), 60_000);

const cairn = (...words: string[]): Promise<Finished> => node.cli(words);
const fenceOf = async (name: string, ...more: string[]) => {
  const { out, err, code } = await cairn("lease", "acquire", name, ...more);
  expect([code, err]).toEqual([0, ""]);
  return out.trim();
};

test("acquire prints the fence, list the holder and purpose; renew, release and force say what they did", async () => {
  const fence = await fenceOf("team/a", "--for", "a rewrite");
  expect(fence).toMatch(/^team\/a@1-\d+$/);
  const held = await cairn("lease", "acquire", "team/a");
  expect([held.code, held.err]).toEqual([5, expect.stringContaining('local holds "team/a" for "a rewrite"')]);
  expect((await cairn("lease", "list", "team/")).out).toContain("a rewrite");
  expect((await cairn("lease", "renew", "team/a", fence)).out).toBe("yours for 293 s more; 0 waiting\n");
  const queued = await cairn("lease", "acquire", "team/a", "--wait", "60");
  expect(queued.out).toContain("not granted yet: place 1");
  // As with `context wait`: nothing came in time.
  const still = await cairn("lease", "wait", "team/a", "--timeout", "1");
  expect([still.out, still.code]).toEqual(["held by local\n", 3]);
  expect((await cairn("lease", "wait", "team/a", queued.out.split("\n")[0] ?? "", "--timeout", "1")).code).toBe(3);
  expect((await cairn("lease", "release", "team/a", fence)).out).toBe("released, and granted to local\n");
  expect((await cairn("lease", "force", "team/a")).out).toBe("taken from local; free now\n");
  const free = await cairn("lease", "wait", "team/a");
  expect([free.out, free.code]).toEqual(["free\n", 0]);
  expect((await cairn("lease", "acquire", "team/a", "--ttl", "soon")).code).toBe(2);
});

describe("lease run", () => {
  const start = (...words: string[]) => {
    const child = Bun.spawn({
      cmd: [...node.command, "lease", "run", "--data", node.dataDir, ...words],
      env: node.env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const finished = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { child, finished: finished.then(([out, err, code]) => ({ out, err, code })) };
  };

  test("holds the lease while the command runs, gives it back, and ends with its code", async () => {
    const script = 'echo "$CAIRN_LEASE $CAIRN_FENCE"; cat; exit 7';
    const { out, err, code } = await start("team/run", "--for", "x", "--", "sh", "-c", script).finished;
    expect([out, err, code]).toEqual([expect.stringMatching(/^team\/run team\/run@1-\d+\n$/), "", 7]);
    expect((await cairn("lease", "list", "team/run")).out).toBe("no lease is held\n");
  });

  test("fails at once where it is held, and waits where that is asked", async () => {
    const fence = await fenceOf("team/wait");
    expect(await start("team/wait", "--", "true").finished).toMatchObject({ code: 5, out: "" });
    const waiting = start("team/wait", "--wait", "30", "--", "echo", "done");
    await eventually("the claim to be in line", async () =>
      (await cairn("lease", "list", "team/wait")).out.includes("1 waiting"),
    );
    await cairn("lease", "release", "team/wait", fence);
    expect(await waiting.finished).toEqual({ code: 0, out: "done\n", err: "" });
    // One that leaves gives its place back.
    const again = await fenceOf("team/wait");
    const leaving = start("team/wait", "--wait", "30", "--", "echo", "done");
    await eventually("the claim to be in line", async () =>
      (await cairn("lease", "list", "team/wait")).out.includes("1 waiting"),
    );
    leaving.child.kill("SIGINT");
    expect(await leaving.finished).toMatchObject({ code: 130, out: "" });
    expect((await cairn("lease", "list", "team/wait")).out).not.toContain("waiting");
    await cairn("lease", "release", "team/wait", again);
  });

  test("renews: a command that takes longer than the term keeps its lease", async () => {
    const { out, code } = await start("team/long", "--ttl", "5", "--", "sh", "-c", "sleep 7; echo done").finished;
    expect([out, code]).toEqual(["done\n", 0]);
  }, 30_000);

  test("ends the command with its children when the lease is taken away", async () => {
    const folder = mkdtempSync(join(node.home, "run-"));
    const pids = join(folder, "pids");
    const script = `trap '' TERM; sleep 100 & echo $$ $! > '${pids}'; wait; sleep 100`;
    const running = start("team/lost", "--ttl", "5", "--", "sh", "-c", script);
    await eventually("the command to run", () => existsSync(pids) && readFileSync(pids, "utf8").includes(" "));
    await cairn("lease", "force", "team/lost");
    const { code, err } = await running.finished;
    expect([code, err]).toEqual([5, expect.stringContaining("The command was ended: You do not hold team/lost@")]);
    expect(pidsOf(pids).filter(isRunning)).toEqual([]);
  }, 30_000);

  test("ends the command with its children when cairn itself is killed, and no guard stays behind", async () => {
    const folder = mkdtempSync(join(node.home, "run-"));
    const pids = join(folder, "pids");
    const script = `trap '' TERM; sleep 100 & echo $$ $! > '${pids}'; wait; sleep 100`;
    const running = start("team/killed", "--ttl", "10", "--", "sh", "-c", script);
    await eventually("the command to run", () => existsSync(pids) && readFileSync(pids, "utf8").includes(" "));
    const all = [...pidsOf(pids), ...guardsOf(running.child.pid)];
    expect(all.length).toBe(3);
    running.child.kill("SIGKILL");
    await running.child.exited;
    await eventually("all of them to end", () => !all.some(isRunning));
  }, 60_000);

  test("ends the command at the end of the lease when cairn is stopped, and says so when it goes on", async () => {
    const pids = join(mkdtempSync(join(node.home, "run-")), "pids");
    const script = `trap '' TERM; sleep 100 & echo $$ $! > '${pids}'; wait; sleep 100`;
    const running = start("team/stopped", "--ttl", "5", "--", "sh", "-c", script);
    await eventually("the command to run", () => existsSync(pids) && readFileSync(pids, "utf8").includes(" "));
    running.child.kill("SIGSTOP");
    await eventually("the command to end", () => !pidsOf(pids).some(isRunning));
    running.child.kill("SIGCONT");
    const { code, err } = await running.finished;
    expect([code, err]).toEqual([5, expect.stringContaining("The command was ended: ")]);
  }, 60_000);

  test("passes SIGTERM on, gives the lease back, and ends as the command does", async () => {
    // The lease is held a moment before the command runs, and the trap is set a moment after that.
    const trapped = join(node.dataDir, "trapped");
    const script = `trap 'exit 9' TERM; echo on; touch "${trapped}"; while :; do sleep 0.1; done`;
    const running = start("team/term", "--", "sh", "-c", script);
    await eventually("the command to run", () => existsSync(trapped));
    expect((await cairn("lease", "list", "team/term")).out).toContain("team/term");
    await eventually("the command to end", async () => {
      running.child.kill("SIGTERM");
      await Bun.sleep(300);
      return running.child.exitCode !== null;
    });
    expect(await running.finished).toMatchObject({ code: 9, out: "on\n" });
    expect((await cairn("lease", "list", "team/term")).out).toBe("no lease is held\n");
  });

  test("does not lease for a command that is not there", async () => {
    const { code, err } = await start("team/none", "--", "no-such-command-here").finished;
    expect([code, err]).toEqual([4, expect.stringContaining('no command "no-such-command-here"')]);
  });
});

/** Returns the guards that a process started. */
function guardsOf(pid: number): number[] {
  return processTree(pid).filter((each) => commandLine(each).trimEnd().endsWith(" process-guard"));
}

function pidsOf(file: string): number[] {
  return readFileSync(file, "utf8").trim().split(" ").map(Number);
}

describe.skipIf(Bun.which("git") === null)("the guard of git [needs git]", () => {
  let repository: string;

  function run(words: string[], env: Record<string, string> = {}) {
    const child = Bun.spawnSync({
      cmd: words,
      cwd: repository,
      env: {
        ...node.env,
        ...{ PATH: process.env["PATH"] ?? "", HOME: node.home, GIT_CONFIG_NOSYSTEM: "1" },
        ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@x", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@x" },
        ...env,
      },
    });
    return { code: child.exitCode, out: child.stdout.toString(), err: child.stderr.toString() };
  }
  const git = (...words: string[]) => run(["git", ...words]);
  const guard = (...words: string[]) => run([...node.command, "guard", ...words, "--data", node.dataDir]);
  const commit = (env: Record<string, string> = {}) => run(["git", "commit", "-qm", "x"], env);
  const write = (path: string, text: string) => {
    mkdirSync(join(repository, path, ".."), { recursive: true });
    writeFileSync(join(repository, path), text);
    git("add", "-A");
  };

  beforeEach(() => {
    repository = mkdtempSync(join(node.home, "a repository-"));
    git("init", "-q");
  });

  test("refuses a commit that touches what another one has leased, and says which caller and what for", async () => {
    expect(guard("install", "team/app")).toMatchObject({ code: 0 });
    write("src/a b.ts", "1");
    write("src/c.ts", "1");
    write("docs/d.md", "1");
    expect(commit()).toMatchObject({ code: 0 });
    // The socket of the node is its admin: another caller holds it.
    await leaseByOther("team/app/src/a b.ts", "rename the parser");
    write("src/c.ts", "2");
    expect(commit()).toMatchObject({ code: 0 });
    write("src/a b.ts", "2");
    const refused = commit();
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('src/a b.ts: team/app/src/a b.ts is leased by local:dev for "rename the parser"');
    git("reset", "-q", "--hard");
    // A rename touches both paths.
    git("mv", "src/a b.ts", "src/e.ts");
    expect(commit().err).toContain("src/a b.ts is leased by");
    git("reset", "-q", "--hard");
    git("rm", "-q", "src/a b.ts");
    expect(commit().code).not.toBe(0);
    git("reset", "-q", "--hard");
    // A folder is leased with all below it, and no other folder of that name.
    await leaseByOther("team/app/docs", "");
    write("docs/deep/x.md", "1");
    expect(commit().err).toContain("docs/deep/x.md: team/app/docs is leased by");
    git("reset", "-q", "--hard");
    write("docs2/x.md", "1");
    expect(commit()).toMatchObject({ code: 0 });
  }, 60_000);

  test("lets one's own leases pass: by caller, and by the fence in the environment", async () => {
    guard("install", "team/own");
    write("a.ts", "1");
    await fenceOf("team/own/a.ts");
    expect(commit()).toMatchObject({ code: 0 });
    write("b.ts", "1");
    const fence = await leaseByOther("team/own/b.ts", "");
    expect(commit().code).not.toBe(0);
    expect(commit({ CAIRN_FENCES: `team/x@1-1\n${fence}` })).toMatchObject({ code: 0 });
  }, 60_000);

  test("the hook acts as the agent that was named at install: its leases are one's own", async () => {
    expect(await cairn("agents", "register", "guarded")).toMatchObject({ code: 0 });
    expect(guard("install", "team/agent", "--agent", "guarded")).toMatchObject({ code: 0 });
    write("a.ts", "1");
    await fenceOf("team/agent/a.ts", "--agent", "guarded");
    expect(commit()).toMatchObject({ code: 0 });
    write("b.ts", "1");
    await fenceOf("team/agent/b.ts");
    expect(commit().err).toContain("b.ts: team/agent/b.ts is leased by local");
    expect(guard("install", "team/agent", "--agent", "nobody")).toMatchObject({ code: 0 });
    expect(commit().err).toContain("There is no handle of an agent in");
  }, 60_000);

  test("never overwrites a hook, and says outside of a repository that it is one", () => {
    const hook = join(repository, ".git", "hooks", "pre-commit");
    mkdirSync(join(hook, ".."), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 0\n");
    chmodSync(hook, 0o755);
    const refused = guard("install", "team/app");
    expect([refused.code, refused.err]).toEqual([
      45,
      expect.stringMatching(/Add this line to it: '.*' 'guard' 'check'/),
    ]);
    expect(readFileSync(hook, "utf8")).toBe("#!/bin/sh\nexit 0\n");
    git("config", "core.hooksPath", node.home);
    expect(guard("install", "team/app").err).toContain("outside of its git folder");
    git("config", "--unset", "core.hooksPath");
    writeFileSync(hook, "");
    Bun.spawnSync(["rm", hook]);
    expect(guard("install")).toMatchObject({ code: 2, err: expect.stringContaining("team-a/app") });
    expect(guard("install", "../x").code).toBe(2);
    expect(guard("check")).toMatchObject({ code: 20, err: expect.stringContaining("guard install PREFIX") });
    expect(guard("install", "team/app")).toMatchObject({ code: 0 });
    expect(statSync(hook).mode & 0o111).toBe(0o111);
    // Its own hook is written again.
    expect(guard("install")).toMatchObject({ code: 0 });
    Bun.spawnSync(["rm", "-rf", join(repository, ".git")]);
    const outside = guard("install", "team/app");
    expect([outside.code, outside.err]).toEqual([4, expect.stringContaining("is in no git repository")]);
  });

  test("takes no prefix that cannot be one, says what a prefix replaces, and refuses what it cannot look at", () => {
    for (const bad of ["Team A", "Team A/app", "team//app", "team/ app"]) {
      expect(guard("install", bad)).toMatchObject({ code: 2, err: expect.stringContaining(JSON.stringify(bad)) });
    }
    expect(guard("check").code).toBe(20);
    expect(guard("install", "team/app").err).not.toContain("replaces");
    const again = guard("install", "team/other");
    expect([again.code, again.err]).toEqual([0, expect.stringContaining("replaces the prefix team/app. To return")]);
    write("a.ts", "1");
    // A prefix that was written by hand, and a node that does not run.
    git("config", "cairn.leases", "Team A");
    const unusable = commit();
    expect([unusable.code, unusable.err]).toEqual([1, expect.stringContaining('cannot be "Team A"')]);
    expect(unusable.err).toContain("git commit --no-verify");
    git("config", "cairn.leases", "team/app");
    const none = run([...node.command, "guard", "check", "--data", join(node.home, "no-node")]);
    expect([none.code, none.err]).toEqual([32, expect.stringContaining("refuses the commit")]);
    expect(none.err).toContain("git commit --no-verify");
    expect(run(["git", "commit", "-qm", "x", "--no-verify"]).code).toBe(0);
  }, 60_000);

  test("refuses the commit where the caller may not read the space of the prefix", async () => {
    guard("install", "team/app");
    write("a.ts", "1");
    const detail = "local may not read in team";
    // As a node that shows this caller no lease: its list is empty, and a name of the space is refused.
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) =>
        request.url.endsWith("/lease_list")
          ? Response.json({ leases: [] })
          : Response.json({ code: "forbidden", detail, hint: "Ask." }, { status: 403 }),
    });
    const child = Bun.spawn({
      cmd: [...node.command, "guard", "check", "--url", server.url.origin],
      cwd: repository,
      env: { ...node.env, PATH: process.env["PATH"] ?? "", HOME: node.home },
      stderr: "pipe",
    });
    const err = await new Response(child.stderr).text();
    expect([await child.exited, err]).toEqual([10, expect.stringContaining(detail)]);
    expect(err).toContain("git commit --no-verify");
  }, 60_000);

  /** Leases as the loopback caller of the node, which is another one than its socket. */
  async function leaseByOther(name: string, what: string): Promise<string> {
    const { localUrl } = await node.ready();
    const response = await fetch(`${localUrl}/operations/lease_acquire`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name, for: what }),
    });
    const { fence } = (await response.json()) as { fence: string };
    expect(response.status).toBe(200);
    return fence;
  }
});
