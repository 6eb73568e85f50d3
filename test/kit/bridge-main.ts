// `cairn bridge` to the socket in argv, as a process of its own.

import { runBridge } from "../../src/cli/bridge.ts";

const [socketPath = ""] = process.argv.slice(2);
const end = new AbortController();
process.once("SIGTERM", () => end.abort());
await runBridge({
  address: () => ({ socketPath }),
  stdin: process.stdin,
  stdout: process.stdout,
  signal: end.signal,
  log: (level, message) => process.stderr.write(`${level}: ${message}\n`),
});
process.exit(0);
