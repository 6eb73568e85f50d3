// A node as clients of MCP reach it: the same requests as over REST, as tool calls of the newest revision.

import { Agent } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import {
  type Call,
  faultOf,
  foundOf,
  noAnswer,
  type ReadAsk,
  readCall,
  type Said,
  type Target,
  type WriteAsk,
  writeCall,
  writtenOf,
} from "./asks.ts";
import { hashOf } from "./documents.ts";
import { placeOf, tagOf } from "./history.ts";

const VERSION = "2026-07-28";
/** More than any document of a load. */
const MAX_CHARS = 1_000_000;
const META = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** Returns a node as `device` reaches it over MCP; its name is that of the node. */
export function mcpTarget(device: ConstructorParameters<typeof Agent>[0], node: FleetNode): Target {
  const agent = new Agent(device, node.base);
  return {
    name: node.name,
    write: (ask, signal) => {
      const { name, input } = writeCall(ask);
      const keyed = ask.idempotencyKey === undefined ? {} : { idempotency_key: ask.idempotencyKey };
      return call(agent, ask, { name, input: { ...input, ...keyed } }, signal);
    },
    read: (ask, signal) => {
      const { name, input } = readCall(ask);
      const { consistency, shown } = ask;
      const common = { consistency, ...(shown && { min_position: `${shown.epoch}-${shown.seq}` }) };
      // The whole text: over MCP a long document is answered in parts.
      const text = name === "context_get" ? { format: "text", max_chars: MAX_CHARS } : {};
      return call(agent, ask, { name, input: { ...input, ...text, ...common } }, signal);
    },
  };
}

/** Returns a request of the newest revision. */
export function mcpRequest(method: string, params: Record<string, unknown>, name?: string) {
  return {
    method: "POST",
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
      ...(name === undefined ? {} : { "mcp-name": name }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } }),
  };
}

/** Calls a tool. Returns its output or fault; undefined, with what came instead, for another response. */
export async function callTool(agent: Agent, { name, input }: Call, signal: AbortSignal) {
  const request = mcpRequest("tools/call", { name, arguments: input }, name);
  const { status, body, text } = await agent.http("/mcp", { ...request, signal });
  const result = resultOf(body, text);
  if (result === undefined) return { output: undefined, instead: `${status} ${text.slice(0, 60)}` };
  const output = JSON.parse(result.content.at(-1)?.text ?? "{}") as Record<string, unknown>;
  return { output, isFault: result.isError === true };
}

async function call(agent: Agent, ask: WriteAsk | ReadAsk, tool: Call, signal: AbortSignal): Promise<Said> {
  try {
    const { output, isFault, instead = "" } = await callTool(agent, tool, signal);
    if (output === undefined) return { outcome: "unknown", code: instead };
    const position = placeOf(String(output["position"]));
    return isFault === true ? faultOf(ask, output, position) : answeredOf(ask, tool, output);
  } catch (error) {
    return noAnswer(error);
  }
}

interface ToolResult {
  isError?: boolean;
  content: readonly { text?: string }[];
}

/** The response is one JSON object, or an event stream that ends with it. */
function resultOf(body: Record<string, unknown>, text: string): ToolResult | undefined {
  const last = text.split("\n").findLast((line) => line.startsWith("data: {"));
  const message = last === undefined ? body : (JSON.parse(last.slice("data: ".length)) as Record<string, unknown>);
  return message["result"] as ToolResult | undefined;
}

function answeredOf(ask: WriteAsk | ReadAsk, { name }: Call, output: Record<string, unknown>): Said {
  const cache = output["cache"] as { age_seconds?: number } | undefined;
  const freshness = {
    position: placeOf(String(output["position"])),
    ...(cache?.age_seconds === undefined ? {} : { ageMs: cache.age_seconds * 1000 }),
    ...(cache === undefined ? {} : { cached: true }),
  };
  if ("parts" in ask) return { outcome: "ok", ...writtenOf(ask, output), ...freshness };
  if (name !== "context_get") return { outcome: "ok", ...foundOf(ask, output), ...freshness };
  return { outcome: "ok", ...tagOf(String(output["etag"])), body: hashOf(String(output["content"])), ...freshness };
}
