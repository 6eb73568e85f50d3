// What npm start prints: lines to copy, each of which works from any folder of this machine.

import { clientLines, shellWord } from "../src/lib/client-lines.ts";
import { CAIRN, type Serving } from "./start-node.ts";

/** Returns the lines to copy. */
export function howToUse(nodes: readonly Serving[], joined = false): string {
  const several = nodes.length > 1;
  const parts = nodes.map((node) => {
    const target = {
      name: several || joined ? node.name : "cairn",
      mcpUrl: `${node.localUrl}/mcp`,
      bridge: [...CAIRN, "bridge", "--data", node.dataDir],
    };
    const agent = (transport: "http" | "stdio") => clientLines("claude-code", target, transport).steps[0]?.text ?? "";
    return [
      ...(several || joined ? [`${node.name} (${node.role}):`] : []),
      `  page      ${node.localUrl}/`,
      `  MCP URL   ${node.localUrl}/mcp`,
      `  tailnet   ${node.mcpUrl} (only nodes of the private tailnet get there)`,
      `  agent     ${agent("http")}`,
      `  or        ${agent("stdio")}`,
      `  write     curl -X PUT ${node.localUrl}/contexts/hello/world -H 'Content-Type: text/plain' -d 'hello from curl'`,
      `  read      curl ${node.localUrl}/contexts/hello/world`,
      `  ask       ${[...CAIRN, "status", "--data", node.dataDir].map(shellWord).join(" ")}`,
      `  data      ${node.dataDir}; every cairn command takes it as --data`,
    ].join("\n");
  });
  return [
    joined
      ? "A node more in the fleet that runs on this machine's private tailnet; what it holds goes with it."
      : `cairn runs ${several ? `as a fleet of ${nodes.length} nodes ` : ""}on a private tailnet of this machine; set TS_AUTHKEY to join your own.`,
    "",
    parts.join("\n\n"),
    "",
    ...(several ? [`Agents that play on all of them: ${simulator(nodes)}`] : []),
    "Another terminal adds a node: npm run start:regional, npm run start:cache.",
    "Ctrl-C ends it.",
  ].join("\n");
}

function simulator(nodes: readonly Serving[]): string {
  return [...CAIRN, "simulate", ...nodes.map(({ localUrl }) => `--url ${localUrl}`)].join(" ");
}
