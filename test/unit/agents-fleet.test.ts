// Agents over several nodes: a follower forwards keys and never handles, the leader looks them up, and a change of
// leader or a lost answer loses neither a registration nor a write.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { newHandle } from "../../src/lib/new-handle.ts";
import { ask, member, pairFor, put } from "../kit/asking.ts";
import { callerWith } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import type { PairNode } from "../kit/pair.ts";

const features = [agentFeature, contextFeature];
const pair = () => pairFor(member, { features });

async function register(node: PairNode, input: Record<string, unknown> = {}): Promise<string> {
  return String((await ask(node, "agent_register", { name: "builder", ...input })).output["handle"]);
}

const rows = ({ core }: PairNode) =>
  core.store.reader.all("SELECT operation, via, agent FROM changes WHERE target = 'team-a/x' ORDER BY seq");
const code = (expected: string) => expect.objectContaining({ code: expected });

test("a follower forwards the key, adds the secret to the answer itself, and no frame or command has the handle", async () => {
  await using fleet = await pair();
  const [leader, follower] = [fleet.node(0), fleet.node(1)];
  const handle = await register(follower);
  expect(handle).toMatch(/^agent-[0-9a-f]{32}$/);
  await put(follower, 1, { as: handle });
  await put(leader, 2, { as: handle });
  const by = { operation: "context_put", agent: "builder" };
  expect(rows(leader)).toEqual([
    { ...by, via: "n1" },
    { ...by, via: "" },
  ]);
  const sent = fleet.frames.map((frame) => [frame.operation, frame.agent, JSON.stringify(frame)] as const);
  expect(sent.map(([operation, agent]) => [operation, agent])).toEqual([
    ["agent_register", undefined],
    ["context_put", agentKeyOf(handle)],
  ]);
  for (const [, , text] of sent) expect(text).not.toContain(handle.slice(6));
  expect(JSON.stringify(fleet.commands)).not.toContain(handle.slice(6));
});

test("a follower that is behind asks the leader whose handle a read shows, and a forged one is refused there", async () => {
  await using fleet = await pair();
  const [leader, follower] = [fleet.node(0), fleet.node(1)];
  follower.behind = true;
  const handle = await register(leader);
  await put(leader, 1);
  const { output, by } = await ask(follower, "context_list", { consistency: "any", as: handle });
  expect([output["contexts"], by]).toEqual([[expect.objectContaining({ id: "team-a/x" })], "n0"]);
  await expect(ask(follower, "context_list", { as: newHandle() })).rejects.toEqual(code("agent_unknown"));
  await expect(put(follower, 2, { as: newHandle() })).rejects.toEqual(code("agent_unknown"));
  // What only this node can respond to is refused until it knows the agent.
  await expect(ask(follower, "whoami", { as: handle })).rejects.toEqual(code("agent_unknown"));
  follower.behind = false;
  await follower.catchUp();
  expect((await ask(follower, "whoami", { as: handle })).output).toMatchObject({ agent: { name: "builder" } });
});

test("a member that forwards another caller's key, or a hash for a name that it does not own, gains nothing", async () => {
  await using fleet = await pair();
  const leader = fleet.node(0);
  const bob = callerWith({ id: "nBOB", login: "bob@example.com", grants: [{ role: "member", spaces: ["*"] }] });
  leader.sees.set(bob.id, bob);
  const handle = await register(leader);
  const frame = { caller: bob.id, readOnly: false, agent: agentKeyOf(handle) };
  const input = JSON.stringify({ id: "team-a/x", content: 1 });
  await expect(fleet.deliver(1, 0, { ...frame, operation: "context_put", input })).rejects.toEqual(
    code("agent_unknown"),
  );
  const taken = JSON.stringify({ name: "builder", takeover: true, handle_hash: agentKeyOf(newHandle()) });
  await expect(fleet.deliver(1, 0, { ...frame, operation: "agent_register", input: taken })).rejects.toEqual(
    code("agent_taken"),
  );
  expect(rows(leader)).toEqual([]);
});

test("a registration whose answer is lost with the leader is made once, and its handle is the one that was drawn", async () => {
  await using fleet = await pair();
  const [old, next] = [fleet.node(0), fleet.node(1)];
  old.proposes = "apply and lose";
  const registering = register(old);
  await Bun.sleep(100);
  fleet.elect("s1");
  const handle = await registering;
  await put(next, 1, { as: handle });
  expect(rows(next)).toEqual([{ operation: "context_put", via: "", agent: "builder" }]);
  expect(next.core.store.reader.all("SELECT outcome FROM changes WHERE operation = 'agent_register'")).toEqual([
    { outcome: "registered" },
  ]);
});

test("a write that was made before a takeover is answered by the next leader as made; one after it is refused", async () => {
  await using fleet = await pair();
  const [old, next] = [fleet.node(0), fleet.node(1)];
  const handle = await register(old);
  old.proposes = "apply and lose";
  const writing = put(old, 1, { as: handle });
  await Bun.sleep(100);
  let taken: string | undefined;
  fleet.useLink(async (_from, _to, deliver) => {
    taken ??= await register(next, { takeover: true });
    return deliver();
  });
  fleet.elect("s1");
  expect((await writing).output).toMatchObject({ version: 1 });
  expect(taken).toBeDefined();
  expect(rows(next)).toEqual([{ operation: "context_put", via: "", agent: "builder" }]);
  await expect(put(old, 2, { as: handle })).rejects.toEqual(code("agent_unknown"));
  await put(old, 3, { as: taken });
  expect(rows(next)).toHaveLength(2);
});

test("an edge that does not know of a level with agents passes no call of one on", async () => {
  for (const [fleetLevel, words] of [
    [0, "has not learned yet"],
    [2, "needs fleet level 3; the fleet has 2"],
  ] as const) {
    const edge = startEdgePair({ fleetLevel });
    await edge.poll();
    const input = { id: "team-a/x", content: 1, as: newHandle() };
    const low = expect.objectContaining({ code: "unavailable", message: expect.stringContaining(words) });
    await expect(edge.invoke("context_put", input, member)).rejects.toEqual(low);
    expect(edge.asked).toEqual([]);
    await edge.close();
  }
});
