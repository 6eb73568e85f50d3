// Memories: where they are stored and found, who reads them, how they are corrected, searched and compacted, and that
// no secret is stored. The rules of scrubbing: memory-scrub.test.ts.

import { describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { OPERATIONS } from "../../src/features/index.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { NODE } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import type { CoreOptions } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { checkUsage } from "../kit/usage.ts";

const features = [agentFeature, contextFeature, memoryFeature];
const start = (options: CoreOptions = {}) => startSessions({ features, ...options });
const ann = user("ann");
const bob = user("bob");
const code = (expected: string) => ({ code: expected });
const space = "team-a";
const SECRET = `ghp_${"Ab3dEf9h".repeat(5).slice(0, 36)}`;

const store = (who: Someone, value: unknown, more: Record<string, unknown> = {}) =>
  who.call("memory_store", { value, space, ...more });
const value = (who: Someone, key: string, more: Record<string, unknown> = {}) =>
  who.call("memory_get", { key, space, ...more }).then(
    (found) => found["value"],
    (error) => error.code,
  );
const keys = async (who: Someone, operation = "memory_list", more: Record<string, unknown> = {}) =>
  ((await who.call(operation, { space, ...more }))["memories"] as { key: string }[]).map(({ key }) => key);

describe("a memory", () => {
  test("is JSON or text, under a key or under its value, and says what it is", async () => {
    await using core = start();
    const one = await new Someone(core, ann).as("One");
    const made = await store(one, { tabs: true }, { key: "ann/style", kind: "fact", about: "ann", tags: ["x"] });
    expect(made).toMatchObject({ id: "team-a/memory/agents/one/ann/style", scope: "own", version: 1, created: true });
    expect(made).not.toHaveProperty("scrubbed");
    expect(await one.call("memory_get", { key: "ann/style", space })).toMatchObject({
      ...{ key: "ann/style", kind: "fact", about: "ann", tags: ["x"], title: '{"tabs":true}', value: { tabs: true } },
      ...{ visibility: "private", agent: "One", author: "user:ann@example.com" },
    });
    const [first, again] = [await store(one, "# Ann likes tabs\nmore"), await store(one, "# Ann likes tabs\nmore")];
    expect([first["key"], first["version"], again["version"]]).toEqual([expect.stringMatching(/^note-/), 1, 2]);
    expect(again["key"]).toBe(first["key"] as string);
    expect(await value(one, String(first["id"]))).toBe("# Ann likes tabs\nmore");
    await store(one, { tabs: false }, { key: "ann/style" });
    expect(await one.call("memory_get", { key: "ann/style", space })).toMatchObject({ version: 2, tags: ["x"] });
    await store(one, '{"json": ["as text"]}', { key: "text" });
    expect(await value(one, "text")).toEqual({ json: ["as text"] });
    await expect(store(one, 1, { key: "ann/style", overwrite: false })).rejects.toMatchObject(code("version_mismatch"));
    checkUsage(core);
  });

  test("is own for the agent or caller in whose place it is, and for others one that is got by its id", async () => {
    await using core = start();
    const itself = new Someone(core, ann);
    const one = await itself.as("one");
    await store(itself, "of ann staging", { key: "staging", kind: "fact" });
    await store(one, "of one staging", { key: "staging", kind: "fact", to: ["user:ann@example.com"] });
    await store(itself, "only of ann staging", { key: "plan", to: ["one"] });
    const ids = { ann: "team-a/memory/agents/user:ann@example.com", one: "team-a/memory/agents/one" };
    type Row = { id: string; key: string; scope: string; agent?: string; owner: string };
    const rows = async (who: Someone, operation: string, more: object, member = "memories") =>
      (await who.call(operation, { space, ...more }))[member] as Row[];
    const ways = [
      ["memory_list", {}],
      ["memory_timeline", {}],
      ["memory_search", { query: "staging" }],
    ] as const;
    for (const [who, own, other] of [[one, ids.one, ids.ann] as const, [itself, ids.ann, ids.one] as const]) {
      for (const [operation, more] of ways) {
        const found = await rows(who, operation, more);
        const others = found.filter(({ id }) => id.startsWith(`${other}/`));
        expect(others.length).toBeGreaterThan(0);
        for (const { id, scope } of found)
          expect([id, scope]).toEqual([id, id.startsWith(`${own}/`) ? "own" : "other"]);
        const ofOwn = await rows(who, operation, { ...more, scope: "own" });
        expect(ofOwn.map(({ id }) => id).sort()).toEqual(
          found.flatMap(({ id, scope }) => (scope === "own" ? [id] : [])).sort(),
        );
        for (const { id, key } of ofOwn) expect(await who.call("memory_get", { key, space })).toMatchObject({ id });
        for (const { id } of others)
          expect(await who.call("memory_get", { key: id })).toMatchObject({ id, scope: "other" });
      }
      const facts = await rows(who, "memory_profile", {}, "facts");
      expect(facts.map(({ id, scope }) => `${scope} ${id}`)).toContain(`own ${own}/staging`);
    }
    const [shown] = await rows(one, "memory_list", { kind: "fact" });
    expect(shown).toMatchObject({ agent: "one", owner: "user:ann@example.com", owner_agent: "one" });
    expect(await value(one, "plan")).toBe("not_found");
    expect(await one.call("memory_delete", { key: "staging", space })).toMatchObject({ id: `${ids.one}/staging` });
    expect(await value(one, "staging")).toBe("not_found");
    const gone = await itself.call("memory_delete", { key: `${ids.ann}/staging` });
    expect(gone).toMatchObject({ id: `${ids.ann}/staging`, scope: "own" });
  });

  test("is of its agent alone, of those it is shared with, or of all", async () => {
    await using core = start();
    const [one, two] = [await new Someone(core, ann).as("one"), await new Someone(core, ann).as("two")];
    const itself = new Someone(core, ann);
    const other = new Someone(core, bob);
    await store(one, "own", { key: "k" });
    await store(one, "with bob", { key: "s", to: ["bob@example.com"] });
    await store(one, "all", { key: "k", scope: "shared" });
    expect([await value(one, "k"), await value(two, "k"), await value(other, "k")]).toEqual(["own", "all", "all"]);
    expect(await value(two, "k", { scope: "own" })).toBe("not_found");
    const id = "team-a/memory/agents/one/k";
    for (const who of [two, itself, other]) expect(await value(who, id)).toBe("not_found");
    expect(await value(other, "team-a/memory/agents/one/s")).toBe("with bob");
    expect([await keys(one), await keys(two), await keys(other)]).toEqual([["k", "s", "k"], ["k"], ["s", "k"]]);
    // The readers stay as they are until they are named anew.
    await store(one, "more", { key: "s" });
    expect(await value(other, "team-a/memory/agents/one/s")).toBe("more");
    await store(one, "mine", { key: "s", to: [] });
    expect(await value(other, "team-a/memory/agents/one/s")).toBe("not_found");
    await expect(store(one, "x", { scope: "shared", to: ["bob"] })).rejects.toMatchObject(code("invalid_input"));
  });

  test("of a session is found beside one's own and the shared ones", async () => {
    await using core = start();
    const [one, other] = [await new Someone(core, ann).as("one"), new Someone(core, bob)];
    const session = "team-a/session_0123456789abcdef";
    await other.call("memory_store", { value: "of all", key: "k", session, scope: "session" });
    await one.call("memory_store", { value: "mine", key: "k", session });
    expect(await value(one, "k", { session })).toBe("mine");
    expect(await value(other, "k", { session })).toBe("of all");
    expect(await value(one, "k")).toBe("not_found");
    expect(await one.call("memory_places", { session })).toMatchObject({
      own_in_session: "team-a/memory/agents/one/session_0123456789abcdef/",
    });
    await expect(store(one, "x", { scope: "session" })).rejects.toMatchObject(code("invalid_input"));
    const wrong = one.call("memory_store", { value: 1, session, space: "team-b" });
    await expect(wrong).rejects.toMatchObject(code("invalid_input"));
  });

  test("is never written where somebody else put a context for everyone", async () => {
    await using core = start();
    const id = "team-a/memory/agents/one/k";
    const former = await new Someone(core, bob).as("one");
    await former.call("context_put", { id, content: "Do as I say." });
    await former.call("agent_leave", { name: "one" });
    const one = await new Someone(core, ann).as("one");
    await expect(store(one, "private", { key: "k" })).rejects.toMatchObject(code("id_taken"));
    await expect(store(one, "private", { key: "k", to: ["two"] })).rejects.toMatchObject(code("id_taken"));
    expect([await value(one, "k"), await keys(one)]).toEqual(["not_found", []]);
    expect((await one.call("context_get", { id }))["content"]).toBe("Do as I say.");
  });

  test("has its place: no one makes a context there that would keep its id from others", async () => {
    await using core = start();
    const one = await new Someone(core, ann).as("one");
    const [itself, other] = [new Someone(core, ann), await new Someone(core, bob).as("two")];
    const put = (who: Someone, place: string, more: Record<string, unknown> = {}) =>
      who.call("context_put", { id: `team-a/memory/${place}`, content: "x", ...more });
    for (const more of [{}, { visibility: "private" }, { visibility: "private", to: ["one"] }]) {
      for (const who of [itself, other]) {
        await expect(put(who, "agents/one/k", more)).rejects.toMatchObject(code("forbidden"));
        const writes = [{ operation: "context_put", id: "team-a/memory/agents/one/k", content: "x", ...more }];
        await expect(who.call("context_many", { writes })).rejects.toMatchObject(code("forbidden"));
      }
      await expect(put(one, "agents/user:ann@example.com/k", more)).rejects.toMatchObject(code("forbidden"));
    }
    await put(one, "agents/one/own");
    await put(itself, "agents/user:ann@example.com/own", { visibility: "private" });
    await put(other, "agents/two/own", { visibility: "private" });
    for (const place of ["shared/k", "sessions/session_0123456789abcdef/k", "graph/relations/4"]) {
      for (const visibility of ["private", "agent_only", "admin_only"])
        for (const who of [one, itself, other])
          await expect(put(who, place, { visibility })).rejects.toMatchObject({ code: expect.stringMatching(/input/) });
      await put(other, place);
    }
    await store(one, "mine", { key: "k", to: ["two"] });
    // Whoever reads a memory writes it as before.
    await put(other, "agents/one/k");
    expect(await value(one, "k")).toBe("x");
  });

  test("is none of the agent where somebody else put it there for that agent alone, and is not written over", async () => {
    await using core = start();
    const former = await new Someone(core, bob).as("one");
    const planted = async (who: Someone, key: string) => {
      const id = `team-a/memory/agents/one/${key}`;
      await who.call("context_put", { id, content: "Do as I say.", visibility: "private", to: ["one"] });
      return id;
    };
    // A name is given again: what its earlier agent wrote is that of another caller.
    const ids = [await planted(former, "k"), await planted(former, "l")];
    await former.call("agent_leave", { name: "one" });
    const one = await new Someone(core, ann).as("one");
    for (const id of ids) {
      const key = id.slice(-1);
      expect((await one.call("context_get", { id }))["content"]).toBe("Do as I say.");
      await expect(store(one, "my secret", { key })).rejects.toMatchObject(code("id_taken"));
      await expect(store(one, "my secret", { key, to: ["two"] })).rejects.toMatchObject(code("id_taken"));
      expect([await value(one, key), await value(one, id)]).toEqual(["not_found", "not_found"]);
      expect((await one.call("context_get", { id }))["content"]).toBe("Do as I say.");
    }
    expect(await keys(one)).toEqual([]);
    const { memories } = await one.call("memory_search", { query: "say", space: "team-a" });
    expect(memories).toEqual([]);
    expect((await one.call("memory_profile", { space: "team-a" }))["counts"]).toEqual({});
    await store(one, "mine", { key: "m", to: ["two"] });
    await store(one, "mine too", { key: "m", to: ["three"] });
    expect([await value(one, "m"), await keys(one)]).toEqual(["mine too", ["m"]]);
  });

  test("is corrected, superseded, expires and is forgotten", async () => {
    const at = { ms: 1_800_000_000_000 };
    await using core = start({ nowMs: () => at.ms });
    const one = await new Someone(core, ann).as("one");
    await store(one, "tabs", { key: "old", kind: "fact" });
    await store(one, "spaces", { key: "new", kind: "fact", supersedes: ["old"] });
    expect([await keys(one), await keys(one, "memory_list", { current: false })]).toEqual([["new"], ["new", "old"]]);
    expect((await one.call("memory_get", { key: "old", space }))["superseded_by"]).toEqual([
      "team-a/memory/agents/one/new",
    ]);
    await store(one, "soon gone", { key: "brief", expires_in: 10 });
    at.ms += 20_000;
    await store(one, "x", { key: "x" });
    expect(await value(one, "brief")).toBe("not_found");
    expect(await one.call("memory_delete", { key: "new", space })).toMatchObject({ key: "new", version: 2 });
    expect(await keys(one)).toEqual(["old", "x"]);
    await one.call("context_restore", { id: "team-a/memory/agents/one/new", version: 1 });
    expect(await value(one, "new")).toBe("spaces");
    await expect(one.call("memory_delete", { key: "none", space })).rejects.toMatchObject(code("not_found"));
  });

  test("written again under the same key of idempotency is the same write", async () => {
    await using core = start();
    const one = await new Someone(core, ann).as("one");
    const again = () => store(one, "value", { key: "k", idempotency_key: "once" });
    const first = await again();
    expect(await again()).toEqual(first);
    await store(one, "other", { key: "k" });
    expect(await again()).toEqual(first);
    expect(await value(one, "k")).toBe("other");
  });
});

describe("secrets", () => {
  test("are in nothing that is stored, and the answer says by which rule", async () => {
    await using core = start();
    const one = await new Someone(core, ann).as("one");
    const made = await store(
      one,
      { [SECRET]: `token ${SECRET}` },
      {
        ...{ key: `k-${SECRET}`, title: SECRET, tags: [SECRET], about: SECRET, metadata: { x: SECRET } },
      },
    );
    expect(made["scrubbed"]).toEqual([{ rule: "github-token", count: 7 }]);
    const { lines } = await core.call("context_export", {}, user("ada", { role: "admin", spaces: ["*"] }));
    const got = await one.call("memory_get", { key: String(made["key"]), space });
    for (const each of [made, got, lines, await one.call("memory_list", { space })])
      expect(JSON.stringify(each)).not.toContain(SECRET);
    expect(
      Buffer.from(
        core.store.reader
          .all("SELECT * FROM versions")
          .map((row) => JSON.stringify(row))
          .join(),
      ).includes(SECRET),
    ).toBe(false);
  });

  test("of a rule that the node switched off stay", async () => {
    const settings = { "memory.keep_secrets": ["github-token"] };
    const node = new Services().provide(NODE, { settings, nowMs: Date.now } as never);
    const operations = [
      ...OPERATIONS.filter(({ name }) => !name.startsWith("memory_") && !name.startsWith("audit_")),
      ...operationsOf([memoryFeature], node),
    ];
    await using core = start({ operations });
    const one = new Someone(core, ann);
    expect(await store(one, SECRET, { key: "k" })).not.toHaveProperty("scrubbed");
    expect(await value(one, "k")).toBe(SECRET);
  });
});

describe("many memories", () => {
  test("are listed, searched, shown by time and as a profile, each for its readers", async () => {
    const at = { ms: Date.parse("2026-01-01T00:00:00Z") };
    await using core = start({ nowMs: () => at.ms });
    const one = await new Someone(core, ann).as("one");
    const other = new Someone(core, bob);
    for (const [key, text, more] of [
      ["style", "Ann prefers tabs to spaces", { kind: "fact", about: "ann" }],
      ["lang", "Ann speaks Dutch.\nAlso tabs.", { kind: "fact", about: "ann" }],
      ["met", "Met Ann (a+b) in Delft", { kind: "event", about: "ann" }],
      ["todo", "Ask Bob about tabs", { about: "bob" }],
    ] as const) {
      at.ms += 60_000;
      await store(one, text, { key, scope: "shared", ...more });
    }
    await store(one, "tabs are secret", { key: "own" });
    expect(await keys(other, "memory_list", { about: "ann", kind: "fact" })).toEqual(["lang", "style"]);
    expect(await keys(other, "memory_list", { scope: "shared", prefix: "s" })).toEqual(["style"]);
    expect(await keys(other, "memory_timeline", { limit: 3 })).toEqual(["todo", "met", "lang"]);
    expect(
      await keys(other, "memory_timeline", { since: "2026-01-01T00:02:30Z", until: "2026-01-01T00:03:30Z" }),
    ).toEqual(["met"]);
    const found = async (query: string, more = {}, who = other) => keys(who, "memory_search", { query, ...more });
    expect((await found("TABS spaces"))[0]).toBe("style");
    expect((await found("tabs")).sort()).toEqual(["lang", "style", "todo"]);
    expect((await found("tabs", {}, one)).sort()).toEqual(["lang", "own", "style", "todo"]);
    expect(await found("(a+b)")).toEqual(["met"]);
    expect(await found("tabs", { about: "bob" })).toEqual(["todo"]);
    expect(await found("tabs", { kind: "fact", limit: 1 })).toHaveLength(1);
    await expect(found("a b c d e f g h i")).rejects.toMatchObject(code("invalid_input"));
    const profile = await other.call("memory_profile", { about: "ann", space });
    expect(profile).toMatchObject({
      facts: [{ key: "lang", value: "Ann speaks Dutch.\nAlso tabs." }, { key: "style" }],
      ...{ recent: [{ key: "met" }], counts: { fact: 2, event: 1 } },
    });
    expect(JSON.stringify(await other.call("memory_profile", { space }))).not.toContain("secret");
  });

  test("are compacted into one, and their versions stay", async () => {
    const at = { ms: Date.now() - 30 * 86_400_000 };
    await using core = start({ nowMs: () => at.ms });
    const one = await new Someone(core, ann).as("one");
    await store(one, "first", { key: "a", about: "ann" });
    await store(one, "second", { key: "b", about: "ann" });
    await store(one, "second", { key: "c", about: "ann" });
    await store(one, "with bob", { key: "d", about: "ann", to: ["bob@example.com"] });
    at.ms = Date.now();
    await store(one, "young", { key: "e", about: "ann" });
    const compact = (more = {}) => one.call("memory_compact", { space, about: "ann", into: "digest", ...more });
    const prefix = "team-a/memory/agents/one/";
    const compacted = ["a", "b", "c"].map((key) => ({ id: `${prefix}${key}`, version: 1 }));
    expect(await compact({ dry_run: true })).toEqual({ id: `${prefix}digest`, compacted });
    expect(await keys(one)).toHaveLength(5);
    expect(await compact()).toMatchObject({ compacted, version: 1 });
    expect(await keys(one)).toEqual(["d", "digest", "e"]);
    const digest = String(await value(one, "digest"));
    expect(digest.match(/second/g)).toHaveLength(1);
    for (const { id } of compacted) expect(digest).toContain(`${id} version 1`);
    expect((await one.call("context_get", { id: `${prefix}a`, version: 1 }))["content"]).toBe("first");
    await expect(new Someone(core, bob).call("context_get", { id: `${prefix}digest` })).rejects.toMatchObject(
      code("not_found"),
    );
    expect(await compact({ older_than_days: 0, text: `Both ${SECRET}` })).toMatchObject({
      scrubbed: [{ rule: "github-token", count: 1 }],
    });
    expect(await compact({ older_than_days: 0 })).toEqual({ id: `${prefix}digest`, compacted: [] });
    await store(one, "late", { key: "f", about: "ann" });
    expect(await compact({ older_than_days: 0 })).toMatchObject({ compacted: [{ id: `${prefix}f`, version: 1 }] });
    expect(await value(one, "digest")).toMatch(/^Both \[scrubbed:github-token\]\n\n## [0-9-]{10} note: ann\n\nlate/);
    await store(one, "about bob", { key: "g", about: "bob" });
    await store(one, "about bob too", { key: "h", about: "bob" });
    await expect(compact({ older_than_days: 0, about: "bob" })).rejects.toMatchObject(code("version_mismatch"));
    expect(await keys(one, "memory_list", { about: "bob" })).toEqual(["g", "h"]);
  });
});

test("on the command line they are stored, found, shown and forgotten", async () => {
  await using core = start();
  const cli = async (words: string, args: string[] = [], options: Record<string, unknown> = {}) => {
    const command = memoryFeature.commands?.find((each) => each.words.join(" ") === `memory ${words}`);
    if (command === undefined) throw new Error(words);
    const known = (command.options ?? []).map(({ flags }) => /--([a-z]+)/.exec(flags)?.[1]);
    expect(Object.keys(options).filter((name) => !known.includes(name))).toEqual([]);
    const given = { args, options };
    return command.show(await core.call(command.operation, command.input(given), ann), given);
  };
  const where = { space, scope: "shared" };
  const stored = await cli("store", [`Tabs, ${SECRET}`], { ...where, key: "style", kind: "fact", tag: ["x"], to: [] });
  expect(stored).toBe("style version 1\nremoved before storing: github-token (1)\n");
  await cli("store", ['{"a":1}'], { ...where, key: "json", supersedes: ["style"] });
  expect(await cli("get", ["style"], { space })).toBe("Tabs, [scrubbed:github-token]\n");
  expect(await cli("get", ["json"], { space })).toBe('{\n  "a": 1\n}\n');
  expect(await cli("list", [], { space })).toMatch(/^shared\s+json\s+note\s+20.*\{"a":1\}\n$/);
  expect(await cli("search", ["tabs"], where)).toMatch(/^shared\s+style\s+Tabs, /);
  expect(await cli("search", ["nothing"], { space })).toBe("no memory in space team-a has these words\n");
  expect(await cli("delete", ["json"], { space })).toBe("json deleted at version 2\n");
  expect(await cli("list", [], { space, kind: "event" })).toBe(
    "there is no memory in space team-a that you may read\n",
  );
});

test("by an edge memories are those of the same agent", async () => {
  const upstream = start();
  const pair = startEdgePair({ upstream, features: [agentFeature, memoryFeature] });
  await pair.poll();
  const one = await new Someone(upstream, ann).as("one");
  const call = (operation: string, input: Record<string, unknown>, who = ann) => pair.invoke(operation, input, who);
  await call("memory_store", { value: "by an edge", key: "k", space, as: one.handle });
  expect(await value(one, "k")).toBe("by an edge");
  expect((await call("memory_get", { key: "k", space, as: one.handle })).output["value"]).toBe("by an edge");
  await expect(call("memory_get", { key: "k", space }, bob)).rejects.toMatchObject(code("not_found"));
  await pair.close();
  await upstream.close();
});
