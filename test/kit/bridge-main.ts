// `cairn bridge` to the socket in argv, or to the fleet of the URLs there, as a process of its own.

import { FleetRoute, runBridge, SingleNodeRoute } from "../../src/bridge/index.ts";

const words = process.argv.slice(2);
const [socketPath = ""] = words;
const end = new AbortController();
const log = (level: string, message: string) => process.stderr.write(`${level}: ${message}\n`);
process.once("SIGTERM", () => end.abort());
await runBridge({
  route: socketPath.startsWith("http") ? fleet() : new SingleNodeRoute(() => ({ socketPath })),
  stdin: process.stdin,
  stdout: process.stdout,
  signal: end.signal,
  log,
});
process.exit(0);

function fleet(): FleetRoute {
  const given = words.map((url) => ({ name: url, address: () => ({ url }) }));
  const times = { heartbeatMs: 50, heartbeatTimeoutMs: 200, probeMs: 500 };
  return new FleetRoute({
    given,
    memberAddress: (url) => ({ url }),
    cacheFile: undefined,
    preferEdges: false,
    signal: end.signal,
    log,
    times,
  });
}
