// Sessions in a fleet of whole nodes: written and waited for through any of them, by one position on all, and over the
// loss of the leader.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { EventReader } from "../kit/event-reader.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

let fleet: Fleet;
let leader: FleetNode;
let follower: FleetNode;
let edge: FleetNode;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, edges: 1 });
  ({ leader, follower, edge } = await fleet.oneOfEach());
  // Edges learn from the first heartbeats whether their fleet knows agents.
  let answer = "";
  const takesCall = async () => {
    const { status, text } = await edge.call("agent_list", { as: `agent-${"0".repeat(32)}` });
    answer = `${status} ${text}`;
    return status !== 503;
  };
  await eventually("the edge to take calls of agents", takesCall, { seen: () => answer });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
  const { status, body, text } = await node.call(operation, { ...input }, 40_000);
  expect([operation, status, text]).toEqual([operation, 200, text]);
  return body;
}

/** Opens `events/stream` of MCP Events at the edge. */
async function eventsStream(): Promise<EventReader> {
  const protocolVersion = "2026-07-28";
  const clientInfo = { name: "test", version: "0" };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": protocolVersion,
    "io.modelcontextprotocol/clientInfo": clientInfo,
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const params = { name: "cairn.event", arguments: { space: "team-a", own: true }, _meta };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": protocolVersion,
    "mcp-method": "events/stream",
    "mcp-name": params.name,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events/stream", params });
  const response = await fetch("http://localhost/mcp", { unix: await edge.socket(), method: "POST", headers, body });
  expect(response.status).toBe(200);
  return new EventReader(response);
}

const textsOf = (body: Record<string, unknown>, list = "events") =>
  (body[list] as { text: string }[]).map(({ text }) => text);

test("agents of three nodes talk in one session: waits on each go on from the position of another", async () => {
  const {
    session,
    handle: lead,
    position,
  } = await ask(follower, "session_start", {
    ...{ purpose: "Ship", space: "team-a", name: "lead" },
  });
  const { handle: helper } = await ask(edge, "session_start", { session, name: "helper" });
  const waiting = [leader, follower, edge].map((node) =>
    ask(node, "message_wait", { session, since: position, timeout_seconds: 30, limit: 1 }),
  );
  const { message } = await ask(edge, "message_post", { session, text: "@lead ready", ack: true, as: helper });
  for (const found of await Promise.all(waiting)) expect(textsOf(found)).toEqual(["@lead ready"]);
  await ask(follower, "message_ack", { session, messages: [message], as: lead });
  await ask(leader, "message_post", { session, text: "from a person" });
  const first = await ask(leader, "message_wait", {
    session,
    since: position,
    timeout_seconds: 0,
    limit: 2,
    own: true,
  });
  expect((first["events"] as { event: string }[]).map(({ event }) => event)).toEqual(["posted", "acknowledged"]);
  const feed = await ask(edge, "context_wait", { prefix: "team-a/", since: position, timeout_seconds: 20 });
  expect((feed["changes"] as { operation: string }[]).map(({ operation }) => operation)).toContain("message_post");
  const rest = await ask(edge, "message_wait", { session, since: first["position"], timeout_seconds: 5 });
  expect(textsOf(rest)).toEqual(["from a person"]);
  expect(textsOf(await ask(follower, "inbox", { as: lead }), "messages")).toEqual(["@lead ready"]);
}, 120_000);

test("a private message is private on every node, also to the callers of those that may read it", async () => {
  const start = { purpose: "Secret", space: "team-a" };
  const { session, handle: writer, position } = await ask(leader, "session_start", { ...start, name: "writer" });
  const { handle: keeper } = await ask(follower, "session_start", { session, name: "keeper" });
  const secret = { session, text: "canary", visibility: "private", to: ["keeper"], as: writer };
  const { message } = await ask(leader, "message_post", secret);
  const newest = { consistency: "leader" };
  const listed = async (node: FleetNode, as?: unknown) =>
    textsOf(await ask(node, "message_list", { session, ...newest, ...(as === undefined ? {} : { as }) }), "messages");
  expect([await listed(leader, writer), await listed(follower, keeper)]).toEqual([["canary"], ["canary"]]);
  for (const node of [leader, follower, edge]) {
    expect(await listed(node)).toEqual([]);
    const denied = await node.call("message_get", { session, message, ...newest }, 20_000);
    expect([denied.status, denied.text.includes("canary")]).toEqual([404, false]);
    const feed = await ask(node, "context_wait", { prefix: "team-a/", since: position, timeout_seconds: 5 });
    expect((feed["changes"] as { operation: string }[]).map(({ operation }) => operation)).toEqual(["session_join"]);
  }
}, 120_000);

test("an edge streams messages and events of its upstream, and goes on where a client left", async () => {
  const streamOf = async (path: string, lastEventId = "") => {
    const init = { unix: await edge.socket(), headers: { "last-event-id": lastEventId } };
    const response = await fetch(`http://localhost${path}`, init);
    expect([path, response.status]).toEqual([path, 200]);
    return new EventReader(response);
  };
  const { session } = await ask(leader, "session_start", { purpose: "Stream", space: "team-a" });
  const address = `/sessions/${encodeURIComponent(String(session))}/stream`;
  let last = "";
  {
    await using messages = await streamOf(address);
    await messages.next();
    await ask(leader, "message_post", { session, text: "one" });
    const event = await messages.next();
    expect([event?.event, JSON.parse(event?.data ?? "{}").text]).toEqual(["change", "one"]);
    last = event?.id ?? "";
  }
  await ask(follower, "message_post", { session, text: "two" });
  await using messages = await streamOf(address, last);
  await messages.next();
  expect(JSON.parse((await messages.next())?.data ?? "{}").text).toBe("two");

  await using events = await streamOf("/events/stream?space=team-a&own=true");
  await events.next();
  await ask(leader, "event_publish", { space: "team-a", type: "build.done", source: "ci", event_id: "e1" });
  expect(JSON.parse((await events.next())?.data ?? "{}")).toMatchObject({ id: "e1", type: "build.done" });
  await using occurrences = await eventsStream();
  const active = { method: "notifications/events/active", params: { truncated: false } };
  expect(JSON.parse((await occurrences.next())?.data ?? "{}")).toMatchObject(active);
  await ask(leader, "event_publish", { space: "team-a", type: "build.done", source: "ci", event_id: "e2" });
  let seen: { method?: string } = {};
  while (seen.method !== "notifications/events/event") seen = JSON.parse((await occurrences.next())?.data ?? "{}");
  expect(seen).toMatchObject({ params: { data: { id: "e2" } } });
}, 120_000);

test("a session goes on over the loss of its leader, and no one misses or repeats a message", async () => {
  const { session, position } = await ask(leader, "session_start", { purpose: "Survive", space: "team-a" });
  await ask(leader, "message_post", { session, text: "before", idempotency_key: "m0" });
  const waiting = ask(follower, "message_wait", { session, since: position, timeout_seconds: 1, own: true });
  expect(textsOf(await waiting)).toEqual(["before"]);
  leader.kill();
  const posted = { session, text: "after", idempotency_key: "m1" };
  await eventually("a post at the next leader", async () => {
    const answer = await follower.call("message_post", posted, 10_000).catch(() => undefined);
    return answer?.status === 200;
  });
  await ask(follower, "message_post", posted);
  const all = await ask(follower, "message_wait", { session, since: position, timeout_seconds: 5, own: true });
  expect(textsOf(all)).toEqual(["before", "after"]);
  await leader.restart();
  await leader.serving();
  await eventually("the same on the node that was away", async () => {
    const { body } = await leader.call("message_list", { session }, 20_000);
    return Array.isArray(body["messages"]) && textsOf(body, "messages").join() === "before,after";
  });
}, 120_000);
