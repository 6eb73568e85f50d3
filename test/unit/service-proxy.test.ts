// /svc/NAME: who may reach a service, what it hears of its caller, which headers pass, and what is said when it runs
// nowhere. Two members over one log, one of which passes requests on to the other.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import type { RequestBounds } from "../../src/features/service/open-requests.ts";
import { SERVICE_WORKER } from "../../src/features/service/parts.ts";
import { ServiceProxy } from "../../src/features/service/proxy.ts";
import type { Fault } from "../../src/lib/fault.ts";
import { UNBOUNDED } from "../../src/lib/request-body.ts";
import { LimitedCallers } from "../../src/operation/caller-limits.ts";
import { DECLARATIONS } from "../../src/operation/declared-kind.ts";
import { CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { callerWith } from "../kit/core.ts";
import { noPeers } from "../kit/declarations.ts";
import { eventually } from "../kit/eventually.ts";
import { freePort } from "../kit/free-port.ts";
import { startServices } from "../kit/services.ts";

const SERVER = `const waiting = [];
Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), async fetch(request) {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/stream") return new Response(new ReadableStream({ async start(to) {
    to.enqueue("first\\n"); await new Promise((go) => waiting.push(go)); to.enqueue("last\\n"); to.close(); } }));
  if (pathname === "/go") { waiting.shift()?.(); return new Response(null, { status: 204 }); }
  if (pathname === "/away") return new Response(null, { status: 302, headers: { location: "/else" } });
  const headers = Object.fromEntries(request.headers);
  return Response.json({ pathname, search, method: request.method, headers, body: await request.text() }, { status: 201,
    headers: { "set-cookie": "a=b", "access-control-allow-origin": "*", "x-own": "kept", "cairn-position": "forged" } });
} });`;

type Fleet = ReturnType<typeof startServices>;
let fleet: Fleet;
/** By member: b has the service, a passes on. */
let proxies: Record<"a" | "b", ServiceProxy>;
let port = 0;

const ann: Caller = callerWith({ id: "nann", login: "ann@x", grants: [{ role: "member", spaces: ["ops"] }] });
const bob: Caller = callerWith({ id: "nbob", login: "bob@x", grants: [{ role: "member", spaces: ["ops"] }] });
const ray: Caller = callerWith({ id: "nray", login: "ray@x", grants: [{ role: "reader", spaces: ["ops"] }] });

const limits = (streamsPerCaller: number) =>
  new LimitedCallers({ requestsPerMinute: 0, streamsPerCaller }, () => performance.now());

/** Returns the proxies of both members. `limited`: of both together, so a request that is passed on counts twice. */
function pairOf(limited: LimitedCallers, bounds: { a?: Partial<RequestBounds>; b?: Partial<RequestBounds> } = {}) {
  const of = (name: string, open: (request: Request) => Promise<Response>): Services => {
    const worker = fleet.workers.get(name);
    if (worker === undefined) throw new Error(`no member ${name}`);
    return new Services()
      .provide(SERVICE_WORKER, worker)
      .provide(DECLARATIONS, fleet.declarations)
      .provide(CALL_AS, fleet.services.get(CALL_AS))
      .provide(HOLD_STREAM, (caller) => limited.holdStream(caller))
      .provide(FULL_MEMBERS, {
        ...{ ...noPeers(), self: () => `n-${name}`, others: () => [] },
        open: (node, path, { method, headers, body }) => {
          expect(node).toBe("n-b");
          return open(new Request(`http://100.64.0.9:4747${path}`, { method, headers, ...(body && { body }) }));
        },
        callerOf: async (id, from) => {
          expect(from).toBe("n-a");
          const found = [ann, bob, ray].find((each) => each.id === id);
          if (found === undefined) throw new Error(`unseen: ${id}`);
          return found;
        },
      });
  };
  const b = new ServiceProxy(
    of("b", () => Promise.reject(new Error("passed on twice"))),
    bounds.b,
  );
  const member = { role: "central", spaces: [], server: "s" } as const;
  const a = new ServiceProxy(
    of("a", (request) => b.fetchPassed(request, { node: "n-a", member, hold: UNBOUNDED, stays: () => true })),
    bounds.a,
  );
  return { a, b };
}

beforeAll(async () => {
  fleet = startServices({ a: [], b: ["web", "plain"] });
  port = freePort();
  const file = join(fleet.folder, "server.ts");
  await Bun.write(file, SERVER);
  const argv = [process.execPath, file, String(port)];
  await fleet.declareService("web", { argv, port, ready: { http: "/ready" }, primary: "b" });
  await fleet.declareService("plain", { argv: ["sleep", "1000"], primary: "b" });
  await fleet.declareService("down", { argv: ["sleep", "1000"], primary: "b", port: 1 });
  await fleet.ready("web", "b");
  proxies = pairOf(limits(1000));
}, 60_000);

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
});

const ask = (at: "a" | "b", path: string, init: RequestInit = {}, caller: Caller = ann) =>
  proxies[at].fetch(new Request(`http://cairn${path}`, init), { caller, scheme: "http", hold: UNBOUNDED });
const refusal = (at: "a" | "b", path: string, init: RequestInit = {}, caller: Caller = ann) =>
  ask(at, path, init, caller).then(
    () => undefined,
    (error: Fault) => error,
  );

test.each(["a", "b"] as const)("asked of %s it answers, and hears who calls and no more", async (at) => {
  const headers = {
    ...{ "content-type": "text/x", "x-mine": "1", authorization: "Bearer own", cookie: "s=1", origin: "http://cairn" },
    ...{ "cairn-caller": "forged", "tailscale-user-login": "boss@x", "x-forwarded-for": "1.2.3.4" },
    ...{ "cairn-service-caller": "nray", connection: "x-hop", "x-hop": "1" },
    // As CGI reads it, this is Cairn-Caller-Tags.
    ...{ cairn_caller_tags: "tag:admin", tailscale_user_login: "boss@x" },
  };
  const response = await ask(at, "/svc/web/a%2Fb/c?q=1&q=2", { method: "POST", body: "text", headers });
  expect(response.status).toBe(201);
  const seen = (await response.json()) as { headers: Record<string, string> };
  expect(seen).toMatchObject({ pathname: "/a%2Fb/c", search: "?q=1&q=2", method: "POST", body: "text" });
  expect(seen.headers).toMatchObject({
    ...{ "cairn-caller": "user:ann@x", "tailscale-user-login": "ann@x", "x-mine": "1", authorization: "Bearer own" },
    ...{ "x-forwarded-host": "cairn", "x-forwarded-proto": "http", "x-forwarded-prefix": "/svc/web" },
    host: `127.0.0.1:${port}`,
  });
  for (const name of [
    "cookie",
    "origin",
    "x-forwarded-for",
    "x-hop",
    "cairn-service-caller",
    "cairn_caller_tags",
    "tailscale_user_login",
  ])
    expect([name, seen.headers[name]]).toEqual([name, undefined]);
  expect(response.headers.get("x-own")).toBe("kept");
  expect(response.headers.get("content-security-policy")).toContain("sandbox");
  for (const name of ["set-cookie", "access-control-allow-origin", "cairn-position"])
    expect([name, response.headers.get(name)]).toEqual([name, null]);
});

test.each(["a", "b"] as const)("asked of %s an answer is a stream, and a redirect is the caller's", async (at) => {
  const reader = (await ask(at, "/svc/web/stream")).body?.getReader();
  const first = new TextDecoder().decode((await reader?.read())?.value);
  expect(first).toBe("first\n");
  expect((await ask(at, "/svc/web/go")).status).toBe(204);
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("last\n");
  const away = await ask(at, "/svc/web/away");
  expect([away.status, away.headers.get("location")]).toEqual([302, "/else"]);
  const slash = await ask(at, "/svc/web?x=1");
  expect([slash.status, slash.headers.get("location")]).toEqual([308, "/svc/web/?x=1"]);
});

test("only who may write in its space reaches it; the member that has it judges for itself", async () => {
  for (const at of ["a", "b"] as const) {
    expect(await refusal(at, "/svc/web/", {}, ray)).toMatchObject({ code: "forbidden" });
    expect(await refusal(at, "/svc/web/", {}, callerWith({ id: "nzoe", login: "zoe@x", grants: [] }))).toMatchObject({
      code: "forbidden",
    });
    expect(await refusal(at, "/svc/none/")).toMatchObject({ code: "forbidden" });
  }
  const member = { role: "central", spaces: [], server: "s" } as const;
  const passed = (headers: Record<string, string>) =>
    proxies.b
      .fetchPassed(new Request("http://100.64.0.9:4747/svc/web/", { headers }), {
        node: "n-a",
        member,
        hold: UNBOUNDED,
        stays: () => true,
      })
      .then(
        ({ status }) => status,
        (error: Fault) => error.code,
      );
  expect(await passed({ "cairn-service-caller": "nann" })).toBe(201);
  expect(await passed({ "cairn-service-caller": "nray" })).toBe("forbidden");
  expect(await passed({ "cairn-service-caller": "nann", "cairn-service-read-only": "1" })).toBe("forbidden");
});

test("what is no way to a service says so", async () => {
  const admin = callerWith({ id: "nadm", login: "adm@x", grants: [{ role: "admin", spaces: ["*", "fleet"] }] });
  expect(await refusal("b", "/svc/none/", {}, admin)).toMatchObject({ code: "not_found" });
  expect(await refusal("b", "/svc/", {}, admin)).toMatchObject({ code: "not_found" });
  expect(await refusal("b", "/svc/web/../../operations/whoami")).toMatchObject({ code: "not_found" });
  expect(await refusal("b", "/svc/plain/")).toMatchObject({ code: "invalid_input" });
  expect(await refusal("b", "/svc/web/", { headers: { upgrade: "websocket" } })).toMatchObject({
    code: "invalid_input",
  });
  const down = await refusal("a", "/svc/down/");
  expect(down).toMatchObject({ code: "unavailable" });
  expect(down?.message).toContain("The service down is ready nowhere");
});

test("open answers count for their caller, for the way between two members and for the node, until they end", async () => {
  const limited = limits(6);
  const { a, b } = pairOf(limited, { a: { ofCaller: 2, ofMember: 3 }, b: { ofNode: 4 } });
  const request = (at: ServiceProxy, path: string, caller: Caller, init: RequestInit = {}) =>
    at.fetch(new Request(`http://cairn${path}`, init), { caller, scheme: "http", hold: UNBOUNDED });
  /** Opens a request that has its first bytes and waits for the rest; returns what ends it. */
  const waiting = async (at: ServiceProxy, caller: Caller) => {
    const reader = (await request(at, "/svc/web/stream", caller)).body?.getReader();
    await reader?.read();
    return async () => void (await reader?.cancel());
  };
  const refused = (at: ServiceProxy, caller: Caller) =>
    request(at, "/svc/web/", caller).then(
      () => undefined,
      (error: Fault) => error,
    );
  const counts = () => [a.open, b.open, limited.openStreams];
  const ends = [await waiting(a, ann), await waiting(a, ann)];
  expect(counts()).toEqual([2, 2, 4]);
  const more = await refused(a, ann);
  expect(more).toMatchObject({ code: "rate_limited", details: { retryAfterSeconds: 2 } });
  expect(more?.message).toContain("user:ann@x has 2 requests open to services on one other member");
  ends.push(await waiting(a, bob));
  expect(await refused(a, bob)).toMatchObject({ code: "unavailable" });
  // What was refused holds nothing, and the member itself still answers, up to its own bound.
  expect(counts()).toEqual([3, 3, 6]);
  const last = await waiting(b, ann);
  expect(await refused(b, bob)).toMatchObject({ code: "unavailable" });
  await last();
  const held = [limited.holdStream(ann), limited.holdStream(ann)];
  expect(await refused(b, ann)).toMatchObject({ code: "rate_limited" });
  for (const free of held) free();
  for (const end of ends) await end();
  await eventually("all to be closed", () => counts().every((count) => count === 0));
  // A caller that goes away, and an answer without a body.
  const leaving = new AbortController();
  await request(b, "/svc/web/stream", ann, { signal: leaving.signal });
  expect(b.open).toBe(1);
  leaving.abort();
  expect((await request(a, "/svc/web/go", ann)).status).toBe(204);
  await eventually("all to be closed", () => counts().every((count) => count === 0));
});
