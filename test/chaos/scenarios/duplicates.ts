// Each write goes to two nodes at once with one key, and the leader is killed meanwhile: it is done once, and both
// responses are equal.

import type { Said, Target, WriteAsk } from "../asks.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const duplicates: Scenario = {
  name: "duplicates",
  title: "the same keyed write in flight at two nodes across failovers",
  fleet: THREE,
  seconds: 90,
  async run(trial) {
    const { fleet, random } = trial;
    const differing: string[] = [];
    const twice = (): Target[] => {
      const nodes = fleet.up();
      const [one] = nodes;
      if (one === undefined) return [];
      const pick = () => nodeTarget(trial.device, random.pick(nodes));
      const both = async (ask: WriteAsk, signal: AbortSignal): Promise<Said> => {
        const said = await Promise.all([pick().write(ask, signal), pick().write(ask, signal)]);
        const [first, second] = said.filter(({ outcome }) => outcome === "ok");
        if (first !== undefined && second !== undefined && JSON.stringify(told(first)) !== JSON.stringify(told(second)))
          differing.push(JSON.stringify(said));
        return first ?? said.find(({ outcome }) => outcome === "unknown") ?? said[0];
      };
      return [{ ...pick(), name: "two at once", write: both }];
    };
    await trial.follow();
    const load = trial.load({ targets: twice, writes: 0.8, unkeyed: 0, consistencies: ["any", "leader"] });
    await load.more(40);
    for (let round = 0; round < 3; round++) {
      const old = await fleet.leader();
      old.kill();
      await load.more(30);
      await old.restart();
      await old.serving();
      await fleet.voters(3);
    }
    if (differing.length > 0) throw new Error(`one write, two answers: ${differing.slice(0, 3).join("; ")}`);
    trial.say(`${load.acknowledged} writes, each asked twice at once, each told the same`);
  },
};

function told(said: Said): unknown {
  return said.outcome === "ok" ? [said.version, said.hash, said.position] : said;
}
