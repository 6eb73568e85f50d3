// Who may do what to probes, jobs, rules, services, blobs and machines: every operation, for each role, over REST and
// over MCP, with the words of each refusal.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { blobFeature } from "../../src/features/blob/index.ts";
import { jobFeature } from "../../src/features/job/index.ts";
import { probeFeature } from "../../src/features/probe/index.ts";
import { serviceFeature } from "../../src/features/service/index.ts";
import { FULL_MEMBERS } from "../../src/operation/node-parts.ts";
import { callerWith, localAdmin } from "../kit/core.ts";
import { noPeers, startDeclarations } from "../kit/declarations.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";
import { callAndRead } from "../kit/raw-mcp.ts";

const features = [blobFeature, probeFeature, jobFeature, serviceFeature];
const node = startDeclarations({ kinds: features.flatMap(({ declares = [] }) => declares), others: features });
node.services.provide(FULL_MEMBERS, { self: () => "nSELF", others: () => [], ...noPeers() });
let mcp: McpServer;
beforeAll(() => {
  mcp = startMcpServer(node);
});
afterAll(async () => {
  await mcp[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

type Role = "reader" | "member" | "operator" | "admin";
const ROLES: readonly Role[] = ["reader", "member", "operator", "admin"];
const HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const JOB = { id: "ops/1-57" };
const FENCED = { ...JOB, fence: "ops/1-57@1-60" };
const PROBE = { name: "web", space: "ops" };
const SERVICE = { name: "wiki", space: "ops" };
const BLOB = { space: "ops", sha256: HASH };

/** The least role in the space ops, with an input there. */
const IN_A_SPACE: Readonly<Record<string, [Role, Record<string, unknown>]>> = {
  probe_list: ["reader", { space: "ops" }],
  probe_get: ["reader", PROBE],
  probe_check: ["operator", PROBE],
  probe_mute: ["operator", { ...PROBE, seconds: 60 }],
  probe_pause: ["operator", PROBE],
  probe_resume: ["operator", PROBE],
  probe_beat: ["member", PROBE],
  job_start: ["member", { action: "tidy", space: "ops" }],
  job_claim: ["member", { actions: ["review"], space: "ops" }],
  job_heartbeat: ["member", FENCED],
  job_finish: ["member", { ...FENCED, outcome: "succeeded" }],
  job_cancel: ["member", JOB],
  job_redrive: ["member", JOB],
  job_get: ["reader", JOB],
  job_list: ["reader", { space: "ops" }],
  job_wait: ["reader", { ...JOB, timeout_seconds: 0 }],
  job_output: ["reader", JOB],
  rule_list: ["reader", { space: "ops" }],
  service_move: ["operator", { ...SERVICE, to: "vm" }],
  service_restart: ["operator", SERVICE],
  service_list: ["reader", { space: "ops" }],
  service_get: ["reader", SERVICE],
  service_output: ["reader", SERVICE],
  service_open: ["member", SERVICE],
  blob_put: ["member", { ...BLOB, bytes: 4, data: "dGVzdA==" }],
  blob_get: ["reader", BLOB],
  blob_stat: ["reader", BLOB],
  blob_list: ["reader", { space: "ops" }],
  blob_remove: ["member", BLOB],
  blob_purge: ["operator", BLOB],
};
/** Of the space fleet: who reads it is named with it; what changes there is for admins of it alone. */
const OF_THE_FLEET: Readonly<Record<string, [Role, Record<string, unknown>]>> = {
  fleet_drain: ["admin", { node: "vm" }],
  fleet_undrain: ["admin", { node: "vm" }],
  service_deploy: ["admin", { name: "wiki", artifact: HASH }],
  service_rollback: ["admin", { name: "wiki" }],
  job_work: ["reader", { boot: "b-1", free: 0, actions: [], attempts: [] }],
  service_work: ["reader", { boot: "b-1", offers: [], copies: [] }],
};
/** For whoever may read anything; what they show goes by the rights. */
const VISIBLE = ["rule_plan", "service_plan"];

const internal = features
  .flatMap((feature) => feature.operations?.(node.services) ?? [])
  .filter((operation) => "internal" in operation && operation.internal === true)
  .map(({ name }) => name);

interface Answered {
  code: string;
  detail: string;
  hint: string;
  missing?: { role: string; spaces: string[] };
}
const OPERATED = new Set([
  ...["probe_check", "probe_mute", "probe_pause", "probe_resume", "service_move", "service_restart", "blob_purge"],
  ...["fleet_drain", "fleet_undrain"],
]);
/** They are of nodes and of clients that stream, and no tools. */
const NO_TOOLS = new Set(["service_open", "blob_put", "blob_get", "job_work", "service_work"]);
const callerOf = (...grants: { role: Role; spaces: string[]; tools?: string[] }[]) =>
  callerWith({ id: JSON.stringify(grants), grants });

async function overRest(operation: string, input: object, caller: ReturnType<typeof callerWith>): Promise<Answered> {
  const headers = { "content-type": "application/json" };
  const answer = await node.http(
    `/operations/${operation}`,
    { method: "POST", headers, body: JSON.stringify(input) },
    caller,
  );
  const body = (await answer.json()) as Answered;
  if (body.code === "forbidden") expect(answer.status).toBe(403);
  return body;
}

async function overMcp(operation: string, input: object, caller: ReturnType<typeof callerWith>): Promise<string> {
  const who = { caller, handle: undefined, call: async () => ({}) };
  return callAndRead(mcp.mcp, who as never, "tools/call", { name: operation, arguments: input });
}

test("each operation is in the table, and internal ones are nobody's", async () => {
  const all = features.flatMap((feature) => feature.operations?.(node.services) ?? []).map(({ name }) => name);
  const listed = [...Object.keys(IN_A_SPACE), ...Object.keys(OF_THE_FLEET), ...VISIBLE, ...internal];
  expect(listed.toSorted()).toEqual(all.toSorted());
  expect(internal).toContain("job_dispatch");
  const admin = callerOf({ role: "admin", spaces: ["*", "fleet"] });
  for (const name of internal) {
    for (const caller of [admin, localAdmin])
      expect([name, (await overRest(name, {}, caller)).code]).toEqual([name, "unknown_operation"]);
    expect(await overMcp(name, {}, admin)).toContain(`Unknown tool: ${name}`);
  }
});

const table = [
  ...Object.entries(IN_A_SPACE).map(([name, [least, input]]) => ({ name, least, input, space: "ops" })),
  ...Object.entries(OF_THE_FLEET).map(([name, [least, input]]) => ({ name, least, input, space: "fleet" })),
];

for (const { name, least, input, space } of table)
  test(`${name} in the space ${space} needs the role ${least} there`, async () => {
    const isReport = name === "job_work" || name === "service_work";
    const elsewhere = { role: least, spaces: ["team-a"], tools: [name] };
    for (const role of ROLES) {
      // With the rights in another space the request is judged by its space, and the tool is offered.
      const caller = callerOf({ role, spaces: [space] }, elsewhere);
      const rest = await overRest(name, input, caller);
      const text = await overMcp(name, input, caller);
      if (NO_TOOLS.has(name)) expect(text).toContain(`Unknown tool: ${name}`);
      if (isReport) {
        expect(rest).toMatchObject({ detail: "Only the full members of the fleet report their work" });
        continue;
      }
      const isAllowed = ROLES.indexOf(role) >= ROLES.indexOf(least);
      const isRefused = { rest: !isAllowed, mcp: !isAllowed && !NO_TOOLS.has(name) };
      expect([role, { rest: rest.code === "forbidden", mcp: text.includes("forbidden") }]).toEqual([role, isRefused]);
      if (isAllowed) continue;
      const what = `alice@example.com may not use ${name} in space "${space}": it needs the role ${least}`;
      const missing = { role: least, spaces: [space] };
      expect(rest).toMatchObject({ detail: what, missing });
      expect(rest.hint).toContain(JSON.stringify(missing));
      if (isRefused.mcp) expect(text).toContain(JSON.stringify(what).slice(1, -1));
    }
    const nobody = await overRest(name, input, callerOf());
    expect(nobody.detail).toMatch(
      /^alice@example\.com may not use [a-z_]+ in (any space|space "fleet"): it needs the role /,
    );
    expect(await overMcp(name, input, callerOf())).toContain("may not use mcp in any space");
    // What operators do is a tool only where a grant names it.
    if (!OPERATED.has(name)) return;
    const unnamed = await overMcp(name, input, callerOf({ role: "admin", spaces: ["*", "ops", "fleet"] }));
    expect(unnamed).toContain(`Unknown tool: ${name}`);
  });

for (const [name, [least, input]] of Object.entries(IN_A_SPACE))
  test(`${name}: operators of all spaces, or of the space fleet, change nothing in fleet`, async () => {
    const inFleet = JSON.parse(JSON.stringify(input).replaceAll('"ops', '"fleet')) as object;
    const missing = { role: least === "reader" ? "reader" : "admin", spaces: ["fleet"] };
    const ofAll = callerOf(
      { role: "operator", spaces: ["*"] },
      { role: "operator", spaces: ["team-a"], tools: [name] },
    );
    for (const surface of NO_TOOLS.has(name) ? [overRest] : [overRest, overMcp]) {
      const answer = JSON.stringify(await surface(name, inFleet, ofAll));
      expect(answer).toContain("forbidden");
      expect(answer.replaceAll("\\", "")).toContain(JSON.stringify(missing));
    }
    const operator = await overRest(name, inFleet, callerOf({ role: "operator", spaces: ["fleet"] }));
    expect(operator.code === "forbidden").toBe(least !== "reader");
  });

test.each(VISIBLE)("%s is for those who may read anything, and refuses others", async (name) => {
  const input = name === "rule_plan" ? { name: "more", value: 1 } : {};
  expect(await overRest(name, input, callerOf())).toMatchObject({
    code: "forbidden",
    detail: `alice@example.com may not use ${name} in any space: it needs the role reader`,
  });
  expect((await overRest(name, input, callerOf({ role: "reader", spaces: ["team-a"] }))).code).not.toBe("forbidden");
});
