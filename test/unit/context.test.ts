// The operations on contexts: patches, history, diff, restore, metadata, many, purge, aliases and history limits.

import { describe, expect, test } from "bun:test";
import { granted, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";
import { checkUsage } from "../kit/usage.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

describe("context_patch", () => {
  test("changes JSON by merge and by steps, and text by edits", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: { a: 1, b: [1], c: "x" }, title: "T", tags: ["t"] });
    const merged = await core.call("context_patch", { id: "a/x", format: "merge", patch: { a: null, d: { e: null } } });
    expect(merged).toMatchObject({ version: 2, created: false });
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({
      content: { b: [1], c: "x", d: {} },
      title: "T",
      tags: ["t"],
    });
    await core.call("context_patch", {
      id: "a/x",
      format: "json-patch",
      patch: '[{"op":"test","path":"/b/0","value":1},{"op":"add","path":"/b/-","value":12345678901234567890}]',
      if_match: merged["etag"],
    });
    expect(await core.call("context_get", { id: "a/x", format: "text" })).toMatchObject({
      content: '{"b":[1,12345678901234567890],"c":"x","d":{}}',
      version: 3,
    });
    await core.call("context_put", { id: "a/t", content: "one\ntwo\n", content_type: "text/markdown" });
    await core.call("context_patch", {
      path: "a/t",
      format: "edit",
      edits: [
        { op: "append", text: "three\n" },
        { op: "replace", old_string: "one", new_string: "1" },
      ],
    });
    expect(await core.call("context_get", { id: "a/t" })).toMatchObject({
      content: "1\ntwo\nthree\n",
      content_type: "text/markdown",
    });
    checkUsage(core);
  });

  test("refuses what does not apply, and changes nothing", async () => {
    await using core = startCore({ maxDocumentBytes: 200 });
    await core.call("context_put", { id: "a/x", content: { a: 1 } });
    await core.call("context_put", { id: "a/t", content: "text" });
    await core.call("context_put", { id: "a/gone", content: 1 });
    await core.call("context_delete", { id: "a/gone" });
    const before = core.log.position().seq;
    const rows: Array<[Record<string, unknown>, string]> = [
      [{ id: "a/none", format: "merge", patch: {} }, "not_found"],
      [{ id: "a/gone", format: "merge", patch: {} }, "deleted"],
      [{ id: "a/t", format: "merge", patch: {} }, "unsupported_media_type"],
      [{ id: "a/t", format: "json-patch", patch: [] }, "unsupported_media_type"],
      [{ id: "a/x", format: "json-patch", patch: [{ op: "test", path: "/a", value: 2 }] }, "patch_failed"],
      [{ id: "a/x", format: "json-patch", patch: {} }, "invalid_input"],
      [{ id: "a/x", format: "merge", patch: '{"a":1,"a":2}' }, "invalid_input"],
      [{ id: "a/x", format: "merge", patch: "{" }, "invalid_input"],
      [{ id: "a/x", format: "merge" }, "invalid_input"],
      [{ id: "a/x", format: "merge", patch: {}, if_match: "0-000000000000" }, "version_mismatch"],
      [{ id: "a/x", format: "merge", patch: { b: "x".repeat(190) } }, "too_large"],
      [{ id: "a/x", format: "merge", patch: { b: "x".repeat(300) } }, "too_large"],
      [{ id: "a/x", format: "edit", patch: [{ op: "append", text: "}" }] }, "patch_failed"],
      [{ id: "a/t", format: "edit", patch: [{ op: "append", text: "ä".repeat(99) }] }, "too_large"],
      [{ id: "a/x", format: "merges", patch: {} }, "invalid_input"],
    ];
    for (const [input, code] of rows)
      expect([input, (await refusal(core.call("context_patch", input))).code]).toEqual([input, code]);
    expect(core.log.position().seq).toBe(before);
    expect(core.unexpected).toEqual([]);
  });
});

test("a number beyond a double is refused as a value, where it would become null, and kept as text", async () => {
  await using core = startCore();
  const huge: unknown = JSON.parse('{"a":1e400}');
  await core.call("context_put", { id: "a/x", content: { a: 1, b: 2 } });
  for (const [operation, input] of [
    ["context_put", { content: huge }],
    ["context_put", { content: Number.NEGATIVE_INFINITY }],
    ["context_patch", { format: "merge", patch: huge }],
    ["context_patch", { format: "json-patch", patch: [{ op: "add", path: "/a", value: huge }] }],
  ] as const)
    expect(await refusal(core.call(operation, { id: "a/x", ...input }))).toMatchObject({ code: "invalid_input" });
  await core.call("context_patch", { id: "a/x", format: "merge", patch: '{"a":1e400}' });
  expect(await core.call("context_get", { id: "a/x", format: "text" })).toMatchObject({ content: '{"a":1e400,"b":2}' });
});

test("aliases stand for their names, beside them they are refused, and the unknown gets the near name", async () => {
  await using core = startCore();
  await core.call("context_put", { key: "a/x", value: "v", type: "text/markdown" });
  expect(await core.call("context_get", { name: "a/x" })).toMatchObject({
    content: "v",
    content_type: "text/markdown",
  });
  expect((await refusal(core.call("context_put", { id: "a/x", key: "a/x", content: 1 }))).message).toContain(
    "mean the same argument",
  );
  expect((await refusal(core.call("context_put", { id: "a/x", text: "a", body: "b" }))).message).toContain(
    "mean the same argument",
  );
  expect(await refusal(core.call("context_put", { id: "a/x", contents: 1 }))).toMatchObject({
    hint: "Did you mean content?",
  });
  for (const { operation, inputSchema } of core.invoker.registry.list()) {
    for (const alias of Object.keys(operation.aliases ?? {}))
      expect(inputSchema["properties"]).not.toHaveProperty(alias);
  }
});

describe("history", () => {
  test("lists versions newest first in pages, with authors, deletions and positions that read back", async () => {
    await using core = startCore();
    const alice = granted({ role: "member", spaces: ["*"] });
    await core.call("context_put", { id: "a/x", content: "one" }, alice);
    await core.call("context_put", { id: "a/other", content: 0 });
    await core.call("context_put", { id: "a/x", content: "two" });
    await core.call("context_delete", { id: "a/x" });
    await core.call("context_restore", { id: "a/x", version: 1 });
    const first = await core.call("context_history", { id: "a/x", limit: 3 });
    expect(first).toMatchObject({
      floor: 1,
      versions: [
        { version: 4, author: "local", deleted: false },
        { version: 3, deleted: true, size: 0 },
        { version: 2, size: 3 },
      ],
    });
    const rest = await core.call("context_history", { id: "a/x", limit: 3, cursor: first["cursor"] });
    expect(rest).toMatchObject({ versions: [{ version: 1, author: "user:alice@example.com" }] });
    expect(rest).not.toHaveProperty("cursor");
    const all = [...(first["versions"] as Array<{ position: string; version: number }>), ...(rest["versions"] as [])];
    for (const { position, version } of all) {
      if (version === 3)
        expect((await refusal(core.call("context_get", { id: "a/x", at: position }))).code).toBe("deleted");
      else expect(await core.call("context_get", { id: "a/x", at: position })).toMatchObject({ version });
    }
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ content: "one", author: "local" });
    expect((await refusal(core.call("context_get", { id: "a/x", at: core.invoker.positionAt(0) }))).code).toBe(
      "not_found",
    );
    expect((await refusal(core.call("context_get", { id: "a/x", version: 3 }))).code).toBe("deleted");
    expect((await refusal(core.call("context_get", { id: "a/x", version: 9 }))).code).toBe("not_found");
    expect((await refusal(core.call("context_history", { id: "a/x", cursor: "zz" }))).code).toBe("invalid_input");
    expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({
      version: 4,
      versions: 4,
      floor: 1,
      deleted: false,
      space: "a",
    });
  });

  test("restore refuses deletions and missing versions, and honours if_match", async () => {
    await using core = startCore();
    const { etag } = await core.call("context_put", { id: "a/x", content: "one" });
    await core.call("context_put", { id: "a/x", content: "two" });
    expect((await refusal(core.call("context_restore", { id: "a/x", version: 1, if_match: etag }))).code).toBe(
      "version_mismatch",
    );
    expect((await refusal(core.call("context_restore", { id: "a/x", version: 3 }))).code).toBe("not_found");
    expect((await refusal(core.call("context_restore", { id: "a/y", version: 1 }))).code).toBe("not_found");
    await core.call("context_delete", { id: "a/x" });
    expect((await refusal(core.call("context_restore", { id: "a/x", version: 3 }))).code).toBe("deleted");
    expect(await core.call("context_restore", { id: "a/x", version: 2 })).toMatchObject({ version: 4, created: true });
  });

  test("a diff of JSON is a patch that context_patch takes; of text a unified diff", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: { a: 1, list: [1, 2, 3] } });
    await core.call("context_put", { id: "a/x", content: { b: 2, list: [1, 3] } });
    const { diff, format } = await core.call("context_diff", { id: "a/x", from: 1 });
    expect(format).toBe("json-patch");
    await core.call("context_restore", { id: "a/x", version: 1 });
    await core.call("context_patch", { id: "a/x", format: "json-patch", patch: diff });
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ content: { b: 2, list: [1, 3] } });
    expect((await core.call("context_diff", { id: "a/x", from: 1, to: 2, format: "text" }))["diff"]).toBe(
      '--- a/x version 1\n+++ a/x version 2\n@@ -1,8 +1,7 @@\n {\n-  "a": 1,\n+  "b": 2,\n   "list": [\n     1,\n-    2,\n     3\n   ]\n }\n',
    );
    await core.call("context_put", { id: "a/x", content: "now text" });
    expect(await core.call("context_diff", { id: "a/x", from: 1 })).toMatchObject({ format: "text", to: 5 });
    expect((await refusal(core.call("context_diff", { id: "a/x", from: 1, format: "json-patch" }))).code).toBe(
      "unsupported_media_type",
    );
    expect(await core.call("context_diff", { id: "a/x", from: 2, to: 2 })).toMatchObject({ diff: [] });
  });

  test("a diff keeps digits that a double would lose, and a patch of it makes the other version", async () => {
    await using core = startCore();
    const texts = ['{"n":1,"m":2}', '{"n":12345678901234567891,"m":1e400}'];
    for (const content of texts)
      await core.call("context_put", { id: "a/x", content, content_type: "application/json" });
    const { diff } = await core.call("context_diff", { id: "a/x", from: 1 });
    expect(JSON.stringify(diff)).toContain("12345678901234567891");
    await core.call("context_restore", { id: "a/x", version: 1 });
    await core.call("context_patch", { id: "a/x", format: "json-patch", patch: JSON.stringify(diff) });
    expect(await core.call("context_get", { id: "a/x", format: "text" })).toMatchObject({ content: texts[1] });
    expect(JSON.stringify((await core.call("context_get", { id: "a/x" }))["content"])).toBe(texts[1] ?? "");
  });

  test("limits by count keep the newest, and what they removed is below the floor", async () => {
    await using core = startCore({
      limits: {
        history: {
          maxVersions: 3,
          maxDays: 0,
          keepHours: 0,
          spaces: { logs: { maxVersions: 1, maxDays: 0, keepHours: 0 } },
        },
      },
    });
    for (let i = 1; i <= 6; i++) {
      await core.call("context_put", { id: "a/x", content: `${i}` });
      await core.call("context_put", { id: "logs/x", content: `${i}` });
    }
    expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({ floor: 4, versions: 3 });
    expect(await core.call("context_metadata", { id: "logs/x" })).toMatchObject({ floor: 6, versions: 1 });
    expect(await refusal(core.call("context_get", { id: "a/x", version: 3 }))).toMatchObject({
      code: "below_floor",
      details: { floor: 4 },
    });
    expect((await refusal(core.call("context_get", { id: "a/x", at: core.invoker.positionAt(1) }))).code).toBe(
      "below_floor",
    );
    expect((await refusal(core.call("context_restore", { id: "a/x", version: 1 }))).code).toBe("below_floor");
    expect((await refusal(core.call("context_diff", { id: "a/x", from: 1 }))).code).toBe("below_floor");
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("limits by age spare the newest version however old it is", async () => {
    let now = 1_700_000_000_000;
    await using core = startCore({
      nowMs: () => now,
      limits: { history: { maxVersions: 0, maxDays: 2, keepHours: 0, spaces: {} } },
    });
    for (const day of [0, 1, 1, 1]) {
      now += day * DAY_MS;
      await core.call("context_put", { id: "a/x", content: day });
    }
    expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({ floor: 2, version: 4 });
    now += 100 * DAY_MS;
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ version: 4 });
    await core.call("context_put", { id: "a/x", content: 5 });
    expect(await core.call("context_metadata", { id: "a/x" })).toMatchObject({ floor: 5, versions: 1 });
    checkUsage(core);
  });
});

describe("context_many", () => {
  test("with a key is done once as a whole, and a refusal is remembered as a whole", async () => {
    await using core = startCore();
    const many = (key: string, ...contents: number[]) =>
      core.call("context_many", {
        idempotency_key: key,
        writes: contents.map((content, at) => ({ operation: "context_put", id: `a/${at}`, content })),
      });
    const [first, joined] = await Promise.all([many("k", 1, 2), many("k", 1, 2)]);
    expect(joined).toEqual(first);
    expect(await many("k", 1, 2)).toEqual(first);
    expect((await refusal(many("k", 1, 3))).code).toBe("key_reused");
    expect((await refusal(many("k", 1))).code).toBe("key_reused");
    expect(core.log.position().seq).toBe(2);
    const stale = () =>
      core.call("context_many", {
        idempotency_key: "stale",
        writes: [
          { operation: "context_put", id: "a/new", content: 1 },
          { operation: "context_put", id: "a/1", content: 1, if_match: "2-000000000000" },
        ],
      });
    const refused = await refusal(stale());
    expect(refused).toMatchObject({ code: "version_mismatch", details: { index: 1 } });
    expect(await refusal(stale())).toMatchObject({
      code: refused.code,
      message: refused.message,
      details: { index: 1 },
    });
    expect((await refusal(core.call("context_get", { id: "a/new" }))).code).toBe("not_found");
    expect(core.log.position().seq).toBe(2);
    checkUsage(core);
  });

  test("does all or nothing, each write seeing the ones before, with a change for each", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/old", content: 1 });
    const { results } = await core.call("context_many", {
      writes: [
        { operation: "context_put", key: "a/new", content: { n: 1 }, if_none_match: "*" },
        { operation: "context_patch", id: "a/new", format: "merge", patch: { m: 2 } },
        { operation: "context_delete", id: "a/old" },
        { operation: "context_restore", id: "a/old", version: 1 },
      ],
    });
    expect(results).toMatchObject([
      { id: "a/new", version: 1, created: true },
      { version: 2 },
      { version: 2, deleted: true },
      { version: 3, created: true },
    ]);
    expect(core.log.position().seq).toBe(5);
    const feed = core.invoker.changes.cursor(1).next(10);
    expect(feed.map((change) => [change.seq, change.target, change.version, change.outcome])).toEqual([
      [2, "a/new", 1, "created"],
      [3, "a/new", 2, "patched"],
      [4, "a/old", 2, "deleted"],
      [5, "a/old", 3, "created"],
    ]);
    const failed = await refusal(
      core.call("context_many", {
        writes: [
          { operation: "context_put", id: "a/third", content: 1 },
          { operation: "context_put", id: "a/new", content: 1, if_match: "9-000000000000" },
        ],
      }),
    );
    expect(failed).toMatchObject({ code: "version_mismatch", details: { index: 1 } });
    expect((await refusal(core.call("context_get", { id: "a/third" }))).code).toBe("not_found");
    expect(core.log.position().seq).toBe(5);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, checked: 5 });
    checkUsage(core);
  });

  test("refuses a bad write by its index before anything happens", async () => {
    await using core = startCore();
    const many = (...writes: unknown[]) => refusal(core.call("context_many", { writes }));
    expect(await many()).toMatchObject({ code: "invalid_input" });
    expect(await many(...Array(65).fill({ operation: "context_delete", id: "a" }))).toMatchObject({
      code: "invalid_input",
    });
    expect(await many({ operation: "context_purge", id: "a" })).toMatchObject({ code: "invalid_input" });
    expect(
      await many({ operation: "context_put", id: "a", content: 1 }, { operation: "context_put", id: "..", content: 1 }),
    ).toMatchObject({ code: "invalid_input", details: { index: 1 } });
    expect(await many({ operation: "context_put", id: "a", content: 1, idempotency_key: "k" })).toMatchObject({
      code: "invalid_input",
    });
    const large = { operation: "context_put", id: "a", content: "x".repeat(1024 * 1024) };
    expect(await many(...Array(5).fill(large))).toMatchObject({ code: "too_large" });
    expect(core.log.position().seq).toBe(0);
  });

  test("one forbidden space forbids all", async () => {
    await using core = startCore();
    const caller = granted({ role: "member", spaces: ["a"] });
    const writes = [
      { operation: "context_put", id: "a/x", content: 1 },
      { operation: "context_put", id: "b/x", content: 1 },
    ];
    expect((await refusal(core.call("context_many", { writes }, caller))).code).toBe("forbidden");
    expect(core.log.position().seq).toBe(0);
  });
});

describe("context_purge", () => {
  test("removes texts and words everywhere and keeps a chain that verifies", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: "secret-1", title: "secret-title", tags: ["secret-tag"] });
    await core.call("context_put", { id: "a/x", content: "fine" });
    expect(await core.call("context_purge", { id: "a/x", versions: [1] })).toEqual({
      id: "a/x",
      purged: 1,
      erasure: "pending",
    });
    expect((await refusal(core.call("context_get", { id: "a/x", version: 1 }))).code).toBe("purged");
    expect((await refusal(core.call("context_restore", { id: "a/x", version: 1 }))).code).toBe("purged");
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ version: 2, title: "secret-title" });
    expect((await refusal(core.call("context_purge", { id: "a/x", versions: [1, 7] }))).code).toBe("not_found");
    expect(await core.call("context_purge", { id: "a/x" })).toEqual({ id: "a/x", purged: 1, erasure: "pending" });
    expect((await refusal(core.call("context_get", { id: "a/x" }))).code).toBe("deleted");
    expect(await core.call("context_history", { id: "a/x" })).toMatchObject({
      versions: [
        { version: 3, deleted: true, title: "" },
        { version: 2, purged: true, size: 0 },
        { version: 1, purged: true, tags: [] },
      ],
    });
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, checked: 4 });
    expect(await core.call("context_purge", { id: "a/x" })).toEqual({ id: "a/x", purged: 0, erasure: "pending" });
    checkUsage(core);
    await core.close();
    const bytes = Buffer.from(await Bun.file(core.store.path).bytes());
    // Names of columns are in the file too.
    for (const text of ["secret-1", "secret-title", "secret-tag"]) expect(bytes.includes(text)).toBe(false);
  });

  test("takes title and tags out of deletions too, wherever in the history they stand", async () => {
    await using core = startCore();
    const words = { title: "secret-title", tags: ["secret-tag"] };
    const fill = async (id: string) => {
      await core.call("context_put", { id, content: "x", ...words });
      await core.call("context_delete", { id });
      await core.call("context_put", { id, content: "y" });
    };
    await fill("a/all");
    await core.call("context_purge", { id: "a/all" });
    expect(JSON.stringify(await core.call("context_history", { id: "a/all" }))).not.toContain("secret");
    await fill("a/one");
    await core.call("context_purge", { id: "a/one", versions: [1] });
    expect(JSON.stringify(await core.call("context_history", { id: "a/one" }))).not.toContain("secret");
    expect(await core.call("context_get", { id: "a/one" })).toMatchObject({ content: "y", version: 3 });
    await core.call("context_put", { id: "a/gone", content: "x", ...words });
    await core.call("context_delete", { id: "a/gone" });
    await core.call("context_purge", { id: "a/gone" });
    expect(JSON.stringify(await core.call("context_metadata", { id: "a/gone" }))).not.toContain("secret");
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("needs an operator", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: 1 });
    expect(
      (await refusal(core.call("context_purge", { id: "a/x" }, granted({ role: "member", spaces: ["*"] })))).code,
    ).toBe("forbidden");
    expect(await core.call("context_purge", { id: "a/x" }, granted({ role: "operator", spaces: ["a"] }))).toMatchObject(
      { purged: 1 },
    );
  });
});
