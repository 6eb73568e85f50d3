// A member sends the costliest patches there are, one after the other, to every node: the leadership stays where it is
// and the writes of others go on.

import { Agent } from "../../kit/agent.ts";
import type { Random } from "../random.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const SENDERS = 3;
const PLACES = 1_000_000;
/**
 * Acknowledged writes of others that the scenario waits for while the patches are sent, and how long. Three nodes share
 * two cores with the senders, who parse bodies of a megabyte: ten to twenty writes a second there.
 */
const WRITES = 100;
const WRITES_WITHIN_MS = 90_000;

const replace = (at: number) => ({
  op: "replace",
  old_text: at % 2 === 0 ? "a" : "b",
  new_text: at % 2 === 0 ? "b" : "a",
  expected_count: PLACES,
});

export const costlyPatch: Scenario = {
  name: "costly-patch",
  title: "a member sends the costliest patches to every node",
  fleet: THREE,
  inGate: true,
  seconds: 150,
  async run(trial) {
    const { fleet } = trial;
    const leader = await fleet.leader();
    const id = `${trial.prefix.slice(0, -1)}-sent/text`;
    await new Agent(trial.device, leader.base).put(id, "a".repeat(PLACES));
    const term = await termOf(trial);
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const ending = new AbortController();
    const senders = Array.from({ length: SENDERS }, () => send(trial, id, trial.random.fork(), ending.signal));
    const tookMs = await load.more(WRITES, WRITES_WITHIN_MS);
    ending.abort();
    const codes = (await Promise.all(senders)).flat();
    const counts = Object.entries(Object.groupBy(codes, (code) => code)).map(([code, all]) => `${all?.length} ${code}`);
    trial.say(`${WRITES} writes of others in ${Math.round(tookMs)} ms beside ${counts.join(", ")}`);
    const now = await fleet.leader();
    if (now !== leader || (await termOf(trial)) !== term)
      throw new Error(
        `the leadership moved from ${leader.name} (term ${term}) to ${now.name} (${await termOf(trial)})`,
      );
    if (!codes.includes("too_large")) throw new Error(`no patch was refused: ${counts.join(", ")}`);
    await load.more(20);
  },
};

async function termOf({ fleet }: Trial): Promise<number | undefined> {
  return (await (await fleet.leader()).status())?.fleet.term;
}

/** Sends patches until `signal` aborts. Returns how each ended. */
async function send({ fleet, device }: Trial, id: string, random: Random, signal: AbortSignal): Promise<string[]> {
  const codes: string[] = [];
  while (!signal.aborted) {
    const agent = new Agent(device, random.pick(fleet.up()).base);
    const [operation, input] = random.pick(costly(id));
    const asked = await agent.call(operation, input).catch(() => undefined);
    codes.push(asked === undefined ? "lost" : asked.status === 200 ? "ok" : String(asked.body["code"]));
  }
  return codes;
}

function costly(id: string): [operation: string, input: unknown][] {
  const edits = (count: number) => ({
    id,
    format: "edit",
    patch: Array.from({ length: count }, (_, at) => replace(at)),
  });
  const many = Array.from({ length: 64 }, (_, at) => ({
    ...{ operation: "context_patch", id, format: "edit", patch: [replace(at)] },
  }));
  const lookups = Array.from({ length: 1000 }, () => ({ op: "append", text: "a" }));
  return [
    ["context_patch", edits(64)],
    ["context_many", { writes: many }],
    ["context_many", { writes: Array(64).fill({ operation: "context_restore", id, version: 1 }) }],
    ["context_patch", { id, format: "edit", patch: lookups }],
    // Within the limit.
    ["context_patch", edits(1)],
  ];
}
