// Small parts of the MCP endpoint and of prime: pages, the preset in a URL, ids of handoffs, JSON in which nothing
// hides, the bounds of the text.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { spaceOf } from "../../src/access/space.ts";
import { idProblem } from "../../src/features/context/index.ts";
import { handoffId } from "../../src/features/context/prompts/handoff-text.ts";
import { Fault } from "../../src/lib/fault.ts";
import { visibleJson } from "../../src/lib/printable.ts";
import { pageOf } from "../../src/mcp/page.ts";
import { callerByUrl } from "../../src/mcp/preset.ts";
import { callerWith, granted, startCore } from "../kit/core.ts";

test("pages of any size give each entry once and in order, even while entries come and go", () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { maxLength: 30 });
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 9 }), fc.nat(30), (given, size, goneAt) => {
      let items = given.sort().map((name) => ({ name }));
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = pageOf("list", items, cursor, size);
        expect(page.items.length).toBeLessThanOrEqual(size);
        seen.push(...page.items.map(({ name }) => name));
        cursor = page.nextCursor;
        // One that was shown disappears, which must not hide another.
        items = items.filter(({ name }) => name !== seen[goneAt]);
      } while (cursor !== undefined);
      expect(seen).toEqual(given);
    }),
  );
});

test("a cursor of another list or of nobody is refused", () => {
  const items = [{ name: "a" }, { name: "b" }];
  const { nextCursor } = pageOf("one", items, undefined, 1);
  expect(() => pageOf("other", items, nextCursor, 1)).toThrow("is not a cursor of other");
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        pageOf("one", items, text);
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        return;
      }
      expect(Buffer.from(text, "base64url").toString()).toStartWith("one\n");
    }),
  );
});

test("a read-only caller is one object for each caller, and nothing more than a reader", async () => {
  const caller = callerWith({ own: true });
  const reader = callerByUrl("http://x/mcp?preset=read-only", caller);
  expect(reader).toBe(callerByUrl("http://y/mcp?preset=read-only", caller));
  expect(callerByUrl("http://x/mcp", caller)).toBe(caller);
  expect(callerByUrl("http://x/mcp?", caller)).toBe(caller);
  expect(callerByUrl("http://x/mcp?preset=read-write", caller)).toBeInstanceOf(Fault);
  if (reader instanceof Fault) throw reader;
  await using core = startCore();
  expect(core.access.rights(reader).grants.map((grant) => grant.role)).toEqual(["reader"]);
  expect(core.access.rights(caller).grants.map((grant) => grant.role)).toEqual(["member"]);
  await core.call("context_put", { id: "team/x", content: 1 }, caller);
  expect(await core.call("context_get", { id: "team/x" }, reader)).toMatchObject({ content: 1 });
  for (const [operation, input] of [
    ["context_put", { id: "team/x", content: 1 }],
    ["context_delete", { id: "team/x" }],
    ["context_many", { writes: [{ operation: "context_delete", id: "team/x" }] }],
    ["context_purge", { id: "team/x" }],
    ["audit_verify", {}],
  ] as const) {
    const refused = core.call(operation, input, reader);
    await expect(refused).rejects.toMatchObject({ code: "forbidden", message: expect.stringContaining("read-only") });
  }
});

test("the id of a handoff is an id in its space, whatever the topic", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }), (topic) => {
      const id = handoffId("team", topic);
      expect([topic, id, idProblem(id)]).toEqual([topic, id, undefined]);
      expect(spaceOf(id)).toBe("team");
      expect(handoffId("team", topic)).toBe(id);
    }),
  );
});

test("visible JSON is the same data, and shows what would hide", () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary" }), (text) => {
      const value: unknown = JSON.parse(text);
      expect(JSON.parse(visibleJson(value))).toEqual(value);
    }),
  );
  expect(visibleJson({ a: "\u202ex\u{e0041}\u2028" })).toBe('{"a":"\\u202ex\\udb40\\udc41\\u2028"}');
});

test("prime finds what changed last where the feed is full of what the caller may not see", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "team/old", content: 1 });
  await core.call("context_put", { id: "team/new", content: 1 });
  const noise = Array.from({ length: 64 }, (_, at) => ({ operation: "context_put", id: `loud/${at}`, content: at }));
  for (let round = 0; round < 34; round++) await core.call("context_many", { writes: noise });
  const caller = granted({ role: "reader", spaces: ["team"] });
  const answer = (await core.call("prime", {}, caller)) as { recent: { id: string }[]; spaces: unknown[] };
  expect(answer.recent.map(({ id }) => id)).toEqual(["team/new", "team/old"]);
  expect(answer.spaces).toEqual([{ space: "team", contexts: 2, may_write: false }]);
});
