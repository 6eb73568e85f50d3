// What an import writes: once, without secrets, with where it came from, and never over what somebody has changed.

import { expect, test } from "bun:test";
import { SCRUB_RULES, Scrubber } from "../../src/features/memory/index.ts";
import type { Item } from "../../src/folder/import/item.ts";
import { type ImportReport, runImport } from "../../src/folder/index.ts";
import { NotesNode } from "../kit/notes-node.ts";

const PREFIX = "team/vault";

function item(name: string, content: string, more: Partial<Item> = {}): Item {
  return { name, title: name, tags: [], metadata: {}, sourceId: `${name}.md`, content, ...more };
}

function imported(
  node: NotesNode,
  items: readonly Item[],
  more: { dryRun?: boolean; overwrite?: boolean; keep?: string[] } = {},
): Promise<ImportReport> {
  const { dryRun = false, overwrite = false, keep = [] } = more;
  async function* yielded() {
    yield* items;
  }
  const source = { kind: "obsidian" as const, name: "vault", items: yielded };
  return runImport({
    source,
    prefix: PREFIX,
    node,
    signal: new AbortController().signal,
    dryRun,
    overwrite,
    scrubber: new Scrubber(keep),
  });
}

const ITEMS = [
  item("plan", "# Plan\r\n", { tags: ["a"], metadata: { project: "x" }, updated: "2024-05-01T00:00:00.000Z" }),
  ...Array.from({ length: 100 }, (_, at) => item(`many/${at}`, `${at}`)),
];

test("a second import changes nothing, nor does one after the files were only touched", async () => {
  const node = new NotesNode();
  expect(await imported(node, ITEMS, { dryRun: true })).toMatchObject({ created: 101, dry_run: true });
  expect(node.seq).toBe(0);
  expect(await imported(node, ITEMS)).toMatchObject({ created: 101, updated: 0, unchanged: 0, left: [], remarks: [] });
  expect(node.newest(`${PREFIX}/plan`)).toEqual({
    ...{ content: "# Plan\r\n", content_type: "text/markdown", title: "plan", tags: ["a"] },
    metadata: {
      project: "x",
      imported_from: "obsidian",
      imported_id: "plan.md",
      imported_hash: expect.any(String),
      original_updated: "2024-05-01T00:00:00.000Z",
    },
  });
  const before = node.seq;
  expect(await imported(node, ITEMS)).toMatchObject({ created: 0, updated: 0, unchanged: 101 });
  expect(
    await imported(
      node,
      ITEMS.map((each) => ({ ...each, updated: "2025-01-01T00:00:00.000Z" })),
    ),
  ).toMatchObject({ unchanged: 101 });
  expect(node.seq).toBe(before);
});

test("what has changed in the source is updated; what somebody changed is kept, unless overwritten", async () => {
  const node = new NotesNode();
  await imported(node, [item("a", "one"), item("b", "one")]);
  node.put(`${PREFIX}/b`, "edited", { metadata: node.newest(`${PREFIX}/b`)?.metadata ?? {} });
  node.put(`${PREFIX}/c`, "by hand");
  const next = [item("a", "two"), item("b", "two"), item("c", "two")];
  expect(await imported(node, next)).toMatchObject({ created: 0, updated: 1, kept: 2, left: [] });
  expect(["a", "b", "c"].map((name) => node.newest(`${PREFIX}/${name}`)?.content)).toEqual([
    "two",
    "edited",
    "by hand",
  ]);
  expect(await imported(node, next, { overwrite: true })).toMatchObject({ updated: 2, unchanged: 1 });
  expect(node.newest(`${PREFIX}/b`)?.content).toBe("two");
});

test("secrets are removed everywhere, counted, and named; a rule can be switched off", async () => {
  const key = `ghp_${"a1".repeat(18)}`;
  const items = [
    item("s", `token ${key}`, { title: key, tags: [key], metadata: { note: { deep: key } } }),
    item("t", "clean"),
  ];
  const node = new NotesNode();
  const report = await imported(node, items);
  expect(report.scrubbed).toEqual([{ rule: "github-token", count: 4 }]);
  expect(report.remarks).toEqual(["s.md: 4 removed: it looked like a secret (--keep-secrets switches rules off)"]);
  expect(JSON.stringify([...node.versions.values()])).not.toContain(key);
  expect(await imported(node, items)).toMatchObject({ unchanged: 2 });
  const kept = new NotesNode();
  expect((await imported(kept, items, { keep: ["github-token"] })).scrubbed).toEqual([]);
  expect(kept.newest(`${PREFIX}/s`)?.content).toBe(`token ${key}`);
  expect(SCRUB_RULES.map(({ name }) => name)).toContain("github-token");
});

test("titles, tags and metadata are brought within the bounds of contexts, and it is said", async () => {
  const node = new NotesNode();
  const tags = Array.from({ length: 40 }, (_, at) => `t${at}`);
  const report = await imported(node, [
    item("a", "x", { title: ` two\nlines ${"y".repeat(300)}`, tags, metadata: { big: "z".repeat(5000), small: 1 } }),
  ]);
  const stored = node.newest(`${PREFIX}/a`);
  expect([stored?.title.length, stored?.title.startsWith("two lines y"), stored?.tags.length]).toEqual([200, true, 32]);
  expect(stored?.metadata).toMatchObject({ small: 1, imported_id: "a.md" });
  expect(report.remarks).toEqual([
    expect.stringContaining("of its front matter big has no room"),
    expect.stringContaining("32 were taken"),
  ]);
});

test("two documents of one id, and one of no valid id, are named and stop nothing", async () => {
  const node = new NotesNode();
  const report = await imported(node, [item("a", "1"), item("a", "2"), item("x".repeat(300), "3"), item("b", "4")]);
  expect(report).toMatchObject({ created: 2 });
  expect(report.left.map(({ why }) => why)).toEqual([
    expect.stringContaining("an earlier document of the source is team/vault/a too"),
    expect.stringContaining("1 to 256 characters"),
  ]);
});
