// Joins that are refused: a ticket that was used, one for another role, one of another fleet of the same name, a device
// without one. And a joiner that is admitted once, however often it asks.

import { drawSecret, ticketText } from "../../../src/fleet/index.ts";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const forgedJoins: Scenario = {
  name: "forged-joins",
  title: "forged, replayed and mismatched tickets, under load",
  fleet: THREE,
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load();
    await load.more(30);
    const used = await fleet.ticket("regional");
    const first = await fleet.joining("regional", { ticket: used });
    await fleet.joined(first);
    const [, , , fleetId = ""] = used.split("-");
    const forged = ticketText({ role: "central", fleetId, secret: drawSecret() });
    const foreign = ticketText({ role: "regional", fleetId: "0".repeat(32), secret: drawSecret() });
    for (const [what, role, ticket] of [
      ["a used ticket", "regional", used],
      ["a forged ticket", "central", forged],
      ["a ticket of another fleet", "regional", foreign],
      ["a ticket for another role", "central", await fleet.ticket("edge")],
    ] as const) {
      const node = await fleet.joining(role, { ticket });
      await keptOut(trial, node, what);
    }
    await load.more(30);
  },
};

/** It ends with a reason, or waits; in any case no node lists it as a member, and it has nothing of the fleet. */
async function keptOut(trial: Trial, node: FleetNode, what: string): Promise<void> {
  const { fleet } = trial;
  fleet.forget(node);
  await eventually("the refusal", () => node.process.ended || /refused|approv|ticket/i.test(node.process.stderr), {
    withinMs: 15_000,
    seen: () => node.process.stderr,
  });
  const report = await (await fleet.leader()).status();
  const members = report?.members.map(({ name }) => name) ?? [];
  if (members.includes(node.name)) throw new Error(`${what} made ${node.name} a member`);
  const lines = node.process.stderr.trim().split("\n");
  trial.say(`${what}: ${node.process.ended ? "ended" : "waits"}: ${lines.at(-1)?.slice(0, 200)}`);
  if (!node.process.ended) node.kill();
}
