// Members of a real fleet that are upgraded at the same time: one restarts after the other, the lead is handed over
// before its holder restarts, and a member that is away holds the others up.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { dirname } from "node:path";
import { takeTurn } from "../../src/cli/upgrade/turn.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({ centrals: 3 });
}, 300_000);
afterAll(() => fleet?.[Symbol.asyncDispose](), 60_000);

/** Takes the turn of a member as its command line does. All have the version that they run, which is not older. */
async function turnOf(node: FleetNode, waitMs: number) {
  const env: Record<string, string> = {};
  // A node of the kit has a new folder for its sockets at each start.
  const findSocket = async () => {
    env["XDG_RUNTIME_DIR"] = dirname(dirname(await node.socket()));
  };
  await findSocket();
  const invocation = { args: [], options: { data: node.dataDir }, env };
  const { signal } = new AbortController();
  const turn = await takeTurn(invocation, { version: "0.0.1", waitMs, signal });
  return async () => {
    await findSocket();
    await turn.end();
  };
}

test("all are restarted, one at a time, and none while it leads", async () => {
  await fleet.voters(3);
  let away = 0;
  const done: string[] = [];
  const upgrade = async (node: FleetNode) => {
    const endTurn = await turnOf(node, 120_000);
    away += 1;
    expect(away).toBe(1);
    expect((await node.status())?.members.find(({ self }) => self)?.leader).toBe(false);
    node.process.kill("SIGTERM");
    await node.restart();
    await eventually(`${node.name} takes calls`, async () => (await node.call("context_list", {})).status === 200);
    away -= 1;
    done.push(node.name);
    await endTurn();
  };
  await Promise.all(fleet.up(["central"]).map(upgrade));
  expect(done.toSorted()).toEqual(["central-1", "central-2", "central-3"]);
}, 180_000);

test("a member that is away holds the others up, and that is said", async () => {
  const [gone, other] = fleet.up(["central"]) as [FleetNode, FleetNode];
  gone.pause();
  try {
    await eventually("it is missed", async () => {
      const member = (await other.status())?.members.find(({ name }) => name === gone.name);
      return member !== undefined && (member.age_seconds === null || member.age_seconds > 15);
    });
    await expect(turnOf(other, 1000)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(`${gone.name} did not report lately`),
    });
  } finally {
    gone.resume();
  }
}, 90_000);
