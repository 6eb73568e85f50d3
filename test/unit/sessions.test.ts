// Sessions and messages: what is posted, read, changed and removed, and what is refused.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { localAdmin } from "../kit/core.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });
const textsOf = (page: Record<string, unknown>) => (page["messages"] as { text: string }[]).map(({ text }) => text);
const ann = user("ann");
const bob = user("bob");

describe("a session", () => {
  test("begins in a space, has participants, and is listed by its last activity", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const first = await one.create("First", "team-a");
    const second = await one.create("Second");
    expect(first).toMatch(/^team-a\/session_[0-9a-f]{16}$/);
    expect(second).toMatch(/^session_[0-9a-f]{16}$/);
    const listed = async (who: Someone, more = {}) =>
      ((await who.call("session_list", more))["sessions"] as { session: string }[]).map(({ session }) => session);
    expect(await listed(two)).toEqual([second, first]);
    await two.post(first, "Hello");
    expect(await listed(two)).toEqual([first, second]);
    expect(await listed(two, { space: "default" })).toEqual([second]);
    expect(await listed(two, { mine: true })).toEqual([first]);
    const page = await two.call("session_list", { limit: 1 });
    expect(await listed(two, { cursor: page["cursor"] })).toEqual([second]);
    expect(await two.call("session_join", { session: second })).toMatchObject({ joined: true });
    expect(await two.call("session_join", { session: second })).toMatchObject({ joined: false });
    expect(await one.call("session_get", { session: second })).toMatchObject({
      ...{ purpose: "Second", space: "default", state: "open", message_count: 0, messages: [] },
      participants: [
        { author: "user:ann@example.com", joined: true, messages: 0 },
        { author: "user:bob@example.com", joined: true, messages: 0 },
      ],
    });
    expect(await one.call("session_participants", { session: first, limit: 1 })).toMatchObject({
      participants: [{ author: "user:ann@example.com", joined: true }],
      cursor: expect.any(String),
    });
  });

  test("that is closed takes no message and no edit until it is reopened", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create();
    const message = await one.post(session, "Before", { ack: true });
    expect(await one.call("session_close", { session })).toEqual({ session, state: "closed", changed: true });
    expect(await one.call("session_close", { session })).toMatchObject({ changed: false });
    const refused = { code: "session_closed", hint: expect.stringContaining("session_reopen") };
    await expect(one.post(session, "After")).rejects.toMatchObject(refused);
    await expect(one.call("message_edit", { session, message, text: "Edited" })).rejects.toMatchObject(refused);
    expect(await one.call("message_ack", { session, messages: [message] })).toMatchObject({ acknowledged: [message] });
    const closed = { state: "closed", closed_by: "user:ann@example.com", closed_at: expect.any(String) };
    expect(await one.call("session_get", { session })).toMatchObject(closed);
    await one.call("session_reopen", { session });
    await one.post(session, "After");
    expect(await one.texts(session)).toEqual(["Before", "After"]);
  });

  test("needs the right to its space, before anything is said of it", async () => {
    await using core = startSessions();
    const session = await new Someone(core, localAdmin).create("Secret", "hidden");
    const outside = new Someone(core, user("eve", { role: "member", spaces: ["team-a"] }));
    for (const id of [session, "hidden/session_0000000000000000"]) {
      await expect(outside.call("session_get", { session: id })).rejects.toEqual(code("forbidden"));
      await expect(outside.post(id, "x")).rejects.toEqual(code("forbidden"));
      await expect(outside.call("message_wait", { session: id, timeout_seconds: 0 })).rejects.toEqual(
        code("forbidden"),
      );
    }
    expect((await outside.call("session_list"))["sessions"]).toEqual([]);
    const reader = new Someone(core, user("rob", { role: "reader", spaces: ["*"] }));
    await expect(reader.post(session, "x")).rejects.toEqual(code("forbidden"));
    await expect(reader.call("session_close", { session })).rejects.toEqual(code("forbidden"));
    await expect(new Someone(core, ann).create("Mine", "_system")).rejects.toEqual(code("forbidden"));
  });
});

describe("messages", () => {
  test("are replied to in threads, and read in pages from both ends", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create();
    const ids: string[] = [];
    for (let n = 0; n < 7; n += 1) ids.push(await one.post(session, `m${n}`, n === 5 ? { kind: "decision" } : {}));
    const reply = await new Someone(core, bob).post(session, "reply", { parent: ids[1] });
    const below = await one.post(session, "below", { parent: reply });
    expect(new Set([...ids, reply, below]).size).toBe(9);
    const newest = await one.call("message_list", { session, limit: 3 });
    expect(textsOf(newest)).toEqual(["m6", "reply", "below"]);
    expect(await one.texts(session, { before: newest["older"], limit: 3 })).toEqual(["m3", "m4", "m5"]);
    const oldest = await one.call("message_list", { session, after: (await one.list(session))[0]?.position, limit: 2 });
    expect(textsOf(oldest)).toEqual(["m1", "m2"]);
    expect(await one.texts(session, { after: oldest["newer"], limit: 2 })).toEqual(["m3", "m4"]);
    const thread = await one.list(session, { thread: ids[1] });
    expect(thread.map(({ text, parent, thread: first, depth }) => [text, parent, first, depth])).toEqual([
      ["m1", undefined, undefined, undefined],
      ["reply", ids[1], ids[1], 1],
      ["below", reply, ids[1], 2],
    ]);
    expect(await one.texts(session, { from: "bob@example.com" })).toEqual(["reply"]);
    expect(await one.texts(session, { kind: "decision" })).toEqual(["m5"]);
    await expect(one.list(session, { thread: ids[1], before: newest["older"] })).rejects.toEqual(code("invalid_input"));
  });

  test("are edited by their author in versions that stay readable", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const session = await one.create();
    const message = await one.post(session, "Frist", { metadata: { build: 7 } });
    const edit = { session, message, text: "First", if_version: 1 };
    await expect(two.call("message_edit", edit)).rejects.toEqual(code("not_found"));
    expect(await one.call("message_edit", edit)).toMatchObject({ version: 2 });
    await expect(one.call("message_edit", edit)).rejects.toEqual(code("version_mismatch"));
    const now = await two.call("message_get", { session, message });
    expect(now).toMatchObject({ text: "First", version: 2, metadata: { build: 7 }, edited_at: expect.any(String) });
    expect(await two.call("message_get", { session, message, version: 1 })).toMatchObject({
      text: "Frist",
      version: 1,
    });
    await expect(two.call("message_get", { session, message, version: 3 })).rejects.toEqual(code("not_found"));
  });

  test("that are retracted leave no text in any table, and give their bytes back", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create();
    const usage = () => core.store.reader.all("SELECT kind, bytes FROM usage ORDER BY kind");
    const message = await one.post(session, "canary-one @canary-name", { metadata: { key: "canary-meta" } });
    await one.call("message_edit", { session, message, text: "canary-two" });
    await expect(new Someone(core, bob).call("message_retract", { session, message })).rejects.toEqual(
      code("not_found"),
    );
    expect(await one.call("message_retract", { session, message })).toMatchObject({ retracted: true });
    expect(await one.call("message_retract", { session, message })).toMatchObject({ retracted: false });
    await expect(one.call("message_edit", { session, message, text: "again" })).rejects.toEqual(code("deleted"));
    expect(await one.list(session)).toMatchObject([{ text: "", removed: "retracted", kind: "text" }]);
    expect(await one.call("message_get", { session, message, version: 1 })).toMatchObject({ text: "" });
    const tables = core.store.reader.all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'");
    for (const { name } of tables)
      expect(JSON.stringify(core.store.reader.all(`SELECT * FROM ${name}`))).not.toContain("canary");
    // The session and two rows of versions are left.
    const kept = 3 * 256 + "Work".length;
    expect(usage()).toEqual([
      { kind: "caller", bytes: kept },
      { kind: "space", bytes: kept },
    ]);
  });

  test("are purged by an operator alone, whoever wrote them", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create("A secret purpose");
    const message = await one.post(session, "A secret", {
      kind: "secret",
      to: ["bob@example.com"],
      visibility: "private",
    });
    await expect(one.call("message_purge", { session, messages: [message] })).rejects.toEqual(code("forbidden"));
    const operator = new Someone(core, user("olga", { role: "operator", spaces: ["*"] }));
    const purge = { session, messages: [message] };
    expect(await operator.call("message_purge", purge)).toMatchObject({ purged: 1, erasure: "pending" });
    expect(await operator.call("message_purge", purge)).toMatchObject({ purged: 0 });
    expect(await one.list(session)).toMatchObject([{ text: "", kind: "", removed: "purged", to: ["bob@example.com"] }]);
    await operator.call("session_purge", { session });
    expect(await one.call("session_get", { session })).toMatchObject({ purpose: "", message_count: 1 });
  });

  test("that are purged are in no file of the store, and their change verifies", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create("canary-purpose");
    const message = await one.post(session, "canary-text @canary-name", { metadata: { a: "canary-meta" } });
    await one.call("message_edit", { session, message, text: "canary-edit" });
    const operator = new Someone(core, user("olga", { role: "operator", spaces: ["*"] }));
    await operator.call("message_purge", { session, messages: [message] });
    await operator.call("session_purge", { session });
    expect(await core.store.erase()).toBe(true);
    const folder = join(core.folder, "store");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const bytes = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    expect(bytes.length).toBeGreaterThan(0);
    expect(Buffer.concat(bytes).includes("canary")).toBe(false);
    expect(await new Someone(core).call("audit_verify")).toMatchObject({ ok: true });
  });

  test("are refused beyond their bounds, with the bound and a way out", async () => {
    await using core = startSessions({ maxDocumentBytes: 1000 });
    const one = new Someone(core, ann);
    const session = await one.create();
    const refused = async (input: Record<string, unknown>, expected: string) => {
      await expect(one.call("message_post", { session, text: "x", ...input })).rejects.toMatchObject({
        code: expected,
        hint: expect.any(String),
      });
    };
    await refused({ text: "ü".repeat(501) }, "too_large");
    await refused({ text: "" }, "invalid_input");
    await refused({ text: "\ud800" }, "invalid_input");
    await refused({ metadata: { a: "x".repeat(4090) } }, "too_large");
    await refused({ visibility: "everyone" }, "invalid_input");
    await refused({ kind: "Very Odd" }, "invalid_input");
    await refused({ to: ["a b"] }, "invalid_input");
    await refused({ to: ["a\nb"] }, "invalid_input");
    await refused({ to: Array.from({ length: 65 }, (_, n) => `a${n}`) }, "invalid_input");
    await refused({ parent: "7" }, "invalid_input");
    await refused({ session: "team-a/../session_0123456789abcdef" }, "invalid_input");
    await refused({ session: "default/session_0123456789abcdef" }, "invalid_input");
    await refused({ session: "session_0123456789abcdef" }, "not_found");
    await refused({ visibility: "agent_only" }, "invalid_input");
    await refused({ visibility: "private", ack: true }, "invalid_input");
    await expect(one.call("session_create", { purpose: "x".repeat(1001) })).rejects.toEqual(code("invalid_input"));
    expect(await one.list(session)).toEqual([]);
  });

  test("count against the quotas of caller and space", async () => {
    await using core = startSessions({ limits: { quota: { callerBytes: 2000, spaceBytes: 0 } } });
    const one = new Someone(core, ann);
    const session = await one.create();
    const message = await one.post(session, "x".repeat(1000));
    await expect(one.post(session, "x".repeat(1000))).rejects.toMatchObject({
      code: "quota_exceeded",
      details: { limit: 2000 },
    });
    await new Someone(core, bob).post(session, "x".repeat(1000));
    await one.call("message_retract", { session, message });
    await one.post(session, "x".repeat(900));
  });

  test("of the participant beyond the last are refused, and nothing is kept of them", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const session = await one.create();
    core.store.transaction((tx) => {
      const sql =
        "INSERT INTO session_members (session, caller, agent, joined, public_count, public_at, hidden_count) VALUES (?,?,'',1,0,0,0)";
      for (let n = 1; n < 10_000; n += 1) tx.run(sql, session, `user:${n}`);
    });
    const refused = { code: "quota_exceeded", details: { limit: 10_000 }, hint: expect.any(String) };
    const two = new Someone(core, bob);
    await expect(two.post(session, "One too many")).rejects.toMatchObject(refused);
    await expect(two.call("session_join", { session })).rejects.toMatchObject(refused);
    await one.post(session, "Still here");
    expect(await one.texts(session)).toEqual(["Still here"]);
    const { participants, cursor } = await one.call("session_participants", { session, limit: 500 });
    expect([(participants as unknown[]).length, typeof cursor]).toEqual([500, "string"]);
  });

  test("keep hostile text as it is", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const hostile = "<script>alert(1)</script>\u0000\u001b[2J\u202e=cmd|' /C calc'!A0 #{x} \\u0041 😀";
    const session = await one.create(hostile.replace("\u0000", ""));
    const message = await one.post(session, hostile, { metadata: { ["__proto__"]: hostile, constructor: hostile } });
    const got = await one.call("message_get", { session, message });
    expect(got["text"]).toBe(hostile);
    const { lines } = await one.call("session_export", { session });
    const [about = "", exported = ""] = lines as string[];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be in a line
    expect(about + exported).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(JSON.parse(exported)).toMatchObject({
      type: "message",
      text: hostile,
      versions: [{ version: 1, text: hostile }],
    });
    expect(Object.keys(got["metadata"] as object)).toEqual(["__proto__", "constructor"]);
  });
});

describe("acknowledgements and the inbox", () => {
  test("an inbox has what names an agent, its caller or its tag, and what waits for it", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const agent = await new Someone(core, bob).as("Builder");
    const session = await one.create();
    await one.post(session, "Mail to x@builder.example is no mention");
    const mention = await one.post(session, "@builder, look. (@BUILDER)");
    const addressed = await one.post(session, "For the caller", { to: ["@bob@example.com"] });
    expect((await agent.inbox()).map(({ message, why }) => [message, why])).toEqual([
      [mention, ["mentioned"]],
      [addressed, ["addressed"]],
    ]);
    expect((await new Someone(core, bob).inbox()).map(({ message }) => message)).toEqual([addressed]);
    expect(await one.inbox()).toEqual([]);
    const { position } = (await agent.call("inbox")) as { position: string };
    const wanted = await one.post(session, "Take over?", { to: ["builder"], ack: true });
    expect(await agent.inbox({ since: position })).toMatchObject([
      { message: wanted, why: ["addressed", "ack_wanted"] },
    ]);
    expect(await agent.inbox({ unacknowledged: true })).toMatchObject([{ message: wanted, acked: false, acks: 0 }]);
    const ack = { session, messages: [wanted] };
    expect(await agent.call("message_ack", ack)).toMatchObject({ acknowledged: [wanted] });
    expect(await agent.call("message_ack", ack)).toMatchObject({ acknowledged: [] });
    expect(await agent.inbox({ unacknowledged: true })).toEqual([]);
    expect(await one.call("message_get", { session, message: wanted })).toMatchObject({
      ...{ acks: 1, acked: false },
      acked_by: [{ author: "user:bob@example.com", agent: "Builder" }],
    });
  });

  test("an acknowledgement of all is wanted of each participant", async () => {
    await using core = startSessions();
    const [one, two, third] = [new Someone(core, ann), new Someone(core, bob), new Someone(core, user("carl"))];
    const session = await one.create();
    await two.call("session_join", { session });
    const message = await one.post(session, "Freeze at noon", { ack: true });
    expect(await two.inbox()).toMatchObject([{ message, why: ["ack_wanted"] }]);
    expect(await third.inbox()).toEqual([]);
    await two.call("message_ack", { session, messages: [message] });
    expect(await two.inbox({ unacknowledged: true })).toEqual([]);
  });

  test("an edit that names somebody new puts the message into that inbox, by its position", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const session = await one.create();
    const message = await one.post(session, "Hello");
    const { position } = (await two.call("inbox")) as { position: string };
    await one.call("message_edit", { session, message, text: "Hello @bob@example.com" });
    expect(await two.inbox({ since: position })).toMatchObject([{ message }]);
    await one.call("message_edit", { session, message, text: "Hello all" });
    expect(await two.inbox()).toEqual([]);
  });

  test("pages of an inbox follow each other", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const session = await one.create();
    const start = core.invoker.position();
    for (let n = 0; n < 5; n += 1) await one.post(session, `${n} @bob@example.com`);
    const texts: string[] = [];
    let since = start;
    for (let more = true; more; ) {
      const page = await two.call("inbox", { since, limit: 2 });
      texts.push(...(page["messages"] as { text: string }[]).map(({ text }) => text.slice(0, 1)));
      more = page["more"] === true;
      since = String(page["position"]);
    }
    expect(texts).toEqual(["0", "1", "2", "3", "4"]);
    const newest = await two.call("inbox", { limit: 2 });
    expect(textsOf(newest)).toEqual(["3 @bob@example.com", "4 @bob@example.com"]);
    expect(newest["more"]).toBe(true);
  });
});

describe("message_wait", () => {
  test("a session is looked for in a state that has the position the caller names", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const unknown = "session_00000000000000ff";
    const here = String((await one.call("message_wait", { timeout_seconds: 0 }))["position"]);
    const [epoch, seq] = [here.slice(0, here.lastIndexOf("-")), Number(here.slice(here.lastIndexOf("-") + 1))];
    const ahead = { session: unknown, since: `${epoch}-${seq + 1}` };
    const wait = (more: object) => one.call("message_wait", { timeout_seconds: 0, ...more });
    await expect(wait({ session: unknown, since: here })).rejects.toEqual(code("not_found"));
    await expect(wait(ahead)).rejects.toEqual(code("unavailable"));
    await expect(wait({ ...ahead, min_position: here })).rejects.toEqual(code("unavailable"));
    await expect(wait({ since: "12" })).rejects.toEqual(code("invalid_input"));
    await expect(one.call("message_list", { session: unknown, after: ahead.since })).rejects.toEqual(
      code("unavailable"),
    );
    const signal = AbortSignal.timeout(10_000);
    const follow = (input: object) => core.invoker.follow({ operation: "message_wait", caller: ann, signal, input });
    await expect(follow({ session: unknown, since: here })).rejects.toEqual(code("not_found"));
    await expect(follow(ahead)).rejects.toEqual(code("invalid_input"));
  });

  test("returns what others did after a position, at once or when it comes", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const session = await one.create();
    const since = core.invoker.position();
    const message = await one.post(session, "First");
    await two.post(session, "Mine");
    await one.call("message_edit", { session, message, text: "Second" });
    const found = await two.call("message_wait", { session, since, timeout_seconds: 0 });
    expect(found).toMatchObject({
      events: [
        { event: "posted", message, text: "Second", by: "user:ann@example.com" },
        { event: "edited", message, version: 2 },
      ],
      timed_out: false,
    });
    expect(await two.call("message_wait", { since: found["position"], timeout_seconds: 0 })).toMatchObject({
      ...{ events: [], timed_out: true },
    });
    const waiting = two.call("message_wait", { since: found["position"], timeout_seconds: 20 });
    await one.call("message_retract", { session, message });
    expect(await waiting).toMatchObject({ events: [{ event: "retracted", message, text: "" }] });
    const own = await two.call("message_wait", { session, since, timeout_seconds: 0, own: true, limit: 2 });
    expect((own["events"] as { event: string }[]).length).toBe(2);
    const rest = await two.call("message_wait", { session, since: own["position"], timeout_seconds: 0, own: true });
    expect((rest["events"] as { event: string }[]).map(({ event }) => event)).toEqual(["edited", "retracted"]);
  });

  test("reads on below the floor of the change feed", async () => {
    await using core = startSessions();
    const [one, two] = [new Someone(core, ann), new Someone(core, bob)];
    const session = await one.create();
    const since = core.invoker.position();
    await one.post(session, "Old");
    for (let n = 0; n < 20; n += 1) await one.post(session, `${n}`);
    const floor = core.log.position().seq - 2;
    await core.log.propose({ name: "changes_compact", v: 1, input: { floor }, caller: "local", via: "", key: "" });
    expect(core.store.reader.get<{ floor: number }>("SELECT floor FROM head")?.floor).toBeGreaterThan(10);
    const found = await two.call("message_wait", { session, since, timeout_seconds: 0 });
    expect((found["events"] as unknown[]).length).toBe(21);
  });
});
