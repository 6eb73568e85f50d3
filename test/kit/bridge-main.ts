// `cairn bridge` to the socket in argv, or to the fleet of the URLs there, as a process of its own.

import { runBridge } from "../../src/bridge/bridge.ts";
import { Candidates } from "../../src/bridge/candidates.ts";
import { FleetRoute } from "../../src/bridge/fleet-route.ts";
import { OneRoute } from "../../src/bridge/route.ts";

const words = process.argv.slice(2);
const [socketPath = ""] = words;
const end = new AbortController();
const log = (level: string, message: string) => process.stderr.write(`${level}: ${message}\n`);
process.once("SIGTERM", () => end.abort());
await runBridge({
  route: socketPath.startsWith("http") ? fleet() : new OneRoute(() => ({ socketPath })),
  stdin: process.stdin,
  stdout: process.stdout,
  signal: end.signal,
  log,
});
process.exit(0);

function fleet(): FleetRoute {
  const given = words.map((url) => ({ name: url, address: () => ({ url }) }));
  const candidates = new Candidates({ given, toldAddress: (url) => ({ url }), file: undefined, log });
  const times = { beatMs: 50, beatAnswerMs: 200, probeMs: 500 };
  return new FleetRoute({ candidates, preferEdges: false, signal: end.signal, log, times });
}
