// session_start and session_end: the calls that each is made of, and what they cannot do.

import { describe, expect, test } from "bun:test";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });
const textsOf = (page: Record<string, unknown>) => (page["messages"] as { text: string }[]).map(({ text }) => text);
const ann = user("ann");
const bob = user("bob");

describe("the macros", () => {
  test("session_start registers, joins or begins, leases, and briefs; session_end keeps a summary and gives back", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const started = await one.call("session_start", {
      purpose: "Ship",
      space: "team-a",
      name: "Lead",
      lease: "team-a/x",
    });
    const session = String(started["session"]);
    expect([started["acting_as"], started["purpose"], started["inbox"]]).toEqual(["Lead", "Ship", []]);
    expect(started["lease"]).toMatchObject({ name: "team-a/x", granted: true });
    expect(started["participants"]).toMatchObject([{ author: "user:ann@example.com", agent: "Lead" }]);
    const lead = new Someone(core, ann, String(started["handle"]));
    await lead.post(session, "@helper welcome");
    const joined = await new Someone(core, bob).call("session_start", {
      ...{ purpose: "Ship", space: "team-a", name: "helper", lease: "team-a/x" },
    });
    expect(joined["session"]).toBe(session);
    expect(textsOf(joined)).toEqual(["@helper welcome"]);
    expect((joined["inbox"] as { text: string }[]).map(({ text }) => text)).toEqual(["@helper welcome"]);
    expect(joined["lease"]).toMatchObject({ granted: false });
    expect(String((joined["lease"] as { refused: string }).refused)).toContain("Lead");
    await lead.post(session, "Later");
    const again = await new Someone(core, bob).call("session_start", {
      session,
      name: "helper",
      since: joined["position"],
    });
    expect(textsOf(again)).toEqual(["Later"]);
    const helper = new Someone(core, bob, String(again["handle"]));
    await expect(new Someone(core, bob, String(joined["handle"])).call("inbox")).rejects.toEqual(code("agent_unknown"));
    expect(await helper.call("agent_list")).toMatchObject({ agents: [{ name: "helper" }, { name: "Lead" }] });
    const { fence } = started["lease"] as { fence: string };
    const ended = await lead.call("session_end", { session, summary: "All done", fences: [fence], close: true });
    const summary = `team-a/sessions/${session.slice("team-a/".length)}/summary`;
    expect([ended["summary"], ended["released"], ended["closed"]]).toEqual([summary, ["team-a/x"], true]);
    expect(await helper.call("context_get", { id: summary })).toMatchObject({ content: "All done" });
    expect((await helper.list(session)).at(-1)).toMatchObject({ text: "All done", kind: "summary", agent: "Lead" });
  });

  test("session_end gives back leases and keeps the summary for all, whatever private contexts others have put", async () => {
    await using core = startSessions();
    const lead = new Someone(core, ann);
    const planter = new Someone(core, bob);
    for (const to of [[], ["ann@example.com"]]) {
      const { session } = await lead.call("session_create", { purpose: "Ship", space: "team-a" });
      const { fence } = await lead.call("lease_acquire", { name: "team-a/x" });
      const planted = `team-a/sessions/${String(session).slice("team-a/".length)}/summary`;
      await planter.call("context_put", { id: planted, content: "mine", visibility: "private", to });
      const ended = await lead.call("session_end", { session, summary: "All done", fences: [fence] });
      expect(ended["released"]).toEqual(["team-a/x"]);
      expect(ended["summary"]).not.toBe(planted);
      const reader = new Someone(core, user("rob", { role: "reader", spaces: ["team-a"] }));
      expect(await reader.call("context_get", { id: ended["summary"] })).toMatchObject({ content: "All done" });
      expect(await planter.call("context_get", { id: planted })).toMatchObject({ content: "mine" });
    }
  });

  test("a macro gives no right, is the same write under its key, and says which step failed", async () => {
    await using core = startSessions();
    const reader = new Someone(core, user("rob", { role: "reader", spaces: ["*"] }));
    await expect(reader.call("session_start", { purpose: "x" })).rejects.toEqual(code("forbidden"));
    // The right to the macro alone is no right to its steps.
    const narrow = new Someone(core, user("nia", { role: "member", spaces: ["*"], tools: ["session_start"] }));
    await expect(narrow.call("session_start", { purpose: "x" })).rejects.toEqual(code("forbidden"));
    const one = new Someone(core, ann);
    await expect(one.call("session_start", {})).rejects.toMatchObject({
      code: "invalid_input",
      hint: expect.any(String),
    });
    const start = { purpose: "Once", idempotency_key: "k" };
    const first = await one.call("session_start", start);
    expect((await one.call("session_start", start))["session"]).toBe(String(first["session"]));
    const end = { session: first["session"], summary: "Once", idempotency_key: "e" };
    await one.call("session_end", end);
    await one.call("session_end", end);
    expect(await one.texts(String(first["session"]))).toEqual(["Once"]);
  });
});
