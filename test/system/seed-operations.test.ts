// An agent operates a fleet of whole nodes by the tools of MCP alone, as a person asked it in words: it deploys a
// dashboard with a backup, watches and repairs it, moves it, sends work where it fits, and adds workers when a queue is
// long. Each prompt is played by a script that only knows what tools have told it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Client } from "@modelcontextprotocol/client";
import { Agent, joinAgent, localHttp } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { freePort } from "../kit/free-port.ts";
import { textOf } from "../kit/mcp-client.ts";
import { TestTailnet } from "../kit/tailnet.ts";

type Json = Record<string, unknown>;

const CAPABILITY = "cairn.internal/cap/cairn";
/** Acts of operators are tools only where a grant names them in full. */
const OPERATOR = ["service_move", "service_restart", "fleet_drain", "fleet_undrain", "audit_query", "audit_verify"];
const port = freePort();
/** What the phone of the person shows. */
const told: string[] = [];
const phone = Bun.serve({
  ...{ hostname: "127.0.0.1", port: 0 },
  async fetch(request) {
    const { title = "", message = "" } = (await request.json()) as Record<string, string>;
    told.push(...(title.endsWith(" events") ? message.split("\n") : [title]));
    return Response.json({});
  },
});
/** The queue of the prompt about scaling: its length, as the API of a builder answers it. */
let waiting = 0;
let queue: Server;
let tailnet: TestTailnet;
let fleet: Fleet;
let agent: ScriptedAgent;

/** Uses tools, and nothing else. Where one says that it is done on another member only, it goes there. */
class ScriptedAgent {
  readonly #device: Agent;
  #client: Client | undefined;
  #tools: ReadonlySet<string> = new Set();

  constructor(device: Agent) {
    this.#device = device;
  }

  /** Connects to the MCP of a member. */
  async connect(base: string): Promise<void> {
    await this.#client?.close();
    const { id, ip, proxy } = this.#device;
    this.#client = await new Agent({ id, ips: [ip], proxy }, base).mcp("modern");
    const { tools } = await this.#client.listTools();
    this.#tools = new Set(tools.map(({ name }) => name));
  }

  /** Uses a tool that is listed and returns what it says. */
  async use(tool: string, given: Json = {}): Promise<Json> {
    const { isError, content, structuredContent } = await this.#call(tool, given);
    expect([tool, isError === true, JSON.stringify(content).slice(0, isError === true ? 2000 : 0)]).toEqual([
      ...[tool, false, ""],
    ]);
    return structuredContent as Json;
  }

  /** Uses a tool that refuses; returns the words that the model reads. */
  async refused(tool: string, given: Json): Promise<string> {
    const { isError, content } = await this.#call(tool, given);
    expect([tool, isError]).toEqual([tool, true]);
    return (content as { text?: string }[]).map(({ text }) => text ?? "").join("\n");
  }

  /** Waits for an event by the tool for it, from a cursor on. */
  async event(types: string[], since: string, fits: (event: Json) => boolean): Promise<Json> {
    const endMs = performance.now() + 60_000;
    const seen: Json[] = [];
    let cursor = since;
    while (performance.now() < endMs) {
      const waited = await this.use("event_wait", { types, since: cursor, own: true, timeout_seconds: 10 });
      const events = waited["events"] as Json[];
      seen.push(...events);
      const found = events.find(fits);
      if (found !== undefined) return found;
      cursor = String(waited["cursor"]);
    }
    throw new Error(`no such event from ${since} to ${cursor}; seen: ${JSON.stringify(seen)}`);
  }

  /** The cursor of now. */
  async now(): Promise<string> {
    return String((await this.use("event_wait", { timeout_seconds: 0 }))["cursor"]);
  }

  async job(id: unknown): Promise<Json> {
    return eventually(`job ${String(id)} to end`, async () => {
      const { job, result } = (await this.use("job_wait", { id, timeout_seconds: 10 })) as Record<string, Json>;
      return ["succeeded", "failed", "dead"].includes(String(job?.["state"])) ? { ...job, result } : undefined;
    });
  }

  async #call(tool: string, given: Json) {
    expect([tool, this.#tools.has(tool)]).toEqual([tool, true]);
    const result = await this.#client?.callTool({ name: tool, arguments: given });
    if (result === undefined) throw new Error("not connected");
    const leader = result.isError === true ? String(textOf(result)["leader"] ?? "") : "";
    if (leader === "") return result;
    // Once: a fleet that has another leader each time is a failure of the test.
    await this.connect(nodeNamed(leader).base);
    return (await this.#client?.callTool({ name: tool, arguments: given })) ?? result;
  }
}

const nodeNamed = (name: unknown) => fleet.nodes.find((each) => each.name === name) as FleetNode;
const services = (events: string[]) => events.map((each) => `cairn.service.${each}`);
/** Where the dashboard runs, as a person sees it in a browser: the page of any node. */
async function page(): Promise<Json> {
  const [first] = fleet.up(["central"]);
  if (first === undefined) throw new Error("no node");
  return eventually("the dashboard answers", async () => {
    const { status, body } = await localHttp(await first.socket(), "/svc/dashboard/", {
      signal: AbortSignal.timeout(5000),
    });
    return status === 200 ? body : undefined;
  });
}

beforeAll(async () => {
  queue = createServer((_request, response) => response.end(JSON.stringify({ total_count: waiting })));
  await new Promise<void>((resolve) => queue.listen(0, "127.0.0.1", resolve));
  tailnet = await TestTailnet.start();
  fleet = await startFleet({
    ...{ tailnet, centrals: 3 },
    args: [
      ...["--fleet-run", "dashboard,transcribe,transcribe-here,runner"],
      ...["--outbound-allow", `127.0.0.1:${phone.port}`, "--outbound-allow", `127.0.0.1:${port}`],
      ...["--outbound-allow", `127.0.0.1:${(queue.address() as AddressInfo).port}`],
    ],
    argsOf: (name) => (name === "central-2" ? ["--labels", "always-on"] : []),
    env: { CAIRN_SECRET_TOPIC: "home" },
  });
  const [first] = fleet.nodes as [FleetNode];
  // The person's side: rights for the agent, and where a phone is.
  const grant = { role: "admin", spaces: ["*", "fleet"], tools: ["*", ...OPERATOR] };
  await tailnet.grants([{ src: ["agent"], dst: ["*"], app: { [CAPABILITY]: [grant] } }]);
  const target = { kind: "notify", service: "ntfy", url: `http://127.0.0.1:${phone.port}`, topic: "secret:TOPIC" };
  const types = ["cairn.probe.down", "cairn.probe.up", "cairn.service.down", "cairn.service.moved"];
  const rules = [{ id: "down", match: { conditions: [{ field: "type", operator: "in", value: types }] } }];
  for (const [operation, input] of [
    ["event_target_set", { name: "phone", target: { ...target, group_seconds: 1 }, spaces: ["relay"] }],
    ["subscription_create", { id: "relay/down", target: "phone", rules }],
  ] as const) {
    const { status, text } = await first.call(operation, input, 20_000);
    expect([operation, status, text]).toEqual([operation, 200, text]);
  }
  agent = new ScriptedAgent(await joinAgent(tailnet, first.base, { hostname: "agent", tags: ["tag:agent"] }));
  await agent.connect(first.base);
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  await phone.stop(true);
  queue?.close();
}, 60_000);

/** Says which version it is and the process that runs it; one machine plays all members, so one copy has the port. */
const DASHBOARD = (version: string) => `Bun.serve({ hostname: "127.0.0.1", port: ${port}, fetch: (request) =>
  new URL(request.url).pathname === "/exit" ? process.exit(7) : Response.json({ version: "${version}", pid: process.pid }) });
process.on("SIGTERM", () => process.exit(0));`;

test("deploy a dashboard with a probe and a backup, and make it reachable", async () => {
  const { members } = (await agent.use("fleet_members")) as { members: Json[] };
  expect(members.map(({ name }) => name)).toEqual(expect.arrayContaining(["central-1", "central-2", "central-3"]));
  const declared = {
    ...{ argv: [process.execPath, "bin/dashboard.js"], port, ready: { http: "/" }, space: "relay" },
    ...{ primary: "central-2", backups: ["central-3"], status_interval: 1, status_failures: 2, lease: 10, grace: 2 },
  };
  const files = { "bin/dashboard.js": DASHBOARD("one") };
  // What a model gets wrong first, and reads how to do.
  expect(await agent.refused("service_deploy", { name: "dashboard", declared })).toContain("Give files");
  const incomplete = await agent.refused("service_deploy", { name: "dashboard", files, declared: { port } });
  expect(incomplete).toContain("declaration_kinds");
  expect(incomplete).toContain("argv");
  const since = await agent.now();
  const deployed = await agent.use("service_deploy", { name: "dashboard", files, declared, within: 60 });
  expect(deployed).toMatchObject({ name: "dashboard", space: "relay", before: 0 });
  await agent.event(services(["ready"]), since, ({ subject }) => subject === "relay/services/dashboard");
  const { service } = (await agent.use("service_get", { name: "dashboard", space: "relay" })) as { service: Json };
  expect(service).toMatchObject({ state: "ready", url: "/svc/dashboard/", copies: [{ name: "central-2" }] });
  expect(await page()).toMatchObject({ version: "one" });

  const { kinds } = (await agent.use("declaration_kinds", { kind: "probe" })) as { kinds: Json[] };
  expect(kinds).toMatchObject([{ kind: "probe" }]);
  const probe = { type: "http", target: `http://127.0.0.1:${port}/`, interval: 5, retry: 1, down: 2, space: "relay" };
  await agent.use("declaration_apply", { declarations: [{ kind: "probe", name: "dashboard", declared: probe }] });
  await eventually("the probe is up", async () => {
    const { probes } = (await agent.use("probe_list", { space: "relay" })) as { probes: Json[] };
    return probes[0]?.["state"] === "up";
  });
}, 180_000);

test("monitor it: what ends is started again, and the person hears of what cannot be reached", async () => {
  const since = await agent.now();
  const { pid } = await page();
  process.kill(Number(pid), "SIGKILL");
  const down = await agent.event(services(["down"]), since, () => true);
  expect(down["subject"]).toBe("relay/services/dashboard");
  const ready = await agent.event(services(["ready", "moved"]), since, () => true);
  expect(ready["subject"]).toBe("relay/services/dashboard");
  expect((await page())["pid"]).not.toBe(pid as number);
  await eventually("the phone shows it", () => told.some((line) => line.includes("dashboard: down")), {
    seen: () => told.join("\n"),
  });
  const { service, next } = (await agent.use("service_get", { name: "dashboard", space: "relay" })) as Json as {
    service: Json;
    next: unknown;
  };
  expect([service["state"], next]).toEqual(["ready", expect.anything()]);
}, 120_000);

test("fail over when asked, empty a machine, and read who did it in events and audit", async () => {
  const where = async () => {
    const { service } = (await agent.use("service_get", { name: "dashboard", space: "relay" })) as { service: Json };
    const [copy] = service["copies"] as Json[];
    return service["state"] === "ready" ? copy?.["name"] : undefined;
  };
  const wrong = await agent.refused("service_move", { name: "dashboard", space: "relay", to: "oci-vm" });
  expect(wrong).toContain("central-3");
  const elsewhere = await agent.refused("service_move", { name: "dashboard", to: "central-3" });
  expect(elsewhere).toContain("service_list");
  const plan = await agent.use("service_plan", { name: "dashboard", without: ["central-2"] });
  expect(JSON.stringify(plan)).toContain("central-3");
  const since = await agent.now();
  await agent.use("service_move", { name: "dashboard", space: "relay", to: "central-3" });
  await agent.event(services(["moved"]), since, () => true);
  expect(await where()).toBe("central-3");
  expect(await page()).toMatchObject({ version: "one" });

  const drainedAt = await agent.now();
  await agent.use("service_move", { name: "dashboard", space: "relay" });
  await agent.event(services(["moved"]), drainedAt, () => true);
  expect(await where()).toBe("central-2");
  const emptied = await agent.now();
  await agent.use("fleet_drain", { node: "central-2", reason: "new disk" });
  await agent.event(services(["moved"]), emptied, () => true);
  expect(await where()).toBe("central-3");
  await agent.use("fleet_undrain", { node: "central-2" });

  const { events } = (await agent.use("event_list", { space: "relay", types: ["cairn.service.*"], limit: 200 })) as {
    events: Json[];
  };
  const types = events.map(({ type }) => String(type));
  for (const type of services(["started", "ready", "down", "asked", "stopped", "moved"])) expect(types).toContain(type);
  const { rows } = (await agent.use("audit_query", { operation: "service_move" })) as { rows: Json[] };
  expect(rows).toHaveLength(2);
  const me = JSON.stringify(await agent.use("whoami"));
  for (const { caller } of rows) expect(me).toContain(JSON.stringify(caller));
  expect(await agent.use("audit_verify")).toMatchObject({ ok: true });
}, 180_000);

/** What a refusal says to do: a new declaration is in force within seconds. */
const inForce = (kind: string, name: string) =>
  eventually(`${kind} ${name} is in force`, async () => {
    const { declarations } = (await agent.use("declaration_list", { kind })) as { declarations: Json[] };
    return declarations.some((each) => each["name"] === name && each["in_force"] === each["newest"]);
  });

const TRANSCRIBE = 'printf "{\\"of\\":\\"%s\\"}" "$1" > result; echo "heard $1"';
const transcribe = {
  argv: ["sh", "-c", TRANSCRIBE, "sh", "{file}"],
  ...{ parameters: { file: { type: "string", characters: "name" } }, kind: "transcription", space: "relay" },
};

test("ten audio files: see who is there, spread the jobs, follow them and collect the results", async () => {
  const { members } = (await agent.use("fleet_members")) as { members: Json[] };
  expect(members.filter(({ role }) => role === "central")).toHaveLength(3);
  await agent.use("declaration_apply", {
    declarations: [{ kind: "action", name: "transcribe", declared: transcribe }],
  });
  await inForce("action", "transcribe");
  const files = Array.from({ length: 10 }, (_, at) => `talk-${at}.mp3`);
  const missing = await agent.refused("job_start", { action: "transcribe", space: "relay", input: {} });
  expect(missing).toContain("file");
  const started = await Promise.all(
    files.map((file) =>
      agent.use("job_start", { action: "transcribe", space: "relay", input: { file }, idempotency_key: file }),
    ),
  );
  const ended = await Promise.all(started.map(({ id }) => agent.job(id)));
  expect(ended.map(({ state }) => state)).toEqual(files.map(() => "succeeded"));
  expect(ended.map(({ result }) => result)).toEqual(files.map((of) => JSON.stringify({ of })));
  for (const { worker } of ended) expect(fleet.nodes.map(({ id }) => id)).toContain(String(worker));
  const output = await agent.use("job_output", { id: started[0]?.["id"] });
  expect(JSON.stringify(output)).toContain("heard talk-0.mp3");
}, 120_000);

test("route a job by its kind and size, and run it on the member that was chosen", async () => {
  const pick = async (given: Json) => {
    const { member, rule } = (await agent.use("fleet_pick", given)) as { member: Json; rule: string };
    return { rule, name: member["name"] };
  };
  const large = await pick({ job_type: "transcription", job_size: 5_000_000 });
  expect(large.rule).toBe("large");
  expect(await pick({ job_type: "transcription", job_size: 500_000 })).toEqual({ rule: "long", name: "central-2" });
  expect((await pick({ job_type: "thumbnail", job_size: 2000 })).rule).toBe("light");
  const none = (await agent.use("fleet_pick", { labels: ["gpu"], exclude: ["central-9"] })) as Json;
  expect(none).toMatchObject({ member: null, exclude_unknown: ["central-9"] });

  const chosen = nodeNamed("central-2");
  const declared = { ...transcribe, where: `member:${chosen.name}` };
  await agent.use("declaration_apply", { declarations: [{ kind: "action", name: "transcribe-here", declared }] });
  await inForce("action", "transcribe-here");
  const { id } = await agent.use("job_start", { action: "transcribe-here", space: "relay", input: { file: "a.mp3" } });
  expect(await agent.job(id)).toMatchObject({ state: "succeeded", worker: chosen.id });
}, 120_000);

test("if the queue is longer than five, runners start on idle machines, and no more than allowed", async () => {
  const url = `http://127.0.0.1:${(queue.address() as AddressInfo).port}/`;
  const runner = { argv: ["sh", "-c", "sleep 20; echo done"], space: "relay" };
  const rule = { probe: "queue", above: 5, for_seconds: 0, at_most: 2, cool_down_seconds: 10 };
  await agent.use("declaration_apply", {
    declarations: [
      { kind: "probe", name: "queue", declared: { type: "http", target: url, interval: 5, value: "/total_count" } },
      { kind: "action", name: "runner", declared: runner },
      { kind: "rule", name: "runners", declared: { ...rule, start: { action: "runner" } } },
    ],
  });
  const state = async () => {
    const { rules } = (await agent.use("rule_list", { name: "runners" })) as { rules: Json[] };
    return rules[0] ?? {};
  };
  await eventually("the rule measures", async () => (await state())["state"] === "within");
  expect(await agent.use("rule_plan", { name: "runners", value: 12 })).toMatchObject({ fires: true });
  const since = await agent.now();
  waiting = 12;
  await agent.event(["cairn.rule.fired"], since, ({ subject }) => subject === "relay/rules/runners");
  await eventually("two runners", async () => {
    const { jobs } = (await agent.use("job_list", { action: "runner", space: "relay" })) as { jobs: Json[] };
    return jobs.filter((job) => job["state"] === "running" && job["rule"] === "runners").length === 2;
  });
  expect(Number((await state())["open_jobs"])).toBeLessThanOrEqual(2);
  waiting = 0;
  await eventually("it rests", async () => (await state())["state"] === "within");
}, 120_000);
