// The MCP endpoint with the conformance fixtures straight from source, for a quick look without building: prints the
// start line that the executable prints.

import { contextFeature } from "../../src/features/context/index.ts";
import { startCore } from "../kit/core.ts";
import { startMcpServer } from "../kit/mcp-server.ts";

await using core = startCore();
const features = [contextFeature];
await using server = startMcpServer(core, { features, conformance: true, log: (line) => console.error(line) });
console.log(JSON.stringify({ event: "ready", localUrl: new URL(server.url).origin }));
await new Promise<void>((resolve) => process.once("SIGTERM", resolve));
