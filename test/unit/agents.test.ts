// Agents: names below verified callers, the handles that prove them, and what of them is kept where.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { newHandle } from "../../src/lib/new-handle.ts";
import { decodeEntry, encodeEntry, packCommand } from "../../src/log/entry.ts";
import { AGENT_LEVEL } from "../../src/log/level.ts";
import type { Command } from "../../src/log/log.ts";
import { type Core, type CoreOptions, callerWith, localAdmin, startCore } from "../kit/core.ts";
import { makeStoreAt } from "../kit/level.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const features = [agentFeature, contextFeature];
const start = (options: CoreOptions = {}) => startCore({ features, ...options });

const member = (login: string): Caller =>
  callerWith({ id: `n${login}`, login: `${login}@example.com`, grants: [{ role: "member", spaces: ["*"] }] });
const ann = member("ann");
const bob = member("bob");

interface Registered {
  agent: string;
  type: string;
  handle: string;
}

async function register(core: Core, input: Record<string, unknown>, caller: Caller = ann): Promise<Registered> {
  return (await core.call("agent_register", input, caller)) as unknown as Registered;
}

const put = (core: Core, handle: unknown, caller: Caller = ann, id = "a/x") =>
  core.call("context_put", { id, content: `by ${Math.random()}`, as: handle }, caller);

type Rows = { agent?: string; caller?: string; author?: string; name?: string }[];
const auditOf = async (core: Core) => (await core.call("audit_query", {}))["rows"] as Rows;
const rosterOf = async (core: Core, caller: Caller = ann) =>
  (await core.call("agent_list", {}, caller))["agents"] as Record<string, unknown>[];

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("an agent", () => {
  test("writes under its name, below its caller, in history, audit and waits", async () => {
    await using core = start();
    const { agent, type, handle } = await register(core, { name: "Builder", type: "coder" });
    expect([agent, type, handle]).toEqual(["Builder", "coder", expect.stringMatching(/^agent-[0-9a-f]{32}$/)]);
    const since = core.invoker.position();
    await put(core, handle);
    await put(core, undefined);
    const { versions } = await core.call("context_history", { id: "a/x" }, ann);
    const by = (rows: unknown) => (rows as Rows).map(({ agent, author, caller }) => [agent, author ?? caller]);
    const both = [
      [undefined, "user:ann@example.com"],
      ["Builder", "user:ann@example.com"],
    ];
    expect(by(versions)).toEqual(both);
    expect(by(await auditOf(core)).slice(0, 2)).toEqual(both);
    const { changes } = await core.call("context_wait", { prefix: "a/", since }, ann);
    expect(by(changes)).toEqual(both.toReversed());
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("is named beside its caller wherever a context shows who wrote it, and by a copy of that", async () => {
    await using core = start();
    const { handle } = await register(core, { name: "builder" });
    await put(core, handle, ann, "a/by-agent");
    await put(core, undefined, ann, "a/by-caller");
    const by = { author: "user:ann@example.com", agent: "builder" };
    const listed = (await core.call("context_list", { prefix: "a/" }, ann))["contexts"] as Rows;
    expect(listed.map(({ agent }) => agent)).toEqual(["builder", undefined]);
    const fields = { prefix: "a/", fields: ["agent"] };
    expect((await core.call("context_list", fields, ann))["contexts"]).toEqual([
      { id: "a/by-agent", agent: "builder" },
      { id: "a/by-caller" },
    ]);
    const { recent } = await core.call("prime", {}, ann);
    expect(recent).toContainEqual(expect.objectContaining({ id: "a/by-agent", ...by }));
    for (const read of ["context_get", "context_metadata"]) {
      expect(await core.call(read, { id: "a/by-agent" }, ann)).toMatchObject(by);
      expect(await core.call(read, { id: "a/by-caller" }, ann)).not.toHaveProperty("agent");
    }
    const { headers } = await core.http("/contexts/a/by-agent", {}, ann);
    expect(headers.get("cairn-author-agent")).toBe("builder");
    const { lines } = await core.call("context_export", { prefix: "a/" });
    await using copy = start();
    await copy.call("context_import", { lines });
    expect(await copy.call("context_metadata", { id: "a/by-agent" })).toMatchObject(by);
    await core.call("context_delete", { id: "a/by-agent", as: handle }, ann);
    const gone = core.call("context_get", { id: "a/by-agent" }, ann);
    await expect(gone).rejects.toMatchObject({ message: expect.stringContaining("builder (user:ann@example.com)") });
    for (const each of [core, copy]) expect(await each.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("is named by whoami, and a call without a handle is the caller itself", async () => {
    await using core = start();
    const { handle } = await register(core, { name: "builder", type: "coder" });
    expect(await core.call("whoami", { as: handle }, ann)).toMatchObject({
      caller: "user:ann@example.com",
      agent: { name: "builder", type: "coder" },
    });
    for (const none of [undefined, null, ""])
      expect(await core.call("whoami", { as: none }, ann)).not.toHaveProperty("agent");
  });

  test("over REST shows its handle in a header, and as an argument, which wins", async () => {
    await using core = start();
    const [one, two] = [await register(core, { name: "one" }), await register(core, { name: "two" })];
    const put = (path: string, headers: Record<string, string>) =>
      core.http(path, { method: "PUT", body: "x", headers: { "content-type": "text/plain", ...headers } }, ann);
    expect((await put("/contexts/a/x", { "cairn-agent": one.handle })).status).toBe(201);
    const body = JSON.stringify({ as: two.handle });
    const headers = { "content-type": "application/json", "cairn-agent": one.handle };
    const said = await core.http("/operations/whoami", { method: "POST", body, headers }, ann);
    expect(await said.json()).toMatchObject({ agent: { name: "two" } });
    expect((await auditOf(core))[0]).toMatchObject({ target: "a/x", agent: "one" });
    const forged = await put("/contexts/a/x", { "cairn-agent": newHandle() });
    expect([forged.status, await forged.json()]).toEqual([403, expect.objectContaining({ code: "agent_unknown" })]);
    const wrong = await put("/contexts/a/x", { "cairn-agent": "one" });
    expect([wrong.status, await wrong.json()]).toEqual([400, expect.objectContaining({ code: "invalid_input" })]);
  });

  test("is exported and imported with its versions", async () => {
    await using from = start();
    const { handle } = await register(from, { name: "builder" });
    await put(from, handle);
    const { lines } = await from.call("context_export", {});
    await using to = start();
    await to.call("context_import", { lines });
    const { versions } = await to.call("context_history", { id: "a/x" });
    expect((versions as Rows)[0]).toMatchObject({ agent: "builder", author: "user:ann@example.com" });
    expect(await to.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test.each(["changes", "versions"])("is covered by the audit in %s", async (table) => {
    await using core = start();
    const { handle } = await register(core, { name: "builder" });
    await put(core, handle);
    core.store.transaction((tx) => tx.run(`UPDATE ${table} SET agent = 'other' WHERE agent = 'builder'`));
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: false });
  });
});

describe("a handle", () => {
  test("of another caller, of no one, of an ended agent or none is refused, for reads and writes", async () => {
    await using core = start();
    const { handle } = await register(core, { name: "builder" });
    await expect(core.call("agent_status", { as: handle, doing: "x" }, bob)).rejects.toEqual(code("agent_unknown"));
    await expect(core.call("whoami", { as: handle }, bob)).rejects.toEqual(code("agent_unknown"));
    await expect(put(core, handle, bob)).rejects.toEqual(code("agent_unknown"));
    await expect(put(core, newHandle())).rejects.toEqual(code("agent_unknown"));
    await expect(core.call("context_list", { as: handle }, bob)).rejects.toEqual(code("agent_unknown"));
    await core.call("agent_leave", { name: "BUILDER" }, ann);
    await expect(put(core, handle)).rejects.toEqual(code("agent_unknown"));
    await expect(core.call("context_list", { as: handle }, ann)).rejects.toEqual(code("agent_unknown"));
  });

  test("that is none is refused without being repeated, and neither the name nor the key is one", async () => {
    await using core = start();
    const { handle } = await register(core, { name: "builder" });
    for (const wrong of [
      ...["builder", agentKeyOf(handle), handle.toUpperCase(), `${handle} `, handle.slice(0, -1)],
      ...[7, {}, [handle], true],
    ]) {
      const error = await put(core, wrong).catch((reason: unknown) => reason);
      expect(error).toEqual(code("invalid_input"));
      const { message, hint, details } = error as { message: string; hint: string; details: unknown };
      expect(JSON.stringify([message, hint, details]).toLowerCase()).not.toContain(handle.slice(6, 26));
    }
  });

  test("is in no file of the node, no answer but the first, no audit row and no outcome", async () => {
    const folder = temporaryFolder();
    const core = start({ folder });
    const { handle } = await register(core, { name: "builder", idempotency_key: "k" });
    await put(core, handle);
    await put(core, handle.slice(0, -4)).catch(() => {});
    await put(core, handle, bob).catch(() => {});
    await core.call("agent_status", { doing: "work", as: handle }, ann);
    const again = await core.call("agent_register", { name: "builder", idempotency_key: "k" }, ann);
    const answers = [again, await auditOf(core), await rosterOf(core), await core.call("whoami", { as: handle }, ann)];
    const secret = handle.slice("agent-".length);
    expect(JSON.stringify(answers)).not.toContain(secret);
    for (const table of ["changes", "agents", "idempotency", "refusals", "versions", "meta"])
      expect(JSON.stringify(core.store.reader.all(`SELECT * FROM ${table}`))).not.toContain(secret);
    await core.close();
    const files = filesOf(folder);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect([file, readFileSync(file).includes(secret)]).toEqual([file, false]);
  });
});

function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesOf(path) : [path]));
}

describe("a name", () => {
  test("is one whatever its case, is of one caller, and is taken over by that caller alone and on purpose", async () => {
    await using core = start();
    const first = await register(core, { name: "Builder", type: "coder" });
    await expect(register(core, { name: "builder" }, bob)).rejects.toEqual(code("agent_taken"));
    await expect(register(core, { name: "BUILDER", takeover: true }, bob)).rejects.toEqual(code("agent_taken"));
    const refusal = await register(core, { name: "builder" }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "agent_taken", hint: expect.stringContaining("takeover: true") });
    const second = await register(core, { name: "bUILDER", takeover: true });
    expect([second.agent, second.type]).toEqual(["Builder", "coder"]);
    expect(second.handle).not.toBe(first.handle);
    await expect(put(core, first.handle)).rejects.toEqual(code("agent_unknown"));
    await put(core, second.handle);
    expect(await rosterOf(core)).toHaveLength(1);
  });

  test.each(["", "-a", ".a", "a b", "a/b", "ä", "a".repeat(65), "a\n", "a\u0000"])("is not %j", async (name) => {
    await using core = start();
    await expect(register(core, { name })).rejects.toEqual(code("invalid_input"));
  });

  test("is freed by its caller or by an operator of all spaces, and is then anyone's", async () => {
    await using core = start();
    await register(core, { name: "one" });
    await register(core, { name: "two" });
    await expect(core.call("agent_leave", { name: "one" }, bob)).rejects.toEqual(code("not_found"));
    await expect(core.call("agent_remove", { name: "one" }, bob)).rejects.toEqual(code("forbidden"));
    const operator = callerWith({ grants: [{ role: "operator", spaces: ["a"] }] });
    await expect(core.call("agent_remove", { name: "one" }, operator)).rejects.toEqual(code("forbidden"));
    expect(await core.call("agent_leave", { name: "one" }, ann)).toEqual({
      agent: "one",
      caller: "user:ann@example.com",
    });
    await core.call("agent_remove", { name: "Two" }, localAdmin);
    await expect(core.call("agent_remove", { name: "two" }, localAdmin)).rejects.toEqual(code("not_found"));
    await register(core, { name: "one" }, bob);
    expect((await rosterOf(core)).map(({ name, caller }) => [name, caller])).toEqual([["one", "user:bob@example.com"]]);
  });

  test("is kept for a local caller while its name gets and loses the name of its machine", async () => {
    await using core = start();
    const bridge = (id: string) => callerWith({ kind: "local", id, login: "" });
    const { handle } = await register(core, { name: "mine" }, bridge("local:bridge"));
    await put(core, handle, bridge("local:bridge@n1"));
    // From then on it is of that machine.
    await expect(put(core, handle, bridge("local:bridge@n2"))).rejects.toEqual(code("agent_unknown"));
    await put(core, handle, bridge("local:bridge"));
    await expect(put(core, handle, bridge("local:dev"))).rejects.toEqual(code("agent_unknown"));
    const takeover = { name: "mine", takeover: true };
    await expect(register(core, takeover, bridge("local:bridge@n1"))).rejects.toEqual(code("agent_taken"));
    const { handle: second } = await register(core, { ...takeover, as: handle }, bridge("local:bridge@n1"));
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
    const leave = { name: "mine" };
    await expect(core.call("agent_leave", leave, bridge("local:bridge"))).rejects.toEqual(code("not_found"));
    await core.call("agent_leave", { ...leave, as: second }, bridge("local:bridge"));
    const other = await register(core, { name: "other" }, bridge("local:bridge@n1"));
    await put(core, other.handle, bridge("local:bridge"));
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });
});

describe("a registration under one key", () => {
  test("is made once; the answer to a retry has no handle, says so, and leads to a takeover", async () => {
    await using core = start();
    const input = { name: "builder", idempotency_key: "k" };
    const first = await core.call("agent_register", input, ann);
    const again = await core.call("agent_register", input, ann);
    expect(first).toEqual({ agent: "builder", type: "", handle: expect.any(String) });
    expect(again).toEqual({ agent: "builder", type: "", note: expect.stringContaining("takeover: true") });
    await put(core, first["handle"]);
    const third = await register(core, { name: "builder", takeover: true, idempotency_key: "k2" });
    await put(core, third.handle);
  });

  test("with a hash of the caller's own draws no handle, and a retry is the same", async () => {
    await using core = start();
    const handle = newHandle();
    const input = { name: "builder", handle_hash: agentKeyOf(handle), idempotency_key: "k" };
    const answers = [await core.call("agent_register", input, ann), await core.call("agent_register", input, ann)];
    expect(answers).toEqual([
      { agent: "builder", type: "" },
      { agent: "builder", type: "" },
    ]);
    await put(core, handle);
    // Another caller that has seen the hash, in a backup, gains nothing.
    const stolen = { name: "mine", handle_hash: agentKeyOf(handle) };
    await expect(register(core, stolen, bob)).rejects.toEqual(code("invalid_input"));
    await expect(register(core, { ...stolen, name: "other" })).rejects.toEqual(code("invalid_input"));
    await register(core, { name: "Builder", handle_hash: agentKeyOf(handle), takeover: true });
    await put(core, handle);
  });
});

describe("a takeover", () => {
  test("wins over a write of the old agent that is under way: apply refuses that", async () => {
    await using core = start();
    const old = await register(core, { name: "builder" });
    // Proposed in this order, in one turn: each was admitted while the old handle was valid.
    const [taken, late] = await Promise.allSettled([
      register(core, { name: "builder", takeover: true }),
      put(core, old.handle),
    ]);
    expect(taken.status).toBe("fulfilled");
    expect(late).toEqual({ status: "rejected", reason: code("agent_unknown") });
    expect((await core.call("context_list", {}))["contexts"]).toEqual([]);
  });

  test("keeps when the agent was registered and what it works on, and takes its type only where it says one", async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    await using core = start({ nowMs: () => nowMs });
    const { handle } = await register(core, { name: "builder", type: "coder" });
    await core.call("agent_status", { doing: "tests", as: handle }, ann);
    nowMs += 1000;
    await register(core, { name: "builder", takeover: true });
    const before = { type: "coder", doing: "tests", doing_until: "2026-01-01T01:00:00.000Z" };
    const times = { registered_at: "2026-01-01T00:00:00.000Z", seen_at: "2026-01-01T00:00:01.000Z" };
    expect((await rosterOf(core))[0]).toMatchObject({ ...before, ...times });
    await register(core, { name: "builder", type: "reviewer", takeover: true });
    expect((await rosterOf(core))[0]).toMatchObject({ ...before, type: "reviewer" });
    const outcomes = core.store.reader.all<{ outcome: string }>("SELECT outcome FROM changes ORDER BY seq");
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(["registered", "status", "taken over", "taken over"]);
  });

  test("is possible with a handle that has ended", async () => {
    await using core = start();
    const old = await register(core, { name: "builder" });
    await register(core, { name: "builder", takeover: true });
    const back = await register(core, { name: "builder", takeover: true, as: old.handle });
    await put(core, back.handle);
  });
});

describe("the roster", () => {
  test("shows what each works on until it expires, and when it last wrote, to the minute", async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    await using core = start({ nowMs: () => nowMs });
    const { handle } = await register(core, { name: "builder", type: "coder" });
    await core.call("agent_status", { doing: " a\u202e\n b ", expires_in_seconds: 60, as: handle }, ann);
    expect(await rosterOf(core, bob)).toEqual([
      {
        ...{ name: "builder", type: "coder", caller: "user:ann@example.com", via: "" },
        ...{ registered_at: "2026-01-01T00:00:00.000Z", seen_at: "2026-01-01T00:00:00.000Z" },
        ...{ doing: "a b", doing_until: "2026-01-01T00:01:00.000Z" },
      },
    ]);
    nowMs += 59_000;
    await put(core, handle);
    expect((await rosterOf(core))[0]).toMatchObject({ seen_at: "2026-01-01T00:00:00.000Z", doing: "a b" });
    nowMs += 1000;
    await put(core, handle);
    const [row] = await rosterOf(core);
    expect(row).toMatchObject({ seen_at: "2026-01-01T00:01:00.000Z" });
    expect(row).not.toHaveProperty("doing");
    await expect(core.call("agent_status", { doing: "x" }, ann)).rejects.toEqual(code("agent_unknown"));
  });

  test("has at most 256 names of a caller and 10,000 in all, and is read in pages", async () => {
    await using core = start();
    core.store.transaction((tx) => {
      const insert = "INSERT INTO agents VALUES (?,?,'',?,?,'',0,0,'',0)";
      for (let n = 0; n < 9_999; n++) {
        const name = `n${String(n).padStart(5, "0")}`;
        tx.run(insert, name, name, n < 256 ? "user:ann@example.com" : `node:${n >> 7}`, agentKeyOf(newHandle()));
      }
    });
    await expect(register(core, { name: "more" })).rejects.toEqual(code("quota_exceeded"));
    const { handle } = await register(core, { name: "last" }, bob);
    await put(core, handle, bob);
    await expect(register(core, { name: "more" }, bob)).rejects.toEqual(code("quota_exceeded"));
    await register(core, { name: "LAST", takeover: true }, bob);
    const seen: unknown[] = [];
    for (let cursor: unknown; ; ) {
      const page = await core.call("agent_list", { limit: 500, ...(cursor === undefined ? {} : { cursor }) }, bob);
      seen.push(...(page["agents"] as Rows).map(({ name }) => name));
      cursor = page["cursor"];
      if (cursor === undefined) break;
    }
    expect(seen).toHaveLength(10_000);
    expect(new Set(seen).size).toBe(10_000);
    const own = await core.call("agent_list", { caller: "user:ann@example.com", limit: 500 }, bob);
    expect(own["agents"]).toHaveLength(256);
  });
});

test("below its fleet level every call about agents or of one is refused in words, and changes nothing", async () => {
  const folder = temporaryFolder();
  makeStoreAt(join(folder, "store"), AGENT_LEVEL - 1);
  await using core = start({ folder });
  const low = expect.objectContaining({ code: "unavailable", message: expect.stringContaining("needs fleet level 3") });
  for (const operation of ["agent_register", "agent_status", "agent_leave", "agent_remove", "agent_list"]) {
    const input = operation === "agent_list" ? {} : operation === "agent_status" ? { doing: "x" } : { name: "a" };
    await expect(core.call(operation, input)).rejects.toEqual(low);
  }
  await expect(put(core, newHandle())).rejects.toEqual(low);
  await expect(core.call("context_list", { as: newHandle() })).rejects.toEqual(low);
  await put(core, undefined);
  expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  expect([core.fatal, core.unexpected]).toEqual([[], []]);
});

test("a packed command has its agent last, and without one it is packed as before", () => {
  const plain: Command = { name: "n", v: 1, input: {}, caller: "c", via: "", key: "" };
  const agent = { name: "builder", key: "0".repeat(64) };
  const commands = [
    plain,
    { ...plain, agent },
    { ...plain, client: "x 1", agent: { ...agent, type: "coder" } },
    { ...plain, key: "k", nodeKey: true as const, inputHash: "1".repeat(64), outcomeBytes: 5, agent },
  ];
  const header = { level: AGENT_LEVEL, origin: "00".repeat(16), ticket: 1, stampMs: 1 };
  expect(decodeEntry(encodeEntry(header, commands.map(packCommand))).commands).toEqual(commands);
  expect(Buffer.from(packCommand(plain)).toString("hex")).toBe("96a16e01de0000a163a0a0");
  expect(() => packCommand({ ...plain, agent: { ...agent, name: "a b" } })).toThrow("The log cannot hold");
});
