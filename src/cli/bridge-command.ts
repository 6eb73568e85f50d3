// cairn bridge: MCP on stdin and stdout for an agent on this machine, carried to the local node or to one on the tailnet.

import { Fault } from "../lib/fault.ts";
import { configureLogging, logFor } from "../observe/logging.ts";
import { nodeAddress } from "./client.ts";
import type { Command } from "./command.ts";

export const bridge: Command = {
  words: ["bridge"],
  summary: "stdio MCP to a node, for agents: claude mcp add cairn -- cairn bridge",
  options: [
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--url <url>", help: "the node at this address, such as http://cairn" },
  ],
  async run(invocation) {
    configureLogging({ level: "warning", format: "auto" });
    const end = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
    try {
      nodeAddress(invocation);
    } catch (error) {
      // A node that is not there yet is no reason to go; an address that is none never becomes one.
      if (!(error instanceof Fault) || error.code !== "not_running") throw error;
    }
    const { runBridge } = await import("./bridge.ts");
    await runBridge({
      // Asked again for each call: agents start their bridge whenever they like, also before the node.
      address: () => nodeAddress(invocation),
      stdin: process.stdin,
      stdout: process.stdout,
      signal: end.signal,
      log: logFor("bridge"),
    });
    return 0;
  },
};
