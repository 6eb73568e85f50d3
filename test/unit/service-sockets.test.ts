// WebSockets of /svc/NAME: what passes and who is named, on the member that has the service and passed on by another
// one; what a refused handshake returns; bounds; and when the node ends them.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import type { RequestBounds } from "../../src/features/service/open-requests.ts";
import { SERVICE_WORKER } from "../../src/features/service/parts.ts";
import { ServiceProxy } from "../../src/features/service/proxy.ts";
import { dialSocket } from "../../src/lib/dialed-socket.ts";
import { BodyBudget } from "../../src/lib/request-body.ts";
import { type Listener, listen } from "../../src/node/listeners/listen.ts";
import { LimitedCallers } from "../../src/operation/caller-limits.ts";
import { DECLARATIONS } from "../../src/operation/declared-kind.ts";
import { CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { callerWith } from "../kit/core.ts";
import { noPeers } from "../kit/declarations.ts";
import { eventually } from "../kit/eventually.ts";
import { freePort } from "../kit/free-port.ts";
import { startServices } from "../kit/services.ts";

const SERVER = `Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]),
  fetch(request, server) {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/ready") return new Response("yes");
    if (pathname === "/no") return new Response("not here", { status: 418, headers: { "x-own": "kept", "set-cookie": "a=b" } });
    const given = Object.fromEntries(request.headers);
    const headers = { "sec-websocket-protocol": given["sec-websocket-protocol"]?.includes("two") ? "two" : "" };
    if (server.upgrade(request, { data: { pathname, search, given }, headers })) return;
    return new Response("no socket", { status: 400 });
  },
  websocket: {
    open: (socket) => void socket.send(JSON.stringify(socket.data)),
    message(socket, message) {
      if (message === "flood") { for (let at = 0; at < 64; at++) socket.send(new Uint8Array(1024 * 1024)); return; }
      if (message === "bye") return void socket.close(4321, "as you wish");
      if (message === "die") process.exit(1);
      socket.send(message);
    },
    maxPayloadLength: 64 * 1024 * 1024, backpressureLimit: 1024 * 1024 * 1024,
  } });`;

let fleet: ReturnType<typeof startServices>;
let ann: Caller;
/** Whether the caller may still write in the space. */
let mayWrite = true;
/** Ends when a test does. */
const listeners: Listener[] = [];
const proxies: Record<"a" | "b", ServiceProxy[]> = { a: [], b: [] };

const callerNow = () =>
  callerWith({ id: "nann", login: "ann@x", grants: [{ role: mayWrite ? "member" : "reader", spaces: ["ops"] }] });

/** Opens a listener of b, which has the service, and one of a, which passes on to it. Returns their base URLs. */
function open(bounds: Partial<RequestBounds> = {}) {
  const limited = new LimitedCallers({ requestsPerMinute: 0, streamsPerCaller: 1000 }, () => performance.now());
  let portOfB = 0;
  const of = (name: "a" | "b") => {
    const worker = fleet.workers.get(name);
    if (worker === undefined) throw new Error(`no member ${name}`);
    const services = new Services()
      .provide(SERVICE_WORKER, worker)
      .provide(DECLARATIONS, fleet.declarations)
      // Only b sees that rights have ended: a has the caller as it was.
      .provide(CALL_AS, (call) =>
        fleet.services.get(CALL_AS)({ ...call, ...(name === "b" ? { caller: callerNow() } : {}) }),
      )
      .provide(HOLD_STREAM, (caller) => limited.holdStream(caller))
      .provide(FULL_MEMBERS, {
        ...{ ...noPeers(), self: () => `n-${name}`, others: () => [] },
        openSocket: (node, path, { headers: given, ...more }) => {
          expect([name, node]).toEqual(["a", "n-b"]);
          const headers = new Headers({ ...Object.fromEntries(given), host: "cairn" });
          return dialSocket({ at: { loopbackPort: portOfB }, path, headers, ...more });
        },
        callerOf: async () => callerNow(),
      });
    const proxy = new ServiceProxy(services, bounds, { judgeMs: 50 });
    proxies[name].push(proxy);
    return proxy;
  };
  const none = { fetch: async () => new Response("elsewhere", { status: 404 }) };
  const common = {
    ...{ at: { loopbackPort: 0 }, identify: () => ann, bodies: new BodyBudget(1024), origins: [] },
    ...{ draining: () => false, log: () => {} },
  };
  const [a, b] = [of("a"), of("b")];
  const started = (surfaces: Parameters<typeof listen>[0]["surfaces"]) => {
    const listener = listen({ ...common, surfaces });
    listeners.push(listener);
    return listener.port;
  };
  const member = { role: "central", spaces: [], server: "s" } as const;
  portOfB = started({
    fetch: (request, _caller, hold, upgrade) =>
      b.fetchPassed(request, { node: "n-a", member, hold, upgrade, stays: () => true }),
  });
  const surfacesOf = (server: ServiceProxy) => ({
    ...{ api: none, mcp: none, web: { fetch: async () => undefined } },
    served: [{ prefix: "/svc/", server }],
  });
  return { a: started(surfacesOf(a)), b: started(surfacesOf(b)) };
}

beforeAll(async () => {
  fleet = startServices({ a: [], b: ["*"] });
  const file = join(fleet.folder, "server.ts");
  await Bun.write(file, SERVER);
  for (const name of ["chat", "ends-a", "ends-b"]) {
    const port = freePort();
    const argv = [process.execPath, file, String(port)];
    await fleet.declareService(name, { argv, port, ready: { http: "/ready" }, primary: "b" });
    await fleet.ready(name, "b");
  }
}, 60_000);

beforeEach(() => {
  mayWrite = true;
  ann = callerNow();
});

afterAll(async () => {
  await Promise.all(listeners.map((listener) => listener.stop(0)));
  await fleet[Symbol.asyncDispose]();
});

/** A client that keeps what came. */
async function connect(port: number, path: string, options: Bun.WebSocketOptions = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);
  socket.binaryType = "arraybuffer";
  const came: unknown[] = [];
  socket.onmessage = ({ data }) => came.push(data);
  const closed = new Promise<[number, string]>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve([code, reason]);
  });
  await eventually("a first message", () => came.length > 0, { withinMs: 5000 });
  const next = async (): Promise<unknown> => {
    await eventually("another message", () => came.length > 0, { withinMs: 5000 });
    return came.shift();
  };
  return { socket, next, came, closed, first: JSON.parse(String(came.shift())) };
}

const handshake = (port: number, path: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    headers: {
      ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
      ...{ "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", ...headers },
    },
  });
const open2 = () => [...proxies.a, ...proxies.b].reduce((sum, proxy) => sum + proxy.open, 0);
const allClosed = () => eventually("all sockets to be closed", () => open2() === 0);

test.each(["a", "b"] as const)("asked of %s messages pass both ways, and it hears who calls", async (at) => {
  const ports = open();
  const headers = { "cairn-caller": "forged", cookie: "a=b", "x-mine": "1" };
  const { socket, next, first, closed } = await connect(ports[at], "/svc/chat/a%2Fb?q=1", {
    protocols: ["one", "two"],
    headers,
  });
  expect(first).toMatchObject({ pathname: "/a%2Fb", search: "?q=1" });
  expect(first.given).toMatchObject({
    ...{ "cairn-caller": "user:ann@x", "tailscale-user-login": "ann@x", "x-mine": "1" },
    ...{ "x-forwarded-prefix": "/svc/chat", "x-forwarded-host": `127.0.0.1:${ports[at]}` },
  });
  expect(
    Object.keys(first.given).filter((name) => /^cookie|^cairn-service|^cairn-internal|extensions/.test(name)),
  ).toEqual([]);
  expect(socket.protocol).toBe("two");
  socket.send("grüße");
  expect(await next()).toBe("grüße");
  for (const size of [0, 125, 126, 65_535, 65_536, 2 * 1024 * 1024]) {
    const bytes = new Uint8Array(size).map((_, index) => index % 251);
    socket.send(bytes);
    expect(Buffer.from((await next()) as ArrayBuffer).equals(Buffer.from(bytes))).toBe(true);
  }
  socket.send("bye");
  expect(await closed).toEqual([4321, "as you wish"]);
  // A browser would end one whose server chooses nothing of what it offers.
  const dial = { path: "/svc/chat/", headers: new Headers({ host: "cairn" }), protocols: "one", maxBytes: 1024 };
  const again = await dialSocket({ at: { loopbackPort: ports[at] }, signal: AbortSignal.timeout(5000), ...dial });
  if (again instanceof Response) throw new Error(`refused: ${again.status}`);
  expect(again.protocol).toBe("");
  again.close(4000, "enough");
  await allClosed();
});

test.each(["a", "b"] as const)(
  "asked of %s a caller that reads slowly holds the service up, and gets all",
  async (at) => {
    const ports = open();
    const { socket, came } = await connect(ports[at], "/svc/chat/");
    socket.send("flood");
    await eventually("all of 64 MiB", () => came.length === 64, { withinMs: 15_000, seen: () => came.length });
    expect(came.every((each) => (each as ArrayBuffer).byteLength === 1024 * 1024)).toBe(true);
    socket.terminate();
    await allClosed();
  },
);

test.each(["a", "b"] as const)("asked of %s a handshake that the service refuses has its answer", async (at) => {
  const ports = open();
  const answer = await handshake(ports[at], "/svc/chat/no");
  expect([answer.status, await answer.text()]).toEqual([418, "not here"]);
  expect([answer.headers.get("x-own"), answer.headers.get("set-cookie")]).toEqual(["kept", null]);
  expect(answer.headers.get("content-security-policy")).toContain("sandbox");
  mayWrite = false;
  ann = callerNow();
  expect((await handshake(ports[at], "/svc/chat/")).status).toBe(403);
  for (const headers of [{ upgrade: "h2c" }, { "sec-websocket-version": "8" }] as Record<string, string>[])
    expect((await handshake(ports[at], "/svc/chat/", headers)).status).toBe(400);
  await allClosed();
});

test.each(["a", "b"] as const)("asked of %s it ends once the caller may not reach the service", async (at) => {
  const ports = open();
  const { socket, closed, next } = await connect(ports[at], "/svc/chat/");
  socket.send("still");
  expect(await next()).toBe("still");
  mayWrite = false;
  expect(await closed).toEqual([1008, "you may not reach the service any more"]);
  await allClosed();
});

test("open sockets are bounded, and a refused one holds nothing", async () => {
  const ports = open({ sockets: 2 });
  const held = [await connect(ports.b, "/svc/chat/"), await connect(ports.b, "/svc/chat/")];
  const refused = await handshake(ports.b, "/svc/chat/");
  expect([refused.status, await refused.text()]).toEqual([
    503,
    expect.stringContaining("2 WebSockets to services are open"),
  ]);
  for (const { socket } of held) socket.terminate();
  await allClosed();
  (await connect(ports.b, "/svc/chat/")).socket.terminate();
  await allClosed();
});

test.each(["a", "b"] as const)("asked of %s it ends with the program, and says to come back", async (at) => {
  const ports = open();
  const { socket, closed } = await connect(ports[at], `/svc/ends-${at}/`);
  socket.send("die");
  expect((await closed)[0]).toBe(1012);
  await allClosed();
});
