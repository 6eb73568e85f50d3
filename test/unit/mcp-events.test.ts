// Events over MCP: the preset with its tools, and the bodies of programs from before MCP at the same address.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { eventFeature } from "../../src/features/event/index.ts";
import { createMcp, type Mcp } from "../../src/mcp/index.ts";
import { callerWith } from "../kit/core.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { callAndRead } from "../kit/raw-mcp.ts";
import { Someone } from "../kit/sessions.ts";

let events: Events;
let mcp: Mcp;
beforeEach(() => {
  events = startEvents();
  const { invoker } = events.core;
  mcp = createMcp({ invoker, features: [eventFeature], version: "0.0.0-test", log: () => {} });
});
afterEach(async () => {
  await mcp.close();
  await events[Symbol.asyncDispose]();
});

async function post(body: unknown, caller = sender("ann")): Promise<[number, Record<string, unknown>]> {
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const request = new Request("http://cairn/mcp", { method: "POST", headers, body: JSON.stringify(body) });
  const response = await mcp.fetch(request, caller);
  return [response.status, (await response.json()) as Record<string, unknown>];
}

test("the preset has the tools of events, which publish, list and wait", async () => {
  const ann = new Someone(events.core, sender("ann"));
  const bob = new Someone(events.core, sender("bob"));
  const call = async (who: Someone, name: string, input: object) => {
    const text = await callAndRead(mcp, who, "tools/call", { name, arguments: input }, "/mcp/events");
    const [line = text] = text.split("\n").filter((each) => each.includes('"result"'));
    return JSON.parse(line.replace(/^data: /, "")).result as { isError?: boolean; content: { text: string }[] };
  };
  const listed = await callAndRead(mcp, ann, "tools/list", {}, "/mcp/events");
  for (const name of ["event_publish", "event_publish_many", "event_list", "event_get", "event_wait"])
    expect(listed).toContain(`"name":"${name}"`);
  expect(listed).not.toContain('"name":"event_append"');
  const published = await call(ann, "event_publish", { type: "build.done", data: { ok: true } });
  expect(published.isError).not.toBe(true);
  const { events: found } = JSON.parse((await call(bob, "event_list", {})).content[0]?.text ?? "");
  expect(found).toMatchObject([{ type: "build.done", data: { ok: true }, cairncaller: "user:ann@x" }]);
  const since = `${found[0].cairnposition.split("-")[0]}-e0`;
  const waited = await call(bob, "event_wait", { since });
  expect(JSON.parse(waited.content[0]?.text ?? "")).toMatchObject({ events: [{ type: "build.done" }] });
  const refused = await call(ann, "event_publish", { type: "t", id: "x".repeat(129) });
  expect([refused.isError, refused.content[0]?.text]).toEqual([true, expect.stringContaining("id")]);
});

test.each([
  ['{"a":1}', { data: { a: 1 }, datacontenttype: "application/json" }],
  ["plain words", { data: "plain words", datacontenttype: "text/plain" }],
])("a body of id and data alone is an event: %s", async (data, shown) => {
  expect(await post({ id: "e1", data })).toEqual([200, { status: "accepted" }]);
  const kept = { id: "e1", type: "legacy.event", source: "user:ann@x/legacy-api", ...shown };
  expect((await events.list()).events).toMatchObject([kept]);
});

test.each([
  ["with a version of JSON-RPC", { jsonrpc: "2.0", id: "e1", data: "x" }],
  ["with a further member", { id: "e1", data: "x", type: "t" }],
  ["without data", { id: "e1" }],
  ["with data that is no text", { id: "e1", data: { a: 1 } }],
  ["with an id that is no text", { id: 1, data: "x" }],
  ["in a list", [{ id: "e1", data: "x" }]],
])("a body %s is MCP's to judge", async (_what, body) => {
  const [status, answer] = await post(body);
  expect([status, answer["jsonrpc"]]).toEqual([400, "2.0"]);
  expect((await events.list()).events).toEqual([]);
});

test("a legacy event that is refused says why, with its status", async () => {
  const [status, { error }] = await post({ id: "x".repeat(129), data: "1" });
  expect([status, JSON.stringify(error)]).toEqual([400, expect.stringContaining('"field":"id"')]);
  const reader = callerWith({ id: "nR", login: "r@x", grants: [{ role: "reader", spaces: ["*"] }] });
  expect((await post({ id: "e1", data: "1" }, reader))[0]).toBe(403);
});
