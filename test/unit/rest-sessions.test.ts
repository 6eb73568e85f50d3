// Sessions over HTTP, under both of their names, and as resources of MCP: the same operations, rights and visibility.

import { describe, expect, test } from "bun:test";
import { type Core, callerWith, granted } from "../kit/core.ts";
import { EventReader } from "../kit/event-reader.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const member = granted({ role: "member", spaces: ["*"] });
const json = { "content-type": "application/json" };

async function ask(core: Core, method: string, path: string, body?: unknown, caller = member) {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: json };
  const response = await core.http(path, init, caller);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe.each(["/sessions", "/conversations"])("%s", (base) => {
  test("is begun, written in, read and listed", async () => {
    await using core = startSessions();
    const made = await ask(core, "POST", base, { purpose: "Release", space: "team-a", metadata: { build: 7 } });
    expect([made.status, made.body["space"]]).toEqual([201, "team-a"]);
    const id = String(made.body["session"]);
    for (const path of [`${base}/${id}`, `${base}/${encodeURIComponent(id)}`]) {
      const posted = await ask(core, "POST", `${path}/messages`, { text: "Hello", kind: "plan" });
      expect(posted.status).toBe(201);
      const reply = { text: "Yes", parent: posted.body["message"] };
      expect((await ask(core, "POST", `${path}/messages`, reply)).status).toBe(201);
      const thread = await ask(core, "GET", `${path}/messages?thread=${posted.body["message"]}`);
      expect((thread.body["messages"] as unknown[]).length).toBe(2);
    }
    expect((await ask(core, "GET", `${base}/${id}?limit=1`)).body).toMatchObject({
      ...{ purpose: "Release", message_count: 4, metadata: { build: 7 } },
      messages: [{ text: "Yes" }],
    });
    expect((await ask(core, "GET", `${base}?space=team-a`)).body).toMatchObject({ sessions: [{ session: id }] });
    expect((await ask(core, "GET", `${base}/session_0123456789abcdef`)).status).toBe(404);
    expect((await ask(core, "POST", base, { purpose: 7 })).status).toBe(400);
    const stranger = callerWith({ login: "eve@example.com", grants: [{ role: "reader", spaces: ["team-b"] }] });
    expect((await ask(core, "GET", `${base}/${id}`, undefined, stranger)).status).toBe(403);
  });
});

test("a message is edited and retracted, a session closed and reopened, by routes of their own", async () => {
  await using core = startSessions();
  const id = String((await ask(core, "POST", "/sessions", { purpose: "Work" })).body["session"]);
  const { body } = await ask(core, "POST", `/sessions/${id}/messages`, { text: "Frist", ack: true });
  const message = `/sessions/${id}/messages/${body["message"]}`;
  expect((await ask(core, "PUT", message, { text: "First", if_version: 1 })).body).toMatchObject({ version: 2 });
  expect((await ask(core, "PUT", message, { text: "First", if_version: 1 })).status).toBe(412);
  expect((await ask(core, "GET", `${message}?version=1`)).body).toMatchObject({ text: "Frist" });
  expect((await ask(core, "POST", `/sessions/${id}/join`)).body).toMatchObject({ joined: false });
  await ask(core, "POST", `/sessions/${id}/close`);
  const refused = await ask(core, "POST", `/sessions/${id}/messages`, { text: "Late" });
  expect([refused.status, refused.body["code"]]).toEqual([409, "session_closed"]);
  await ask(core, "POST", `/sessions/${id}/reopen`);
  expect((await ask(core, "DELETE", message)).body).toMatchObject({ retracted: true });
  expect((await ask(core, "PUT", message, { text: "Again" })).status).toBe(410);
  expect((await ask(core, "GET", `/sessions/${id}/participants`)).body["participants"]).toHaveLength(1);
  expect((await ask(core, "GET", "/inbox")).body["messages"]).toEqual([]);
});

test("a stream of a session has what the caller may read, resumes, and ends where the right does", async () => {
  await using core = startSessions();
  const one = new Someone(core, user("ann"));
  const session = await one.create();
  const since = core.invoker.position();
  await one.post(session, "For all");
  await one.post(session, "For carl", { visibility: "private", to: ["carl@example.com"] });
  const open = async (who: ReturnType<typeof user>, headers = {}) =>
    new EventReader(await core.http(`/sessions/${session}/stream?since=${since}`, { headers }, who));
  await using toBob = await open(user("bob"));
  await using toCarl = await open(user("carl"));
  expect(await toBob.change()).toMatchObject({ event: "posted", text: "For all" });
  expect(await toCarl.change()).toMatchObject({ text: "For all" });
  const secret = await toCarl.change();
  expect(secret).toMatchObject({ text: "For carl" });
  await one.post(session, "Again for all");
  expect(await toBob.change()).toMatchObject({ text: "Again for all" });
  await using resumed = await open(user("carl"), { "last-event-id": String(secret["at"]) });
  expect(await resumed.change()).toMatchObject({ text: "Again for all" });
  const outside = user("eve", { role: "reader", spaces: ["team-b"] });
  expect((await core.http(`/sessions/${session}/stream`, {}, outside)).status).toBe(403);
  expect((await core.http("/sessions/session_0123456789abcdef/stream", {}, user("bob"))).status).toBe(404);
  const polled = await ask(core, "GET", `/messages?feed=longpoll&since=${since}&timeout=0`, undefined, user("bob"));
  expect((polled.body["events"] as { text: string }[]).map(({ text }) => text)).toEqual(["For all", "Again for all"]);
});
