// /svc/NAME on an edge: it asks the member that it follows, then the one that has the service, which judges the caller
// by what the edge may.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Access } from "../../src/access/access.ts";
import { EdgeServiceProxy } from "../../src/features/service/edge-proxy.ts";
import { SERVICE_WORKER } from "../../src/features/service/parts.ts";
import { ServiceProxy } from "../../src/features/service/proxy.ts";
import { Fault } from "../../src/lib/fault.ts";
import { UNBOUNDED } from "../../src/lib/request-body.ts";
import { DECLARATIONS } from "../../src/operation/declared-kind.ts";
import { ACCESS, CALL_AS, FULL_MEMBERS, HOLD_STREAM } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { CAPABILITY, callerWith } from "../kit/core.ts";
import { noPeers } from "../kit/declarations.ts";
import { freePort } from "../kit/free-port.ts";
import { startServices } from "../kit/services.ts";

const SERVER = `Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), fetch: async (request) =>
  Response.json({ path: new URL(request.url).pathname, caller: request.headers.get("cairn-caller"), body: await request.text() },
    { headers: { "cairn-service-node": "n-forged" } }) });`;

const ann = callerWith({ id: "nann", login: "ann@x", grants: [{ role: "member", spaces: ["ops"] }] });
const none = callerWith({ id: "nnone", login: "none@x", grants: [] });

let fleet: ReturnType<typeof startServices>;
/** What the edge asked of whom. */
const asked: string[] = [];
/** What the edge is enrolled for, and members that do not answer it. */
let spaces = ["ops"];
const away = new Set<string>();
let edge: EdgeServiceProxy;

beforeAll(async () => {
  fleet = startServices({ a: [], b: ["web"] });
  const file = join(fleet.folder, "server.ts");
  await Bun.write(file, SERVER);
  const port = freePort();
  await fleet.declareService("web", {
    argv: [process.execPath, file, String(port)],
    ...{ port, ready: { http: "/" }, primary: "b" },
  });
  await fleet.ready("web", "b");
  const proxies = new Map(
    ["a", "b"].map((name) => {
      const worker = fleet.workers.get(name);
      if (worker === undefined) throw new Error(`no member ${name}`);
      const services = new Services()
        .provide(SERVICE_WORKER, worker)
        .provide(DECLARATIONS, fleet.declarations)
        .provide(CALL_AS, fleet.services.get(CALL_AS))
        .provide(HOLD_STREAM, () => () => {})
        .provide(FULL_MEMBERS, {
          ...{ ...noPeers(), self: () => `n-${name}`, others: () => [], callerOf: async () => ann },
        });
      return [`n-${name}`, new ServiceProxy(services)];
    }),
  );
  const services = new Services()
    .provide(ACCESS, new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] }, undefined))
    .provide(HOLD_STREAM, () => () => {})
    .provide(FULL_MEMBERS, {
      ...{ ...noPeers(), self: () => "n-edge", others: () => [], followed: () => "n-a" },
      open: async (node, path, { method, headers, body }) => {
        asked.push(node);
        if (away.has(node)) throw new Fault("unavailable", "away", { facts: { outcome: "not_sent" } });
        const member = { role: "edge", spaces, server: "" } as const;
        const request = new Request(`http://x${path}`, { method, headers, ...(body && { body }) });
        const by = { node: "n-edge", member, hold: UNBOUNDED, stays: () => true };
        const answer = await proxies.get(node)?.fetchPassed(request, by);
        if (answer === undefined) throw new Error(`no member ${node}`);
        return answer;
      },
    });
  edge = new EdgeServiceProxy(services);
}, 60_000);

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
});

const post = (caller = ann) =>
  edge.fetch(new Request("http://cairn/svc/web/x", { method: "POST", body: "text" }), {
    ...{ caller, scheme: "http", hold: UNBOUNDED },
  });

test("it asks the member that it follows where it is, then that one, and that one at once the next time", async () => {
  for (const nodes of [["n-a", "n-b"], ["n-b"]]) {
    const answer = await post();
    expect([answer.status, await answer.json()]).toEqual([200, { path: "/x", caller: "user:ann@x", body: "text" }]);
    expect(asked.splice(0)).toEqual(nodes);
  }
  expect(
    (
      await edge.fetch(new Request("http://cairn/svc/web?x=1"), { caller: ann, scheme: "http", hold: UNBOUNDED })
    ).headers.get("location"),
  ).toBe("/svc/web/?x=1");
});

test("where the member that had it is away, the followed one says where it is", async () => {
  await post();
  asked.splice(0);
  away.add("n-b");
  await expect(post()).rejects.toMatchObject({ code: "unavailable" });
  expect(asked.splice(0)).toEqual(["n-b", "n-a", "n-b"]);
  away.clear();
  expect((await post()).status).toBe(200);
});

test("callers reach no more by it than the edge may, and without rights nothing", async () => {
  spaces = ["else"];
  await expect(post()).rejects.toMatchObject({ code: "forbidden" });
  spaces = ["ops"];
  asked.splice(0);
  await expect(post(none)).rejects.toMatchObject({ code: "forbidden" });
  expect(asked).toEqual([]);
  expect((await post()).status).toBe(200);
});
