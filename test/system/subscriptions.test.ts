// Subscriptions in a fleet of whole nodes: events reach a receiver through the egress, signed, in order and at least
// once, over the loss of the leader; an address that no setting allows is refused.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";
import { TestCollector } from "../kit/collector.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { startNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

const SECRET = `whsec_${randomBytes(24).toString("base64")}`;
const ID = "default/hook";

interface Received {
  id: string;
  body: { id: string; type: string };
}

let tailnet: TestTailnet;
let fleet: Fleet;
let server: Server;
let grpc: Http2Server;
let smtp: SMTPServer;
const mails: string[] = [];
const ingested: { path: string; space: string; message: string }[] = [];
const received: Received[] = [];
const refused: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString("utf8");
      try {
        new Webhook(SECRET).verify(text, request.headers as Record<string, string>);
        received.push({ id: String(request.headers["webhook-id"]), body: JSON.parse(text) });
        response.end("ok");
      } catch (error) {
        refused.push(String(error));
        response.writeHead(401).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  grpc = createHttp2();
  grpc.on("stream", (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      const message = Buffer.concat(parts).toString("latin1");
      ingested.push({ path: String(headers[":path"]), space: String(headers["cairn-space"]), message });
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      // An empty IngestEventResponse in its frame.
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => grpc.listen(0, "127.0.0.1", () => resolve()));
  smtp = new SMTPServer({
    ...{ authOptional: true, disabledCommands: ["STARTTLS"] },
    onData(stream, _session, done) {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        mails.push(Buffer.concat(parts).toString("utf8"));
        done();
      });
    },
  });
  await new Promise<void>((resolve) => smtp.listen(0, "127.0.0.1", () => resolve()));
  const args = ["--outbound-allow", [server, grpc, smtp.server].map(hostOf).join(",")];
  tailnet = await TestTailnet.start();
  fleet = await startFleet({ tailnet, centrals: 3, args, env: { CAIRN_SECRET_HOOK: SECRET } });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  server?.close();
  grpc?.close();
  smtp?.close();
}, 60_000);

function hostOf(listening: { address(): unknown }): string {
  const address = listening.address();
  return `127.0.0.1:${(address as AddressInfo).port}`;
}

async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
  const { status, body, text } = await node.call(operation, input, 40_000);
  expect([operation, status, text]).toEqual([operation, 200, text]);
  return body;
}

async function declare(leader: FleetNode, name: string, url: string): Promise<void> {
  const target = { kind: "webhook", url, secret: "secret:HOOK" };
  await ask(leader, "event_target_set", { name, target, spaces: ["default"] });
}

test("events arrive signed and in order, none is lost with the leader, and few are repeated", async () => {
  const leader = await fleet.leader();
  const others = fleet.up(["central"]).filter((node) => node !== leader);
  const [follower] = others;
  if (follower === undefined) throw new Error("no follower");
  await declare(leader, "hook", `http://${hostOf(server)}/in`);
  await ask(leader, "subscription_create", {
    id: ID,
    target: "hook",
    rules: [{ id: "all", match: { cel: 'event.type == "n"' } }],
  });
  const sent: string[] = [];
  for (let count = 0; count < 40; count += 1) {
    if (count === 15) leader.kill();
    const id = `e${count}`;
    await eventually(
      `the event ${id} to be taken`,
      async () => {
        const answer = await follower
          .call("event_publish", { type: count % 5 === 4 ? "other" : "n", id }, 10_000)
          .catch(() => undefined);
        return answer?.status === 200 || undefined;
      },
      { withinMs: 60_000 },
    );
    if (count % 5 !== 4) sent.push(id);
  }
  await eventually("all events to arrive", () => new Set(received.map(({ id }) => id)).size === sent.length, {
    withinMs: 60_000,
    seen: () => JSON.stringify(received.map(({ body }) => body.id)),
  });
  expect([...new Set(received.map(({ body }) => body.id))]).toEqual(sent);
  expect(refused).toEqual([]);
  await leader.restart();
  await fleet.settle();
  const shown = await ask(follower, "subscription_get", { id: ID });
  expect(shown).toMatchObject({ dead_letters: 0, subscription: { state: "active" } });
  expect(await ask(follower, "audit_verify", {})).toMatchObject({ ok: true });
}, 240_000);

test("a server of gRPC gets an event by IngestEvent", async () => {
  const leader = await fleet.leader();
  const target = { kind: "grpc", url: `http://${hostOf(grpc)}`, metadata: { "cairn-space": "theirs" } };
  await ask(leader, "event_target_set", { name: "tas", target, spaces: ["default"] });
  await ask(leader, "subscription_create", { id: "default/tas", target: "tas" });
  await ask(leader, "event_publish", { type: "grpc.test", data: { n: 1 } });
  await eventually("the event to be taken", () => ingested.length > 0);
  expect(ingested[0]).toMatchObject({ path: "/mcp.v1.MCPService/IngestEvent", space: "theirs" });
  expect(ingested[0]?.message).toContain("grpc.test");
  expect(ingested[0]?.message).toContain('{"n":1}');
  await eventually("it to be recorded", async () => {
    const { attempts, behind } = await ask(leader, "subscription_get", { id: "default/tas" });
    expect(attempts).toMatchObject([{ result: "delivered", status: 200 }]);
    return behind === 0;
  });
}, 60_000);

test("mail leaves through the egress, events that come together as one, and none to what is not listed", async () => {
  const leader = await fleet.leader();
  const mail = {
    kind: "notify",
    service: "email",
    from: "cairn@example.com",
    to: ["ops@example.com"],
    starttls: false,
  };
  const targets = { mail: `smtp://${hostOf(smtp.server)}`, far: "smtp://127.0.0.1:9", plain: "smtps://127.0.0.1:465" };
  const rules = [{ id: "mail", match: { cel: 'event.type == "mail.test"' } }];
  for (const [name, url] of Object.entries(targets)) {
    const target = { ...mail, url, group_seconds: 1 };
    if (name === "plain") Reflect.deleteProperty(target, "starttls");
    await ask(leader, "event_target_set", { name, target, spaces: ["default"] });
    await ask(leader, "subscription_create", { id: `default/${name}`, target: name, rules });
  }
  // One command: the first is mailed at once, and the others are there before the next mail may go.
  const titled = ["Nr 1", "Nr 2", "Nr 3"].map((title) => ({ type: "mail.test", data: { title } }));
  await ask(leader, "event_publish_many", { events: titled });
  const shown = async () => JSON.stringify((await ask(leader, "subscription_get", { id: "default/mail" }))["attempts"]);
  let attempts = "";
  await eventually(
    "all to be mailed",
    async () => {
      attempts = await shown();
      return mails.join().includes("Nr 3");
    },
    { withinMs: 120_000, stepMs: 200, seen: () => `${attempts} ${mails.join()}` },
  );
  // Mailed again where the answer was late, but never one by one.
  expect(mails.filter((mail) => mail.includes("Nr 3")).every((mail) => mail.includes("Nr 2"))).toBe(true);
  expect(mails[0]).toContain("To: ops@example.com");
  for (const name of ["far", "plain"]) {
    const attempt = await eventually("an attempt", async () => {
      const { attempts: all } = await ask(leader, "subscription_get", { id: `default/${name}` });
      return (all as Record<string, unknown>[])[0];
    });
    expect(attempt).toMatchObject({ result: "failed", status: 0 });
    expect(String(attempt["detail"])).toContain("outbound.allow");
  }
}, 240_000);

test("an address that outbound.allow does not list is a failed attempt, and nothing is sent there", async () => {
  const leader = await fleet.leader();
  let seen = 0;
  const canary = createServer((_, response) => {
    seen += 1;
    response.end();
  });
  await new Promise<void>((resolve) => canary.listen(0, "127.0.0.1", resolve));
  const address = canary.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await declare(leader, "inside", `http://127.0.0.1:${port}/`);
  await ask(leader, "subscription_create", { id: "default/inside", target: "inside" });
  await ask(leader, "event_publish", { type: "canary" });
  const attempts = await eventually("an attempt", async () => {
    const { attempts: all } = await ask(leader, "subscription_get", { id: "default/inside" });
    return (all as Record<string, unknown>[]).length > 0 ? (all as Record<string, unknown>[]) : undefined;
  });
  expect(attempts[0]).toMatchObject({ result: "failed", status: 0 });
  expect(String(attempts[0]?.["detail"])).toContain("outbound.allow");
  expect(seen).toBe(0);
  canary.close();
}, 60_000);

test("another fleet gets events over the tailnet, and none that this one has passed on before", async () => {
  await using collector = new TestCollector();
  const traces = ["--traces-url", `http://${collector.host}`, "--outbound-allow", collector.host];
  await using other = await startNode({
    tailnet,
    hostname: "other",
    args: [...traces, "--traces-sample-percent", "0"],
  });
  const leader = await fleet.leader();
  const target = { kind: "peer", host: "other", space: "copies" };
  await ask(leader, "event_target_set", { name: "peer", target, spaces: ["default"] });
  await ask(leader, "subscription_create", { id: "default/peer", target: "peer" });
  const [traceId, spanId] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
  const extensions = { traceparent: `00-${traceId}-${spanId}-01`, tracestate: "own=1" };
  await ask(leader, "event_publish", { type: "passed.on", id: "p1", data: { n: 1 }, extensions });
  const status = JSON.parse((await other.cli(["call", "node_status", "{}"])).out) as { fleet: { id: string } };
  const ids = { own: await fleetId(leader), other: status.fleet.id };
  await ask(leader, "event_publish", { type: "came.back", id: "p2", extensions: { cairnhops: ids.other } });
  const shown = await eventually("both to be done with", async () => {
    const found = await ask(leader, "subscription_get", { id: "default/peer" });
    return found["behind"] === 0 ? found : undefined;
  });
  expect(shown["attempts"]).toMatchObject([{ result: "delivered" }, { result: "skipped" }]);
  const { out } = await other.cli(["call", "event_list", "-"], JSON.stringify({ space: "copies" }));
  expect(JSON.parse(out)).toMatchObject({
    events: [{ id: "p1", type: "passed.on", data: { n: 1 }, cairnhops: ids.own, ...extensions }],
  });
  const spans = await eventually("the trace to go on there", () => {
    const found = collector.of(traceId);
    return found.length >= 3 ? found : undefined;
  });
  const taken = spans.find(({ parentSpanId }) => parentSpanId === spanId);
  expect(taken).toMatchObject({
    name: "event_publish_many",
    traceState: "own=1",
    attributes: { "cairn.surface": "rest" },
  });
  expect(JSON.parse(out).events).toHaveLength(1);
}, 120_000);

test("a target may be a device of the tailnet, in plain HTTP and gRPC, and no device of another network", async () => {
  const leader = await fleet.leader();
  // Its traces go to a device that takes none, over the tailnet alone: no setting allows them elsewhere.
  const args = ["--traces-url", `http://${leader.name}`, "--traces-tailnet"];
  await using other = await startNode({ tailnet, hostname: "receiver", args });
  const network = "tailnet";
  const declared = {
    posted: { kind: "http", url: "http://receiver/events?space=posted", network },
    called: { kind: "grpc", url: "http://receiver:80", network, metadata: { "cairn-space": "called" } },
    local: { kind: "http", url: `http://${hostOf(server)}/`, network },
  };
  for (const [name, target] of Object.entries(declared)) {
    await ask(leader, "event_target_set", { name, target, spaces: ["default"] });
    const match = { conditions: [{ field: "type", operator: "eq", value: name }] };
    await ask(leader, "subscription_create", { id: `default/${name}`, target: name, rules: [{ id: "own", match }] });
    await ask(leader, "event_publish", { type: name });
  }
  const attemptsOf = async (name: string) =>
    eventually(`an attempt at ${name}`, async () => {
      const { attempts } = await ask(leader, "subscription_get", { id: `default/${name}` });
      return (attempts as Record<string, unknown>[])[0];
    });
  expect(await attemptsOf("posted")).toMatchObject({ result: "delivered", status: 200 });
  expect(await attemptsOf("called")).toMatchObject({ result: "delivered", status: 200 });
  const refusal = await attemptsOf("local");
  expect([refusal["result"], String(refusal["detail"])]).toEqual(["failed", expect.stringContaining("127.0.0.1")]);
  for (const space of ["posted", "called"]) {
    const { out } = await other.cli(["call", "event_list", "-"], JSON.stringify({ space }));
    expect(JSON.parse(out).events).toMatchObject([{ type: space }]);
  }
  const said = await eventually("an answer to its traces", async () => {
    const { conditions } = JSON.parse((await other.cli(["call", "node_status", "{}"])).out) as NodeReport;
    return conditions.find(({ code }) => code === "traces_not_sent")?.text;
  });
  expect(said).toMatch(new RegExp(`^${leader.name}: it answered 40[34]: `));
}, 120_000);

interface NodeReport {
  conditions: { code: string; text: string }[];
}

async function fleetId(node: FleetNode): Promise<string> {
  const { fleet: own } = (await ask(node, "node_status", {})) as { fleet: { id: string } };
  return own.id;
}
