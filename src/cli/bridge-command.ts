// cairn bridge: MCP on stdin and stdout for an agent on this machine, carried to the local node or to one on the tailnet.

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
    const { runBridge } = await import("./bridge.ts");
    await runBridge({
      ...nodeAddress(invocation),
      stdin: process.stdin,
      stdout: process.stdout,
      signal: end.signal,
      log: logFor("bridge"),
    });
    return 0;
  },
};
