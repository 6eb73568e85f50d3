// Threads: what may be replied to, and how deep a thread gets, for authors who do not read the same messages.

import { describe, expect, test } from "bun:test";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });
const ann = user("ann");
const bob = user("bob");

describe("messages", () => {
  test("reply only to earlier messages of the same session, and not too deep", async () => {
    await using core = startSessions();
    const one = new Someone(core, ann);
    const [session, other] = [await one.create(), await one.create("Other")];
    const elsewhere = await one.post(other, "elsewhere");
    await expect(one.post(session, "x", { parent: elsewhere })).rejects.toEqual(code("not_found"));
    await expect(one.post(session, "x", { parent: "m_000000000000" })).rejects.toEqual(code("not_found"));
    let parent = await one.post(session, "0");
    for (let depth = 1; depth <= 64; depth += 1) parent = await one.post(session, `${depth}`, { parent });
    await expect(one.post(session, "65", { parent })).rejects.toMatchObject({
      code: "too_large",
      hint: expect.any(String),
    });
    expect((await one.list(session)).at(-1)).toMatchObject({ text: "64", depth: 64 });
  });

  test("count as above a reply only as far as its author may read them, and 64 of them for who reads all", async () => {
    await using core = startSessions();
    const [one, two, all] = [new Someone(core, ann), new Someone(core, bob), new Someone(core, user("eve"))];
    const session = await one.create();
    const line = async (by: Someone, from: string | undefined, count: number, to: string[]) => {
      let parent = from;
      const hidden = { visibility: "private", to: [...to, "eve@example.com"] };
      for (let at = 0; at < count; at += 1)
        parent = await by.post(session, `${at}`, { ...hidden, ...(parent === undefined ? {} : { parent }) });
      return String(parent);
    };
    const before = await line(one, await line(one, undefined, 64, []), 1, ["bob@example.com"]);
    // 64 are above it; bob reads none of them.
    const reply = await two.post(session, "reply", { parent: before });
    await expect(one.post(session, "x", { parent: reply })).rejects.toMatchObject({ code: "too_large" });
    expect((await two.list(session)).at(-1)).toMatchObject({ text: "reply", parent: before, thread: before, depth: 1 });
    const deepest = await line(two, reply, 62, []);
    const last = await two.post(session, "64 above", { parent: deepest });
    await expect(two.post(session, "65 above", { parent: last })).rejects.toMatchObject({
      message: `${last} has 64 messages above it, which is as deep as a thread may be`,
    });
    await expect(all.post(session, "x", { parent: last })).rejects.toMatchObject({ code: "too_large" });
    const shown = await all.list(session, { limit: 200 });
    expect(shown).toHaveLength(129);
    for (const [index, { depth = 0, thread }] of shown.entries()) {
      expect(depth).toBe(Math.min(index, 64));
      expect(thread).toBe(index === 0 ? undefined : shown[Math.max(0, index - 64)]?.message);
    }
    const thread = await all.list(session, { thread: shown[20]?.message, limit: 200 });
    expect(thread.map(({ message }) => message)).toEqual(shown.slice(20, 85).map(({ message }) => message));
  });
});
