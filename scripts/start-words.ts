// What npm start prints: lines to copy, each of which works from any folder of this machine.

import { clientLines, shellWord } from "../src/lib/client-lines.ts";
import { CAIRN, type PrivateNode, type Serving } from "./start-node.ts";

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

/** Returns the lines for a node that ended by itself or was killed: which one, which are left, what they can do. */
export function wordsOfAnEnd(
  { name, role }: Pick<PrivateNode, "name" | "role">,
  code: number,
  all: readonly Pick<PrivateNode, "name" | "role">[],
  living: readonly Pick<PrivateNode, "name" | "role">[],
): string[] {
  const ended = `${name} (${role}) ended with ${code}`;
  if (living.length === 0) return [`${ended}; no node is left`];
  const left = `${living.length} of ${all.length} nodes go on: ${living.map((node) => node.name).join(", ")}`;
  const central = (nodes: typeof all) => nodes.filter((node) => node.role === "central").length;
  const isMajority = central(living) * 2 > central(all);
  return [
    `${ended}; ${left}`,
    isMajority
      ? "writes and reads go on"
      : `${central(living)} of ${central(all)} central nodes are left, no majority: reads go on, writes fail; ` +
        "Ctrl-C and npm start begin a new fleet with the data of cairn-1",
  ];
}

function simulator(nodes: readonly Serving[]): string {
  return [...CAIRN, "simulate", ...nodes.map(({ localUrl }) => `--url ${localUrl}`)].join(" ");
}
