// HTTP_PROXY and its like in the environment: what is meant for a node goes to the node. A proxy of this test records
// every request that reaches it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";

let node: DevNode;
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
const VARIABLES = {
  NO_PROXY: "elsewhere.example",
  ...Object.fromEntries(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
      .flatMap((name) => [name, name.toLowerCase()])
      .map((name) => [name, proxy.url.origin]),
  ),
};

beforeAll(async () => {
  node = await startDevNode(VARIABLES);
}, 60_000);

afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await proxy.stop(true);
});

test("the proxy takes what another program sends with these variables", async () => {
  const other = Bun.spawn({
    cmd: [process.execPath, "-e", `await fetch("${node.url}/ready")`],
    env: VARIABLES,
    stdout: "ignore",
    stderr: "ignore",
  });
  await other.exited;
  expect(reached.splice(0)).toEqual([`GET ${node.url}/ready`]);
});

test("commands with --url, and by the socket, reach the node", async () => {
  const { url, dataDir } = node;
  expect(await node.cairn(["context", "put", "team-a/plan", "--url", url], "# Plan")).toMatchObject({ code: 0 });
  expect((await node.cairn(["context", "get", "team-a/plan", "--url", url])).out).toBe("# Plan");
  expect(await node.cairn(["status", "--url", url])).toMatchObject({ code: 0 });
  expect(await node.cairn(["whoami", "--data", dataDir])).toMatchObject({ code: 0 });
  expect(await node.cairn(["context", "wait", "--url", url, "--timeout", "0"])).toMatchObject({ code: 3 });
  expect(reached).toEqual([]);
});

test("the bridge and the agents of simulate reach the node", async () => {
  const hello = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
  };
  const bridged = await node.cairn(["bridge", "--url", node.url], `${JSON.stringify(hello)}\n`);
  expect(JSON.parse(bridged.out.split("\n")[0] ?? "")).toMatchObject({ id: 1, result: { serverInfo: {} } });
  const played = await node.cairn(["simulate", "--url", node.url, "--agents", "1", "--rounds", "1"]);
  expect(played).toMatchObject({ code: 0 });
  expect(reached).toEqual([]);
});
