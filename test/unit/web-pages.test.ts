// What the pages of memory, leases, agents, messages and the audit show, and to whom, as strings.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { Someone, user } from "../kit/sessions.ts";
import { webOver } from "../kit/web.ts";

function start() {
  const core = startCore({ features: [agentFeature, contextFeature, leaseFeature, sessionFeature, memoryFeature] });
  const web = webOver(core);
  const ask = async (path: string, caller: Caller = localAdmin, init: RequestInit = {}) => {
    const response = await web.fetch(new Request(`http://cairn${path}`, init), caller, "http");
    return {
      status: response?.status,
      location: response?.headers.get("location"),
      text: (await response?.text()) ?? "",
    };
  };
  /** The words of a page, or of one of its parts. */
  const words = async (path: string, caller?: Caller, part?: string) => {
    const { text } = await ask(path, caller);
    const from = part === undefined ? text.slice(text.indexOf("<main")) : text.slice(text.indexOf(`id="${part}"`));
    return from
      .replaceAll(/<script>.*?<\/script>/gs, "")
      .replaceAll(/<[^>]*>/g, " ")
      .replaceAll(/\s+/g, " ");
  };
  return { core, ask, words, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

const operator = user("olga", { role: "operator", spaces: ["*"] });
const reader = user("rita", { role: "reader", spaces: ["team-a"] });

test("a context names the agent that wrote it beside its caller, in the list and on its page", async () => {
  await using web = start();
  const ann = await new Someone(web.core, user("ann")).as("builder");
  await ann.call("context_put", { id: "team-a/plan", content: "x" });
  for (const path of ["/", "/ui/contexts", "/ui/contexts/team-a/plan"])
    expect(await web.words(path, reader)).toMatch(/builder of ann@example\.com/);
});

describe("leases", () => {
  test("are listed with holder, purpose and line, and an operator may take one away", async () => {
    await using web = start();
    const ann = await new Someone(web.core, user("ann")).as("builder");
    const bob = new Someone(web.core, user("bob"));
    await ann.call("lease_acquire", { name: "team-a/main.ts", for: "rename the parser" });
    await bob.call("lease_acquire", { name: "team-a/main.ts", for: "fix a typo", wait_seconds: 300 });
    await ann.call("lease_acquire", { name: "hidden/planted" });
    const shown = await web.words("/ui/leases", reader);
    for (const text of [
      "team-a/main.ts",
      "builder",
      "ann@example.com",
      "rename the parser",
      "1 in line",
      "bob@example.com",
      "fix a typo",
    ])
      expect(shown).toContain(text);
    expect(shown).not.toMatch(/planted|Take it away/);
    expect(await web.words("/ui/leases?own=yes", user("bob"))).toContain("No such lease is held.");
    expect((await web.ask("/ui/leases", operator)).text.match(/Take it away/g)).toHaveLength(2);

    const changes = 'href="/ui/audit?prefix=team-a%2Fmain.ts"';
    expect((await web.ask("/ui/leases", operator)).text).toContain(changes);
    expect((await web.ask("/ui/leases", reader)).text).not.toContain(changes);

    const post = (caller: Caller, origin = "http://cairn") =>
      web.ask("/ui/leases?form=force", caller, {
        method: "POST",
        body: new URLSearchParams({ name: "team-a/main.ts" }),
        headers: { origin },
      });
    expect((await post(user("bob"))).status).toBe(403);
    expect((await post(operator, "http://evil.example")).status).toBe(403);
    expect(await post(operator)).toMatchObject({ status: 303, location: "/ui/leases" });
    const { leases } = await web.core.call("lease_list", { prefix: "team-a/" });
    expect(leases).toEqual([expect.objectContaining({ held_by: { caller: "user:bob@example.com" } })]);
    expect(JSON.stringify(leases)).not.toContain('"line"');
  });
});

describe("agents", () => {
  test("are listed with what they do and hold, those who say so first", async () => {
    await using web = start();
    const one = await new Someone(web.core, user("ann")).as("builder", "coder");
    const two = await new Someone(web.core, user("bob")).as("reviewer");
    await one.call("lease_acquire", { name: "team-a/main.ts", for: "rename" });
    await two.call("agent_status", { doing: "reading the parser" });
    const working = await web.words("/ui/agents", reader, "working");
    expect(working.indexOf("reviewer of bob@example.com : reading the parser")).toBeGreaterThan(0);
    expect(working.indexOf("reviewer")).toBeLessThan(working.indexOf("builder"));
    expect(working).toContain("holds team-a/main.ts since");
    const roster = await web.words("/ui/agents", reader, "roster");
    expect(roster).toMatch(/builder coder .*reviewer reading the parser/);
    expect(await web.words("/ui/agents?caller=user:bob@example.com", reader, "roster")).not.toContain("builder");
    // A lease of a space that the caller may not read is not on it.
    const other = user("otto", { role: "reader", spaces: ["team-b"] });
    expect(await web.words("/ui/agents", other)).not.toContain("main.ts");
    expect(await web.words("/", reader)).toContain("Who works on what now");
  });
});

describe("memory", () => {
  test("is shown by space, key, time and words, to those who may read it", async () => {
    await using web = start();
    const ann = new Someone(web.core, user("ann"));
    const store = (key: string, more: object) => ann.call("memory_store", { key, space: "team-a", ...more });
    await store("tabs", { value: "Ann prefers tabs", kind: "fact", about: "ann", scope: "shared" });
    await store("release", { value: "released 1.0", kind: "event", scope: "shared" });
    await store("secret", { value: "mine alone", scope: "own" });
    const shown = await web.words("/ui/memory?space=team-a", reader);
    expect(shown).toMatch(/2 memories.*release event shared.*tabs fact shared.*about ann/);
    expect(shown).not.toContain("secret");
    expect(await web.words("/ui/memory?space=team-a", user("ann"))).toContain("secret note own private");
    expect(await web.words("/ui/memory?space=team-a&kind=fact", reader)).toContain("1 memory ");
    expect(await web.words("/ui/memory?space=team-a&order=time", reader)).toMatch(/release event.*tabs fact/);
    expect(await web.words("/ui/memory?space=team-a&q=prefers", reader)).toMatch(
      /1 memory .*tabs fact shared Ann prefers tabs/,
    );
    // The only space of this caller is the one that it sees first.
    expect(await web.words("/ui/memory", reader)).toContain("2 memories");
    expect((await web.ask("/ui/memory?space=team-b", reader)).status).toBe(403);
  });
});

describe("messages", () => {
  test("have a page with their versions and diffs, for those who may read them", async () => {
    await using web = start();
    const ann = new Someone(web.core, user("ann"));
    const session = await ann.create("Work", "team-a");
    const message = await ann.post(session, "line one\nline two");
    await ann.call("message_edit", { session, message, text: "line one\nline 2" });
    const path = `/ui/messages/${session}/${message}`;
    expect((await web.ask(`/ui/sessions/${session}`, reader)).text).toContain(`href="${path}"`);
    expect(await web.words(path, reader, "text")).toContain("line one line 2");
    expect(await web.words(`${path}?version=1`, reader, "text")).toContain("line one line two");
    const { text } = await web.ask(`${path}?from=1&to=2`, reader);
    expect(text).toMatch(/class="gone"><bdi>-line two/);
    expect(text).toMatch(/class="come"><bdi>\+line 2/);
    expect(text).not.toContain("No newline");
    expect(text).toContain('<a href="/ui/sessions" aria-current="page">');
    expect(text).toContain(`${path}?from=1&amp;to=2`);
    expect(await web.core.call("message_diff", { session, message, from: 2 })).toMatchObject({
      from: 2,
      to: 2,
      diff: "",
    });
    expect(await web.words(`${path}?from=7`, reader)).toContain("version 7");

    const secret = await ann.post(session, "canary", { visibility: "private", to: ["bob@example.com"] });
    for (const query of ["", "?version=1", "?from=1"]) {
      const refused = await web.ask(`/ui/messages/${session}/${secret}${query}`, reader);
      const missing = await web.ask(`/ui/messages/${session}/m_000000000000${query}`, reader);
      expect([refused.status, missing.status]).toEqual([404, 404]);
      expect(refused.text.replaceAll(secret, "m_000000000000")).toBe(missing.text);
    }
    await expect(web.core.call("message_diff", { session, message: secret, from: 1 }, reader)).rejects.toMatchObject({
      code: "not_found",
    });
    await ann.call("message_retract", { session, message });
    expect(await web.words(path, reader)).toContain("retracted");
    expect((await web.ask(`${path}?from=1`, reader)).text).not.toContain("line two");
    for (const bad of ["/ui/messages/", "/ui/messages/x", `/ui/messages/${session}/x`])
      expect((await web.ask(bad, reader)).status).toBe(400);
  });

  test("of a session are on its timeline, a lane for each who wrote", async () => {
    await using web = start();
    const ann = new Someone(web.core, user("ann"));
    const session = await ann.create("Work", "team-a");
    const path = `/ui/sessions/${session}`;
    expect(await web.words(path, reader, "timeline")).toContain("It begins with the second message.");
    for (let index = 0; index < 10; index++)
      await new Someone(web.core, user(`writer${index}`)).post(session, "x", {
        kind: index === 0 ? "question" : "text",
      });
    const { text } = await web.ask(path, reader);
    const timeline = text.slice(text.indexOf('id="timeline"'), text.indexOf('id="participants"'));
    expect(timeline.match(/<li>/g)).toHaveLength(8);
    expect(timeline.match(/<circle/g)).toHaveLength(10);
    expect(timeline.match(/<circle[^>]* class="asked"/g)).toHaveLength(1);
    expect(timeline).toContain("3 others");
    expect(timeline).not.toMatch(/NaN|Infinity/);
    const changes = `href="/ui/audit?prefix=${encodeURIComponent(session)}"`;
    const isOffered = async (caller: Caller) => (await web.ask(path, caller)).text.includes(changes);
    expect([await isOffered(operator), await isOffered(reader)]).toEqual([true, false]);
    const hasForms = async (caller: Caller) => (await web.ask(path, caller)).text.includes('<form method="post"');
    expect([await hasForms(user("ann")), await hasForms(reader)]).toEqual([true, false]);
  });
});

describe("the audit", () => {
  test("is filtered and paged, names refused calls, and is for operators", async () => {
    await using web = start();
    const ann = new Someone(web.core, user("ann"));
    for (let index = 0; index < 120; index++) await ann.call("context_put", { id: `team-a/c${index}`, content: "x" });
    const session = await ann.create("Work", "team-a");
    await expect(web.core.call("context_put", { id: "team-b/x", content: "x" }, reader)).rejects.toMatchObject({
      code: "forbidden",
    });
    const first = await web.ask("/ui/audit", operator);
    expect(first.text).toContain(`href="/ui/sessions/${session}"`);
    expect(first.text.match(/<tr>/g)).toHaveLength(101);
    expect(await web.words("/ui/audit", operator, "refusals")).toContain(
      "rita@example.com may not write in team-b context_put , 1 time",
    );
    const older = first.text.match(/href="([^"]*)">Older/)?.[1]?.replaceAll("&amp;", "&") ?? "";
    const second = await web.ask(older, operator);
    expect(second.text.match(/<tr>/g)).toHaveLength(22);
    expect([second.text.includes("Older"), second.text.includes('id="refusals"')]).toEqual([false, false]);
    const only = await web.ask("/ui/audit?operation=session_create", operator);
    expect(only.text.match(/<tr>/g)).toHaveLength(2);
    expect(await web.words("/ui/audit?caller=user:nobody@example.com", operator)).toContain(
      "No change that you may see matches.",
    );
    expect((await web.ask("/ui/audit?since=yesterday", operator)).status).toBe(400);
    expect((await web.ask("/ui/audit", user("ann"))).status).toBe(403);
  });
});
