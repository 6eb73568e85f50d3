// Services in a fleet of whole nodes on a real tailnet: a web service with a primary and a backup. The machine of the
// primary is killed, then frozen; the service answers at the backup under its name, one holder at any time, and goes
// back.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dialSocket } from "../../src/lib/dialed-socket.ts";
import { type Answer, localHttp } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { freePort } from "../kit/free-port.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-services-"));
const LEASE_SECONDS = 10;
const port = freePort();
/** What the phone of a person shows: titles of messages. */
const told: string[] = [];
const phone = Bun.serve({
  ...{ hostname: "127.0.0.1", port: 0 },
  async fetch(request) {
    const { topic, title, message } = (await request.json()) as Record<string, string>;
    told.push(...(title?.endsWith(" events") ? (message ?? "").split("\n") : [`${title}`]).map((l) => `${topic} ${l}`));
    return Response.json({});
  },
});
let fleet: Fleet;
let primary: FleetNode;
let backup: FleetNode;
/** Leads at first, and is asked how the others do. */
let third: FleetNode;
/** Only caches, and runs nothing. */
let edge: FleetNode;

/**
 * The demo: all members of the test are one machine, so the port of the service is the resource that one copy at a time
 * has. It writes its fence into a file while it runs, and refuses nothing else.
 */
const SERVER = `const { appendFileSync } = await import("node:fs");
const say = (what) => appendFileSync(process.argv[3], what + " " + process.env.CAIRN_FENCE + " " + process.pid + "\\n");
let server;
try { server = Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), 
  websocket: { open: (to) => void to.send(to.data), message: (to, message) => void to.send(message) },
  fetch: (request, own) => own.upgrade(request, { data: request.headers.get("cairn-caller") }) ? undefined :
  Response.json({ fence: process.env.CAIRN_FENCE, caller: request.headers.get("cairn-caller"), path: new URL(request.url).pathname,
    way: ["proto", "host", "prefix"].map((name) => request.headers.get("x-forwarded-" + name)) }) });
} catch (error) { say("twice"); process.exit(1); }
say("begin");
process.on("SIGTERM", () => { say("end"); process.exit(0); });`;

beforeAll(async () => {
  const args = ["--fleet-run", "web", "--outbound-allow", `127.0.0.1:${phone.port}`];
  fleet = await startFleet({ centrals: 3, args, env: { CAIRN_SECRET_TOPIC: "home" } });
  const file = join(folder, "server.ts");
  await Bun.write(file, SERVER);
  third = await fleet.leader();
  [primary, backup] = fleet.nodes.filter((each) => each !== third) as [FleetNode, FleetNode];
  edge = await fleet.join("edge", { spaces: ["team-a"] });
  const content = {
    argv: [process.execPath, file, String(port), join(folder, "log")],
    ...{ port, ready: { http: "/health" }, primary: primary.name, backups: [backup.name], space: "team-a" },
    ...{ lease: LEASE_SECONDS, failback: "stable:2", fence: "resource", grace: 2 },
  };
  const target = { kind: "notify", service: "ntfy", url: `http://127.0.0.1:${phone.port}`, topic: "secret:TOPIC" };
  const types = ["cairn.service.down", "cairn.service.failed", "cairn.service.ready", "cairn.service.moved"];
  const rules = [{ id: "down", match: { conditions: [{ field: "type", operator: "in", value: types }] } }];
  for (const [operation, input] of [
    ["event_target_set", { name: "phone", target: { ...target, group_seconds: 1 }, spaces: ["team-a"] }],
    ["subscription_create", { id: "team-a/down", target: "phone", rules }],
    ["context_put", { id: "fleet/services/web", content }],
  ] as const) {
    const { status, text } = await third.call(operation, input, 20_000);
    expect([operation, status, text]).toEqual([operation, 200, text]);
  }
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await phone.stop(true);
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Shown {
  state: string;
  copies: { name?: string; node?: string; fence?: string; reason: string }[];
}

/** Waits until it is ready on a member, as another one sees it. */
async function readyOn(seenBy: FleetNode, member: FleetNode): Promise<Shown> {
  let seen = "";
  return eventually(
    `web is ready on ${member.name}`,
    async () => {
      const answer = await seenBy.call("service_get", { name: "web", space: "team-a" }, 5000).catch(() => undefined);
      seen = `${answer?.text}\n${lines().join("\n")}`;
      const { service } = (answer?.body ?? {}) as { service?: Shown };
      const isThere = service?.state === "ready" && service.copies[0]?.node === member.id;
      return isThere ? service : undefined;
    },
    { withinMs: 60_000, seen: () => seen },
  );
}

const get = async (node: FleetNode, path: string): Promise<Answer> =>
  localHttp(await node.socket(), path, { signal: AbortSignal.timeout(10_000) });

/** Opens a WebSocket, sends a message, and returns the first two that come. */
async function said(node: FleetNode, path: string, message: string): Promise<(string | Uint8Array)[]> {
  const given = { path, headers: new Headers({ host: "cairn" }), protocols: "", maxBytes: 1024 };
  const socket = await dialSocket({ at: { unix: await node.socket() }, signal: AbortSignal.timeout(10_000), ...given });
  if (socket instanceof Response) throw new Error(`${node.name} refused: ${socket.status} ${await socket.text()}`);
  const came: (string | Uint8Array)[] = [];
  socket.start({ message: (data) => void came.push(data), drained: () => {}, closed: () => {} });
  socket.send(message);
  await eventually("two messages", () => came.length === 2);
  socket.close(1000, "");
  return came;
}

function lines(): string[] {
  try {
    return readFileSync(join(folder, "log"), "utf8").trim().split("\n");
  } catch {
    return [];
  }
}

/** The fences of the starts, each greater than the one before; no second copy has ever found the port taken. */
function fences(): number[] {
  expect(lines().filter((line) => line.startsWith("twice"))).toEqual([]);
  const found = lines().flatMap((line) => (line.startsWith("begin") ? [Number(line.split(/[ -]/)[2])] : []));
  expect(found).toEqual([...found].sort((one, other) => one - other));
  return found;
}

test("it answers under its name on every node, with the caller that the tailnet proves", async () => {
  await readyOn(third, primary);
  for (const node of [third, primary, backup, edge]) {
    const { status, body, text } = await eventually(`${node.name} knows where it is`, async () => {
      const answer = await get(node, "/svc/web/hello");
      return answer.status === 200 ? answer : undefined;
    });
    expect([node.name, status, text]).toEqual([node.name, 200, expect.any(String)]);
    const caller = node === primary ? "local" : `local@${node.id}`;
    expect(body).toMatchObject({ path: "/hello", caller, way: ["http", "cairn", "/svc/web"] });
    // The same by a WebSocket: who calls, then what was sent.
    expect([node.name, await said(node, "/svc/web/", "hello")]).toEqual([node.name, [caller, "hello"]]);
  }
  expect(fences()).toHaveLength(1);
}, 120_000);

test("the primary's machine is killed: the backup has it within its lease, and it goes back when that is there again", async () => {
  primary.kill();
  const beganMs = performance.now();
  await readyOn(third, backup);
  console.log(`killed: ready at the backup after ${Math.round(performance.now() - beganMs)} ms`);
  const { body } = await eventually("it answers at the backup", async () => {
    const answer = await get(third, "/svc/web/");
    return answer.status === 200 ? answer : undefined;
  });
  expect(body["fence"]).toEndWith(`-${fences().at(-1)}`);
  // It was ready at first, which ends nothing that anybody heard of; then it was down, and is back elsewhere.
  await eventually("the phone shows both", () => told.length >= 2, { seen: () => told.join("\n") });
  expect(told.map((line) => line.split(": ").slice(0, 2).join(": "))).toEqual([
    ...["home service web: down", "home service web: moved"],
  ]);
  await primary.restart();
  await primary.serving();
  await readyOn(third, primary);
  // On a busy machine a lease may end once more.
  expect(fences().length).toBeGreaterThanOrEqual(3);
}, 180_000);

test("the primary's process is frozen: its guard ends the service before the backup starts it", async () => {
  await readyOn(third, primary);
  const before = fences().length;
  primary.pause();
  const beganMs = performance.now();
  await readyOn(third, backup);
  console.log(`frozen: ready at the backup after ${Math.round(performance.now() - beganMs)} ms`);
  primary.resume();
  await readyOn(third, primary);
  expect(fences().length).toBeGreaterThanOrEqual(before + 2);
}, 180_000);

test("audit and events show it, and the rows are as the changes made them", async () => {
  const audit = await third.call("audit_query", { prefix: "team-a/services/web", limit: 200 }, 20_000);
  for (const outcome of ["starting", "ready", "down", "moved", "stopping", "stopped"])
    expect([outcome, audit.text.includes(`"outcome":"${outcome}"`)]).toEqual([outcome, true]);
  const events = await third.call("event_list", { space: "team-a", types: ["cairn.service.*"], limit: 100 }, 20_000);
  for (const type of ["started", "ready", "down", "moved"])
    expect([type, events.text.includes(`cairn.service.${type}`)]).toEqual([type, true]);
  const verified = await third.call("audit_verify", {}, 60_000);
  expect(verified.body).toMatchObject({ ok: true });
}, 120_000);
