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
import { callerByUrl, connectionOf, givenByUrl } from "../../src/mcp/preset.ts";
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

test("a cursor of another list or of no one is refused", () => {
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

test("path and query of a URL name one preset, and read-only beside it", () => {
  const caller = callerWith({ own: true });
  const asked = (path: string, granted?: string) => {
    const found = callerByUrl(`http://x${path}`, caller, { known: ["all", "core", "notes"], granted });
    return found instanceof Fault ? found.code : connectionOf(found);
  };
  const ways: Record<string, readonly string[]> = {
    all: ["/mcp", "/mcp?", "/mcp/all", "/mcp?preset=all"],
    core: ["/mcp/core", "/mcp/core/", "/mcp?preset=core", "/mcp/core?preset=core"],
    notes: ["/mcp/notes", "/mcp?preset=notes"],
    "all,read-only": [
      "/mcp/read-only",
      "/mcp?preset=read-only",
      "/mcp/all?preset=read-only",
      "/mcp?preset=read-only,all",
    ],
    "core,read-only": ["/mcp/core?preset=read-only", "/mcp/read-only?preset=core", "/mcp?preset=core,read-only"],
    not_found: ["/mcp/", "/mcp/cores", "/mcp/core/x", "/mcp/core,read-only", "/mcp/Core", "/mcp/__proto__"],
    invalid_input: [
      "/mcp?preset=",
      "/mcp?preset=core,",
      "/mcp?preset=core,notes",
      "/mcp/core?preset=notes",
      "/mcp/core?x=1",
    ],
  };
  for (const [expected, paths] of Object.entries(ways))
    expect(Object.fromEntries(paths.map((path) => [path, asked(path)]))).toEqual(
      Object.fromEntries(paths.map((path) => [path, expected])),
    );
  // A grant decides where the URL says nothing, and for nothing where this build has no such preset.
  const granted = { core: "core", "notes,read-only": "notes,read-only", "read-only": "all,read-only" };
  for (const [preset, expected] of Object.entries(granted)) expect(asked("/mcp", preset)).toBe(expected);
  for (const preset of ["cores", "core,notes", "", "core,"]) expect(asked("/mcp", preset)).toBe("all");
  expect(asked("/mcp/notes", "core,read-only")).toBe("notes");
  expect(asked("/mcp?preset=read-only", "core")).toBe("all,read-only");
  expect(asked("/mcp?preset=all", "read-only")).toBe("all");
});

test("a URL gives the arguments that its preset names, each once", () => {
  const caller = callerWith({ own: true });
  const argumentsOf = (preset: string) => (preset === "notes" ? ["space", "scope"] : []);
  const asked = (path: string) =>
    callerByUrl(`http://x${path}`, caller, { known: ["all", "notes"], granted: undefined, argumentsOf });
  const given = (path: string) => {
    const found = asked(path);
    return found instanceof Fault ? found.code : [connectionOf(found), givenByUrl(found)];
  };
  expect(given("/mcp/notes?space=team-a")).toEqual(["notes?space=team-a", { space: "team-a" }]);
  expect(given("/mcp?space=a&preset=notes,read-only&scope=b")).toEqual([
    "notes?scope=b&space=a,read-only",
    { space: "a", scope: "b" },
  ]);
  expect(given("/mcp/notes")).toEqual(["notes", {}]);
  const refused = ["?space=a", "/notes?space=a&space=b", "/notes?id=a", `/notes?space=${"x".repeat(257)}`];
  for (const path of refused) expect(given(`/mcp${path}`)).toBe("invalid_input");
  expect(asked("/mcp/notes?space=a&scope=b")).toBe(asked("/mcp/notes?scope=b&space=a") as never);
  expect(asked("/mcp/notes?space=a")).not.toBe(asked("/mcp/notes?space=b") as never);
});

test("a read-only caller is one object for each caller, and nothing more than a reader", async () => {
  const caller = callerWith({ own: true });
  const asked = (path: string) =>
    callerByUrl(`http://x${path}`, caller, { known: ["all", "core"], granted: undefined });
  const reader = asked("/mcp?preset=read-only");
  expect(reader).toBe(asked("/mcp?preset=read-only"));
  expect(asked("/mcp")).toBe(caller);
  expect(asked("/mcp?")).toBe(caller);
  expect(asked("/mcp?preset=read-write")).toBeInstanceOf(Fault);
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
