// Checks over the real ways out of a node: the age of a certificate as the Go half saw it, and HTTP to another device
// of the tailnet.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { selfSigned } from "../kit/certificate.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, startFleet } from "../kit/fleet.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let fleet: Fleet;
let other: TestNode;
let server: Server;
let at: string;

beforeAll(async () => {
  const { key, cert, file } = await selfSigned("localhost");
  server = createServer({ key, cert }, (_request, response) => response.end("well"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  at = `localhost:${(server.address() as AddressInfo).port}`;
  tailnet = await TestTailnet.start();
  const started = startFleet({ tailnet, centrals: 1, args: ["--outbound-allow", at], env: { SSL_CERT_FILE: file } });
  [fleet, other] = await Promise.all([started, startNode({ tailnet, hostname: "other" })]);
}, 180_000);

afterAll(async () => {
  await other?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  server?.close();
}, 60_000);

/** Declares a probe, and returns what a check now comes to. */
async function checked(name: string, declared: object): Promise<Record<string, unknown>> {
  const leader = await fleet.leader();
  const declarations = [
    { kind: "probe", name, declared: { type: "http", interval: 86_400, timeout: 20, ...declared } },
  ];
  expect((await leader.call("declaration_apply", { declarations }, 30_000)).status).toBe(200);
  return eventually(`${name} is checked`, async () => {
    const { status, body } = await leader.call("probe_check", { name }, 60_000);
    const [found] = status === 200 ? (body["results"] as Record<string, unknown>[]) : [];
    return found?.["outcome"] === "not run" ? undefined : found;
  });
}

test("a connection within the tailnet reaches a device that listens, and no other port or name", async () => {
  const tcp = { type: "tcp", network: "tailnet", timeout: 5 };
  expect(await checked("open", { ...tcp, target: "other:80" })).toMatchObject({ outcome: "good", detail: "connected" });
  expect(await checked("shut", { ...tcp, target: "other:81" })).toMatchObject({ outcome: "bad" });
  expect(await checked("nobody", { ...tcp, target: "absent:80" })).toMatchObject({ outcome: "bad" });
  // The host's network knows no such name.
  expect(await checked("by-host", { ...tcp, network: "host", target: "other:80" })).toMatchObject({
    ...{ outcome: "bad", cause: "path" },
  });
}, 120_000);

test("the days of a certificate are those of the server that answered", async () => {
  const target = `https://${at}/`;
  expect(await checked("short", { target, expect: { certificate_days: 1 } })).toMatchObject({ outcome: "good" });
  expect(await checked("long", { target, expect: { certificate_days: 14 } })).toMatchObject({
    ...{ outcome: "bad", cause: "service" },
    detail: "its certificate ends in 1 day; expected are 14 or more",
  });
}, 120_000);

test("a device of the tailnet is asked within the tailnet, and one that is not there is no answer", async () => {
  const network = "tailnet";
  const answers = { status: ["2xx", "4xx"] };
  const [device] = (await tailnet.nodes()).filter(({ hostname }) => hostname === "other");
  expect(device).toBeDefined();
  expect(await checked("device", { target: "http://other/health", network, expect: answers })).toMatchObject({
    outcome: "good",
  });
  expect(await checked("absent", { target: "http://absent/health", network, timeout: 5 })).toMatchObject({
    outcome: "bad",
  });
}, 120_000);
