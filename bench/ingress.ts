// Rows over ingress.sock: the whole TypeScript half (listener, caller, routes, invoke, access, log, store) against a
// bare Bun.serve and the SDK's bare echo, all on unix sockets.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { compare, rowOf } from "./compare.ts";
import { type Program, startScript } from "./processes.ts";
import type { Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const CONNECTIONS = 64;
/** Contexts that are read and written in turn. */
const CONTEXTS = 256;

/** Returns a JSON document of about a kilobyte. */
export const DOCUMENT = JSON.stringify({
  title: "Plan for the week",
  steps: Array.from({ length: 8 }, (_, index) => ({
    at: index,
    what: `step ${index}`,
    done: index % 2 === 0,
    why: "x".repeat(64),
  })),
});

export async function overIngress(bench: Bench): Promise<Row[]> {
  const { wanted, say } = bench;
  if (!(["get", "put", "mcp", "traces"] as const).some((row) => wanted.has(row))) return [];
  const data = join(bench.data, "ingress");
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const programs: Program[] = [];
  const start = async (name: string, ...args: string[]) => {
    const started = await startScript(name, ...args);
    programs.push(started.program);
    return started;
  };
  try {
    const node = await start("node.ts", data, bench.sockets);
    const target = { unix: String(node.ready["socket"]), pids: [node.program.pid] };
    const headers = String(node.ready["headers"]);
    const helloSocket = join(bench.sockets, "hello.sock");
    const hello = await start("hello.ts", helloSocket, DOCUMENT);
    const yardstick = { unix: helloSocket, pids: [hello.program.pid] };
    const ids = Array.from({ length: CONTEXTS }, (_, index) => `bench/context-${index}`);
    const puts = ids.map((id) => request("PUT", `/contexts/${id}`, headers, DOCUMENT));
    say("writing the contexts that are read");
    await bench.load.run({ ...target, connections: 8, warmMs: 0, runMs: 1000, requests: puts });

    const rows: Row[] = [];
    if (wanted.has("get")) {
      const requests = ids.map((id) => request("GET", `/contexts/${id}`, headers));
      const pairs = await compare(bench, "get", { ...target, requests }, { ...yardstick, requests }, CONNECTIONS);
      rows.push(
        rowOf(`GET context over ingress.sock, ${CONNECTIONS} connections`, "bare `Bun.serve` hello", 0.4, pairs),
      );
    }
    if (wanted.has("put")) {
      const pairs = await compare(
        bench,
        "put",
        { ...target, requests: puts },
        { ...yardstick, requests: puts },
        CONNECTIONS,
      );
      rows.push(rowOf(`PUT context, durable, ${CONNECTIONS} connections`, "the same hello", 0.15, pairs));
    }
    if (wanted.has("mcp")) {
      const echoSocket = join(bench.sockets, "echo.sock");
      const echo = await start("echo.ts", echoSocket);
      const pairs = await compare(
        bench,
        "mcp",
        { ...target, requests: ids.map((id) => toolCall("context_get", { id }, headers)) },
        { unix: echoSocket, pids: [echo.program.pid], requests: [toolCall("echo", { text: DOCUMENT }, headers)] },
        CONNECTIONS,
      );
      rows.push(
        rowOf(
          `MCP \`tools/call context_get\`, ${CONNECTIONS} connections`,
          "the SDK's low-level echo server",
          0.85,
          pairs,
        ),
      );
    }
    if (wanted.has("traces")) {
      const other = join(bench.data, "ingress-traces");
      mkdirSync(other, { recursive: true, mode: 0o700 });
      const settings = { "traces.url": "http://127.0.0.1:9", "traces.sample_percent": "0" };
      const tracing = await start("node.ts", other, bench.sockets, "raft", JSON.stringify(settings));
      const traced = { unix: String(tracing.ready["socket"]), pids: [tracing.program.pid] };
      const own = String(tracing.ready["headers"]);
      const written = ids.map((id) => request("PUT", `/contexts/${id}`, own, DOCUMENT));
      await bench.load.run({ ...traced, connections: 8, warmMs: 0, runMs: 1000, requests: written });
      const gets = (more: string) => ids.map((id) => request("GET", `/contexts/${id}`, more));
      const sides = [
        { ...traced, requests: gets(own) },
        { ...target, requests: gets(headers) },
      ] as const;
      const pairs = await compare(bench, "traces", ...sides, CONNECTIONS);
      const what = `GET context over ingress.sock, ${CONNECTIONS} connections, traces on and none recorded`;
      rows.push(rowOf(what, "the same without traces", undefined, pairs));
    }
    return rows;
  } finally {
    for (const program of programs) await program.end();
  }
}

/** Returns a request as the Go half sends it on; for the local socket without its headers. */
export function request(method: string, path: string, headers: string, body = "", more = ""): string {
  const type = body === "" ? "" : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: cairn\r\nUser-Agent: bench\r\nAccept: application/json, text/event-stream\r\n${headers}${type}${more}\r\n${body}`;
}

const REVISION = "2026-07-28";

/** Returns a tool call in the modern revision: one POST, no session. */
function toolCall(name: string, input: object, headers: string): string {
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: {
      name,
      arguments: input,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": { name: "bench", version: "0" },
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    },
  });
  const more = `MCP-Protocol-Version: ${REVISION}\r\nMcp-Method: tools/call\r\nMcp-Name: ${name}\r\n`;
  return request("POST", "/mcp", headers, body, more);
}
