// A node that is killed and started again is reached at once over the direct path that its callers know: it listens
// where it did.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { startFleet } from "../kit/fleet.ts";
import { inTime } from "../kit/in-time.ts";
import { clientFetch } from "../kit/tailnet.ts";

/** With another port it took 1 to 6 s, and up to 24 s among several nodes. */
const SOON_MS = 1_000;

test("a killed node is reached again by its direct path as soon as it serves", async () => {
  await using fleet = await startFleet({ centrals: 1 });
  const node = await fleet.leader();
  const client = await fleet.tailnet.client({ hostname: "prober" });
  const reach = () =>
    clientFetch(client.proxy, `${node.base}/health`, { signal: AbortSignal.timeout(5_000) }).then(
      ({ status }) => status,
      () => 0,
    );
  await eventually("the node to be reached", async () => (await reach()) > 0, { withinMs: 20_000 });
  await fleet.tailnet.untilPath("prober", node.name, "direct");
  const portOf = () => readFileSync(join(node.dataDir, "tailnet", "udp-port"), "utf8");
  const before = portOf();
  node.kill();
  await node.restart();
  await node.process.serving();
  expect(await inTime(SOON_MS, reach())).toBeGreaterThan(0);
  expect(portOf()).toBe(before);
}, 60_000);
