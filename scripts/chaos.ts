// npm run chaos: injects faults into fleets of real nodes and checks the recorded history. `-- NAME…` runs some
// scenarios, `--seed N` repeats the choices of a run, `--list` names the scenarios. The last line counts passed,
// failed and skipped ones.

import { parseArgs } from "node:util";
import { addCallers } from "../test/chaos/callers.ts";
import { runScenario, type Scenario } from "../test/chaos/scenario.ts";
import { SCENARIOS } from "../test/chaos/scenarios/index.ts";
import { type Fleet, startFleet } from "../test/kit/fleet.ts";
import { BuildError } from "./native.ts";

/** The fleet of the scenario that runs now. */
let current: Fleet | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    void current?.[Symbol.asyncDispose]().finally(() => process.exit(130));
    if (current === undefined) process.exit(130);
  });
}

try {
  process.exit(await main());
} catch (error) {
  const usage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!usage && !(error instanceof BuildError)) throw error;
  console.error(`cairn: ${(error as Error).message}`);
  process.exit(2);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      seed: { type: "string" },
      list: { type: "boolean", default: false },
      binary: { type: "boolean", default: false },
    },
  });
  if (values.list) {
    for (const { name, title, inGate } of SCENARIOS)
      console.log(`${name.padEnd(22)}${title}${inGate ? " (gate)" : ""}`);
    return 0;
  }
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new BuildError(`--seed must be a whole number, got "${values.seed}"`);
  const unknown = positionals.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown !== undefined)
    throw new BuildError(
      `there is no scenario "${unknown}"; there are ${SCENARIOS.map(({ name }) => name).join(", ")}`,
    );
  const wanted = SCENARIOS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const [failed, skipped]: [string[], string[]] = [[], []];
  for (const scenario of wanted) {
    const missing = scenario.needs?.();
    if (missing !== undefined) {
      console.log(`\nskip  ${scenario.name}: ${missing}`);
      skipped.push(scenario.name);
    } else if (!(await runOne(scenario, seed, values.binary))) failed.push(scenario.name);
  }
  if (failed.length > 0) console.log(`\nFailed: npm run chaos -- --seed ${seed} ${failed.join(" ")}`);
  const passed = wanted.length - failed.length - skipped.length;
  console.log(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
  return failed.length === 0 ? 0 : 1;
}

async function runOne(scenario: Scenario, seed: number, binary: boolean): Promise<boolean> {
  const started = performance.now();
  const say = (line: string) => console.log(`   ${line.replaceAll("\n", "\n   ")}`);
  console.log(`\n== ${scenario.name} (seed ${seed}): ${scenario.title}`);
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  try {
    await using fleet = await startFleet({ ...scenario.fleet, from: binary ? "binary" : "source" });
    current = fleet;
    const callers = await addCallers(fleet);
    say(`${fleet.nodes.length} nodes after ${seconds()}`);
    say(await runScenario(scenario, { fleet, seed, callers, say }));
    console.log(`ok    ${scenario.name} (${seconds()})`);
    return true;
  } catch (error) {
    console.log(`FAIL  ${scenario.name} (${seconds()})\n${saysOf(error)}`);
    return false;
  } finally {
    current = undefined;
  }
}

/** Returns what an error says; where the end of the fleet failed too, both. */
function saysOf(error: unknown): string {
  if (error instanceof SuppressedError)
    return `${saysOf(error.suppressed)}\nThe end of the fleet failed, too: ${saysOf(error.error)}`;
  return error instanceof Error ? error.message : String(error);
}
