// The yardstick for MCP: the SDK's low-level server with one tool that returns its argument, stateless as in the modern
// revision. `bun echo.ts SOCKET`.

import { createMcpHandler, Server } from "@modelcontextprotocol/server";

const socket = process.argv[2] ?? "";
const handler = createMcpHandler(
  () => {
    const server = new Server({ name: "echo", version: "0" }, { capabilities: { tools: {} } });
    server.setRequestHandler("tools/list", () => ({
      tools: [{ name: "echo", inputSchema: { type: "object" as const }, outputSchema: { type: "object" as const } }],
    }));
    server.setRequestHandler("tools/call", ({ params }) => {
      const structuredContent = params.arguments ?? {};
      return { structuredContent, content: [{ type: "text", text: JSON.stringify(structuredContent) }] };
    });
    return server;
  },
  { legacy: "reject" },
);
Bun.serve({ unix: socket, fetch: (request) => handler.fetch(request) });
process.stdout.write(`${JSON.stringify({ event: "ready" })}\n`);
