// Probes in a fleet of whole nodes: leader and members check a real server through the egress; a leader that is killed
// alarms nobody for what is well, its own end is seen by the others, and what fails is told once as an event.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let fleet: Fleet;
let server: Server;
let status = 200;
let count = 7;

beforeAll(async () => {
  server = createServer((_request, response) => response.writeHead(status).end(JSON.stringify({ total_count: count })));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const args = ["--outbound-allow", `127.0.0.1:${port}`, "--fleet-run", "disk"];
  tailnet = await TestTailnet.start();
  fleet = await startFleet({ tailnet, centrals: 3, args });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  server?.close();
}, 60_000);

interface Shown {
  name: string;
  state: string;
  places: { node: string; state: string; cause: string; detail: string }[];
}

async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
  const { status: code, body, text } = await node.call(operation, input, 40_000);
  expect([operation, code, text]).toEqual([operation, 200, text]);
  return body;
}

/** Returns the places of a probe as `node state cause`, as a node has them. */
async function placesOf(node: FleetNode, name: string): Promise<string[]> {
  const probes = (await ask(node, "probe_list", {}))["probes"] as Shown[];
  const probe = probes.find((each) => each.name === name);
  return (probe?.places ?? []).map((each) =>
    [each.node, each.state, each.cause].filter((part) => part !== "").join(" "),
  );
}

const waitFor = (what: string, node: FleetNode, name: string, wanted: readonly string[]) => {
  let seen: string[] = [];
  return eventually(
    what,
    async () => {
      seen = await placesOf(node, name);
      return Bun.deepEquals(seen.toSorted(), wanted.toSorted());
    },
    { withinMs: 120_000, stepMs: 500, seen: () => JSON.stringify(seen) },
  );
};

/** Returns the events about probes, oldest first, as `type subject`. */
async function told(node: FleetNode): Promise<string[]> {
  const { events } = await ask(node, "event_list", { types: ["cairn.probe.down", "cairn.probe.up"], space: "fleet" });
  return (events as { type: string; subject: string }[]).map(({ type, subject }) => `${type} ${subject}`).toReversed();
}

test("probes are checked over the loss of the leader, and each end is told once", async () => {
  const leader = await fleet.leader();
  const { port } = server.address() as AddressInfo;
  const http = {
    type: "http",
    target: `http://127.0.0.1:${port}/`,
    interval: 5,
    retry: 1,
    down: 2,
    value: "/total_count",
  };
  const declared = {
    web: http,
    every: { ...http, where: "all" },
    disk: { type: "command", command: ["true"], where: "label:linux", interval: 5 },
    killed: { type: "ping", target: leader.name, interval: 5, retry: 1, down: 2 },
  };
  const declarations = Object.entries(declared).map(([name, each]) => ({ kind: "probe", name, declared: each }));
  await ask(leader, "declaration_apply", { declarations });
  const all = fleet.up(["central"]);
  for (const node of all) {
    await waitFor("web is up", node, "web", ["up"]);
    await waitFor(
      "all run every",
      node,
      "every",
      all.map(({ id }) => `${id} up`),
    );
  }
  await waitFor(
    "all run disk",
    leader,
    "disk",
    all.map(({ id }) => `${id} up`),
  );
  const [other] = all.filter((node) => node !== leader);
  if (other === undefined) throw new Error("there is no other member");
  const { results } = await ask(other, "probe_get", { name: "every" });
  const nodes = new Set((results as { node: string; value: number }[]).map(({ node }) => node));
  expect(nodes.size).toBe(3);
  expect(results).toMatchObject([{ value: 7, good: true }, ...(results as object[]).slice(1)]);

  leader.kill();
  const next = await fleet.leader();
  await waitFor("the others miss the member", next, "killed", ["down machine"]);
  const left = fleet.up(["central"]);
  await waitFor("what it ran is unknown", next, "every", [
    `${leader.id} unknown machine`,
    ...left.map(({ id }) => `${id} up`),
  ]);
  expect(await placesOf(next, "web")).toEqual(["up"]);
  expect(await told(next)).toEqual(["cairn.probe.down fleet/probes/killed"]);

  status = 503;
  await waitFor("web is down", next, "web", ["down service"]);
  status = 200;
  await waitFor("web is up again", next, "web", ["up"]);
  expect((await told(next)).filter((each) => each.endsWith("/web"))).toEqual([
    "cairn.probe.down fleet/probes/web",
    "cairn.probe.up fleet/probes/web",
  ]);
  expect(await ask(next, "audit_verify", {})).toMatchObject({ ok: true });
}, 300_000);

test("a number starts a job, once over the loss of the leader, and the rule says why no other one", async () => {
  const { port } = server.address() as AddressInfo;
  for (const node of fleet.nodes.filter(({ isUp }) => !isUp)) await node.restart();
  await Promise.all(fleet.nodes.map((node) => node.serving()));
  const leader = await fleet.leader();
  const queue = { type: "http", target: `http://127.0.0.1:${port}/`, interval: 5, value: "/total_count" };
  const rule = { probe: "queue", above: 10, for_seconds: 10, at_most: 5, cool_down_seconds: 3600 };
  const declarations = [
    { kind: "probe", name: "queue", declared: queue },
    { kind: "action", name: "work", declared: {} },
    { kind: "rule", name: "scale", declared: { ...rule, start: { action: "work" } } },
  ];
  await ask(leader, "declaration_apply", { declarations });
  const waitForRule = async (wanted: object) => {
    let seen: unknown;
    await eventually(
      `the rule is ${JSON.stringify(wanted)}`,
      async () => {
        const { rules } = await ask(await fleet.leader(), "rule_list", { name: "scale" });
        [seen] = rules as object[];
        return Object.entries(wanted).every(([key, value]) => (seen as Record<string, unknown>)?.[key] === value);
      },
      { withinMs: 120_000, stepMs: 500, seen: () => JSON.stringify(seen) },
    );
  };
  await waitForRule({ state: "within", value: 7, firings: 0 });
  count = 12;
  await waitForRule({ state: "cooling", value: 12, firings: 1, open_jobs: 1 });
  (await fleet.leader()).kill();
  const next = await fleet.leader();
  await waitForRule({ state: "waiting", value: 12, firings: 1 });
  await waitForRule({ state: "cooling", firings: 1, open_jobs: 1 });
  const { jobs } = await ask(next, "job_list", { action: "work" });
  expect(jobs).toMatchObject([{ state: "queued", rule: "scale" }]);
  const { events } = await ask(next, "event_list", { types: ["cairn.rule.fired"], space: "fleet" });
  expect(events).toMatchObject([{ subject: "fleet/rules/scale" }]);
  expect(await ask(next, "rule_plan", { name: "scale", value: 11 })).toMatchObject({ fires: true });
}, 300_000);
