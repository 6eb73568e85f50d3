// Rows that compare agents' tools with those of other servers, in the same run and by the same MCP client, one call
// after the other: the reference memory server, and shared-context-server. What cannot be installed is said.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { install, pathOf } from "../test/clients/install.ts";
import { eventually } from "../test/kit/eventually.ts";
import { freePort } from "../test/kit/free-port.ts";
import { startNodeFor } from "./agents.ts";
import { median, percentile, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

const MEMORY = { registry: "npm", name: "@modelcontextprotocol/server-memory", version: "2026.8.31" } as const;
/** It does not start with a newer FastMCP: its tools use the argument `exclude_args`, which is gone there. */
const FASTMCP = "fastmcp==2.13.3";
const SHARED_CONTEXT = { registry: "pip", name: "shared-context-server", version: "1.1.10", with: [FASTMCP] } as const;
const STARTED_MS = 60_000;

type Json = Record<string, unknown>;

/** One call of a server, by its number. */
type Call = (n: number) => { name: string; arguments: Json };

interface Side {
  client: Client;
  write: Call;
  search: Call;
  end: () => Promise<void>;
}

/** Runs the rows, where they are wanted. */
export async function overPeers(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("peers")) return [];
  const rows: Row[] = [];
  await using node = await startNodeFor(bench, "peers");
  const headers = Object.fromEntries(
    node.place.headers.split("\r\n").flatMap((line) => (line === "" ? [] : [pairOf(line)])),
  );
  const fetchNode = (url: string | URL, init?: RequestInit) =>
    fetch(url, {
      ...init,
      headers: { ...Object.fromEntries(new Headers(init?.headers)), ...headers },
      unix: node.place.unix,
    });
  const ours = async (preset: string): Promise<Client> =>
    connected(
      new StreamableHTTPClientTransport(new URL(`http://cairn${preset}`), { fetch: fetchNode as typeof fetch }),
    );
  for (const [what, start, own] of [
    [`${MEMORY.name} ${MEMORY.version}`, startMemory, (client: Client) => memories(client)],
    [
      `${SHARED_CONTEXT.name} ${SHARED_CONTEXT.version}`,
      startSharedContext,
      (client: Client) => conversations(client, { space: "bench" }),
    ],
  ] as const) {
    const theirs = await start(bench);
    if ("missing" in theirs) {
      bench.say(`peers: no ${what}: ${theirs.missing}`);
      rows.push({
        what,
        against: "–",
        result: "not measured",
        goal: undefined,
        met: undefined,
        detail: theirs.missing,
      });
      continue;
    }
    try {
      const client = await ours(what.startsWith("@") ? "/mcp" : "/mcp/collaboration");
      rows.push(...(await against(bench, what, await own(client), theirs)));
      await client.close();
    } finally {
      await theirs.end();
    }
  }
  return rows;
}

async function against(bench: Bench, what: string, ours: Omit<Side, "end">, theirs: Side): Promise<Row[]> {
  const rows: Row[] = [];
  const count = Math.max(50, Math.round(bench.runMs / 5));
  for (const kind of ["write", "search"] as const) {
    const pairs: [Times, Times][] = [];
    for (let round = 0; round < bench.rounds; round += 1) {
      const own = await timesOf(ours, kind, round * count, count);
      pairs.push([own, await timesOf(theirs, kind, round * count, count)]);
    }
    const ratios = pairs.map(([own, other]) => other.p50 / own.p50);
    const side = (at: 0 | 1, part: "p50" | "p99") => median(pairs.map((pair) => pair[at][part])).toFixed(2);
    bench.say(`peers, ${what}, ${kind}: ratio ${median(ratios).toFixed(2)}`);
    rows.push({
      what: kind === "write" ? "MCP: an agent writes something down, durable here" : "MCP: an agent searches for it",
      against: what,
      result: spread(ratios, 2),
      goal: undefined,
      met: undefined,
      detail: `p50 ${side(0, "p50")} / ${side(1, "p50")} ms; p99 ${side(0, "p99")} / ${side(1, "p99")} ms; after ${count} to ${bench.rounds * count} writes`,
    });
  }
  return rows;
}

interface Times {
  p50: number;
  p99: number;
}

async function timesOf(side: Omit<Side, "end">, kind: "write" | "search", from: number, count: number): Promise<Times> {
  const ms: number[] = [];
  for (let n = from; n < from + count; n += 1) {
    const startMs = performance.now();
    const result = await side.client.callTool(side[kind](n));
    ms.push(performance.now() - startMs);
    if (result.isError === true)
      throw new Error(`${side[kind](n).name}: ${JSON.stringify(result.content).slice(0, 400)}`);
  }
  return { p50: percentile(ms, 0.5), p99: percentile(ms, 0.99) };
}

const textOf = (n: number) => `Observation number${n} about the parser, written down for whoever works on it next.`;

async function memories(client: Client): Promise<Omit<Side, "end">> {
  return {
    client,
    write: (n) => ({
      name: "memory_store",
      arguments: { key: `note-${n}`, value: textOf(n), space: "bench", scope: "shared" },
    }),
    search: (n) => ({ name: "search", arguments: { query: `number${n}`, space: "bench" } }),
  };
}

async function startMemory(bench: Bench): Promise<Side | { missing: string }> {
  const installed = install("server-memory", MEMORY);
  if ("missing" in installed) return installed;
  const { folder } = installed;
  const file = join(bench.data, "reference-memory.jsonl");
  const transport = new StdioClientTransport({
    command: join(folder, "node_modules", ".bin", "mcp-server-memory"),
    env: { PATH: pathOf(folder), MEMORY_FILE_PATH: file, HOME: bench.data },
    stderr: "ignore",
  });
  const client = await connected(transport);
  return {
    client,
    write: (n) => ({
      name: "create_entities",
      arguments: { entities: [{ name: `note-${n}`, entityType: "note", observations: [textOf(n)] }] },
    }),
    search: (n) => ({ name: "search_nodes", arguments: { query: `number${n}` } }),
    end: () => client.close(),
  };
}

/** The tools of shared-context-server; here and there the same ones. */
async function conversations(client: Client, space?: Json): Promise<Omit<Side, "end">> {
  const call = async (name: string, input: Json): Promise<Json> => {
    const { structuredContent, content } = await client.callTool({ name, arguments: input });
    const answer = (structuredContent ?? JSON.parse(String((content as { text: string }[])[0]?.text))) as Json;
    if (answer["success"] !== true) throw new Error(`${name}: ${JSON.stringify(answer).slice(0, 400)}`);
    return answer;
  };
  const known = await call("authenticate_agent", { agent_id: "bench", agent_type: "claude" });
  const auth_token = known["token"];
  const { session_id } = await call("create_session", { purpose: "Bench", auth_token, ...space });
  return {
    client,
    write: (n) => ({ name: "add_message", arguments: { session_id, content: textOf(n), auth_token } }),
    search: (n) => ({ name: "search_context", arguments: { session_id, query: `number${n}`, limit: 10, auth_token } }),
  };
}

async function startSharedContext(bench: Bench): Promise<Side | { missing: string }> {
  const installed = install("shared-context-server", SHARED_CONTEXT);
  if ("missing" in installed) return installed;
  const port = freePort();
  const home = join(bench.data, "shared-context");
  mkdirSync(home, { recursive: true });
  const key = Buffer.alloc(32, 7).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
  const program = Bun.spawn({
    cmd: [join(installed.folder, "bin", "shared-context-server"), "--transport", "http", "--port", String(port)],
    cwd: home,
    env: {
      ...{ PATH: pathOf(installed.folder), HOME: home, HTTP_HOST: "127.0.0.1", API_KEY: "bench-key" },
      ...{ JWT_SECRET_KEY: key, JWT_ENCRYPTION_KEY: key, DATABASE_PATH: join(home, "chat.db"), LOG_LEVEL: "ERROR" },
      DATABASE_URL: `sqlite+aiosqlite:///${join(home, "chat.db")}`,
    },
    stdout: "ignore",
    stderr: "pipe",
  });
  const stop = async (): Promise<void> => {
    program.kill();
    await program.exited;
  };
  try {
    const url = new URL(`http://127.0.0.1:${port}/mcp/`);
    const transport = () =>
      new StreamableHTTPClientTransport(url, { requestInit: { headers: { "X-API-Key": "bench-key" } } });
    const client = await eventually("shared-context-server", () => connected(transport()).catch(() => undefined), {
      withinMs: STARTED_MS,
      stepMs: 500,
    });
    const side = await conversations(client);
    return {
      ...side,
      end: async () => {
        await client.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    const said = (await new Response(program.stderr).text()).trim().split("\n").at(-1) ?? "";
    return { missing: `installed, and does not serve: ${String(error).slice(0, 200)} ${said.slice(0, 200)}` };
  }
}

async function connected(transport: Transport): Promise<Client> {
  const client = new Client({ name: "bench", version: "0" });
  await client.connect(transport);
  return client;
}

function pairOf(line: string): [string, string] {
  const at = line.indexOf(":");
  return [line.slice(0, at), line.slice(at + 1).trim()];
}
