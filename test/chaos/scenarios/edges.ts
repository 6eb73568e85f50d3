// Edges during faults: half-open links, an upstream that dies while its response is on the way. A response of an edge
// is never older than it states; what it cannot know it refuses.

import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { heal } from "../cuts.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Load } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

/**
 * How long an edge may serve by itself after the last contact with its upstream (replication.md 28), and how long a
 * client may wait for a response.
 */
const FRESH_MS = 2_000;
const ATTEMPT_MS = 1_500;

export const halfOpenEdge: Scenario = {
  name: "half-open-edge",
  title: "an edge hears no full node and is heard, then is not heard and hears them",
  fleet: THREE,
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    const edge = edgeOf(trial);
    const writing = trial.load({ writes: 0.8 });
    const reading = atEdge(trial, edge);
    await writing.more(30);
    for (const way of ["in", "out"] as const) {
      const full = fleet.up();
      for (const node of full) {
        const [from, to] = way === "in" ? [node, edge] : [edge, node];
        await fleet.link(from, to, { cut: true });
      }
      const cutMs = performance.now();
      await writing.more(60);
      await Bun.sleep(Math.max(0, cutMs + FRESH_MS + 2 * ATTEMPT_MS - performance.now()));
      const late = reading.rows.filter(
        ({ outcome, invokeMs, operation }) =>
          operation === "get" && outcome === "ok" && invokeMs > cutMs + FRESH_MS + ATTEMPT_MS,
      );
      if (late.length > 0)
        throw new Error(
          `the edge answered ${late.length} reads of spaces that are not served stale: ${JSON.stringify(late[0])}`,
        );
      await heal(fleet);
      const took = await answers(reading, fleet.tails.bind(fleet));
      trial.say(`${edge.name} cut off (${way}) for a while; it answers again ${Math.round(took)} ms after`);
    }
    await writing.more(20);
  },
};

export const upstreamMidway: Scenario = {
  name: "upstream-midway",
  title: "full nodes die one after the other while large answers are on their way to an edge",
  fleet: THREE,
  seconds: 150,
  async run(trial) {
    const { fleet, random } = trial;
    const edge = edgeOf(trial);
    const writing = trial.load({ writes: 0.7, padding: 400_000, clients: 3, pauseMs: 40, keys: 4 });
    await writing.more(10);
    const reading = atEdge(trial, edge, 4);
    for (let round = 0; round < 4; round++) {
      await answers(reading, fleet.tails.bind(fleet));
      const node = random.pick(fleet.up(["central"]));
      // Slow enough that a response takes a while on its way.
      await fleet.link(node, edge, { delayMs: 60 });
      await Bun.sleep(random.between(50, 600));
      node.kill();
      await answers(reading, fleet.tails.bind(fleet));
      trial.say(`${node.name} killed, and ${edge.name} goes on`);
      await node.restart();
      await node.serving();
      await heal(fleet);
      await fleet.voters(3);
    }
    await writing.more(5);
  },
};

function edgeOf({ fleet }: Trial): FleetNode {
  const [edge] = fleet.up(["edge"]);
  if (edge === undefined) throw new Error("the fleet has no edge");
  return edge;
}

function atEdge(trial: Trial, edge: FleetNode, keys = 8): Load {
  const targets = () => [nodeTarget(trial.device, edge)];
  return trial.load({ targets, writes: 0, consistencies: ["any", "session"], clients: 4, keys });
}

/** Waits for some responses from now on; returns how long that took, in ms. */
async function answers(reading: Load, seen: () => string): Promise<number> {
  const since = performance.now();
  const isNew = ({ outcome, invokeMs }: Load["rows"][number]) => outcome === "ok" && invokeMs > since;
  await eventually("answers of the edge", () => reading.rows.filter(isNew).length >= 5, { withinMs: 25_000, seen });
  return performance.now() - since;
}
