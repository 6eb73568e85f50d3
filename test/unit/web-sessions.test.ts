// The pages of sessions as strings: what they show of what others wrote, and whose forms they take.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { FEATURES } from "../../src/features/index.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Scheme } from "../../src/web/index.ts";
import { granted, localAdmin } from "../kit/core.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { webOver } from "../kit/web.ts";

function start() {
  const core = startSessions();
  const unexpected: unknown[] = [];
  const web = webOver(core, { onUnexpected: (error) => `w${unexpected.push(error)}` });
  const ask = async (path: string, init: RequestInit = {}, caller: Caller = localAdmin, scheme: Scheme = "http") => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, scheme);
    if (response === undefined) throw new Error(`${path} is no page`);
    return response;
  };
  const post = (
    path: string,
    fields: Record<string, string>,
    headers: Record<string, string> = SAME,
    caller?: Caller,
  ) => ask(path, { method: "POST", body: new URLSearchParams(fields), headers }, caller);
  const page = async (path: string, caller?: Caller) => (await ask(path, {}, caller)).text();
  return { core, ask, post, page, unexpected, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

const SAME = { origin: "http://cairn" };
const HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202eevil & \"quoted\" 'x'";

/** What a page says, without marks, and the names of operations in it. */
async function said(response: Response) {
  const text = (await response.text()).replaceAll(/<script>.*?<\/script>|<style>.*?<\/style>|<[^>]*>/gs, " ");
  const words = text.match(/[a-z]+(?:_[a-z]+)+/g) ?? [];
  return {
    status: response.status,
    text: text.replaceAll(/\s+/g, " "),
    named: words.filter((word) => NAMES.has(word)),
  };
}

const NAMES = new Set(operationsOf(FEATURES).map(({ name }) => name));

describe("what fails on a page", () => {
  test("is said with the buttons and pages that there are, never with names of operations", async () => {
    await using web = start();
    const one = new Someone(web.core);
    const session = await one.create("Work", "team-a");
    await one.call("session_close", { session });
    const closed = await said(await web.post(`/ui/sessions/${session}?form=post`, { text: "late" }));
    expect(closed).toMatchObject({ status: 409, named: [] });
    expect(closed.text).toContain("Open it again with “Open again”, or begin another with “Begin”.");
    for (const path of [
      "/ui/contexts/team-a/none",
      "/ui/contexts?cursor=x",
      "/ui/sessions/team-a/session_none",
      "/ui/sessions?state=none",
      `/ui/sessions/${session}/${session}`,
      "/ui/search?q=",
      "/ui/audit?cursor=x",
      "/ui/leases?cursor=x",
    ])
      expect([path, (await said(await web.ask(path))).named]).toEqual([path, []]);
    const json = await web.ask("/ui/sessions?state=none&format=json");
    expect(await json.text()).toContain("session_list");
  });
});

describe("the pages of sessions", () => {
  test("show threads, participants and states, and everything that others wrote as text alone", async () => {
    await using web = start();
    const one = new Someone(web.core, user("ann"));
    const session = await one.create(HOSTILE, "team-a");
    const first = await one.post(session, `${HOSTILE}\nsecond line`, {
      kind: "plan",
      to: ["bob@example.com"],
      ack: true,
    });
    await one.post(session, "the reply", { parent: first });
    const path = `/ui/sessions/${session}`;
    for (const text of [
      await web.page("/ui/sessions"),
      await web.page(path),
      await web.page("/ui/inbox", user("bob")),
    ]) {
      expect(text).toContain("&lt;script&gt;alert(1)");
      expect(text).not.toMatch(/<script>alert|<img|\u202e/);
      expect(text.match(/<script/g)).toHaveLength(1);
    }
    const text = await web.page(path);
    expect(text.indexOf(`id="${first}"`)).toBeLessThan(text.indexOf("the reply"));
    expect(text).toMatch(/<ol class="thread">.*<ol class="thread">.*the reply/s);
    expect(await web.page(`${path}?reply=${first}`)).toContain(`name="parent" value="${first}"`);
    expect(await web.page("/ui/sessions?space=other")).toContain("no such session");
    expect(web.unexpected).toEqual([]);
  });

  test("show nothing of a message that the caller may not read, and no session of a hidden space", async () => {
    await using web = start();
    const one = new Someone(web.core, user("ann"));
    const session = await one.create("Open", "team-a");
    const secret = await one.post(session, "canary", { visibility: "private", to: ["bob@example.com"] });
    await one.post(session, "a public reply", { parent: secret });
    const path = `/ui/sessions/${session}`;
    const toCarl = await web.page(path, user("carl"));
    expect(toCarl).toContain("a public reply");
    expect(toCarl).not.toContain("canary");
    expect(toCarl).not.toContain(secret);
    expect(toCarl).toContain("1 message");
    expect(await web.page(path, user("bob"))).toContain("canary");
    const outside = granted({ role: "member", spaces: ["team-b"] });
    expect((await web.ask(path, {}, outside)).status).toBe(403);
    expect(await web.page("/ui/sessions", outside)).not.toContain("Open");
  });
});

describe("a form", () => {
  test("begins a session, writes in it, acknowledges, closes; each once, whoever sends it twice", async () => {
    await using web = start();
    const made = await web.post("/ui/sessions?form=create", { purpose: "By hand", space: "team-a", key: "k1" });
    expect([made.status, await made.text()]).toEqual([303, ""]);
    const path = made.headers.get("location") ?? "";
    expect(path).toMatch(/^\/ui\/sessions\/team-a\/session_[0-9a-f]{16}$/);
    const fields = {
      text: "Hello\r\nthere",
      kind: "question",
      to: "ann@example.com, builder",
      visibility: "",
      key: "k2",
    };
    const posted = await web.post(`${path}?form=post`, { ...fields, ack: "yes" });
    const again = await web.post(`${path}?form=post`, { ...fields, ack: "yes" });
    expect([posted.status, posted.headers.get("location")]).toEqual([303, again.headers.get("location")]);
    const session = path.slice("/ui/sessions/".length);
    const one = new Someone(web.core, user("ann"));
    const [message] = await one.list(session);
    expect(await one.list(session)).toMatchObject([
      { text: "Hello\nthere", kind: "question", to: ["ann@example.com", "builder"], ack_wanted: true, author: "local" },
    ]);
    const acked = await web.post(`${path}?form=ack`, { message: String(message?.message) }, SAME, user("ann"));
    expect(acked.status).toBe(303);
    expect(await one.list(session)).toMatchObject([{ acked: true }]);
    const open = await web.page(path);
    expect(open).toMatch(/acknowledged by <bdi>ann@example.com<\/bdi>/);
    expect(open).toContain(`href="/ui/messages/${session}/${message?.message}"`);
    // Texts are shown as they were written.
    expect(open).toContain("Write a message");
    expect(open).not.toContain("Markdown");
    await web.post(`${path}?form=close`, {});
    const closed = await web.page(path);
    expect(closed).toContain("Open again");
    expect(closed).not.toMatch(/Write a message|form=post|Reply<|reply=/);
    expect(await web.page(`${path}?reply=${message?.message}`)).not.toContain("Write a reply");
    const reader = granted({ role: "reader", spaces: ["team-a"] });
    expect(await web.page(path, reader)).not.toContain("Open again");
    const late = await web.post(`${path}?form=post`, { text: "Late" });
    expect([late.status, await late.text()]).toEqual([409, expect.stringContaining("“Open again”")]);
  });

  test("is taken from a page of this node alone, and of callers with the right", async () => {
    await using web = start();
    const session = await new Someone(web.core, localAdmin).create("Work", "team-a");
    const path = `/ui/sessions/${session}?form=post`;
    const statusOf = async (headers: Record<string, string>, caller?: Caller) =>
      (await web.post(path, { text: "x" }, headers, caller)).status;
    expect(await statusOf({})).toBe(403);
    expect(await statusOf({ origin: "null" })).toBe(403);
    expect(await statusOf({ origin: "http://evil.example" })).toBe(403);
    expect(await statusOf({ origin: "http://cairn:81" })).toBe(403);
    expect(await statusOf({ origin: "https://cairn" })).toBe(403);
    expect(await statusOf({ ...SAME, "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await statusOf({ ...SAME, "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await statusOf(SAME, granted({ role: "reader", spaces: ["*"] }))).toBe(403);
    expect(await statusOf(SAME, granted({ role: "member", spaces: ["team-b"] }))).toBe(403);
    const json = { ...SAME, "content-type": "application/json" };
    expect((await web.ask(path, { method: "POST", body: '{"text":"x"}', headers: json })).status).toBe(415);
    expect((await web.post(path, { text: "x", session: "session_0123456789abcdef" })).status).toBe(400);
    expect((await web.post(path, { text: "x".repeat(300_000) })).status).toBe(413);
    const broken = { ...SAME, "content-type": "application/x-www-form-urlencoded" };
    expect((await web.ask(path, { method: "POST", body: "text=%ff", headers: broken })).status).toBe(400);
    for (const other of ["/", "/ui/sessions", "/ui/sessions?form=none", "/ui/inbox?form=post", "/ui/nothing?form=post"])
      expect([other, (await web.post(other, {})).status]).toEqual([other, 405]);
    expect(await new Someone(web.core, localAdmin).list(session)).toEqual([]);
    const secure = { method: "POST", body: new URLSearchParams({ text: "x" }), headers: { origin: "https://cairn" } };
    expect((await web.ask(path, secure, localAdmin, "https")).status).toBe(303);
    expect(web.unexpected).toEqual([]);
  });
});
