// The events of a start and a run: each as lines for people, or as one JSON line for programs.

import type { BuildInfo } from "../../config/build-info.ts";
import { clientLines } from "../../lib/client-lines.ts";
import { printableLine } from "../../lib/printable.ts";
import type { Condition } from "../../observe/conditions.ts";

/** The ready event: everything that a person or a script needs to use the node. */
export interface Ready {
  event: "ready";
  /** `serving`, or what the node waits for. */
  state: "serving" | "needs_login" | "waiting";
  /** Base URL for agents; null while it is not known. */
  url: string | null;
  mcpUrl: string | null;
  /** Base URL on 127.0.0.1; only in development and conformance. */
  localUrl: string | null;
  loginUrl: string | null;
  name: string;
  ips: string[];
  dataDir: string;
  socket: string;
  pid: number;
  versions: BuildInfo;
  /** Settings that differ from the default, with their origin. */
  settings: Record<string, string>;
  conditions: Condition[];
}

/** An event for the terminal or the script that started the node. */
export type NodeEvent =
  | Ready
  /** The node serves after it had to wait, or under other names. */
  | { event: "serving"; url: string; mcpUrl: string; name: string; ips: string[] }
  | { event: "login"; url: string }
  /** Something about fleets: the node waits, joined, or found another fleet. */
  | { event: "fleet"; text: string }
  | { event: "stopping"; reason: string };

/** Returns one JSON line, newline included. */
export function jsonEvent(event: NodeEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** Returns lines for a terminal, newlines included: eight for `ready`, one for other events. */
export function terminalEvent(event: NodeEvent): string {
  switch (event.event) {
    case "ready":
      return `${readyLines(event).map(printableLine).join("\n")}\n`;
    case "serving":
      return `${printableLine(`tailnet    serving as ${event.name}; MCP ${event.mcpUrl}`)}\n`;
    case "login":
      return `${printableLine(`tailnet    log in: ${event.url}`)}\n`;
    case "fleet":
      return `${printableLine(`fleet      ${event.text}`)}\n`;
    case "stopping":
      return `${printableLine(`stopping   ${event.reason}`)}\n`;
  }
}

function readyLines(ready: Ready): string[] {
  const { versions } = ready;
  const warnings = ready.conditions
    .filter((condition) => condition.severity !== "info")
    .map((condition) => condition.text);
  const settings = Object.entries(ready.settings).map(([key, origin]) => `${key} (${origin})`);
  const later = "known when it has joined the tailnet";
  return [
    `cairn      ${versions.version} (${versions.commit}), bun ${versions.bun}, tailscale ${versions.tailscale}`,
    `tailnet    ${tailnetLine(ready)}`,
    `MCP        ${ready.mcpUrl ?? later}`,
    `agent      ${ready.mcpUrl === null ? later : agentLine(ready.mcpUrl)}`,
    `REST       ${ready.url === null ? later : `${ready.url}/contexts`}`,
    `data       ${ready.dataDir}; settings: ${settings.length === 0 ? "all defaults" : settings.join(", ")}`,
    `warnings   ${warnings.length === 0 ? "none" : warnings.join("; ")}`,
    `next       cairn status --data ${ready.dataDir}`,
  ];
}

function agentLine(mcpUrl: string): string {
  return clientLines("claude-code", { name: "cairn", mcpUrl, bridge: ["cairn", "bridge"] }).steps[0]?.text ?? "";
}

function tailnetLine(ready: Ready): string {
  if (ready.state === "serving")
    return ready.ips.length === 0 ? "none; this machine only" : `joined as ${ready.name} (${ready.ips.join(", ")})`;
  if (ready.loginUrl !== null) return `log in: ${ready.loginUrl}`;
  return "not joined yet; cairn keeps trying";
}
