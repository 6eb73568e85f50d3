// One request to an MCP endpoint in the newest revision, without a client, and its answer as text.

import type { Mcp } from "../../src/mcp/index.ts";
import type { Someone } from "./sessions.ts";

const REVISION = "2026-07-28";

/** Calls a method as somebody, perhaps as an agent, and returns what came back. */
export async function callAndRead(
  mcp: Mcp,
  { caller, handle }: Someone,
  method: string,
  params: Record<string, unknown>,
  path = "/mcp",
): Promise<string> {
  const name = params["name"] ?? params["uri"];
  const request = new Request(`http://cairn${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": REVISION,
      "mcp-method": method,
      ...(typeof name === "string" ? { "mcp-name": name } : {}),
      ...(handle === undefined ? {} : { "cairn-agent": handle }),
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method,
      params: {
        ...params,
        _meta: {
          "io.modelcontextprotocol/protocolVersion": REVISION,
          "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
          "io.modelcontextprotocol/clientCapabilities": {},
        },
      },
    }),
  });
  return (await mcp.fetch(request, caller)).text();
}
