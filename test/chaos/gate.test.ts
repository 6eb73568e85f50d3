// The faults of every test run, one after the other on one fleet of real nodes: real processes, signals and
// WireGuard. `npm run chaos` runs the others, each on a fleet of its own.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Fleet, startFleet } from "../kit/fleet.ts";
import { addCallers, type Callers } from "./callers.ts";
import { runScenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import { THREE } from "./shapes.ts";

const SEED = Date.now() % 1_000_000;
let fleet: Fleet;
let callers: Callers;

beforeAll(async () => {
  fleet = await startFleet(THREE);
  callers = await addCallers(fleet);
}, 90_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 30_000);

for (const scenario of SCENARIOS.filter(({ inGate }) => inGate === true)) {
  const missing = scenario.needs?.();
  if (missing !== undefined) {
    test.skip(`${scenario.title} [${missing}]`, () => {});
    continue;
  }
  test(
    scenario.title,
    async () => {
      const say = (line: string) => console.log(`${scenario.name}: ${line}`);
      say(`seed ${SEED}`);
      expect(scenario.fleet).toBe(THREE);
      const looked = await runScenario(scenario, { fleet, seed: SEED, callers, say });
      say(looked);
    },
    (scenario.seconds + 10) * 1000,
  );
}
