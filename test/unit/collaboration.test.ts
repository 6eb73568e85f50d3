// The preset `collaboration`: a conversation of a client of shared-context-server by its tools, parameters and members,
// and what that server let through, which is refused here.

import { describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { handleIn, messageOf, numberOf, tokenOf } from "../../src/features/collaboration/ids.ts";
import {
  agentMemoryFeature,
  collaborationFeature,
  serverInfoFeature,
  toolDocsFeature,
} from "../../src/features/collaboration/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { type Connected, connect, ERAS, textOf, until } from "../kit/mcp-client.ts";
import { startMcpServer } from "../kit/mcp-server.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

type Json = Record<string, unknown>;
type Message = Json & { id: number; content: string; sender: string; visibility: string };

const features = [
  ...[agentFeature, contextFeature, leaseFeature, sessionFeature],
  ...[memoryFeature, collaborationFeature, agentMemoryFeature, serverInfoFeature, toolDocsFeature],
];
const callers = {
  ann: user("ann"),
  bob: user("bob"),
  rob: user("rob", { role: "reader", spaces: ["default"] }),
  zoe: user("zoe", { role: "member", spaces: ["team-z"] }),
  boss: user("boss", { role: "admin", spaces: ["*"] }),
};

const start = () => {
  const core = startSessions({ features });
  const server = startMcpServer(core, { features, callers });
  return {
    core,
    server,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await core[Symbol.asyncDispose]();
    },
  };
};

const tool = async ({ client }: Connected, name: string, input: Json = {}): Promise<Json> => {
  const result = await client.callTool({ name, arguments: input });
  expect(result.isError ?? false).toBe(false);
  const value = textOf(result);
  if (result.structuredContent !== undefined) expect(result.structuredContent).toEqual(value);
  return value;
};
const messagesOf = (answer: Json) => answer["messages"] as Message[];
const contentsOf = (answer: Json) => messagesOf(answer).map(({ content }) => content);

const TOOLS = [
  ...["add_message", "authenticate_agent", "create_session", "get_memory", "get_messages"],
  ...["get_performance_metrics", "get_session", "get_usage_guidance", "list_memory", "refresh_token"],
  ...["search_by_sender", "search_by_timerange", "search_context", "set_memory"],
];

test("ids and tokens are the same value in another spelling", () => {
  for (const id of ["m_000000000000", "m_0123456789ab", "m_ffffffffffff"]) expect(messageOf(numberOf(id))).toBe(id);
  expect(Number.isSafeInteger(numberOf("m_ffffffffffff"))).toBe(true);
  const handle = "agent-0123456789abcdef0123456789abcdef";
  expect(tokenOf(handle)).toMatch(/^sct_[a-f0-9-]{36}$/);
  expect(handleIn(tokenOf(handle))).toBe(handle);
});

test.each(ERAS)("a conversation of a %s client of shared-context-server runs unchanged", async (era) => {
  await using all = start();
  const url = `${all.server.url}/collaboration/`;
  await using ann = await connect(url, era, "ann");
  await using bob = await connect(url, era, "bob");
  expect((await ann.client.listTools()).tools.map(({ name }) => name)).toEqual(TOOLS);

  const known = await tool(ann, "authenticate_agent", { agent_id: "security_agent", agent_type: "claude" });
  expect(known).toMatchObject({
    ...{ success: true, agent_id: "security_agent", agent_type: "claude", token_type: "Protected" },
    permissions: ["read", "write"],
    identity: { caller: "user:ann@example.com", verified_by: "tailnet", note: expect.stringContaining("tailnet") },
  });
  expect(String(known["token"])).toMatch(/^sct_[a-f0-9-]{36}$/);
  const before = Date.parse(String(known["issued_at"]));
  expect(Date.parse(String(known["expires_at"])) - before).toBe(3_600_000);
  const asked = { current_token: known["token"] };
  const { token: auth_token, ...fresh } = await tool(ann, "refresh_token", asked);
  expect(fresh).toMatchObject({ success: true, expires_in: 3600, agent_id: "security_agent", agent_type: "claude" });
  expect(auth_token).not.toBe(known["token"]);

  // JSON as text is taken for what it is.
  const purpose = { purpose: "Review of the login", metadata: '{"project": "web"}' };
  const created = await tool(ann, "create_session", { ...purpose, auth_token });
  expect(created).toMatchObject({ success: true, created_by: "security_agent", created_at: expect.any(String) });
  const session_id = String(created["session_id"]);
  expect(session_id).toMatch(/^session_[0-9a-f]{16}$/);

  const found = { session_id, content: "Found SQL injection in user login", visibility: "public" };
  const first = await tool(ann, "add_message", { ...found, metadata: { file: "login.py" }, auth_token });
  expect([first["success"], typeof first["message_id"], typeof first["timestamp"]]).toEqual([true, "number", "string"]);
  const notes = { session_id, content: "My own notes on the injection", visibility: "private", auth_token };
  await tool(ann, "add_message", notes);
  await tool(bob, "authenticate_agent", { agent_id: "perf_agent", agent_type: "gemini" });
  const { token } = await tool(bob, "authenticate_agent", { agent_id: "perf_agent", agent_type: "gemini" });
  await tool(bob, "add_message", {
    ...{ session_id, content: "Optimised the query", parent_message_id: first["message_id"], auth_token: token },
  });

  const read = await tool(bob, "get_session", { session_id, auth_token: token });
  expect(read).toMatchObject({
    success: true,
    session: { id: session_id, purpose: "Review of the login", is_active: true, created_by: "security_agent" },
    message_count: 2,
  });
  expect((read["session"] as Json)["metadata"]).toEqual({ project: "web" });
  expect(contentsOf(read)).toEqual(["Optimised the query", "Found SQL injection in user login"]);
  expect(messagesOf(read)[0]).toMatchObject({ parent_message_id: first["message_id"], sender: "perf_agent" });

  const page = await tool(ann, "get_messages", { session_id, limit: 2, offset: 0, auth_token });
  expect([page["count"], page["total_count"], page["has_more"]]).toEqual([2, 3, true]);
  expect(contentsOf(page)).toEqual(["Found SQL injection in user login", "My own notes on the injection"]);
  const rest = await tool(ann, "get_messages", { session_id, limit: "2", offset: "2", auth_token });
  expect([contentsOf(rest), rest["has_more"]]).toEqual([["Optimised the query"], false]);
  const own = await tool(ann, "get_messages", { session_id, visibility_filter: "private", auth_token });
  expect([contentsOf(own), own["total_count"]]).toEqual([["My own notes on the injection"], 1]);

  const search = await tool(bob, "search_context", { session_id, query: "sql injecton", fuzzy_threshold: 60 });
  expect(search).toMatchObject({ success: true, query: "sql injecton", message_count: 1, cache_hit: false });
  const [hit] = search["results"] as { message: Message; score: number; match_preview: string; relevance: string }[];
  expect(hit?.message.id).toBe(Number(first["message_id"]));
  expect([hit?.match_preview, hit?.relevance]).toEqual(["Found SQL injection in user login", "high"]);
  const bySender = await tool(bob, "search_by_sender", { session_id, sender: "security_agent" });
  expect([contentsOf(bySender), bySender["count"]]).toEqual([["Found SQL injection in user login"], 1]);
  const range = { start_time: "2020-01-01T00:00:00", end_time: "2100-01-01T00:00:00Z" };
  const inTime = await tool(bob, "search_by_timerange", { session_id, ...range });
  expect([inTime["count"], inTime["timerange"]]).toEqual([2, { start: range.start_time, end: range.end_time }]);
  const guidance = await tool(bob, "get_usage_guidance", { guidance_type: "coordination" });
  expect(guidance).toMatchObject({ access_level: "AGENT", guidance: expect.any(String), examples: expect.any(Array) });
});

test.each(ERAS)("a %s client reads prompts and resources, and is notified of what it may read", async (era) => {
  await using all = start();
  const url = `${all.server.url}?preset=collaboration`;
  await using one = await connect(url, era, "bob");
  await using other = await connect(url, era, "rob");
  const ann = new Someone(all.core, callers.ann);
  const session = await ann.create("Review");
  await ann.post(session, "First");
  const uri = `session://${session}`;
  const last = `${uri}/messages/1`;
  await one.watch([uri, last]);
  await other.watch([last]);
  await ann.post(session, "For bob", { visibility: "private", to: ["bob@example.com"] });
  await until(
    () => one.updated.includes(uri) && one.updated.includes(last),
    () => one.updated,
  );
  expect(other.updated).toEqual([]);
  await ann.post(session, "For all");
  await until(
    () => other.updated.includes(last),
    () => other.updated,
  );
  const read = async (from: Connected, what: string) => {
    const { contents } = await from.client.readResource({ uri: what });
    return JSON.parse((contents as { text: string }[])[0]?.text ?? "") as Json;
  };
  expect(contentsOf(await read(one, uri))).toEqual(["For all", "For bob", "First"]);
  expect(contentsOf(await read(other, uri))).toEqual(["For all", "First"]);
  expect(contentsOf(await read(one, last))).toEqual(["For all"]);
  expect(await read(one, "server://info")).toMatchObject({ identity: { caller: "user:bob@example.com" } });
  expect(((await read(one, "docs://tools/x"))["tools"] as Json[]).map(({ name }) => name).sort()).toEqual(TOOLS);
  const listed = (await one.client.listResources()).resources.map((each) => each.uri);
  expect(listed).toEqual([`session:///${session}`, "server:///info", "docs:///tools"]);
  const templates = (await one.client.listResourceTemplates()).resourceTemplates.map((each) => each.uriTemplate);
  expect(templates).toContain("session://{session_id}/messages/{limit}");
  const promptText = async (name: string, given: Record<string, string>) =>
    JSON.stringify((await one.client.getPrompt({ name, arguments: given })).messages);
  expect((await one.client.listPrompts()).prompts.map(({ name }) => name)).toEqual([
    "debug-session",
    "setup-collaboration",
  ]);
  expect(await promptText("debug-session", { session_id: session })).toContain("For bob");
  const roles = { purpose: "Ship", expert_roles: '["security", "docs"]' };
  expect(await promptText("setup-collaboration", roles)).toContain("3 rounds");
});

test.each(ERAS)("a %s client remembers for its agent alone, over all sessions or about one", async (era) => {
  await using all = start();
  await using ann = await connect(`${all.server.url}/collaboration`, era, "ann");
  await using bob = await connect(`${all.server.url}/collaboration`, era, "bob");
  const { token: auth_token } = await tool(ann, "authenticate_agent", { agent_id: "planner", agent_type: "claude" });
  const session_id = String((await tool(ann, "create_session", { purpose: "Plan", auth_token }))["session_id"]);
  const first = { key: "prefs", value: { theme: "dark" }, metadata: '{"v": 1}', auth_token };
  const stored = await tool(ann, "set_memory", first);
  expect(stored).toMatchObject({
    success: true,
    key: "prefs",
    session_scoped: false,
    expires_at: null,
    scope: "global",
  });
  const about = { key: "step", value: [1, "two"], session_id, expires_in: 5, auth_token };
  const short = await tool(ann, "set_memory", about);
  expect([short["session_scoped"], short["scope"], typeof short["expires_at"]]).toEqual([true, "session", "string"]);
  expect(short["warning"]).toBe("It is forgotten in 5 s.");
  const got = await tool(ann, "get_memory", { key: "prefs", auth_token });
  expect([got["value"], got["metadata"], got["scope"]]).toEqual([{ theme: "dark" }, { v: 1 }, "global"]);
  expect((await tool(ann, "get_memory", { key: "step", session_id, auth_token }))["value"]).toEqual([1, "two"]);
  await tool(ann, "set_memory", { key: "step", value: '{"a": [1]}', session_id, auth_token });
  expect((await tool(ann, "get_memory", { key: "step", session_id, auth_token }))["value"]).toEqual({ a: [1] });
  const keys = async (input: Json) => {
    const { entries, count } = await tool(ann, "list_memory", { ...input, auth_token });
    const listed = (entries as Json[]).map(({ key, scope, session_id: of }) => [key, scope, of]);
    expect(count).toBe(listed.length);
    return listed;
  };
  expect(await keys({})).toEqual([["prefs", "global", null]]);
  expect(await keys({ session_id: "all" })).toEqual([
    ["prefs", "global", null],
    ["step", "session", session_id],
  ]);
  expect(await keys({ prefix: "x" })).toEqual([]);
  const codeOf = async (one: Connected, name: string, input: Json) => (await tool(one, name, input))["code"];
  expect(await codeOf(ann, "set_memory", { ...first, overwrite: false })).toBe("KEY_EXISTS");
  expect(await codeOf(ann, "set_memory", { ...first, key: "two words" })).toBe("INVALID_KEY");
  expect(await codeOf(ann, "set_memory", { ...first, expires_in: 99_999_999 })).toBe("INVALID_TTL_VALUE");
  expect(await codeOf(ann, "get_memory", { key: "none", auth_token })).toBe("MEMORY_NOT_FOUND");
  // Nobody else has them, whatever is asked.
  await tool(bob, "authenticate_agent", { agent_id: "other" });
  for (const key of ["prefs", "planner/prefs"])
    expect(await codeOf(bob, "get_memory", { key })).toBe("MEMORY_NOT_FOUND");
  expect(await codeOf(bob, "get_memory", { key: "default/memory/agents/planner/prefs" })).toBe("INVALID_KEY");
  expect(await tool(bob, "list_memory", { session_id: "all" })).toMatchObject({ entries: [], count: 0 });
  await expect(bob.client.readResource({ uri: "agent://planner/memory" })).rejects.toThrow();
  if (era === "legacy") {
    const { contents } = await ann.client.readResource({ uri: "agent://planner/memory" });
    const { entries } = JSON.parse((contents as { text: string }[])[0]?.text ?? "") as { entries: Json[] };
    expect(entries.map(({ key }) => key)).toEqual(["prefs", "step"]);
  }
});

describe("what the original let through", () => {
  test("an unknown visibility_filter is refused, admin_only shows nothing without the right", async () => {
    await using all = start();
    await using bob = await connect(`${all.server.url}/collaboration`, "modern", "bob");
    const boss = new Someone(all.core, callers.boss);
    const session_id = await boss.create("Review");
    await boss.post(session_id, "Open");
    await boss.post(session_id, "For admins", { visibility: "admin_only" });
    await boss.post(session_id, "Secret of the boss", { visibility: "private" });
    const refused = await tool(bob, "get_messages", { session_id, visibility_filter: "everything" });
    expect(refused).toEqual({
      ...{ success: false, error: expect.stringContaining("visibility_filter"), code: "INVALID_INPUT_FORMAT" },
      ...{ severity: "warning", recoverable: true, suggestions: [expect.any(String)], timestamp: expect.any(String) },
      ...{ context: expect.objectContaining({ field: "visibility_filter" }), related_resources: expect.any(Array) },
    });
    for (const visibility_filter of ["admin_only", "private", "agent_only"]) {
      const none = await tool(bob, "get_messages", { session_id, visibility_filter });
      expect([none["success"], none["messages"], none["total_count"]]).toEqual([true, [], 0]);
    }
    expect(contentsOf(await tool(bob, "get_messages", { session_id }))).toEqual(["Open"]);
    expect(await tool(bob, "get_session", { session_id })).toMatchObject({ message_count: 1 });
    for (const search_scope of ["all", "private"]) {
      const search = { session_id, query: "secret of the boss", fuzzy_threshold: 0, search_scope };
      const seen = JSON.stringify(await tool(bob, "search_context", search));
      for (const hidden of ["For admins", "Secret of the boss"]) expect(seen).not.toContain(hidden);
    }
    expect(await tool(bob, "search_by_sender", { session_id, sender: "boss@example.com" })).toMatchObject({ count: 1 });
  });

  test("reading needs an identity with the right, whatever token or id is shown", async () => {
    await using all = start();
    const url = `${all.server.url}/collaboration`;
    await using ann = await connect(url, "modern", "ann");
    await using zoe = await connect(url, "modern", "zoe");
    const { token } = await tool(ann, "authenticate_agent", {
      ...{ agent_id: "admin", agent_type: "admin", requested_permissions: ["read", "write", "admin", "debug"] },
    });
    const { session_id } = await tool(ann, "create_session", { purpose: "Ann's", auth_token: token });
    await tool(ann, "add_message", { session_id, content: "Ann's", visibility: "private", auth_token: token });
    // The type admin gives nothing.
    const asked = { agent_id: "root", agent_type: "admin", requested_permissions: ["admin", "read"] };
    expect(await tool(zoe, "authenticate_agent", asked)).toMatchObject({ permissions: ["read"] });
    const id = String(session_id);
    for (const [name, input] of [
      ["get_session", { session_id: id }],
      ["get_messages", { session_id: id }],
      ["search_context", { session_id: id, query: "Ann" }],
      ["search_by_sender", { session_id: id, sender: "admin" }],
      ["search_by_timerange", { session_id: id, start_time: "2020-01-01", end_time: "2100-01-01" }],
      ["add_message", { session_id: id, content: "x" }],
      ["create_session", { purpose: "x" }],
    ] as const)
      expect([name, await tool(zoe, name, input)]).toEqual([
        name,
        expect.objectContaining({ success: false, code: "PERMISSION_DENIED", recoverable: false }),
      ]);
    await expect(zoe.client.readResource({ uri: `session://${id}` })).rejects.toThrow();
    // The token of another caller's agent is worth nothing, and is not shown again.
    await using bob = await connect(url, "modern", "bob");
    for (const auth_token of [token, "sct_00000000-0000-0000-0000-000000000000", "stolen"]) {
      const refused = await tool(bob, "get_messages", { session_id, auth_token });
      expect(refused).toMatchObject({ success: false, code: "AUTH_FAILED", recoverable: true });
      expect(JSON.stringify(refused)).not.toContain(String(auth_token));
    }
    expect(contentsOf(await tool(bob, "get_messages", { session_id }))).toEqual([]);
    const taken = await tool(bob, "authenticate_agent", { agent_id: "admin" });
    expect(taken).toMatchObject({ success: false, code: "AGENT_TAKEN", suggestions: [expect.any(String)] });
    const none = await tool(bob, "get_session", { session_id: "session_0123456789abcdef" });
    expect(none).toMatchObject({ success: false, code: "SESSION_NOT_FOUND", recoverable: true });
    const above = { session_id, content: "x", parent_message_id: 7 };
    expect(await tool(bob, "add_message", above)).toMatchObject({ success: false, code: "MESSAGE_NOT_FOUND" });
  });

  test("a name is taken over by a client of the same type alone, and an agent of another type stays as it is", async () => {
    await using all = start();
    await using ann = await connect(`${all.server.url}/collaboration`, "modern", "ann");
    const itself = new Someone(all.core, callers.ann);
    for (const type of [undefined, "coder"]) {
      const agent_id = `builder-${type}`;
      const { handle: as } = await itself.call("agent_register", { name: agent_id, ...(type && { type }) });
      for (const asked of [{}, { agent_type: "claude" }, { agent_id: agent_id.toUpperCase() }]) {
        const refused = await tool(ann, "authenticate_agent", { agent_id, ...asked });
        expect(refused).toMatchObject({ success: false, code: "AGENT_TAKEN", recoverable: true });
        expect(refused["suggestions"]).toEqual([expect.stringContaining("Take another agent_id.")]);
      }
      expect(await itself.call("whoami", { as })).toMatchObject({ agent: { name: agent_id, type: type ?? "" } });
    }
    // As at each start of a client.
    for (const asked of [{ agent_id: "planner" }, { agent_id: "critic", agent_type: "claude" }]) {
      const tokens = [await tool(ann, "authenticate_agent", asked), await tool(ann, "authenticate_agent", asked)];
      expect(tokens).toEqual([expect.objectContaining({ success: true }), expect.objectContaining({ success: true })]);
      expect(tokens[1]).toMatchObject({ agent_id: asked.agent_id, agent_type: asked.agent_type ?? "generic" });
    }
    const same = await tool(ann, "authenticate_agent", { agent_id: "builder-coder", agent_type: "coder" });
    expect(same).toMatchObject({ success: true, agent_id: "builder-coder" });
  });

  test("its tools are at its own address alone, and a reader only reads there", async () => {
    await using all = start();
    await using plain = await connect(all.server.url, "modern", "ann");
    const names = (await plain.client.listTools()).tools.map(({ name }) => name);
    expect(names.filter((name) => TOOLS.includes(name))).toEqual([]);
    expect(names).toContain("session_start");
    await expect(plain.client.callTool({ name: "create_session", arguments: { purpose: "x" } })).rejects.toThrow();
    await using reading = await connect(`${all.server.url}/collaboration?preset=read-only`, "modern", "ann");
    // Reserved spaces are no more open to them than to others (security.md 4).
    await using ann = await connect(`${all.server.url}/collaboration`, "modern", "ann");
    for (const space of ["fleet", "_x", "FLEET"]) {
      const refused = { success: false, code: "PERMISSION_DENIED" };
      expect(await tool(ann, "create_session", { purpose: "x", space })).toMatchObject(refused);
      const session_id = `${space}/session_0123456789abcdef`;
      expect(await tool(ann, "add_message", { session_id, content: "x" })).toMatchObject(refused);
      expect(await tool(ann, "get_messages", { session_id })).toMatchObject(refused);
    }
    const readable = (await reading.client.listTools()).tools;
    expect(readable.map(({ name }) => name)).not.toContain("create_session");
    expect(readable.every(({ annotations }) => annotations?.readOnlyHint === true)).toBe(true);
  });
});
