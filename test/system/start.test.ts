// npm start as in the README: without a key a private tailnet whose printed lines work as they stand, with a key a node
// on that tailnet; and both end without a trace.

import { afterEach, expect, test } from "bun:test";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { joinAgent } from "../kit/agent.ts";
import { eventually, within } from "../kit/eventually.ts";
import { connect, ERAS, newClient } from "../kit/mcp-client.ts";
import { allProcesses, commandLine, environment } from "../kit/processes.ts";
import { TestTailnet } from "../kit/tailnet.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const root = dirname(dirname(import.meta.dir));
const script = join(root, "scripts", "start.ts");
const hasCurl = Bun.which("curl") !== null;

let started: Started | undefined;
afterEach(() => started?.end());

/** npm start as a process, with what it printed. */
class Started {
  readonly home = temporaryFolder();
  readonly env: Record<string, string>;
  text = "";
  readonly #child;

  constructor(args: readonly string[], env: Record<string, string> = {}, command = [process.execPath, script]) {
    const go = Object.fromEntries(
      ["GOCACHE", "GOPATH", "GOMODCACHE", "GOFLAGS"].flatMap((name) =>
        process.env[name] ? [[name, process.env[name]]] : [],
      ),
    );
    this.env = {
      PATH: process.env["PATH"] ?? "",
      HOME: process.env["HOME"] ?? this.home,
      TMPDIR: this.home,
      ...go,
      ...env,
    };
    this.#child = Bun.spawn({
      cmd: [...command, ...args],
      cwd: this.home,
      env: this.env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    void this.#read(this.#child.stdout);
    void this.#read(this.#child.stderr);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) this.text += new TextDecoder().decode(chunk);
  }

  async printed(text: string): Promise<void> {
    const look = () => {
      if (this.#child.exitCode !== null) throw new Error(`npm start ended with ${this.#child.exitCode}\n${this.text}`);
      return this.text.includes(text);
    };
    // It may have to build the Go half first.
    await eventually(`npm start to print ${text}`, look, { withinMs: 300_000, seen: () => this.text });
  }

  /** What stands after this word at the beginning of a line. */
  line(word: string): string {
    const found = new RegExp(`^ *${word} +(.*)$`, "m").exec(this.text)?.[1];
    if (found === undefined) throw new Error(`no line "${word}" in\n${this.text}`);
    return found;
  }

  /** Runs a printed line in a shell, from a folder that has nothing to do with the project. */
  async shell(line: string, input = ""): Promise<string> {
    const child = Bun.spawn({
      cmd: ["bash", "-c", line],
      cwd: "/",
      env: this.env,
      stdin: Buffer.from(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    return within(line, new Response(child.stdout).text());
  }

  /** Kills the node of that name with SIGKILL. */
  kill(name: string): void {
    const found = allProcesses().filter(
      (pid) => environment(pid)["TMPDIR"] === this.home && commandLine(pid).includes(`--hostname ${name} `),
    );
    if (found.length === 0) throw new Error(`no process of ${name} in\n${left(this.home)}`);
    for (const pid of found) process.kill(pid, "SIGKILL");
  }

  async stop(): Promise<number> {
    this.#child.kill("SIGTERM");
    return within("npm start to end", this.#child.exited);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null) await this.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What curl wrote is there for an agent, by a tool call. */
async function reads(client: Client): Promise<void> {
  const { structuredContent } = await client.callTool({ name: "context_get", arguments: { id: "hello/world" } });
  expect(structuredContent).toMatchObject({ content: "hello from curl", author: "local:dev" });
}

function putText(url: string, body: string): Promise<Response> {
  return fetch(url, { method: "PUT", headers: { "content-type": "text/plain" }, body });
}

/** Processes whose environment names the folder of this start. */
function left(home: string): string {
  const found = allProcesses().filter((pid) => environment(pid)["TMPDIR"] === home);
  return found.map((pid) => `${pid} ${commandLine(pid)}`).join("\n");
}

test("without a key every printed line works from any folder, and SIGTERM ends all of it", async () => {
  const here = new Started(["--data", join(temporaryFolder(), "data"), "--port", "0"]);
  started = here;
  await here.printed("Ctrl-C");
  const url = here.line("MCP URL").replace("/mcp", "");
  expect(here.line("agent")).toBe(`claude mcp add --transport http cairn ${url}/mcp`);
  expect(here.line("tailnet")).toMatch(/^http:\/\/cairn\.[a-z.-]+\/mcp /);

  if (hasCurl) {
    expect(JSON.parse(await here.shell(here.line("write")))).toMatchObject({ id: "hello/world", version: 1 });
    expect(await here.shell(here.line("read"))).toBe("hello from curl");
  } else {
    await fetch(`${url}/contexts/hello/world`, {
      method: "PUT",
      headers: { "content-type": "text/plain" },
      body: "hello from curl",
    });
  }

  expect(await here.shell(here.line("ask"))).toContain("status    ok");

  // The URL line, in both eras, and the other one as an agent would run it, each with the SDK's own client.
  for (const era of ERAS) {
    await using agent = await connect(`${url}/mcp`, era);
    await reads(agent.client);
  }
  const words = await here.shell(`printf '%s\\n' ${here.line("or").replace(/^claude mcp add cairn -- /, "")}`);
  const [command = "", ...args] = words.trim().split("\n");
  for (const era of ERAS) {
    const client = newClient(era);
    await within(
      "the bridge to connect",
      client.connect(new StdioClientTransport({ command, args, env: here.env, cwd: "/" })),
    );
    await reads(client);
    await client.close();
  }

  if (process.platform === "linux") expect(left(here.home)).not.toBe("");
  expect(await here.stop()).toBe(0);
  if (process.platform === "linux")
    await eventually("all processes to be gone", () => left(here.home) === "", { seen: () => left(here.home) });
});

test.skipIf(Bun.which("npm") === null || process.platform !== "linux")(
  "SIGTERM to npm itself reaches everything that it started [needs npm]",
  async () => {
    const args = ["--data", join(temporaryFolder(), "data"), "--port", "0"];
    const here = new Started(args, {}, ["npm", "--prefix", root, "start", "--"]);
    started = here;
    await here.printed("Ctrl-C");
    await here.stop();
    await eventually("all processes to be gone", () => left(here.home) === "", { seen: () => left(here.home) });
  },
);

test("with a key it serves on the tailnet that the key belongs to", async () => {
  await using tailnet = await TestTailnet.start();
  const key = `tskey-auth-${crypto.randomUUID()}`;
  await tailnet.auth("key", { keys: [key] });
  const data = join(temporaryFolder(), "data");
  const here = new Started(["--private-tailnet", "--control-url", tailnet.controlUrl, "--data", data], {
    TS_AUTHKEY: key,
  });
  started = here;
  await here.printed('"state":"serving"');
  const mcpUrl = /"mcpUrl":"([^"]+)\/mcp"/.exec(here.text)?.[1] ?? "no URL";
  const agent = await joinAgent(tailnet, mcpUrl, { hostname: "agent" });
  expect((await agent.put("hello/tailnet", "by the tailnet")).status).toBe(201);
  for (const era of ERAS) {
    const client = await agent.mcp(era);
    const { structuredContent } = await client.callTool({ name: "context_get", arguments: { id: "hello/tailnet" } });
    expect(structuredContent).toMatchObject({ content: "by the tailnet" });
    await client.close();
  }
  expect(here.text).not.toContain(key);
  expect(await here.stop()).toBe(0);
});

test("--nodes 3 is a fleet of every role, another terminal adds to it, and what was written outlives all of it", async () => {
  const data = join(temporaryFolder(), "data");
  const words = ["--data", data, "--port", "0"];
  const here = new Started(["--nodes", "3", ...words]);
  started = here;
  await here.printed("Ctrl-C");
  const urls = [...here.text.matchAll(/^ *MCP URL +(\S+)\/mcp$/gm)].map((match) => match[1] ?? "");
  expect([...here.text.matchAll(/^(cairn-\d) \((\w+)\):$/gm)].map((match) => match[2])).toEqual([
    "central",
    "regional",
    "edge",
  ]);
  const put = await putText(`${urls[2]}/contexts/hello/edge`, "written at the edge");
  expect(put.status).toBe(201);
  const position = put.headers.get("cairn-position") ?? "";
  for (const url of urls) {
    const read = await fetch(`${url}/contexts/hello/edge`, { headers: { "cairn-min-position": position } });
    expect(await read.text()).toBe("written at the edge");
  }

  const there = new Started(["--role", "edge", "--join", "auto", ...words]);
  try {
    await there.printed("Ctrl-C");
    const joined = there.line("MCP URL").replace("/mcp", "");
    expect(await (await fetch(`${joined}/contexts/hello/edge`)).text()).toBe("written at the edge");
    expect(await there.stop()).toBe(0);
  } finally {
    await there.end();
  }

  here.kill("cairn-2");
  await here.printed("cairn-2 (regional) ended with 137; 2 of 3 nodes go on: cairn-1, cairn-3");
  expect(here.text).toContain("cairn: writes and reads go on");
  for (const url of [urls[0], urls[2]])
    await eventually(`a write at ${url}`, async () => (await putText(`${url}/contexts/hello/after`, url ?? "")).ok);
  here.kill("cairn-1");
  await here.printed("cairn-1 (central) ended with 137; 1 of 3 nodes go on: cairn-3");
  expect(here.text).toContain("0 of 1 central nodes are left, no majority: reads go on, writes fail");
  expect(await (await fetch(`${urls[2]}/contexts/hello/edge`)).text()).toBe("written at the edge");
  expect(await here.stop()).toBe(0);
  expect(readdirSync(data).sort()).toEqual(["cairn-1", "cairn-2", "cairn-3"]);

  const again = new Started(["--nodes", "2", ...words]);
  started = again;
  await again.printed("Ctrl-C");
  const second = [...again.text.matchAll(/^ *MCP URL +(\S+)\/mcp$/gm)][1]?.[1] ?? "";
  expect(await (await fetch(`${second}/contexts/hello/edge`)).text()).toBe("written at the edge");
  expect(await again.stop()).toBe(0);
}, 120_000);

test.each([
  [["--role", "boss"], '"boss"'],
  [["--role", "edge", "--join", "cairn-1"], "TS_AUTHKEY"],
  [["--port", "x"], '"x"'],
])("%p is refused", async (words, said) => {
  const child = Bun.spawn({
    cmd: [process.execPath, script, ...words],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/" },
    stdout: "ignore",
    stderr: "pipe",
  });
  expect(await new Response(child.stderr).text()).toContain(said);
  expect(await child.exited).toBe(1);
});

test("an option that npm start does not know is named, with those that it has, before anything is built", async () => {
  const child = Bun.spawn({
    cmd: [process.execPath, script, "--unknown"],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/" },
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  expect(said).toStartWith("cairn: Unknown option '--unknown'\n  try: without a key");
  expect(said).toContain("--nodes");
  expect(await child.exited).toBe(2);
});

test("a number of nodes that cannot be is refused", async () => {
  const child = Bun.spawn({
    cmd: [process.execPath, script, "--nodes", "many"],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/" },
    stdout: "ignore",
    stderr: "pipe",
  });
  expect(await new Response(child.stderr).text()).toContain('"many"');
  expect(await child.exited).toBe(1);
});
