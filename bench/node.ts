// The whole node of src/node/start.ts with one part replaced: a tailnet without a network, so that the load can take
// the place of the Go half at ingress.sock, with its secret. `bun node.ts DATA RUNTIME [raft|direct [SETTINGS]]`, the
// settings as a JSON object; writes to stdout, a pipe to the bench alone, how to connect.

import { join } from "node:path";
import { loadSettings } from "../src/config/load.ts";
import { SETTING_TABLES } from "../src/features/index.ts";
import { startNode } from "../src/node/start.ts";
import { configureLogging } from "../src/observe/logging.ts";
import { LoopbackTailnet } from "../src/tailnet/loopback.ts";
import type { CallerWire, UpParams } from "../src/tailnet/protocol.ts";

const CALLER: CallerWire = {
  v: 1,
  id: "nBENCH",
  kind: "user",
  node: "laptop",
  login: "bench@example.com",
  userId: "1",
  tags: [],
  own: false,
  grants: "0".repeat(32),
};

class BenchTailnet extends LoopbackTailnet {
  override async up(params: UpParams): Promise<void> {
    await super.up(params);
    const { target, ingressSecret } = params;
    const headers = `Cairn-Internal-Caller: ${JSON.stringify(CALLER)}\r\nCairn-Internal-Secret: ${ingressSecret}\r\nCairn-Internal-Scheme: http\r\n`;
    process.stdout.write(`${JSON.stringify({ event: "ready", socket: target, headers, begunMs })}\n`);
  }
}

const [data = "", runtime = "", engine = "raft", settings = "{}"] = process.argv.slice(2);
configureLogging({ level: "warning", format: "json" });
const flags = {
  ...{ data, "limits.requests_per_minute": "0", "limits.streams_per_caller": "50000" },
  ...{ "events.caller_bytes": "0", "events.space_bytes": "0" },
  ...(JSON.parse(settings) as Record<string, string>),
};
const loaded = loadSettings({ tables: SETTING_TABLES, flags, env: {} });
/** Wall clock of the start, in ms: all modules are loaded. */
const begunMs = Date.now();
const node = await startNode({
  loaded,
  secrets: { authKey: undefined, clientSecret: undefined },
  env: { TMPDIR: runtime },
  command: [process.execPath, join(import.meta.dir, "..", "src", "main.ts")],
  report: () => {},
  engine: engine === "direct" ? "direct" : "raft",
  tailnet: async (log) => {
    const tailnet = new BenchTailnet(log);
    tailnet.setCaller("100.64.0.2", CALLER, [{ role: "member", spaces: ["bench", "team-*"] }]);
    return tailnet;
  },
});
process.on("SIGTERM", () => void node.stop("SIGTERM").then(() => process.exit(0)));
