// An edge whose upstream vanishes (kill -9): it continues at another one, never returns what is older than it states,
// and returns nothing to callers that may not read it.

import { eventually } from "../../kit/eventually.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const upstreamVanished: Scenario = {
  name: "upstream-vanished",
  title: "the upstream of an edge is killed; rights and freshness hold",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet, device, prefix } = trial;
    const [edge] = fleet.up(["edge"]);
    if (edge === undefined) throw new Error("the fleet has no edge");
    const atEdge = nodeTarget(device, edge);
    const stranger = await fleet.tailnet.client({ hostname: "stranger", user: "eve@example.com" });
    const asStranger = nodeTarget(stranger, edge);
    try {
      const writing = trial.load({ writes: 0.7 });
      const reading = trial.load({
        targets: () => [atEdge],
        writes: 0.15,
        consistencies: ["any", "session"],
        clients: 4,
      });
      await writing.more(20);
      await reading.more(5);
      const refused = async () => {
        const said = await asStranger.read(
          { operation: "get", key: `${prefix}k0`, consistency: "any", shown: undefined },
          AbortSignal.timeout(5000),
        );
        if (said.outcome !== "fail" || said.code !== "forbidden")
          throw new Error(`a stranger was told ${JSON.stringify(said)} by the edge`);
      };
      await refused();
      // Killing two in turn kills its upstream, whichever node it follows.
      for (const node of fleet.up(["central"]).slice(0, 2)) {
        node.kill();
        await refused();
        const before = reading.rows.length;
        await eventually("reads at the edge", () => reading.rows.slice(before).filter(isAnswered).length > 20, {
          withinMs: 20_000,
          seen: () => JSON.stringify(reading.rows.slice(-3)),
        });
        await writing.more(15);
        await reading.more(2);
        await refused();
        await node.restart();
        await node.serving();
        await fleet.voters(3);
      }
      const hits = reading.rows.filter(({ cached, outcome }) => cached === true && outcome === "ok").length;
      trial.say(`${reading.rows.length} asks at the edge, ${hits} answered by its cache or through it`);
      if (hits === 0) throw new Error("no answer of the edge came by its cache");
    } finally {
      await fleet.tailnet.clientClose("stranger");
    }
  },
};

function isAnswered({ operation, outcome }: { operation: string; outcome: string }): boolean {
  return operation === "get" && outcome === "ok";
}
