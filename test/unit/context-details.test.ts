// Metadata of contexts, and contexts that supersede others: how they are stored, found, changed and checked, on every
// road; the level and the rights that they need. Contexts that expire: context-expiry.test.ts.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { contextFeature } from "../../src/features/context/index.ts";
import { jsonEqual } from "../../src/lib/json-value.ts";
import { type Core, granted, localAdmin, startCore } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { makeStoreAt } from "../kit/level.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { checkUsage } from "../kit/usage.ts";
import { webOver } from "../kit/web.ts";

const put = (core: Core, id: string, more: Record<string, unknown> = {}, caller?: ReturnType<typeof granted>) =>
  core.call("context_put", { id, content: "text", ...more }, caller);
const idsOf = async (core: Core, input: Record<string, unknown> = {}) =>
  ((await core.call("context_list", input)) as { contexts: { id: string }[] }).contexts.map(({ id }) => id);
const storedOf = (core: Core, id: string) =>
  core.store.reader.get<{ metadata: string }>("SELECT metadata FROM contexts WHERE id = ?", id)?.metadata;
const successorsOf = async (core: Core, id: string) =>
  (await core.call("context_get", { id }))["superseded_by"] as string[] | undefined;
const outcomesOf = async (core: Core, id: string) =>
  (
    (await core.call("context_wait", { id, since: core.invoker.positionAt(0) })) as { changes: { outcome: string }[] }
  ).changes.map(({ outcome }) => outcome);

describe("metadata", () => {
  test("is stored in one form, whatever the order of its members, and is shown as it was", async () => {
    await using core = startCore();
    const metadata = { b: [1, { z: null, a: "\u{1f600}" }], a: 1.5, "": true };
    await put(core, "a/x", { metadata });
    await put(core, "a/y", { metadata: '{"a": 1.5, "": true, "b": [1.0, {"a": "\\ud83d\\ude00", "z": null}]}' });
    expect(storedOf(core, "a/y")).toBe(storedOf(core, "a/x") ?? "");
    for (const name of ["context_get", "context_metadata"])
      expect((await core.call(name, { id: "a/x" }))["metadata"]).toEqual(metadata);
    expect((await core.call("context_list", { fields: ["metadata"] }))["contexts"]).toEqual([
      { id: "a/x", metadata },
      { id: "a/y", metadata },
    ]);
    await put(core, "a/x", { content: "two" });
    await core.call("context_patch", { id: "a/x", format: "edit", patch: { op: "append", text: "!" } });
    await put(core, "a/x", { metadata: {} });
    await core.call("context_restore", { id: "a/x", version: 1 });
    const { versions } = (await core.call("context_history", { id: "a/x" })) as { versions: { metadata?: unknown }[] };
    expect(versions.map((version) => version.metadata)).toEqual([metadata, undefined, metadata, metadata, metadata]);
    checkUsage(core);
  });

  test("keeps a member __proto__, and is refused where it is no object, too large, or not exact", async () => {
    await using core = startCore();
    await put(core, "a/x", { metadata: '{"__proto__": {"a": 1}, "constructor": 2}' });
    const shown = JSON.stringify((await core.call("context_get", { id: "a/x" }))["metadata"]);
    expect(shown).toBe('{"__proto__":{"a":1},"constructor":2}');
    expect(await idsOf(core, { metadata: '{"__proto__": {"a": 1}}' })).toEqual(["a/x"]);
    expect(await idsOf(core, { metadata: { toString: 1 } })).toEqual([]);
    await put(core, "a/x", { metadata: { a: "x".repeat(4096 - 8) } });
    const tooLarge = put(core, "a/x", { metadata: { a: "x".repeat(4096 - 7) } });
    await expect(tooLarge).rejects.toMatchObject({ code: "too_large", details: { limit: 4096 } });
    const wrong = [[], 7, "x", "[1]", '{"a":1,"a":2}', '{"a": 12345678901234567890}', '{"a": 1e400}', { a: "\ud800" }];
    for (const metadata of wrong)
      expect([metadata, await put(core, "a/x", { metadata }).catch(({ code }) => code)]).toEqual([
        metadata,
        "invalid_input",
      ]);
    const deep = JSON.parse(`${'{"a":'.repeat(65)}1${"}".repeat(65)}`);
    await expect(put(core, "a/x", { metadata: deep })).rejects.toMatchObject({ code: "invalid_input" });
  });

  test("filters lists by equal members, and by nothing that only looks like one", async () => {
    await using core = startCore();
    await put(core, "a/x", { metadata: { project: "x", n: { b: 1, a: [2] } } });
    await put(core, "a/deeper", { metadata: { other: { project: "x" } } });
    await put(core, "a/quoted", { metadata: { other: '"project":"x"', project: "xy" } });
    await put(core, "a/none");
    expect(await idsOf(core, { metadata: { project: "x" } })).toEqual(["a/x"]);
    expect(await idsOf(core, { metadata: { n: { a: [2], b: 1 }, project: "x" } })).toEqual(["a/x"]);
    expect(await idsOf(core, { metadata: { n: { a: [2] } } })).toEqual([]);
    expect(await idsOf(core, { metadata: {} })).toHaveLength(4);
    expect(await idsOf(core, { metadata: { project: "x" }, prefix: "b/" })).toEqual([]);
  });

  test("filters as a plain comparison does, over any pages", async () => {
    await using core = startCore();
    const value = fc.constantFrom(1, -0, 1.5, "x", '"', null, true, [1], [], { a: 1 }, { a: 1, b: 2 }, {});
    const some = fc.record({ a: value, b: value, "a:b": value }, { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(
        fc.array(some, { minLength: 1, maxLength: 8 }),
        some,
        fc.integer({ min: 1, max: 4 }),
        async (all, filter, limit) => {
          const space = `s${core.log.position().seq}`;
          await Promise.all(all.map((metadata, at) => put(core, `${space}/${at}`, { metadata })));
          const wanted = all.flatMap((metadata: Record<string, unknown>, at) =>
            Object.entries(filter).every(
              ([key, item]) => Object.hasOwn(metadata, key) && jsonEqual(metadata[key], item),
            )
              ? [`${space}/${at}`]
              : [],
          );
          const found: string[] = [];
          for (let cursor: unknown; ; ) {
            const input = { prefix: `${space}/`, metadata: filter, limit, ...(cursor === undefined ? {} : { cursor }) };
            const page = (await core.call("context_list", input)) as { contexts: { id: string }[]; cursor?: string };
            found.push(...page.contexts.map(({ id }) => id));
            cursor = page.cursor;
            if (cursor === undefined) break;
          }
          expect(found).toEqual(wanted);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("a context that supersedes others", () => {
  test("is named by them while it says so, and each time that changes is a change of theirs", async () => {
    await using core = startCore();
    await put(core, "a/old");
    await put(core, "a/new", { supersedes: ["a/old", "a/not-yet", "a/old"] });
    expect(await core.call("context_get", { id: "a/new" })).toMatchObject({ supersedes: ["a/old", "a/not-yet"] });
    expect(await successorsOf(core, "a/old")).toEqual(["a/new"]);
    expect(await idsOf(core, { current: true })).toEqual(["a/new"]);
    await put(core, "a/not-yet");
    expect(await successorsOf(core, "a/not-yet")).toEqual(["a/new"]);
    await put(core, "a/third", { supersedes: ["a/old"] });
    await put(core, "a/new", { content: "two" });
    await put(core, "a/new", { supersedes: ["a/not-yet"] });
    expect(await successorsOf(core, "a/old")).toEqual(["a/third"]);
    await core.call("context_delete", { id: "a/third" });
    expect(await successorsOf(core, "a/old")).toBeUndefined();
    expect(await idsOf(core, { current: true })).toEqual(["a/new", "a/old"]);
    expect(await idsOf(core, { current: false })).toEqual(["a/new", "a/not-yet", "a/old"]);
    await core.call("context_restore", { id: "a/third", version: 1 });
    await core.call("context_purge", { id: "a/third" });
    expect(await outcomesOf(core, "a/old")).toEqual([
      ...["created", "superseded", "superseded", "superseded", "current", "superseded", "current"],
    ]);
    const old = (await core.call("context_get", { id: "a/old", version: 1 })) as { etag: string };
    expect(await put(core, "a/old", { if_match: old.etag })).toMatchObject({ version: 2 });
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("needs the right to write where they are, also to bring that back", async () => {
    await using core = startCore();
    const ann = granted({ role: "member", spaces: ["a"] }, { role: "reader", spaces: ["b"] });
    await put(core, "b/old");
    await expect(put(core, "a/x", { supersedes: ["b/old"] }, ann)).rejects.toMatchObject({ code: "forbidden" });
    const writes = [{ operation: "context_put", id: "a/x", content: 1, supersedes: ["b/old"] }];
    await expect(core.call("context_many", { writes }, ann)).rejects.toMatchObject({ code: "forbidden" });
    await put(core, "a/x", { supersedes: ["b/old", "a/old"] });
    await core.call("context_patch", { id: "a/x", format: "edit", patch: { op: "append", text: "!" } }, ann);
    expect(await successorsOf(core, "b/old")).toEqual(["a/x"]);
    await put(core, "a/x", { supersedes: [] });
    await core.call("context_restore", { id: "a/x", version: 1 }, ann);
    expect(await successorsOf(core, "b/old")).toBeUndefined();
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ supersedes: ["a/old"] });
  });

  test("is refused as its own successor, and with more than 16", async () => {
    await using core = startCore();
    await expect(put(core, "a/x", { supersedes: ["a/x"] })).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "supersedes" },
    });
    const ids = Array.from({ length: 17 }, (_, at) => `a/${at}`);
    await expect(put(core, "a/x", { supersedes: ids })).rejects.toMatchObject({ code: "invalid_input" });
    expect(await put(core, "a/x", { supersedes: ids.slice(1) })).toMatchObject({ version: 1 });
  });
});

describe("both", () => {
  const FULL = { expires_in: 3600, metadata: { project: "x" }, supersedes: ["a/old"] };

  test("are exported and imported without loss, also at the second time", async () => {
    await using from = startCore();
    await put(from, "a/old");
    await put(from, "a/x", FULL);
    await put(from, "a/x", { expires_in: 0, metadata: {}, supersedes: [] });
    await put(from, "a/x", FULL);
    const { lines } = (await from.call("context_export", {})) as { lines: string[] };
    await using to = startCore();
    expect(await to.call("context_import", { lines })).toEqual({ imported: 4, skipped: 0 });
    expect(await to.call("context_import", { lines })).toEqual({ imported: 0, skipped: 4 });
    expect((await to.call("context_export", {}))["lines"]).toEqual(lines);
    expect(await successorsOf(to, "a/old")).toEqual(["a/x"]);
    expect(await to.call("audit_verify", {})).toMatchObject({ ok: true });
    checkUsage(to);
    const last = JSON.parse(lines.at(-1) ?? "");
    const bad = [
      { metadata: "{ }" },
      { metadata: '{"b":1,"a":2}' },
      { metadata: "[1]" },
      { metadata: { project: "x" } },
      { supersedes: ["a/x"] },
      { supersedes: ["a/old", "a/old"] },
      { supersedes: [] },
      { expires_at: "1969-12-31T23:59:59.000Z" },
      { expires_at: 5 },
    ];
    for (const change of bad) {
      const line = JSON.stringify({ ...last, version: 4, ...change });
      const code = await to.call("context_import", { lines: [line] }).catch((error) => error.code);
      expect([change, code]).toEqual([change, "invalid_input"]);
    }
    const admin = granted({ role: "admin", spaces: ["a"] });
    const line = JSON.stringify({ ...last, version: 4, supersedes: ["b/old"] });
    await expect(to.call("context_import", { lines: [line] }, admin)).rejects.toMatchObject({ code: "forbidden" });
  });

  test.each([
    ["metadata of a version", "UPDATE versions SET metadata = '{\"project\":\"y\"}' WHERE id = 'a/x'"],
    ["the time of a context", "UPDATE contexts SET expires_at = 0 WHERE id = 'a/x'"],
    ["the time of a version", "UPDATE versions SET expires_at = 0 WHERE id = 'a/x'"],
    ["what it supersedes", "UPDATE contexts SET supersedes = '' WHERE id = 'a/x'"],
    ["a successor that is missing", "DELETE FROM superseded"],
    ["a successor that is none", "INSERT INTO superseded VALUES ('a/x', 'a/old')"],
    ["a successor that does not exist", "INSERT INTO superseded VALUES ('a/x', 'a/other')"],
  ])("are found by audit_verify where somebody changed %s", async (_what, sql) => {
    await using core = startCore();
    await put(core, "a/old");
    await put(core, "a/x", FULL);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
    const outside = new Database(core.store.path);
    outside.run(sql);
    outside.close();
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: false, problem: expect.any(String) });
  });

  test("need their fleet level; below it writes are refused in words, and filters find nothing", async () => {
    const folder = temporaryFolder();
    makeStoreAt(join(folder, "store"), 2);
    await using core = startCore({ folder });
    await put(core, "a/x");
    for (const [name, value] of Object.entries(FULL))
      await expect(put(core, "a/x", { [name]: value })).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("needs fleet level 3"),
      });
    expect(await idsOf(core, { metadata: { project: "x" } })).toEqual([]);
    expect(await idsOf(core, { current: true })).toEqual(["a/x"]);
    expect(await core.call("context_get", { id: "a/x" })).not.toHaveProperty("superseded_by");
    await core.call("context_purge", { id: "a/x" });
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("are parts of the routes", async () => {
    await using core = startCore();
    await put(core, "a/old");
    const query = `expires_in=60&metadata=${encodeURIComponent('{"project":"x"}')}&supersedes=a%2Fold&supersedes=a%2Fother`;
    const write = (more: string) =>
      core.http(`/contexts/a/x?${more}`, { method: "PUT", headers: { "content-type": "text/plain" }, body: "x" });
    expect((await write(query)).status).toBe(201);
    expect(await (await core.http("/contexts/a/x/metadata")).json()).toMatchObject({
      expires_at: expect.stringMatching(/^20.*Z$/),
      metadata: { project: "x" },
      supersedes: ["a/old", "a/other"],
    });
    const list = async (more: string) => {
      const response = await core.http(`/contexts?${more}`);
      const body = (await response.json()) as { contexts?: { id: string }[] };
      return body.contexts?.map(({ id }) => id) ?? response.status;
    };
    expect(await list(`metadata=${encodeURIComponent('{"project":"x"}')}`)).toEqual(["a/x"]);
    expect(await list("current=true")).toEqual(["a/x"]);
    expect(await list("current=false")).toEqual(["a/old", "a/x"]);
    expect(await list("current=yes")).toBe(400);
    expect(await list("metadata=x")).toBe(400);
    expect((await write("metadata=%5B%5D")).status).toBe(400);
    expect((await write("expires_in=soon")).status).toBe(400);
  });

  test("are shown by the pages, with links to the other contexts", async () => {
    await using core = startCore({ features: [contextFeature] });
    const web = webOver(core, { features: [contextFeature] });
    const page = async (path: string) =>
      (await web.fetch(new Request(`http://cairn${path}`), localAdmin, "http"))?.text() ?? "";
    await put(core, "a/old");
    await put(core, "a/x", FULL);
    const next = await page("/ui/contexts/a/x");
    expect(next).toMatch(/expires <time datetime="20[^"]+Z">/);
    expect(next).toMatch(/Supersedes <a class="id" href="\/ui\/contexts\/a\/old">/);
    expect(next).toContain("project");
    expect(await page("/ui/contexts/a/old")).toMatch(/Superseded by <a class="id" href="[^"]*\/x">/);
    expect(await page("/")).toMatch(/superseded by <a href="[^"]*\/x">/);
  });

  test("an edge keeps what is superseded until that changes, and nothing that expires", async () => {
    const pair = startEdgePair();
    const caller = granted({ role: "member", spaces: ["*"] });
    const read = async (id: string) => {
      const { output, cache } = await pair.invoke("context_get", { id }, caller);
      return [cache?.state, output["superseded_by"]];
    };
    await pair.poll();
    await put(pair.upstream, "a/old");
    await put(pair.upstream, "a/brief", { expires_in: 3600 });
    await pair.poll();
    expect([await read("a/old"), await read("a/old")]).toEqual([
      ["miss", undefined],
      ["hit", undefined],
    ]);
    expect([await read("a/brief"), await read("a/brief")]).toEqual([
      ["miss", undefined],
      ["miss", undefined],
    ]);
    await put(pair.upstream, "a/new", { supersedes: ["a/old"] });
    await pair.poll();
    expect([await read("a/old"), await read("a/old")]).toEqual([
      ["miss", ["a/new"]],
      ["hit", ["a/new"]],
    ]);
    await put(pair.upstream, "a/old", { expires_in: 3600 });
    await pair.poll();
    expect([await read("a/old"), await read("a/old")]).toEqual([
      ["miss", ["a/new"]],
      ["miss", ["a/new"]],
    ]);
    await pair.close();
  });
});
