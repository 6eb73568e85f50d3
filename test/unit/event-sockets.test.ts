// Events on WebSockets and on many streams at once: publish and receive on one socket, room by acknowledgements, ends
// with a reason, and one reader that reads nothing beside a hundred that do.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { BodyBudget } from "../../src/lib/request-body.ts";
import { type Listener, listen } from "../../src/node/listeners/listen.ts";
import { EventReader } from "../kit/event-reader.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { eventually, within } from "../kit/eventually.ts";

let events: Events;
let listener: Listener;
const callers = new Map<string, Caller>();

async function start(streams = {}, bounds = {}): Promise<void> {
  events = startEvents({ streams, bounds, streamsPerCaller: SETTINGS["limits.streams_per_caller"].default });
  for (const name of ["ann", "bob"]) callers.set(name, sender(name));
  listener = listen({
    at: { loopbackPort: 0 },
    identify: (request) => callers.get(new URL(request.url).searchParams.get("subject") ?? "") ?? sender("ann"),
    surfaces: { fetch: (request, caller, hold, upgrade) => events.core.api.fetch(request, caller, hold, upgrade) },
    bodies: new BodyBudget(8 * 1024 * 1024),
    origins: [],
    draining: () => false,
    log: () => {},
  });
}

beforeEach(() => start());
afterEach(async () => {
  events.core.api.close();
  await listener.stop(0);
  await events[Symbol.asyncDispose]();
});

/** A client that keeps what it gets. */
class Client implements Disposable {
  readonly socket: WebSocket;
  readonly got: Record<string, unknown>[] = [];
  readonly closed = Promise.withResolvers<{ code: number; reason: string }>();
  #came = Promise.withResolvers<void>();

  constructor(query = "") {
    this.socket = new WebSocket(`ws://127.0.0.1:${listener.port}/events/ws${query}`);
    this.socket.onmessage = ({ data }) => {
      this.got.push(JSON.parse(String(data)));
      this.#came.resolve();
      this.#came = Promise.withResolvers();
    };
    this.socket.onclose = ({ code, reason }) => this.closed.resolve({ code, reason });
  }

  /** Opens one and waits for its first message, the cursor at which it begins. */
  static async open(query = ""): Promise<Client> {
    const client = new Client(query);
    await client.next(({ cursor }) => cursor !== undefined);
    return client;
  }

  say(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** Returns the first message that is wanted, of those that came and those that come. */
  async next(wanted: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.got.find(wanted);
      if (found !== undefined) return found;
      await within("a message", this.#came.promise, 8_000);
    }
  }

  events(): { id: string; cairnposition: string }[] {
    return this.got.flatMap(({ event }) =>
      event === undefined ? [] : [event as { id: string; cairnposition: string }],
    );
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ type: "n", id: String(from + index), data: "x".repeat(100) }));

test("a socket publishes and receives: results by ref, events of others, its own only if it asks", async () => {
  using one = await Client.open();
  using own = await Client.open("?own=true");
  one.say({ publish: [{ type: "t", id: "1" }, {}], ref: 7 });
  const { results } = await one.next(({ ref }) => ref === 7);
  expect(results).toMatchObject([{ id: "1", duplicate: false }, { error: { field: "type" } }]);
  expect(await own.next(({ event }) => event !== undefined)).toMatchObject({ event: { id: "1", type: "t" } });
  await events.publish("bob", { type: "t", id: "2" });
  expect(await one.next(({ event }) => event !== undefined)).toMatchObject({ event: { id: "2" } });
  expect(one.events().map(({ id }) => id)).toEqual(["2"]);
});

test("a socket goes on behind a cursor and into the space of its address", async () => {
  const { cursor } = await events.publish("bob", { type: "t", id: "1" });
  await events.publish("bob", { type: "t", id: "2", space: "team-a" });
  using client = await Client.open(`?since=${cursor}&space=team-a`);
  expect(await client.next(({ event }) => event !== undefined)).toMatchObject({ event: { id: "2" } });
  client.say({ publish: [{ type: "t", id: "3" }], ref: 1 });
  await client.next(({ ref }) => ref === 1);
  expect((await events.list({ space: "team-a" })).events.map(({ id }) => id)).toEqual(["3", "2"]);
});

test("a client gets 256 events, and more for each that it acknowledges", async () => {
  await events.publishMany("bob", numbered(600));
  using client = await Client.open(`?since=${(await events.list()).oldest}`);
  await eventually("a full window", async () => client.events().length === 256 || undefined);
  await Bun.sleep(50);
  expect(client.events()).toHaveLength(256);
  client.say({ ack: client.events()[99]?.cairnposition });
  await eventually("what there is room for", async () => client.events().length === 356 || undefined);
  client.say({ ack: client.events().at(-1)?.cairnposition });
  await eventually("the rest", async () => client.events().length === 600 || undefined);
  expect(client.events().map(({ id }) => id)).toEqual(numbered(600).map(({ id }) => id));
});

test("a node may send less ahead, and have fewer streams", async () => {
  events.core.api.close();
  await listener.stop(0);
  await events[Symbol.asyncDispose]();
  await start({}, { socketEvents: 5, streams: 1 });
  await events.publishMany("bob", numbered(20));
  using client = await Client.open(`?since=${(await events.list()).oldest}`);
  await eventually("a full window", async () => client.events().length === 5 || undefined);
  await Bun.sleep(50);
  expect(client.events()).toHaveLength(5);
  client.say({ ack: client.events()[1]?.cairnposition });
  await eventually("what there is room for", async () => client.events().length === 7 || undefined);
  expect((await events.core.http("/events/stream", {}, sender("ann"))).status).toBe(503);
});

test.each([
  ["no JSON", "{"],
  ["a list", "[]"],
  ["an unknown member", { publish: [], more: 1 }],
  ["nothing to do", { ref: 1 }],
])("%s is refused with the form of a message, and the socket stays", async (_what, message) => {
  using client = await Client.open();
  client.say(message);
  expect(await client.next(({ error }) => error !== undefined)).toMatchObject({ error: { code: "invalid_input" } });
  client.say({ publish: [{ type: "t" }], ref: 2 });
  await client.next(({ ref }) => ref === 2);
});

test("an address that is asked without an upgrade, or with a cursor that is refused, is answered as HTTP", async () => {
  const base = `http://127.0.0.1:${listener.port}/events/ws`;
  expect((await fetch(base)).status).toBe(400);
  const headers = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" };
  const asked = { headers: { ...headers, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" } };
  expect((await fetch(`${base}?since=7`, asked)).status).toBe(400);
});

test("a socket ends with a reason when its caller's rights change, and when the node stops", async () => {
  using client = await Client.open();
  events.core.api.callersChanged(["nann"]);
  expect(await client.closed.promise).toEqual({ code: 1008, reason: "rights_changed" });
  expect(client.got.at(-1)).toMatchObject({ end: { reason: "rights_changed" } });
  using other = await Client.open();
  events.core.api.close();
  expect(await other.next(({ end }) => end !== undefined)).toMatchObject({ end: { reason: "stopping" } });
});

test("a client that acknowledges nothing is closed with slow_reader, and delays no other one", async () => {
  events.core.api.close();
  await listener.stop(0);
  await events[Symbol.asyncDispose]();
  await start({ heartbeatMs: 200, stallMs: 300, graceMs: 200 });
  const since = (await events.list()).oldest;
  using slow = await Client.open(`?since=${since}`);
  using quick = await Client.open(`?since=${since}`);
  quick.socket.addEventListener("message", () => {
    const last = quick.events().at(-1);
    if (last !== undefined && quick.events().length % 50 === 0) quick.say({ ack: last.cairnposition });
  });
  for (let round = 0; round < 3; round += 1) await events.publishMany("bob", numbered(300, 300 * round));
  await eventually("all events", async () => quick.events().length === 900 || undefined);
  expect(await within("an end", slow.closed.promise)).toEqual({ code: 1013, reason: "slow_reader" });
  expect(slow.events()).toHaveLength(256);
});

test("128 sockets of one caller publish and receive at the same time", async () => {
  const clients = await Promise.all(Array.from({ length: 128 }, () => Client.open("?own=true")));
  for (const [index, client] of clients.entries()) client.say({ publish: [{ type: "t", id: String(index) }], ref: 1 });
  const ids = await Promise.all(
    clients.map(async (client) => {
      const { results } = await client.next(({ ref }) => ref === 1);
      expect(results).toMatchObject([{ duplicate: false }]);
      await eventually("the events of all", async () => client.events().length === clients.length || undefined);
      return client.events().map(({ id }) => id);
    }),
  );
  expect(new Set(ids[0])).toEqual(new Set(clients.map((_, index) => String(index))));
  for (const each of ids) expect(each).toEqual(ids[0] ?? []);
  for (const client of clients) client[Symbol.dispose]();
}, 60_000);

test("of 100 streams each gets every event in order, beside one that reads nothing and is ended", async () => {
  events.core.api.close();
  await listener.stop(0);
  await events[Symbol.asyncDispose]();
  await start({ heartbeatMs: 400, stallMs: 500, graceMs: 30_000 });
  const url = `http://127.0.0.1:${listener.port}/events/stream`;
  const open = async () => new EventReader(await fetch(url, { headers: { accept: "text/event-stream" } }));
  const readers = await Promise.all(Array.from({ length: 100 }, open));
  // In this process: over a socket the kernel would take much of what it does not read.
  const silent = await events.core.http("/events/stream", {}, sender("ann"));
  const wanted = 200;
  const read = readers.map(async (reader) => {
    const ids: string[] = [];
    while (ids.length < wanted) {
      const event = await reader.next(30_000);
      if (event === undefined || event.event === "end") throw new Error(`ended: ${event?.data}`);
      if (event.data !== "") ids.push(JSON.parse(event.data).id);
    }
    return ids;
  });
  for (let at = 0; at < wanted; at += 20) await events.publishMany("bob", numbered(20, at));
  const ids = numbered(wanted).map(({ id }) => id);
  for (const found of await Promise.all(read)) expect(found).toEqual(ids);
  await Promise.all(readers.map((reader) => reader[Symbol.asyncDispose]()));
  await Bun.sleep(1_500);
  const ended = await new Response(silent.body).text().catch(String);
  expect(ended).toContain('"reason":"slow_reader"');
}, 60_000);
