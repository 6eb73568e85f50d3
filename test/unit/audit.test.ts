// The audit: who did what, what was refused, and that every change made to the store from outside is found.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { verifyHeads } from "../../src/features/context/verify-heads.ts";
import { readAcknowledgedHeads } from "../../src/fleet/index.ts";
import { HistoryWatch, type HistoryWatchOptions } from "../../src/membership/history-watch.ts";
import { type Core, granted, startCore } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";

async function filled(): Promise<Core> {
  const core = startCore();
  const alice = granted({ role: "member", spaces: ["*"] });
  for (let i = 0; i < 4; i++) await core.call("context_put", { id: "a/x", content: `text ${i}` }, alice);
  await core.call("context_put", { id: "b/x", content: "b" });
  await core.call("context_delete", { id: "b/x" });
  return core;
}

describe("audit_verify finds", () => {
  const zero = "zeroblob(32)";
  const rows: Array<[string, string[], string]> = [
    ["an edited change", ["UPDATE changes SET caller = 'user:bob@example.com' WHERE seq = 2"], "change 2 "],
    ["an edited hash", [`UPDATE changes SET hash = ${zero} WHERE seq = 3`], "change 3 "],
    ["a removed change", ["DELETE FROM changes WHERE seq = 3"], "change 3 is missing"],
    ["a cut tail", ["DELETE FROM changes WHERE seq > 4"], "after 4 are missing"],
    [
      "a cut tail with its head",
      ["DELETE FROM changes WHERE seq > 4", "UPDATE head SET seq = 4, hash = (SELECT hash FROM changes WHERE seq = 4)"],
      "ends at 4",
    ],
    ["a moved floor", ["UPDATE head SET floor = 3", "DELETE FROM changes WHERE seq <= 3"], "change 4 "],
    ["another text", ["UPDATE versions SET content = CAST('other' AS BLOB) WHERE seq = 2"], "change 2 "],
    [
      "another text with its hash",
      [
        "UPDATE versions SET content = x'', hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' WHERE seq = 2",
      ],
      "not the one that the change names",
    ],
    ["swapped versions", ["UPDATE versions SET version = 9 WHERE seq = 1"], "change 1 "],
    ["a resurrected deletion", ["UPDATE contexts SET deleted = 0 WHERE id = 'b/x'"], "state of its context"],
    ["another author", ["UPDATE versions SET author = 'user:bob@example.com' WHERE seq = 2"], "author"],
    ["another time", ["UPDATE versions SET log_time = log_time - 1 WHERE seq = 2"], "time"],
    ["a forged way", ["UPDATE changes SET via = 'nEDGE' WHERE seq = 2"], "change 2 "],
    ["another title", ["UPDATE contexts SET title = 'other' WHERE id = 'a/x'"], "state of its context"],
    [
      "another title in both places",
      ["UPDATE versions SET title = 'other' WHERE seq = 4", "UPDATE contexts SET title = 'other' WHERE id = 'a/x'"],
      "different title, tags, type",
    ],
    ["other tags of an old version", ["UPDATE versions SET tags = char(10) || 't' || char(10) WHERE seq = 2"], "title"],
    [
      "another type in both places",
      [
        "UPDATE versions SET content_type = 'text/html' WHERE seq = 4",
        "UPDATE contexts SET content_type = 'text/html' WHERE id = 'a/x'",
      ],
      "different title, tags, type",
    ],
    [
      "a text that is called purged",
      ["UPDATE versions SET purged = 1, content = x'', size = 0 WHERE seq = 2"],
      "no change says so",
    ],
    ["a removed state hash", ["UPDATE changes SET state_hash = '' WHERE seq = 2"], "change 2 "],
    [
      "a version above the head",
      [
        "INSERT INTO versions SELECT id, 5, 99, hash, content_type, title, tags, size, author, via, log_time, deleted, purged, encoding, content, client, agent, expires_at, metadata, supersedes, visibility, owner, owner_agent, owner_type, recipients FROM versions WHERE seq = 1",
        "UPDATE contexts SET version = 5 WHERE id = 'a/x'",
      ],
      "the history was cut",
    ],
    ["a context in another space", ["UPDATE contexts SET space = 'b' WHERE id = 'a/x'"], "space of another"],
    ["a size that is wrong", ["UPDATE versions SET size = 1 WHERE seq = 2"], "different size"],
    ["a removed newest version", ["DELETE FROM versions WHERE seq = 4"], "newest version of a context, 4, is missing"],
    ["a removed version", ["DELETE FROM versions WHERE seq = 2"], "between 1 and 4 is missing"],
    ["all versions of a context removed", ["DELETE FROM versions WHERE id = 'a/x'"], "newest version of a context"],
    ["a removed context", ["DELETE FROM contexts WHERE id = 'b/x'"], "no context"],
    [
      "a head put back",
      [
        "UPDATE contexts SET version = 3, hash = (SELECT hash FROM versions WHERE id = 'a/x' AND version = 3) WHERE id = 'a/x'",
      ],
      "its context",
    ],
  ];
  test.each(rows)("%s", async (_name, statements, problem) => {
    await using core = await filled();
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, checked: 6, versions: 6 });
    const outside = new Database(core.store.path);
    for (const sql of statements) outside.run(sql);
    outside.close();
    // Reads of one turn share one state of the file.
    await nextTurn();
    const report = await core.call("audit_verify", {});
    expect([report["ok"], report["problem"]]).toEqual([false, expect.stringContaining(problem)]);
    expect(String(report["problem"])).not.toContain("a/x");
  });

  test("nothing wrong after purges, deletions, imports and a title that stayed", async () => {
    await using core = startCore();
    const put = (id: string, content: string, more = {}) => core.call("context_put", { id, content, ...more });
    await put("a/x", "one", { title: "T", tags: ["t"] });
    await put("a/x", "two");
    await core.call("context_delete", { id: "a/x" });
    await core.call("context_purge", { id: "a/x", versions: [2] });
    await put("a/y", "one", { title: "T" });
    await core.call("context_purge", { id: "a/y" });
    await core.call("context_purge", { id: "a/y" });
    await put("a/y", "again", { title: "U" });
    await put("a/z", "one", { title: "T" });
    await put("a/z", "two");
    await core.call("context_purge", { id: "a/z", versions: [1] });
    const { lines } = (await core.call("context_export", {})) as { lines: string[] };
    await using to = startCore();
    await to.call("context_import", { lines });
    for (const each of [core, to]) expect(await each.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("a cut tail with everything that it left, by the head that the node noted outside of its store", async () => {
    await using core = await filled();
    const data = temporaryFolder();
    const watch = new HistoryWatch({ dataDir: data, log: core.log, nowMs: Date.now } as HistoryWatchOptions);
    watch.stop();
    await core.close();
    const outside = new Database(core.store.path);
    for (const sql of [
      "DELETE FROM changes WHERE seq > 4",
      "UPDATE head SET seq = 4, hash = (SELECT hash FROM changes WHERE seq = 4)",
      "DELETE FROM versions WHERE seq > 4",
      "DELETE FROM contexts WHERE id = 'b/x'",
    ])
      outside.run(sql);
    outside.close();
    await using again = startCore({ folder: core.folder });
    expect(await again.call("audit_verify", {})).toMatchObject({ ok: true });
    const noted = () => verifyHeads(again.store.reader, readAcknowledgedHeads(data), { seq: 4 }).problem;
    expect(noted()).toContain("this node noted change 6");
    // What is written from now on does not take its place.
    await again.call("context_put", { id: "c/x", content: 1 });
    new HistoryWatch({ dataDir: data, log: again.log, nowMs: Date.now } as HistoryWatchOptions).stop();
    expect(noted()).toContain("this node noted change 6");
  });

  test("a rewrite of the whole chain, because the process remembers its head", async () => {
    await using core = await filled();
    await using other = await filled();
    const rewritten = other.store.reader.all<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM changes");
    const outside = new Database(core.store.path);
    outside.run("UPDATE head SET hash = ?", [rewritten.at(-1)?.hash ?? null]);
    outside.run("DELETE FROM changes");
    outside.run(`ATTACH '${other.store.path}' AS other`);
    outside.run("INSERT INTO changes SELECT * FROM other.changes");
    outside.close();
    await nextTurn();
    expect(await core.call("audit_verify", {})).toMatchObject({
      ok: false,
      problem: expect.stringContaining("rewritten"),
    });
  });

  test("and a store whose history was cut does not start", async () => {
    await using core = await filled();
    await core.close();
    const outside = new Database(core.store.path);
    outside.run("DELETE FROM changes WHERE seq = 6");
    outside.close();
    expect(() => startCore({ folder: core.folder })).toThrow("ends at change 5, but should end at 6");
  });
});

describe("audit_query", () => {
  test("shows changes newest first, narrowed and paged, and only of spaces the caller operates", async () => {
    await using core = await filled();
    const all = (await core.call("audit_query", {})) as {
      rows: Array<{ position: string; target: string; outcome: string; caller: string }>;
    };
    expect(all.rows.map((row) => row.outcome)).toEqual([
      "deleted",
      "created",
      "updated",
      "updated",
      "updated",
      "created",
    ]);
    expect(all.rows.at(-1)).toMatchObject({
      caller: "user:alice@example.com",
      target: "a/x",
      operation: "context_put",
    });
    const pages: string[] = [];
    let cursor: unknown;
    do {
      const page: Record<string, unknown> = await core.call("audit_query", {
        limit: 2,
        caller: "user:alice@example.com",
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const row of page["rows"] as Array<{ position: string }>) pages.push(row.position);
      cursor = page["cursor"];
    } while (cursor !== undefined);
    expect(pages).toEqual(all.rows.slice(2).map((row) => row.position));
    const rowsOf = async (query: Record<string, unknown>, caller?: Parameters<Core["call"]>[2]) =>
      ((await core.call("audit_query", query, caller)) as typeof all).rows.length;
    expect(await rowsOf({ operation: "context_delete" })).toBe(1);
    expect(await rowsOf({ prefix: "b/" })).toBe(2);
    expect(await rowsOf({ since: all.rows[2]?.position })).toBe(2);
    expect(await rowsOf({ until: all.rows[2]?.position })).toBe(4);
    expect(await rowsOf({ since: "2000-01-01T00:00:00Z" })).toBe(6);
    expect(await rowsOf({ until: "2000-01-01T00:00:00Z" })).toBe(0);
    expect(await rowsOf({ since: "2100-01-01T00:00:00Z" })).toBe(0);
    expect(await rowsOf({}, granted({ role: "operator", spaces: ["b"] }))).toBe(2);
    for (const query of [{ since: "yesterday" }, { cursor: "x" }, { limit: 0 }])
      await expect(core.call("audit_query", query)).rejects.toMatchObject({ code: "invalid_input" });
    await expect(core.call("audit_query", {}, granted({ role: "member", spaces: ["*"] }))).rejects.toMatchObject({
      code: "forbidden",
    });
  });

  test("counts refused calls by caller, verb, space, operation and minute, also after a restart", async () => {
    let now = Date.parse("2026-01-31T12:00:30Z");
    await using core = startCore({ nowMs: () => now });
    const nobody = granted();
    const refuse = (input: Record<string, unknown>, name = "context_get") =>
      core.call(name, input, nobody).catch(() => {});
    for (let i = 0; i < 3; i++) await refuse({ id: "a/x" });
    await refuse({ id: "b/x" });
    await refuse({}, "context_list");
    now += 60_000;
    await refuse({ id: "a/x" });
    await core.close();
    await using again = startCore({ folder: core.folder, nowMs: () => now });
    const { refusals } = await again.call("audit_query", {});
    const row = { caller: "user:alice@example.com", verb: "read", operation: "context_get" };
    expect(refusals).toEqual([
      { ...row, time: "2026-01-31T12:01:00.000Z", space: "a", count: 1 },
      { ...row, time: "2026-01-31T12:00:00.000Z", space: "*", operation: "context_list", count: 1 },
      { ...row, time: "2026-01-31T12:00:00.000Z", space: "a", count: 3 },
      { ...row, time: "2026-01-31T12:00:00.000Z", space: "b", count: 1 },
    ]);
    expect(
      (await again.call("audit_query", {}, granted({ role: "operator", spaces: ["b"] })))["refusals"],
    ).toHaveLength(1);
    expect(await again.call("audit_query", { caller: "user:x" })).toMatchObject({ refusals: [] });
  });

  test("a flood of different refusals stays bounded, and none is uncounted", async () => {
    await using core = startCore({ nowMs: () => 1_700_000_000_000 });
    for (let caller = 0; caller < 30; caller++) {
      for (let space = 0; space < 100; space++) {
        core.refusals.record({ caller: `user:${caller}`, verb: "read", space: `s${space}`, operation: "context_get" });
      }
    }
    const rows = core.refusals.list(0, Number.MAX_SAFE_INTEGER, 10_000);
    expect(rows.length).toBeLessThanOrEqual(1001);
    expect(rows.reduce((sum, row) => sum + row.count, 0)).toBe(3000);
    expect(rows).toContainEqual(expect.objectContaining({ caller: "user:29", space: "…" }));
  });
});
