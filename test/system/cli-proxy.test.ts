// HTTP_PROXY and its like in the environment: what is meant for a node goes to the node. A proxy of this test records
// every connection that reaches it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { cairnCommand, type Finished } from "../kit/node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let command: string[];
let home: string;
let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
let url: string;
const reached: string[] = [];
const proxy = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request) {
    reached.push(`${request.method} ${request.url}`);
    return new Response("the proxy", { status: 502 });
  },
});

/** Every spelling that some program reads; NO_PROXY names something else. */
const environment = () => {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [name, name.toLowerCase()]);
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    TMPDIR: home,
    NO_PROXY: "elsewhere.example",
    ...Object.fromEntries(names.map((name) => [name, proxy.url.origin])),
  };
};

async function cairn(words: readonly string[], input = ""): Promise<Finished> {
  const run = Bun.spawn({
    cmd: [...command, ...words],
    env: environment(),
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ]);
  return { out, err, code, signal: null };
}

beforeAll(async () => {
  command = await cairnCommand("source");
  home = temporaryFolder();
  mkdirSync(join(home, "data"), { mode: 0o700 });
  child = Bun.spawn({
    cmd: [...command, "dev", "--data", join(home, "data"), "--port", "0"],
    env: environment(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let out = "";
  void (async () => {
    for await (const chunk of child.stdout) out += new TextDecoder().decode(chunk);
  })();
  url = await eventually("the ready event", () =>
    out.includes("\n") ? String(JSON.parse(out.split("\n")[0] ?? "").url) : undefined,
  );
}, 60_000);

afterAll(async () => {
  child.kill("SIGTERM");
  await child.exited;
  await proxy.stop(true);
});

test("the proxy takes what another program sends through the environment", async () => {
  const other = Bun.spawn({
    cmd: [process.execPath, "-e", `await fetch("${url}/ready")`],
    env: environment(),
    stdout: "ignore",
    stderr: "ignore",
  });
  await other.exited;
  expect(reached.splice(0)).toEqual([`GET ${url}/ready`]);
});

test("commands with --url, and by the socket, reach the node", async () => {
  expect(await cairn(["context", "put", "team-a/plan", "--url", url], "# Plan")).toMatchObject({ code: 0 });
  expect((await cairn(["context", "get", "team-a/plan", "--url", url])).out).toBe("# Plan");
  expect(await cairn(["status", "--url", url])).toMatchObject({ code: 0 });
  expect(await cairn(["whoami", "--data", join(home, "data")])).toMatchObject({ code: 0 });
  expect(await cairn(["context", "wait", "--url", url, "--timeout", "0"])).toMatchObject({ code: 3 });
  expect(reached).toEqual([]);
});

test("the bridge and the agents of simulate reach the node", async () => {
  const hello = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
  };
  const bridged = await cairn(["bridge", "--url", url], `${JSON.stringify(hello)}\n`);
  expect(JSON.parse(bridged.out.split("\n")[0] ?? "")).toMatchObject({ id: 1, result: { serverInfo: {} } });
  const played = await cairn(["simulate", "--url", url, "--agents", "1", "--rounds", "1"]);
  expect(played).toMatchObject({ code: 0 });
  expect(reached).toEqual([]);
});
