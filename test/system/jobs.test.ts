// Jobs in a fleet of whole nodes: run on members that agree, and tried again elsewhere when their member is killed.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-jobs-"));
let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, args: ["--fleet-run", "hold,shout,led"] });
  const script = `echo "begin $CAIRN_ATTEMPT" >> "$1"; trap 'echo "end $CAIRN_ATTEMPT" >> "$1"; exit 1' TERM
    while [ ! -e "$1.go" ]; do sleep 0.05; done; echo "done $CAIRN_ATTEMPT" >> "$1"`;
  const file = { type: "string", characters: "name" };
  const actions = {
    hold: {
      argv: ["sh", "-c", script, "sh", `${folder}/{file}`],
      parameters: { file },
      claim: 6,
      attempts: 3,
      backoff: 0,
      grace: 1,
    },
    shout: { argv: ["sh", "-c", "yes | head -c 200000"] },
  };
  const [node] = fleet.nodes;
  for (const [name, action] of Object.entries(actions)) {
    const content = { ...action, space: "team-a" };
    expect((await node?.call("context_put", { id: `fleet/actions/${name}`, content }))?.status).toBe(200);
  }
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Job {
  id: string;
  state: string;
  attempt: number;
  worker?: string;
  output_sha256?: string;
}

async function start(node: FleetNode, action: string, input: Record<string, unknown> = {}): Promise<string> {
  const made = await eventually(`${action} is in force`, async () => {
    const { status, body } = await node.call("job_start", { action, space: "team-a", input }, 20_000);
    return status === 200 ? body : undefined;
  });
  return String(made["id"]);
}

async function until(node: FleetNode, id: string, state: string): Promise<Job> {
  let seen = "";
  return eventually(
    `${id} is ${state}`,
    async () => {
      const { text, body } = await node.call("job_get", { id }, 5000).catch(() => ({ text: "no answer", body: {} }));
      seen = text;
      const { job } = body as { job?: Job };
      return job?.state === state ? job : undefined;
    },
    { seen: () => seen },
  );
}

const lines = (file: string) => readFileSync(join(folder, file), "utf8").trim().split("\n");

test("a job runs on a member, and its long output is a blob", async () => {
  const [node] = fleet.nodes as [FleetNode];
  const id = await start(node, "shout");
  const { output_sha256: sha256 } = await until(node, id, "succeeded");
  const blob = await node.call("blob_stat", { space: "team-a", sha256 });
  expect(blob.body).toMatchObject({ bytes: 200_000 });
}, 60_000);

test("a member is killed half way: its program ends, and the next attempt is another member's", async () => {
  const [first] = fleet.nodes as [FleetNode];
  const id = await start(first, "hold", { file: "killed" });
  const { worker } = await until(first, id, "running");
  const killed = fleet.nodes.find((each) => each.id === worker) as FleetNode;
  const other = fleet.nodes.find((each) => each !== killed) as FleetNode;
  killed.kill();
  await eventually("the second attempt runs", () => lines("killed").includes("begin 2"));
  expect(lines("killed")).toEqual(["begin 1", "end 1", "begin 2"]);
  await Bun.write(join(folder, "killed.go"), "");
  const ended = await until(other, id, "succeeded");
  expect(ended.attempt).toBe(2);
  expect(ended.worker).not.toBe(worker as string);
  await killed.restart();
  await killed.serving();
  expect(lines("killed")).toEqual(["begin 1", "end 1", "begin 2", "done 2"]);
}, 60_000);

test("the leader is killed while a job runs on another member: its attempt goes on, and ends at the next leader", async () => {
  await fleet.settle();
  const leader = await fleet.leader();
  const follower = fleet.nodes.find((each) => each !== leader) as FleetNode;
  const script = `echo "begin $CAIRN_ATTEMPT" >> "$1"; while [ ! -e "$1.go" ]; do sleep 0.05; done; echo "done $CAIRN_ATTEMPT" >> "$1"`;
  const argv = ["sh", "-c", script, "sh", join(folder, "led")];
  const content = { argv, where: `member:${follower.id}`, claim: 30, attempts: 3, space: "team-a" };
  expect((await leader.call("context_put", { id: "fleet/actions/led", content })).status).toBe(200);
  const started = await start(follower, "led");
  await until(follower, started, "running");
  leader.kill();
  await Bun.write(join(folder, "led.go"), "");
  expect(await until(follower, started, "succeeded")).toMatchObject({ attempt: 1, worker: follower.id });
  expect(lines("led")).toEqual(["begin 1", "done 1"]);
}, 60_000);
