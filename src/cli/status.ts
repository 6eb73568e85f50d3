// cairn status: one screen about a node, problems first. Exits 3 when the node is failing.

import type { NodeStatus } from "../node/status.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { columns, writeData } from "./output.ts";

/** Asked for, and not true now. */
const UNHEALTHY_EXIT = 3;

export const status: Command = {
  words: ["status"],
  summary: "show what a node is and how it is; exits 3 when it is failing",
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "status", {});
    // The node's own answer, which its output schema checked.
    const shown = answer.body as unknown as NodeStatus;
    await writeData(invocation.options["json"] === true ? `${answer.text}\n` : screen(shown));
    return shown.status === "failing" ? UNHEALTHY_EXIT : 0;
  },
};

function screen(shown: NodeStatus): string {
  const problems = shown.conditions.map((condition) => [
    condition.severity,
    `${condition.title}: ${condition.text}. ${condition.hint}`,
  ]);
  const { node, tailnet, versions } = shown;
  return columns([
    ["status", `${shown.status}${shown.serving ? ", serving" : ", not serving on the tailnet"}`],
    ...problems,
    ...(shown.login_url === null ? [] : [["login", shown.login_url]]),
    [
      "node",
      `${node.name || node.hostname}${node.ips.length === 0 ? "" : ` (${node.ips.join(", ")})`}${node.tags.length === 0 ? "" : ` ${node.tags.join(", ")}`}`,
    ],
    [
      "tailnet",
      `${tailnet.state}, control ${tailnet.control}, ${tailnet.https ? "https" : "http"}${tailnet.key_expiry === null ? "" : `, key until ${tailnet.key_expiry}`}`,
    ],
    ["MCP", shown.mcp_url ?? "not yet"],
    ["store", `position ${shown.store.position}`],
    ["version", `${versions.version} (${versions.commit}), up since ${shown.started_at}`],
  ]);
}
