// The MCP endpoint alone in a process, for tests that hold thousands of streams and measure its memory. `bun
// many-main.ts CALLERS`: caller i has access to the space c<i>, `default` to all.

import { join } from "node:path";
import { callerWith, startCore } from "./core.ts";
import { startMcpServer } from "./mcp-server.ts";

await using core = startCore();
const callers = Object.fromEntries(
  Array.from({ length: Number(process.argv[2] ?? "1") }, (_, index) => [
    `c${index}`,
    callerWith({ id: `n${index}`, login: `c${index}@x`, grants: [{ role: "member", spaces: [`c${index}`] }] }),
  ]),
);
const unix = join(core.folder, "mcp.sock");
await using _server = startMcpServer(core, { unix, callers, log: (line) => console.error(line) });
console.log(JSON.stringify({ unix }));
await new Promise<void>((resolve) => process.once("SIGTERM", resolve));
