// cairn agents and --agent: registering, the roster, acting as an agent, taking over and ending one.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { newClient, textOf } from "../kit/mcp-client.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";

type Json = Record<string, unknown>;

let node: TestNode;
beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance", "--log-level", "debug"] });
  await node.ready();
}, 120_000);
afterAll(() => node[Symbol.asyncDispose]());

const cairn = (...words: string[]): Promise<Finished> => node.cli(words);

test("an agent is registered, acts, says what it works on, is taken over and ends", async () => {
  expect((await cairn("agents")).out).toBe("no agent is registered\n");
  const made = await cairn("agents", "register", "Builder", "--type", "coder");
  expect([made.out, made.code]).toEqual([expect.stringContaining("Builder: --agent Builder acts as it"), 0]);
  const folder = join(node.dataDir, "agents");
  const [file = ""] = readdirSync(folder);
  const path = join(folder, file);
  const handle = readFileSync(path, "utf8").trim();
  expect([statSync(path).mode & 0o777, made.out + made.err]).toEqual([0o600, expect.not.stringContaining(handle)]);
  await node.cli(["context", "put", "team/x", "--agent", "builder"], "text");
  expect((await cairn("context", "history", "team/x")).out).toContain("Builder (local)");
  expect((await cairn("audit", "--prefix", "team/x")).out).toContain("Builder (local)");
  // A path names the file of a handle.
  expect((await cairn("whoami", "--agent", path)).out).toContain("Builder (coder)");
  await cairn("agents", "status", "reviewing", "--agent", "Builder");
  expect((await cairn("agents")).out).toContain("reviewing");
  const again = await cairn("agents", "register", "builder");
  expect([again.code, again.err]).toEqual([5, expect.stringContaining("run cairn agents register with --takeover")]);
  expect(readFileSync(path, "utf8").trim()).toBe(handle);
  await cairn("agents", "register", "builder", "--takeover");
  expect(readFileSync(path, "utf8").trim()).not.toBe(handle);
  expect((await cairn("whoami", "--agent", "builder")).code).toBe(0);
  expect((await cairn("agents", "remove", "builder")).out).toContain("its name is free");
  const ended = await cairn("whoami", "--agent", "builder");
  expect([ended.code, ended.err]).toEqual([
    10,
    expect.stringContaining("Run cairn agents register again, with --takeover"),
  ]);
  const none = await cairn("agents", "status", "x");
  expect(none.err).toContain("Name your agent with --agent NAME, by the handle that cairn agents register returned.");
  const unknown = await cairn("whoami", "--agent", "nobody");
  expect([unknown.code, unknown.err]).toEqual([4, expect.stringContaining("cairn agents register")]);
  // One that the node draws, and that is then shown on each way.
  const drawn = String(
    (JSON.parse((await cairn("call", "agent_register", '{"name": "other"}')).out) as Json)["handle"],
  );
  await cairn("call", "context_put", JSON.stringify({ id: "team/y", content: 1, as: drawn }));
  await cairn("call", "context_put", JSON.stringify({ id: "team/y", content: 1, as: `${drawn}0` }));
  await cairn("call", "context_put", JSON.stringify({ id: "team/y", content: 1, as: handle }));
  const { out, err } = await node.stop();
  expect(err).toContain("debug");
  for (const secret of [handle, drawn]) {
    expect(secret).toMatch(/^agent-[0-9a-f]{32}$/);
    expect(out + err).not.toContain(secret.slice(6));
    const files = [...new Bun.Glob("**/*").scanSync({ cwd: node.dataDir, dot: true })].filter(
      (name) => name !== `agents/${file}`,
    );
    expect(files.length).toBeGreaterThan(3);
    for (const name of files)
      expect([name, readFileSync(join(node.dataDir, name)).includes(secret.slice(6))]).toEqual([name, false]);
  }
}, 120_000);

test("at a URL the bridge and the commands act as one agent: neither ends the other's handle", async () => {
  await using own = await spawnNode({ args: ["--conformance"] });
  const url = (await own.ready()).localUrl ?? "";
  const at = ["--agent", "builder", "--url"];
  const register = (...more: string[]) => own.cli(["agents", "register", "builder", ...more, "--url", `${url}/`]);
  expect((await register()).code).toBe(0);
  const [command = "", ...words] = own.command;
  const args = [...words, "bridge", ...at, url, "--data", own.dataDir];
  const client = newClient("modern");
  await client.connect(new StdioClientTransport({ command, args, env: own.env, stderr: "pipe" }));
  const agentOfBridge = async () => textOf(await client.callTool({ name: "whoami", arguments: {} }));
  try {
    expect(await agentOfBridge()).toMatchObject({ agent: { name: "builder" } });
    expect((await own.cli(["whoami", ...at, url])).err).toBe("");
    expect(readdirSync(join(own.dataDir, "agents"))).toHaveLength(1);
    // A command that takes the name over leaves its handle to the bridge that runs.
    expect((await register("--takeover")).code).toBe(0);
    expect(await agentOfBridge()).toMatchObject({ agent: { name: "builder" } });
    expect((await own.cli(["whoami", ...at, url])).code).toBe(0);
  } finally {
    await client.close();
  }
}, 120_000);
