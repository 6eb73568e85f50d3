// What importers read: arrays split without parsing them, chats, issues, vaults, and what a path is.

import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { chatItems, fenced } from "../../src/folder/import/chat.ts";
import type { Item, Kind } from "../../src/folder/import/item.ts";
import { type Element, elementsOf } from "../../src/folder/import/json-array.ts";
import { openSource } from "../../src/folder/index.ts";
import type { Left } from "../../src/folder/left.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const signal = new AbortController().signal;

async function split(bytes: Uint8Array, size: number, max = 1_000_000): Promise<Element[]> {
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return Array.fromAsync(elementsOf(chunks(), max));
}

test("an array is split into its elements, wherever the chunks end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue(), { maxLength: 6 }),
      fc.constantFrom(1, 2, 7, 4096),
      fc.constantFrom(0, 1, 2),
      fc.boolean(),
      async (values, size, indent, bom) => {
        const bytes = Buffer.from(`${bom ? "\uFEFF" : ""}${JSON.stringify(values, null, indent)}\n`);
        const found = await split(bytes, size);
        expect(found.map((element) => JSON.parse(String(element)))).toEqual(JSON.parse(JSON.stringify(values)));
      },
    ),
    { numRuns: 300 },
  );
});

test("an element over the bound is its size, and the next ones are read; what is no array, or is cut, is refused", async () => {
  const bytes = Buffer.from(`[1,"${"x".repeat(100)}",[2,{"a":"],[\\""}]]`);
  expect(await split(bytes, 9, 50)).toEqual(["1", 102, '[2,{"a":"],[\\""}]']);
  await expect(split(Buffer.from('{"a":1}'), 9)).rejects.toThrow("no JSON array");
  await expect(split(Buffer.from("[1,2"), 9)).rejects.toThrow("ends in the middle");
  await expect(split(Buffer.from("[1] [2]"), 9)).rejects.toThrow("no JSON array");
  await expect(split(Buffer.from(""), 9)).rejects.toThrow("ends in the middle");
});

test("a chat is one document, or parts none of which is larger than a context may be", () => {
  const chat = { id: "c", title: "  ", metadata: { model: "m" }, messages: [] as { author: string; text: string }[] };
  expect(chatItems(chat)).toMatchObject([
    { name: "c", title: "Conversation", content: "# Conversation\n\n(no messages)\n" },
  ]);
  const long = "ü".repeat(700_000);
  const texts = ["first", long, "last"];
  const items = chatItems({ ...chat, title: "Talk", messages: texts.map((text) => ({ author: "user", text })) });
  expect(items.map(({ name, title }) => [name, title])).toEqual([
    ["c", "Talk"],
    ["c/2", "Talk (part 2)"],
    ["c/3", "Talk (part 3)"],
  ]);
  for (const { content } of items) expect(Buffer.byteLength(content)).toBeLessThan(1024 * 1024);
  const whole = items.map(({ content }) => content.replace("# Talk\n\n", "")).join("");
  expect(whole.replaceAll("\n", "")).toBe(`## userfirst## user${long}## userlast`);
});

test("a block of code has a fence that its text has not", () => {
  expect(fenced("a\n```\nb")).toBe("````\na\n```\nb\n````");
  expect(fenced("x\n", "js")).toBe("```js\nx\n```");
});

function tree(files: Readonly<Record<string, unknown>>): string {
  const root = temporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
  }
  return root;
}

async function read(path: string, kind?: Kind): Promise<{ kind: string; items: Item[]; left: Left[] }> {
  const source = await openSource(path, kind, signal);
  if (typeof source === "string") return { kind: source, items: [], left: [] };
  const found = await Array.fromAsync(source.items(signal));
  return {
    kind: source.kind,
    items: found.filter((each) => "name" in each),
    left: found.filter((each) => "why" in each),
  };
}

const node = (id: string, parent: string | null, role: string, content: unknown, more = {}) => ({
  [id]: { id, parent, children: [], message: { id, author: { role }, create_time: 1_700_000_000, content, ...more } },
});
const said = (...parts: unknown[]) => ({ content_type: "text", parts });

test("ChatGPT: the branch that was shown, without what was hidden", async () => {
  const mapping = {
    root: { id: "root", parent: null, message: null },
    ...node("sys", "root", "system", said("You are")),
    ...node("hidden", "sys", "user", said("secret"), { metadata: { is_visually_hidden_from_conversation: true } }),
    ...node("q", "hidden", "user", said("Question", { content_type: "image_asset_pointer" })),
    ...node("old", "q", "assistant", said("Old answer")),
    ...node("think", "q", "assistant", { content_type: "thoughts", thoughts: [] }),
    ...node("code", "think", "assistant", { content_type: "code", language: "python", text: "1+1" }),
    ...node("new", "code", "assistant", said("New answer")),
  };
  const talk = {
    conversation_id: "c1",
    title: "Talk",
    create_time: 1_700_000_000.5,
    update_time: 1_700_000_100,
    current_node: "new",
    default_model_slug: "gpt-4o",
    mapping,
  };
  const circle = {
    id: "c2",
    title: "Circle",
    mapping: { a: { id: "a", parent: "b", message: null }, b: { id: "b", parent: "a", message: null } },
  };
  const root = tree({ "conversations.json": [talk, circle, { title: "none" }] });
  const { kind, items, left } = await read(root);
  expect([kind, items.length, left.map(({ place }) => place)]).toEqual([
    "chatgpt",
    2,
    ["conversations.json: conversation 3"],
  ]);
  expect(items[0]).toMatchObject({
    ...{ name: "c1", title: "Talk", sourceId: "c1", metadata: { model: "gpt-4o", messages: 3 } },
    ...{ created: "2023-11-14T22:13:20.500Z", updated: "2023-11-14T22:15:00.000Z" },
  });
  const at = "2023-11-14T22:13:20.000Z";
  expect(items[0]?.content).toBe(
    `# Talk\n\n## user, ${at}\n\nQuestion\n\n[image]\n\n## assistant, ${at}\n\n\`\`\`python\n1+1\n\`\`\`\n\n## assistant, ${at}\n\nNew answer\n`,
  );
  expect((await read(join(root, "conversations.json"))).items.length).toBe(2);
});

test("Claude: messages in order, with the texts of attachments", async () => {
  const message = (sender: string, more: object) => ({
    uuid: "m",
    sender,
    created_at: "2024-05-01T10:00:00.000000Z",
    ...more,
  });
  const talk = {
    ...{ uuid: "u1", name: "Plans", created_at: "2024-05-01T10:00:00Z", updated_at: "2024-05-02T10:00:00+02:00" },
    chat_messages: [
      message("human", {
        text: "Look",
        content: [],
        attachments: [{ file_name: "a.txt", extracted_content: "inside" }],
      }),
      message("assistant", {
        text: "old form",
        content: [
          { type: "thinking", thinking: "hm" },
          { type: "text", text: "Done" },
          { type: "tool_use", name: "search", input: {} },
        ],
      }),
      message("human", { text: "" }),
    ],
  };
  const root = tree({ "export.json": [talk] });
  const { kind, items } = await read(join(root, "export.json"));
  expect(kind).toBe("claude");
  expect(items[0]).toMatchObject({ name: "u1", title: "Plans", updated: "2024-05-02T08:00:00.000Z" });
  expect(items[0]?.content).toBe(
    "# Plans\n\n## human, 2024-05-01T10:00:00.000Z\n\nLook\n\n[file a.txt]\n\n```\ninside\n```\n\n## assistant, 2024-05-01T10:00:00.000Z\n\nDone\n\n[tool search]\n",
  );
});

test("beads: issues with what belongs to them, memories, nothing of what was deleted", async () => {
  const issue = {
    ...{
      id: "bd-a3f8.1",
      title: "Fix it",
      description: "It breaks.",
      notes: "see log",
      status: "open",
      priority: 0,
      issue_type: "bug",
    },
    ...{ labels: ["core"], created_at: "2025-10-01T00:00:00Z", updated_at: "2025-10-02T00:00:00Z", source_repo: "." },
    dependencies: [{ issue_id: "bd-a3f8.1", depends_on_id: "bd-a3f8", type: "parent-child" }],
    comments: [{ id: 1, author: "ann", text: "Mine.", created_at: "2025-10-03T00:00:00Z" }],
  };
  const lines = [
    issue,
    { id: "bd-x", title: "gone", status: "tombstone" },
    { _type: "memory", key: "style", value: "tabs" },
    { odd: 1 },
  ];
  const text = `${lines.map((line) => JSON.stringify(line)).join("\n")}\nnot json\n`;
  const root = tree({ ".beads/issues.jsonl": text, "src/main.ts": "x" });
  const { kind, items, left } = await read(root);
  expect([kind, left.map(({ place }) => place)]).toEqual(["beads", ["issues.jsonl: line 4", "issues.jsonl: line 5"]]);
  expect(items.map(({ name }) => name)).toEqual(["bd-a3f8.1", "memories/style"]);
  expect(items[0]).toMatchObject({
    ...{ title: "Fix it", tags: ["core"], created: "2025-10-01T00:00:00.000Z" },
    metadata: { status: "open", priority: 0, issue_type: "bug" },
    content:
      "# Fix it\n\nIt breaks.\n\n## Notes\n\nsee log\n\n## Dependencies\n\n- parent-child: bd-a3f8\n\n## Comments\n\n### ann, 2025-10-03T00:00:00.000Z\n\nMine.\n",
  });
  expect((await read(join(root, ".beads", "issues.jsonl"))).kind).toBe("beads");
  await expect(read(tree({ ".beads/beads.db": "x" }))).rejects.toThrow("has no issues.jsonl (beads.db)");
});

test("instructions of a tree: each with its folder, none of dependencies, none through a link", async () => {
  const root = tree({
    "CLAUDE.md": "top",
    "pkg/a/AGENTS.md": "\uFEFFnested",
    "node_modules/x/CLAUDE.md": "theirs",
    ".git/CLAUDE.md": "x",
    "README.md": "x",
  });
  symlinkSync(join(root, "CLAUDE.md"), join(root, "AGENTS.md"));
  const { kind, items, left } = await read(root);
  expect([kind, left.map(({ place }) => place)]).toEqual(["agents", ["AGENTS.md"]]);
  expect(items).toMatchObject([
    { name: "CLAUDE.md", content: "top", tags: ["instructions"] },
    { name: "pkg/a/AGENTS.md", content: "nested", title: "AGENTS.md of pkg/a" },
  ]);
});

test("an Obsidian vault: front matter, tags in the text, names as titles", async () => {
  const body = "Text #project/x and #2024 and `#code` and a#b\n```\n#fenced\n```\n#end/\n# Heading\n";
  const root = tree({
    ".obsidian/app.json": "{}",
    "Daily/2024-05-01.md": `---\ntags: "#a, b"\naliases: [One]\n---\n${body}`,
    "image.png": "x",
    ".trash/old.md": "x",
  });
  const { kind, items, left } = await read(root);
  expect([kind, left]).toEqual(["obsidian", []]);
  expect(items).toMatchObject([
    {
      name: "Daily/2024-05-01",
      title: "2024-05-01",
      tags: ["a", "b", "project/x", "end"],
      metadata: { aliases: ["One"] },
      content: body,
    },
  ]);
});

test("a basic-memory vault is known by its permalinks", async () => {
  const root = tree({
    "specs/Search.md":
      "---\ntitle: Search\ntype: note\npermalink: specs/search\ntags: [spec]\n---\n- [fact] quick #x\n- relates_to [[Index]]\n",
  });
  const { kind, items } = await read(root);
  expect(kind).toBe("basic-memory");
  expect(items).toMatchObject([
    { name: "specs/Search", title: "Search", sourceId: "specs/search", tags: ["spec"], metadata: { type: "note" } },
  ]);
});

test("what is not clear is asked for, with what was found", async () => {
  await expect(read(tree({ "a.md": "x", "b.md": "y" }))).rejects.toThrow("it has 2 Markdown files");
  expect((await read(tree({ "a.md": "x" }), "obsidian")).items.length).toBe(1);
  await expect(read(tree({ "CLAUDE.md": "x", ".beads/issues.jsonl": "" }))).rejects.toThrow(
    "may be of several kinds: beads, agents",
  );
  const root = tree({
    "export.zip": "PK\u0003\u0004",
    "odd.json": [{ a: 1 }],
    "export.jsonl": '{"cairn_export":1,"position":"x-1","prefix":""}\n',
  });
  await expect(read(join(root, "export.zip"))).rejects.toThrow("is a ZIP archive");
  await expect(read(join(root, "odd.json"))).rejects.toThrow("cannot be told");
  await expect(read(join(root, "odd.json"), "obsidian")).rejects.toThrow("is a file, and obsidian is a folder");
  expect((await read(join(root, "export.jsonl"))).kind).toBe("cairn");
  const graph = tree({ "memory.jsonl": '{"type":"entity","name":"Ann","entityType":"person","observations":[]}\n' });
  expect((await read(join(graph, "memory.jsonl"))).kind).toBe("memory");
  await expect(read(join(root, "nowhere"))).rejects.toThrow("there is no such file");
});
