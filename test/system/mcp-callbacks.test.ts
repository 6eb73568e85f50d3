// Callbacks of MCP Events in a fleet of whole nodes: a client subscribes at a follower, its address is asked for its
// proof over the egress with TLS, gets events signed and in order, and after the loss of the leader once its client has
// asked again. An address that no setting allows is not reached.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { selfSigned } from "../kit/certificate.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { TestTailnet } from "../kit/tailnet.ts";

type Json = Record<string, unknown>;

const SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const HOST = "localhost";

let tailnet: TestTailnet;
let fleet: Fleet;
let server: Server;
const received: { subscription: string; body: Json }[] = [];
const refused: string[] = [];
let proofs = 0;

beforeAll(async () => {
  const { key, cert, file } = await selfSigned(HOST);
  server = createServer({ key, cert }, (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString("utf8");
      try {
        new Webhook(SECRET).verify(text, request.headers as Record<string, string>);
      } catch (error) {
        refused.push(String(error));
        return void response.writeHead(401).end();
      }
      const body = JSON.parse(text) as Json;
      if (body["type"] === "verification") {
        proofs += 1;
        return void response.end(JSON.stringify({ challenge: body["challenge"] }));
      }
      received.push({ subscription: String(request.headers["x-mcp-subscription-id"]), body });
      response.end("ok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  tailnet = await TestTailnet.start();
  const args = ["--outbound-allow", `${HOST}:${port()}`];
  fleet = await startFleet({ tailnet, centrals: 3, args, env: { SSL_CERT_FILE: file } });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  server?.close();
}, 60_000);

const port = () => (server.address() as AddressInfo).port;

async function ask(node: FleetNode, operation: string, input: object): Promise<Json> {
  const { status, body, text } = await node.call(operation, input, 40_000);
  expect([operation, status, text]).toEqual([operation, 200, text]);
  return body;
}

const subscription = () => ({
  ...{ name: "cairn.event", arguments: { space: "default", types: ["n"], own: true } },
  ...{ url: `https://${HOST}:${port()}/hook`, secret: SECRET },
});
const numbers = () => received.map(({ body }) => ((body["data"] as Json)["data"] as Json)["n"]);

test("a client subscribes at a follower, and goes on after the loss of the leader once it has asked again", async () => {
  const leader = await fleet.leader();
  const [follower] = fleet.up(["central"]).filter((node) => node !== leader);
  if (follower === undefined) throw new Error("no follower");
  const target = { kind: "callback", hosts: [HOST, "127.0.0.1"] };
  await ask(leader, "event_target_set", { name: "mcp", target, policy: "mcp", spaces: ["default"] });
  const granted = await ask(follower, "callback_subscribe", subscription());
  expect([proofs, granted["truncated"]]).toEqual([1, false]);
  const publish = async (n: number, type = "n") => ask(follower, "event_publish", { type, data: { n } });
  await publish(1);
  await publish(2, "other");
  await publish(3);
  await eventually("two events to arrive", () => numbers().length === 2, { seen: () => JSON.stringify(received) });
  expect(numbers()).toEqual([1, 3]);
  expect(new Set(received.map((one) => one.subscription))).toEqual(new Set([String(granted["id"])]));

  await leader.kill();
  await eventually("an event to be taken", async () => {
    const answer = await follower.call("event_publish", { type: "n", data: { n: 4 } }, 10_000).catch(() => undefined);
    return answer?.status === 200 || undefined;
  });
  await eventually("the client to be heard by the new leader", async () => {
    const answer = await follower.call("callback_subscribe", subscription(), 10_000).catch(() => undefined);
    return answer?.status === 200 ? answer.body["id"] === granted["id"] : undefined;
  });
  await eventually("the event to arrive", () => numbers().includes(4), { seen: () => JSON.stringify(numbers()) });
  expect([...new Set(numbers())]).toEqual([1, 3, 4]);
  expect([proofs, refused]).toEqual([2, []]);
  await leader.restart();
  await fleet.settle();
  expect(await ask(follower, "audit_verify", {})).toMatchObject({ ok: true });
  const { secret: _, ...key } = subscription();
  expect(await ask(follower, "callback_end", key)).toEqual({ ended: true });
}, 240_000);

test("an address that no setting allows is not reached, whatever an admin declared", async () => {
  const leader = await fleet.leader();
  const url = `https://127.0.0.1:${port()}/hook`;
  const { status, text } = await leader.call("callback_subscribe", { ...subscription(), url }, 40_000);
  expect([status, text]).toEqual([503, expect.stringContaining("connection_refused")]);
});
