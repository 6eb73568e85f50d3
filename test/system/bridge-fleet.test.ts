// `cairn bridge --fleet` and `cairn simulate` on three real voters: whoever is asked is killed under a stream of calls,
// and each write is done once.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { finished } from "../../scripts/finished.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { newClient, textOf } from "../kit/mcp-client.ts";
import { cairnCommand } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const OWNER = "owner@example.com";
const KEY = "tskey-auth-kAGENT";

let tailnet: TestTailnet;
let fleet: Fleet;
let command: string[];
let nodes: FleetNode[];

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  for (const hostname of ["central-1", "central-2", "central-3", "desk", "player"])
    await tailnet.expect({ hostname, user: OWNER });
  fleet = await startFleet({ centrals: 3, tailnet });
  nodes = fleet.up();
  command = await cairnCommand("source");
}, 600_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

/** The machine of an agent: without Tailscale, with a folder of its own. */
function machine() {
  const home = temporaryFolder();
  const { PATH = "" } = process.env;
  return {
    data: join(home, "data"),
    env: { PATH, HOME: home, TMPDIR: home, CAIRN_CONTROL_URL: tailnet.controlUrl, TS_AUTHKEY: KEY },
  };
}

/** `cairn simulate` from a machine of its own. */
function play(words: readonly string[]) {
  const { data, env } = machine();
  const urls = nodes.flatMap(({ name }) => ["--url", `http://${name}`]);
  const cmd = [...command, "simulate", "--hostname", "player", "--private-tailnet", "--data", data, ...urls, ...words];
  const child = Bun.spawn({ cmd, env, stdout: "pipe", stderr: "pipe" });
  return finished(child);
}

test("simulate plays on all three, and finds the same everywhere", async () => {
  const { out, err, code } = await play(["--agents", "6", "--rounds", "4"]);
  expect({ code, wrong: code === 0 ? "" : err }).toEqual({ code: 0, wrong: "" });
  for (const { name } of nodes) expect(out).toContain(`http://${name})`);
  expect(out).toContain("no update lost");
}, 60_000);

test("kill -9 of the member in use under a stream of writes without keys, and under agents of simulate", async () => {
  const { data, env } = machine();
  const [program = "", ...words] = command;
  const transport = new StdioClientTransport({
    command: program,
    args: [...words, "bridge", "central-1", "--fleet", "--hostname", "desk", "--private-tailnet", "--data", data],
    env,
    stderr: "pipe",
  });
  let said = "";
  transport.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const client = newClient("modern");
  await client.connect(transport, { timeout: 60_000 });
  const playing = play(["--fleet", "--agents", "4", "--rounds", "25", "--space", "over"]);
  try {
    let slowestMs = 0;
    const write = async (content: number): Promise<void> => {
      const begunMs = performance.now();
      const answer = await client.callTool({ name: "context_put", arguments: { id: "team/count", content } });
      expect(textOf(answer)).toMatchObject({ version: content });
      const read = await client.callTool({ name: "context_get", arguments: { id: "team/count" } });
      expect(textOf(read)).toMatchObject({ version: content, content });
      slowestMs = Math.max(slowestMs, performance.now() - begunMs);
    };
    const inUse = async (): Promise<FleetNode | undefined> => {
      const { tailnet: of } = textOf(await client.callTool({ name: "node_status", arguments: {} }));
      return nodes.find(({ name }) => (of as { name: string }).name.startsWith(`${name}.`));
    };
    const played = async () => (await nodes[0]?.call("context_list", { prefix: "over/" }))?.body["contexts"];
    await eventually("the agents to play", async () => ((await played()) as unknown[]).length > 3);
    for (let at = 1; at <= 10; at++) await write(at);
    const killed = await inUse();
    const writing = write(11);
    killed?.kill();
    await writing;
    for (let at = 12; at <= 20; at++) await write(at);
    expect((await inUse())?.name).not.toBe(killed?.name);
    expect(said.match(/switched from/g)).toHaveLength(1);
    expect(said).toContain(killed?.name ?? "nobody was killed");
    expect(slowestMs).toBeLessThan(15_000);
    const history = await client.callTool({ name: "context_history", arguments: { id: "team/count" } });
    expect(textOf(history)["versions"]).toHaveLength(20);
    const { out: story, err: complaints, code: exit } = await playing;
    expect({ exit, wrong: exit === 0 ? "" : complaints }).toEqual({ exit: 0, wrong: "" });
    expect(story).toContain("no update lost");
  } finally {
    await client.close();
  }
}, 120_000);
