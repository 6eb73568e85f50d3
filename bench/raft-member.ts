// A full member whose members talk over loopback TCP instead of a tailnet: the product of src/node/product.ts behind
// its local socket, over a raft member in a process of its own (native/cmd/raftnode). `bun raft-member.ts DATA SOCKETS
// [FLEET EPOCH]`: without a fleet it founds one. Reads JSON lines `{ask, do, …}`: `members` writes rows of the members
// table, everything else goes to the driver.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadSettings } from "../src/config/load.ts";
import { SETTING_TABLES } from "../src/features/index.ts";
import { fleetBegin } from "../src/fleet/index.ts";
import { createClosers } from "../src/lib/closers.ts";
import { BodyBudget } from "../src/lib/request-body.ts";
import { fleetOf } from "../src/log/history.ts";
import { KNOWN_LEVEL } from "../src/log/level.ts";
import { Membership } from "../src/membership/membership.ts";
import { OwnNode } from "../src/membership/own-node.ts";
import { identifyLocal } from "../src/node/listeners/identify.ts";
import { listen } from "../src/node/listeners/listen.ts";
import { NodeState } from "../src/node/node-state.ts";
import { openProduct } from "../src/node/product.ts";
import { Conditions } from "../src/observe/conditions.ts";
import { configureLogging, logFor } from "../src/observe/logging.ts";
import { watchThisMachine } from "../src/observe/machine/machine-watch.ts";
import { eventually } from "../test/kit/eventually.ts";
import { Driver } from "../test/kit/raft.ts";

/** A row of the members table. */
export interface MemberRow {
  node: string;
  server: string;
  name: string;
}

const START_MS = 30_000;
const [data = "", sockets = "", fleet, epoch] = process.argv.slice(2);
const begins = fleet === undefined;

configureLogging({ level: "warning", format: "json" });
mkdirSync(data, { recursive: true, mode: 0o700 });
const { settings } = loadSettings({
  tables: SETTING_TABLES,
  flags: { data, "limits.requests_per_minute": "0", "limits.streams_per_caller": "50000" },
  env: {},
});
const closers = createClosers();
const noWayOut = () => Promise.reject(new Error("this member has no way out"));
const state = new NodeState(Date.now());
state.startServing();
const product = openProduct({
  settings: { ...settings, data },
  origins: new Map(),
  conditions: new Conditions(logFor("condition"), Date.now),
  engine: "raft",
  conformance: false,
  closers,
  nowMs: Date.now,
  state,
  node: new OwnNode(() => state.status(), settings.hostname),
  membership: new Membership("central", watchThisMachine({ dataDir: settings.data, labels: [] })),
  host: {
    secrets: { authKey: undefined, clientSecret: undefined },
    env: {},
    command: undefined,
    outbound: noWayOut,
    tailnet: noWayOut,
  },
  connections: { open: noWayOut, roots: () => [] },
  edge: undefined,
  findCallers: async () => [],
  onFatal: (fault) => {
    console.error(`cairn: ${fault.message}`);
    process.exit(1);
  },
});
const { raft } = product;
if (raft === undefined) throw new Error("a product without raft");
// The fleet of the driver is only a name; the store checks the id in its rows. The profile tolerates two busy cores.
const driver = await Driver.start({ folder: data, bootstrap: begins, flags: ["--profile=home"] });
const begun = performance.now();
const of = begins ? fleetOf(product.store.reader) : { fleet, epoch: epoch ?? "" };
await raft.start({ socketPath: driver.socketPath, ...of, signal: AbortSignal.timeout(START_MS) });
if (begins) await eventually("the first member to lead", () => raft.leadership().leading);
const socket = join(sockets, `member-${process.pid}.sock`);
const listener = listen({
  at: { unix: socket, mode: 0o600 },
  identify: identifyLocal(),
  surfaces: product,
  bodies: new BodyBudget(settings["http.max_body_bytes"]),
  origins: [],
  draining: () => false,
  log: logFor("http"),
});
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
say({
  event: "ready",
  socket,
  server: driver.server,
  address: driver.address,
  driver: driver.pid,
  ...of,
  leadMs: performance.now() - begun,
});

let ending: Promise<void> | undefined;
process.on("SIGTERM", () => void end());

for await (const line of console) {
  if (line === "") continue;
  const { ask, ...command } = JSON.parse(line) as { ask: number; do: string; rows?: MemberRow[] };
  const done = command.do === "rows" ? writeRows(command.rows ?? []) : driver.command(command);
  void done.then(
    (ok) => say({ event: "done", ask, ok }),
    (error: unknown) => say({ event: "done", ask, error: String(error) }),
  );
}

await end();

/** As after a join: from two full members on, each write carries a key and its outcome is kept. */
async function writeRows(rows: readonly MemberRow[]): Promise<void> {
  const stamped = { v: 1, caller: "bench", via: "", key: "" };
  for (const [index, { node, server, name }] of rows.entries()) {
    const about = { node, server, name, version: "bench", level: KNOWN_LEVEL };
    if (index === 0) {
      const input = { ...about, fleet: "bench", profile: "home" };
      await product.log.propose({ ...stamped, name: fleetBegin.name, input });
      continue;
    }
    await product.log.propose({
      ...stamped,
      name: "fleet_member_approve",
      input: { node, role: "central", spaces: ["*"] },
    });
    const input = { ...about, fleet: of.fleet, role: "central", ticket: "", granted: [] };
    await product.log.propose({ ...stamped, name: "fleet_member_join", input });
  }
}

/** Also when the bench has ended: its pipe to this process is closed then. */
function end(): Promise<void> {
  ending ??= (async () => {
    await listener.stop(0);
    await closers.closeAll((name, error) => console.error(`cairn: closing ${name}: ${String(error)}`));
    await driver.end();
    process.exit(0);
  })();
  return ending;
}
