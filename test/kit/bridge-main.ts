// `cairn bridge` to the socket in argv, as a process of its own.

import { runBridge } from "../../src/cli/bridge/bridge.ts";
import { OneRoute } from "../../src/cli/bridge/route.ts";

const [socketPath = ""] = process.argv.slice(2);
const end = new AbortController();
process.once("SIGTERM", () => end.abort());
await runBridge({
  route: new OneRoute(() => ({ socketPath })),
  stdin: process.stdin,
  stdout: process.stdout,
  signal: end.signal,
  log: (level, message) => process.stderr.write(`${level}: ${message}\n`),
});
process.exit(0);
