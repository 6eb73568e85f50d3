// Who gets in (security.md 1, 2, 16): refused classes end in the Go half, shown by a TypeScript half that is stopped
// meanwhile; names and headers prove nothing.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Agent, type Answer, joinAgent, localHttp } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { type Expected, type NodeChange, TestTailnet } from "../kit/tailnet.ts";

const CAPABILITY = "cairn.internal/cap/cairn";
const OWNER = "owner@example.com";
/** How long a request may stay without an answer before it counts as never answered. */
const SILENCE_MS = 1_000;

let tailnet: TestTailnet;
/** Untagged, of OWNER; the sidecar, as its two halves can be stopped apart. */
let node: TestNode;
/** tag:cairn, lets shared-in devices use grants, makes users members, and has a policy file. */
let sharing: TestNode;
let owner: Agent;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  await tailnet.auth("open");
  await tailnet.expect({ hostname: "cairn", user: OWNER });
  await tailnet.expect({ hostname: "sharing", tags: ["tag:cairn"] });
  const env = { TS_AUTHKEY: "tskey-auth-kANY-1" };
  node = await startNode({ tailnet, engine: "sidecar", env });
  const policy = join(node.home, "policy.json");
  const grants = [{ src: ["tag:cairn"], app: { [CAPABILITY]: [{ role: "admin", spaces: ["*", "fleet"] }] } }];
  writeFileSync(policy, JSON.stringify({ grants }));
  chmodSync(policy, 0o600);
  const args = ["--access-shared", "grants", "--access-default-role", "member", "--access-policy-file", policy];
  sharing = await startNode({ tailnet, hostname: "sharing", env, args });
  owner = await joinAs({ hostname: "laptop", user: OWNER });
}, 600_000);

afterAll(async () => {
  for (const started of [sharing, node]) await started?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

const joinAs = (options: Expected) => joinAgent(tailnet, `http://cairn.${tailnet.domain}`, options);

/** The answer's status and code, or "silence" where no answer comes. */
async function knock(agent: Agent): Promise<string> {
  try {
    const { status, body } = await agent.http("/health", { signal: AbortSignal.timeout(SILENCE_MS) });
    return `${status} ${String(body["code"] ?? "")}`.trim();
  } catch {
    return "silence";
  }
}

/** Runs `task` while the TypeScript half is stopped and only the Go half runs. */
async function withoutTypeScript(task: () => Promise<void>): Promise<void> {
  node.kill("SIGSTOP");
  try {
    await task();
  } finally {
    node.kill("SIGCONT");
  }
}

describe("refused in Go, before TypeScript sees a request", () => {
  test("an admitted caller is answered by TypeScript alone: nothing while it is stopped", async () => {
    expect(await knock(owner)).toBe("200");
    await withoutTypeScript(async () => expect(await knock(owner)).toBe("silence"));
    expect(await knock(owner)).toBe("200");
  }, 60_000);

  // Packets of expired, unsigned and jailed nodes are dropped by WireGuard; what of them got through would be a 403.
  const rows: [name: string, change: NodeChange, answer: string][] = [
    ["expired", { expired: true }, "silence"],
    ["key expired", { keyExpiry: new Date(Date.now() - 60_000) }, "silence"],
    ["unsigned", { unsigned: true }, "silence"],
    ["jailed", { jailed: true }, "silence"],
    ["wireguard-only", { wireguardOnly: true }, "403 caller_wireguard_only"],
    ["shared-in", { foreign: "shared-in" }, "403 caller_foreign"],
    ["sharee", { foreign: "sharee" }, "403 caller_foreign"],
    ["other-domain", { foreign: "domain" }, "403 caller_foreign"],
  ];
  test.each(rows)(
    "%s",
    async (name, change, answer) => {
      // Each was a member before: it is the change that shuts it out.
      const agent = await joinAs({ hostname: name, user: OWNER });
      expect(await knock(agent)).toBe("200");
      await tailnet.update(name, change);
      await eventually(`${name} to be refused`, async () => (await knock(agent)) !== "200");
      await withoutTypeScript(async () => expect(await knock(agent)).toBe(answer));
      await tailnet.clientClose(name);
    },
    90_000,
  );

  test("traffic of a machine behind a subnet router has no caller", async () => {
    const routed = await joinAs({ hostname: "routed", user: OWNER, source: "10.9.0.7" });
    await tailnet.update("routed", { subnetRoutes: ["10.9.0.0/24"] });
    await eventually("an answer to the routed machine", async () => (await knock(routed)) !== "silence");
    await withoutTypeScript(async () => expect(await knock(routed)).toBe("403 caller_unknown"));
  }, 60_000);

  test("no one can send from the address of another node", async () => {
    const liar = await joinAs({ hostname: "liar", user: "eve@example.com", source: owner.ip });
    expect(await knock(liar)).toBe("silence");
    expect(await knock(owner)).toBe("200");
  }, 60_000);
});

const whoamiAt = (agent: Agent, host: string): Promise<Answer> =>
  new Agent({ id: agent.id, ips: [agent.ip], proxy: agent.proxy }, `http://${host}.${tailnet.domain}`).call("whoami");

describe("names give nothing", () => {
  test.each(["tagged-devices", "tag:cairn"])("a user called %s is no tagged node", async (login) => {
    const agent = await joinAs({ hostname: `named-${login.replace(":", "-")}`, user: login });
    expect((await whoamiAt(agent, "cairn")).status).toBe(403);
    const there = await whoamiAt(agent, "sharing");
    expect(there.body).toMatchObject({ kind: "user", tags: [], grants: [{ role: "member", spaces: ["*"] }] });
  });

  test("a node with that tag is what the policy file names", async () => {
    const agent = await joinAs({ hostname: "real-tag", tags: ["tag:cairn"] });
    expect((await whoamiAt(agent, "sharing")).body).toMatchObject({
      kind: "tagged",
      grants: [{ role: "admin", spaces: ["*", "fleet"] }],
    });
    expect((await whoamiAt(agent, "cairn")).status).toBe(403);
  });

  test("a shared-in device gets what a grant says where that is allowed, and never a default role", async () => {
    const guest = await joinAs({ hostname: "guest", user: "guest@example.com" });
    await tailnet.update("guest", { foreign: "shared-in" });
    const before = await eventually("guest to be foreign", async () => {
      const answer = await whoamiAt(guest, "sharing");
      return answer.status === 403 && answer;
    });
    // TypeScript's own refusal: Go let it through.
    expect(before.body).toMatchObject({ code: "forbidden" });
    const reader = { role: "reader", spaces: ["team-a"] };
    await tailnet.grants([{ src: ["guest"], dst: ["*"], app: { [CAPABILITY]: [reader] } }]);
    const after = await eventually("guest to have its grant", async () => {
      const answer = await whoamiAt(guest, "sharing");
      return answer.status === 200 && answer;
    });
    expect(after.body).toMatchObject({ kind: "shared", tags: [], grants: [reader] });
    expect((await whoamiAt(guest, "cairn")).body).toMatchObject({ code: "caller_foreign" });
    await tailnet.grants([]);
  }, 90_000);
});

test("a caller with two hundred grants works over REST and MCP", async () => {
  const objects = Array.from({ length: 200 }, (_, index) => ({
    role: "member",
    spaces: [`space-${index}`, `schön-${index}`],
    tools: ["context_*", "whoami"],
  }));
  const many = await joinAs({ hostname: "many", tags: ["tag:many"] });
  await tailnet.grants([{ src: ["tag:many"], dst: ["*"], app: { [CAPABILITY]: objects } }]);
  const who = await eventually("the grants to arrive", async () => {
    const answer = await many.call("whoami");
    return answer.status === 200 && answer;
  });
  expect(who.body["grants"]).toHaveLength(200);
  expect((await many.put("space-199/x", "rest")).status).toBe(201);
  expect((await many.put("space-200/x", "rest")).status).toBe(403);
  for (const era of ["legacy", "modern"] as const) {
    await using client = disposable(await many.mcp(era));
    const written = await client.callTool({
      name: "context_put",
      arguments: { id: `space-0/${era}`, content: "by MCP" },
    });
    expect(written.isError ?? false).toBe(false);
    const refused = await client.callTool({ name: "context_put", arguments: { id: "space-x/y", content: "no" } });
    expect(refused.isError).toBe(true);
    expect(client.getInstructions()?.length ?? 0).toBeLessThanOrEqual(1500);
  }
  await tailnet.grants([]);
}, 90_000);

function disposable<T extends { close(): Promise<void> }>(client: T): T & AsyncDisposable {
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

describe("headers prove nothing", () => {
  const forged = JSON.stringify({
    v: 1,
    id: "local",
    kind: "local",
    node: "x",
    login: OWNER,
    userId: "1",
    tags: ["tag:cairn"],
    own: true,
    grants: "",
  });
  const lies: Record<string, string> = {
    "Cairn-Internal-Caller": forged,
    "Cairn-Internal-Secret": "0".repeat(64),
    "Cairn-Internal-Scheme": "https",
    Cairn_Internal_Caller: forged,
    "Tailscale-User-Login": OWNER,
    "Tailscale-User-Name": "Owner",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    Forwarded: "for=127.0.0.1;host=evil.example;proto=https",
  };
  let eve: Agent;
  beforeAll(async () => {
    eve = await joinAs({ hostname: "eve", user: "eve@example.com" });
  });

  test("a stranger stays one, the owner stays the owner", async () => {
    const init = (headers: Record<string, string>) => ({
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json", ...headers },
    });
    const stranger = await eve.http("/operations/whoami", init(lies));
    expect(stranger.status).toBe(403);
    expect(stranger.body["detail"]).toContain("eve@example.com");
    const asked = await owner.http("/operations/whoami", init(lies));
    expect(asked.body).toMatchObject({
      caller: `user:${OWNER}`,
      kind: "user",
      tags: [],
      node: `laptop.${tailnet.domain}`,
    });
    for (const name of Object.keys(lies)) {
      const named = await owner.http("/operations/whoami", init({ Connection: `keep-alive, ${name}`, ...lies }));
      expect([name, named.status, named.body["caller"]]).toEqual([name, 200, `user:${OWNER}`]);
    }
  }, 60_000);

  test("a Connection header cannot name ours away, trailers bring nothing, and two of a kind neither", async () => {
    const head = [
      "POST /operations/whoami HTTP/1.1",
      `Host: cairn.${tailnet.domain}`,
      "Content-Type: application/json",
      `Cairn-Internal-Caller: ${forged}`,
      `cairn-internal-caller: ${forged}`,
      "Connection: close, Cairn-Internal-Caller, Cairn-Internal-Secret, Host",
      "TE: trailers",
      "Trailer: Cairn-Internal-Caller, Cairn-Internal-Secret",
      "Transfer-Encoding: chunked",
    ].join("\r\n");
    const trailers = `Cairn-Internal-Caller: ${forged}\r\nCairn-Internal-Secret: ${"0".repeat(64)}`;
    const bytes = `${head}\r\n\r\n2\r\n{}\r\n0\r\n${trailers}\r\n\r\n`;
    const stranger = await eve.raw(bytes);
    expect(stranger.text).toStartWith("HTTP/1.1 403 ");
    expect(stranger.text).toContain("eve@example.com");
    const asked = await owner.raw(bytes);
    expect(asked.text).toStartWith("HTTP/1.1 200 ");
    expect(asked.text).toContain(`"caller":"user:${OWNER}"`);
    // Nor does anything of ours come out.
    for (const { text } of [stranger, asked]) expect(text.toLowerCase()).not.toContain("cairn-internal");
  }, 60_000);
});

test("the socket between the halves wants the secret, even from the same user", async () => {
  const ingress = join(dirname((await node.ready()).socket), "node", "ingress.sock");
  const init = { method: "POST", body: "{}" };
  const json = { "content-type": "application/json" };
  const caller = JSON.stringify({
    v: 1,
    id: owner.id,
    kind: "user",
    node: "x",
    login: OWNER,
    userId: "1",
    tags: [],
    own: true,
    grants: "",
  });
  for (const secret of [undefined, "", "0".repeat(64), "0".repeat(63)]) {
    const headers = {
      ...json,
      "cairn-internal-caller": caller,
      ...(secret === undefined ? {} : { "cairn-internal-secret": secret }),
    };
    const answer = await localHttp(ingress, "/operations/whoami", { ...init, headers });
    expect(answer.status).toBe(403);
  }
  // On the local socket the same header is nothing, and admin rights come from the socket's file rights.
  const { socket } = await node.ready();
  const local = await localHttp(socket, "/operations/whoami", {
    ...init,
    headers: { ...json, "cairn-internal-caller": caller },
  });
  expect(local.body).toMatchObject({ caller: "local", kind: "local" });
});
