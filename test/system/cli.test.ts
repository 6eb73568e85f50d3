// The command line against a running node, as a person or a script uses it: words, pipes, exit codes.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, lstatSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import type { Ready } from "../../src/node/report/events.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";

let node: TestNode;
let ready: Ready;

beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  ready = await node.ready();
});
afterAll(() => node[Symbol.asyncDispose]());

const cairn = (...words: string[]): Promise<Finished> => node.cli(words);

test("context put and get keep every byte through pipes", async () => {
  const content = "line one\n\u001b[31mred\u202e\ttab, no newline at the end";
  const put = await node.cli(["context", "put", "cli/bytes"], content);
  expect(put).toMatchObject({ code: 0, err: "" });
  expect(put.out).toMatch(/^cli\/bytes version 1 etag 1-[0-9a-f]{12} as text\/plain\n$/);
  expect(await cairn("context", "get", "cli/bytes")).toMatchObject({ code: 0, out: content, err: "" });
});

test("JSON is stored as JSON, and --json prints exactly what the node answers", async () => {
  await node.cli(["context", "put", "cli/json"], '{"a": [1, 2]}');
  const shown = await cairn("context", "get", "cli/json", "--json");
  const asked = await fetch("http://cairn/operations/context_get", {
    unix: ready.socket,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"id":"cli/json"}',
  });
  expect(shown.out).toBe(`${await asked.text()}\n`);
  expect(JSON.parse(shown.out)).toMatchObject({ content_type: "application/json", content: { a: [1, 2] } });
  expect((await cairn("context", "get", "cli/json")).out).toBe('{"a": [1, 2]}');
});

test("a file, its type by name, title and tags", async () => {
  const file = join(node.home, "plan.md");
  writeFileSync(file, "# Plan\n");
  expect(
    (await cairn("context", "put", "cli/plan", file, "--title", "The plan", "--tag", "a", "--tag", "b")).code,
  ).toBe(0);
  const shown = JSON.parse((await cairn("context", "get", "cli/plan", "--json")).out);
  expect(shown).toMatchObject({ content_type: "text/markdown", title: "The plan", tags: ["a", "b"], author: "local" });
  const listed = await cairn("context", "ls", "cli/p");
  expect(listed.out).toContain("cli/plan  1-");
  expect(listed.out).toContain("The plan");
  expect(listed.out).not.toContain("cli/json");
});

test("if-match: a stale write is exit 5 and changes nothing; versions stay readable", async () => {
  await node.cli(["context", "put", "cli/race"], "one");
  const first = JSON.parse((await cairn("context", "get", "cli/race", "--json")).out).etag;
  expect((await node.cli(["context", "put", "cli/race", "--if-match", first], "two")).code).toBe(0);
  const stale = await node.cli(["context", "put", "cli/race", "--if-match", first], "three");
  expect(stale.code).toBe(5);
  expect(stale.err).toContain("try: ");
  expect((await cairn("context", "get", "cli/race")).out).toBe("two");
  expect((await cairn("context", "get", "cli/race", "--version", "1")).out).toBe("one");
  expect((await node.cli(["context", "put", "cli/race", "--create"], "four")).code).toBe(5);
});

test("rm deletes; what is gone or never was is exit 4", async () => {
  await node.cli(["context", "put", "cli/gone"], "x");
  expect((await cairn("context", "rm", "cli/gone")).code).toBe(0);
  expect((await cairn("context", "get", "cli/gone")).code).toBe(4);
  expect((await cairn("context", "delete", "cli/never")).code).toBe(4);
});

test("call runs any operation, from an argument and from stdin", async () => {
  const fromArgument = await cairn("call", "context_put", '{"id":"cli/call","content":{"b":1}}');
  expect(JSON.parse(fromArgument.out)).toMatchObject({ id: "cli/call", version: 1, created: true });
  const fromStdin = await node.cli(["call", "context_get", "-"], '{"id":"cli/call"}');
  expect(JSON.parse(fromStdin.out).content).toEqual({ b: 1 });
});

test.each([
  ["an unknown operation", ["call", "context_putt", "{}"], 2, "There is no operation"],
  ["an operation with a letter missing", ["call", "message_pst", "{}"], 2, "Did you mean message_post?"],
  ["input that is no JSON", ["call", "whoami", "{"], 2, "not JSON"],
  ["an unknown command", ["contxt"], 2, "Did you mean context"],
  ["a second word that there is not", ["members", "promote", "x"], 2, "There is cairn promote"],
  ["an unknown word", ["context", "lst"], 2, "Did you mean"],
  ["an unknown flag", ["context", "ls", "--limt", "3"], 2, "Did you mean --limit"],
  ["a missing argument", ["context", "get"], 2, "ID"],
  ["a limit that is no number", ["context", "ls", "--limit", "many"], 2, '"many"'],
  ["an id that cannot be", ["context", "get", "a//b"], 2, "a//b"],
  ["an address that is none", ["whoami", "--url", "ftp://x"], 2, "ftp://x"],
])("%s is refused with words and exit code", async (_name, words, code, said) => {
  const refused = await cairn(...words);
  expect(refused.code).toBe(code);
  expect(refused.err).toContain(said);
  expect(refused.out).toBe("");
});

test("whoami and status say who and how", async () => {
  expect(JSON.parse((await cairn("whoami", "--json")).out)).toMatchObject({
    caller: "local",
    grants: [{ role: "admin" }],
  });
  expect((await cairn("whoami")).out).toContain("admin");
  const status = await cairn("status");
  expect(status).toMatchObject({ code: 0, err: "" });
  expect(status.out).toContain(`${ready.localUrl}/mcp`);
  expect(JSON.parse((await cairn("status", "--json")).out)).toMatchObject({ status: "ok", conditions: [] });
});

test("--url asks a node by its address, where the caller is a member and no admin", async () => {
  const asked = Bun.spawn({
    cmd: [...node.command, "whoami", "--json", "--url", ready.localUrl ?? ""],
    env: node.env,
    stdout: "pipe",
    stderr: "inherit",
  });
  expect(JSON.parse(await new Response(asked.stdout).text())).toMatchObject({
    caller: "local:dev",
    grants: [{ role: "member" }],
  });
});

test("version names everything inside, without a node", async () => {
  const asked = Bun.spawn({
    cmd: [...node.command, "version", "--json"],
    env: { PATH: node.env["PATH"] ?? "" },
    stdout: "pipe",
    stderr: "inherit",
  });
  const shown = JSON.parse(await new Response(asked.stdout).text());
  expect(Object.keys(shown)).toEqual(["version", "commit", "level", "bun", "sqlite", "tailscale", "go"]);
  for (const version of Object.values(shown)) expect(String(version)).toMatch(/^\S+$/);
});

test("a reader that closes the pipe early is no failure", async () => {
  await node.cli(["context", "put", "cli/long"], "x".repeat(500_000));
  const shell = Bun.spawn({
    cmd: [
      "bash",
      "-c",
      'set -o pipefail; "$@" | head -c 10',
      "bash",
      ...node.command,
      "context",
      "get",
      "cli/long",
      "--data",
      node.dataDir,
    ],
    env: node.env,
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await finished(shell)).toEqual({ out: "xxxxxxxxxx", err: "", code: 0 });
});

test("no node at the data folder, and no folder: exit 32 with the way out", async () => {
  for (const data of [node.home, "/nowhere/at/all"]) {
    const asked = Bun.spawn({
      cmd: [...node.command, "status", "--data", data],
      env: node.env,
      stdout: "pipe",
      stderr: "pipe",
    });
    const err = await new Response(asked.stderr).text();
    expect(await asked.exited).toBe(32);
    expect(err).toContain(data);
    expect(err).toContain("cairn serve");
  }
});

test("sockets and data are for the node's user alone", () => {
  const mode = (path: string): string => (lstatSync(path).mode & 0o777).toString(8);
  expect(mode(ready.socket)).toBe("600");
  expect(mode(dirname(ready.socket))).toBe("700");
  expect(mode(join(dirname(ready.socket), "node"))).toBe("700");
  expect(mode(node.dataDir)).toBe("700");
  // The Go half is loaded from its own folder, which alone holds what may be run.
  for (const file of new Bun.Glob("**/*").scanSync({ cwd: node.dataDir, absolute: true, dot: true }))
    expect(`${file} ${mode(file)}`).toBe(`${file} ${file.startsWith(join(node.dataDir, "lib", "")) ? 700 : 600}`);
});

const isRoot = process.getuid?.() === 0 && Bun.which("setpriv") !== null;

test.skipIf(!isRoot)("another user of the machine cannot use the local socket [needs root and setpriv]", async () => {
  // The folder above is opened, so that it is the socket's own folder that keeps others out.
  chmodSync(node.home, 0o755);
  const other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const script = `try { const answer = await fetch("http://cairn/health", { unix: ${JSON.stringify(ready.socket)} }); console.log("in", answer.status); } catch (error) { console.log("out", error.code); }`;
  const own = Bun.spawnSync({ cmd: [process.execPath, "-e", script], env: { PATH: "/usr/bin:/bin", HOME: "/tmp" } });
  expect(own.stdout.toString()).toBe("in 200\n");
  const bun = join(node.home, "bun");
  await Bun.write(bun, Bun.file(process.execPath));
  chmodSync(bun, 0o755);
  const foreign = Bun.spawnSync({
    cmd: [...other, bun, "-e", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", HOME: "/tmp" },
  });
  expect(foreign.stdout.toString()).toMatch(/^out /);
});
