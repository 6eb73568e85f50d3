// A node as clients of MCP reach it: the same requests as over REST, as tool calls of the newest revision.

import { Agent } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import { placeOf, tagOf } from "./history.ts";
import { hashOf, type Said, type Target } from "./load.ts";

const VERSION = "2026-07-28";
const META = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** Returns a node as `device` reaches it over MCP; its name is that of the node. */
export function mcpTarget(device: ConstructorParameters<typeof Agent>[0], node: FleetNode): Target {
  const agent = new Agent(device, node.base);
  return {
    name: node.name,
    put: ({ key, content, condition, idempotencyKey }, signal) =>
      call(
        agent,
        "context_put",
        {
          ...{ id: key, content, content_type: "text/plain" },
          ...(idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey }),
          ...(condition === undefined
            ? {}
            : condition === "new"
              ? { if_none_match: "*" }
              : { if_match: `"${condition}"` }),
        },
        signal,
      ),
    get: ({ key, consistency, shown }, signal) =>
      call(
        agent,
        "context_get",
        {
          ...{ id: key, format: "text", consistency },
          ...(shown === undefined ? {} : { min_position: `${shown.epoch}-${shown.seq}` }),
        },
        signal,
      ),
  };
}

async function call(agent: Agent, name: string, input: object, signal: AbortSignal): Promise<Said> {
  try {
    const { status, body, text } = await agent.http("/mcp", {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": name,
      },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name, arguments: input, _meta: META },
      }),
      signal,
    });
    const result = resultOf(body, text);
    if (result === undefined) return { outcome: "unknown", code: `${status} ${text.slice(0, 60)}` };
    return saidOf(name, result);
  } catch (error) {
    return { outcome: "unknown", code: error instanceof Error ? error.name : String(error) };
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

function saidOf(name: string, { isError, content }: ToolResult): Said {
  const output = JSON.parse(content[0]?.text ?? "{}") as Record<string, unknown>;
  const position = placeOf(String(output["position"]));
  if (isError !== true) {
    const cache = output["cache"] as { age_seconds?: number } | undefined;
    return {
      outcome: "ok",
      ...tagOf(String(output["etag"])),
      ...(name === "context_get" ? { body: hashOf(String(output["content"])) } : {}),
      position,
      ...(cache?.age_seconds === undefined ? {} : { ageMs: cache.age_seconds * 1000 }),
      ...(cache === undefined ? {} : { cached: true }),
    };
  }
  const code = String(output["code"]);
  if (code === "not_found" && name === "context_get") return { outcome: "ok", version: 0, hash: "", position };
  if (output["outcome"] === "unknown" || code === "internal") return { outcome: "unknown", code };
  return { outcome: "fail", code, again: output["retryable"] === true };
}
