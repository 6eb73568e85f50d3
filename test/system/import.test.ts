// cairn import of other programs' files with a real node: dry run, a second run, secrets, and a file of hundreds of
// megabytes.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";

let node: DevNode;
beforeAll(async () => {
  node = await startDevNode();
}, 60_000);
afterAll(() => node[Symbol.asyncDispose](), 60_000);

async function storedAt(id: string): Promise<string | undefined> {
  const response = await fetch(`${node.url}/contexts/${id}`);
  return response.ok ? response.text() : undefined;
}

test("a vault: dry run, import, again, and the same vault as a folder", async () => {
  const vault = join(node.home, "My Vault");
  mkdirSync(join(vault, ".obsidian"), { recursive: true });
  mkdirSync(join(vault, "Ideas"));
  const token = `ghp_${"a1".repeat(18)}`;
  writeFileSync(join(vault, "Ideas", "One.md"), "---\ntags: [x]\nstate: draft\n---\nSee [[Two]] #y\n");
  writeFileSync(join(vault, "Two.md"), `token ${token}\n`);
  writeFileSync(join(vault, "latin.md"), new Uint8Array([0xff]));
  const dry = await node.bash("$CAIRN import 'My Vault' --dry-run");
  expect(dry).toMatchObject({
    code: 3,
    out: expect.stringContaining("would create default/My Vault/Ideas/One  (Ideas/One.md)"),
  });
  expect(await storedAt("default/My%20Vault/Two")).toBeUndefined();
  const first = await node.bash("$CAIRN import 'My Vault' --prefix team/vault");
  expect(first.code).toBe(3);
  expect(first.out).toContain(
    "obsidian → team/vault/: 2 contexts created, 0 updated, 0 unchanged, 1 left; removed before storing: github-token (1)",
  );
  expect(first.err).toContain("Two.md: 1 removed: it looked like a secret");
  expect(first.err).toContain("left latin.md: The file is not UTF-8");
  expect(await storedAt("team/vault/Two")).toBe("token [scrubbed:github-token]\n");
  const about = await (await fetch(`${node.url}/contexts/team/vault/Ideas/One/metadata`)).json();
  expect(about).toMatchObject({
    ...{ title: "One", tags: ["x", "y"], content_type: "text/markdown" },
    metadata: {
      state: "draft",
      imported_from: "obsidian",
      imported_id: "Ideas/One.md",
      original_updated: expect.any(String),
    },
  });
  const again = await node.bash("$CAIRN import 'My Vault' --prefix team/vault --json");
  expect(JSON.parse(again.out)).toMatchObject({ created: 0, updated: 0, unchanged: 2, kept: 0 });
  await node.bash(
    "echo mine | $CAIRN context put team/vault/Two; echo new >> 'My Vault/Ideas/One.md'; echo new >> 'My Vault/Two.md'",
  );
  const third = await node.bash("$CAIRN import 'My Vault' --prefix team/vault");
  expect(third.out).toContain("update team/vault/Ideas/One");
  expect(third.out).toContain("keep   team/vault/Two  (changed since");
  expect(await storedAt("team/vault/Two")).toBe("mine\n");
  mkdirSync(join(node.home, "out"));
  expect(await node.bash("$CAIRN folder sync out --prefix team/vault")).toMatchObject({ code: 0 });
}, 60_000);

test("what it is must be clear, and words must be known", async () => {
  mkdirSync(join(node.home, "plain"));
  writeFileSync(join(node.home, "plain", "a.md"), "a");
  const unclear = await node.bash("$CAIRN import plain");
  expect([unclear.code, unclear.err]).toEqual([
    2,
    expect.stringContaining("it has 1 Markdown file, and no mark of Obsidian"),
  ]);
  expect((await node.bash("$CAIRN import plain --from word")).err).toContain("Take one of cairn, agents, obsidian");
  expect((await node.bash("$CAIRN import plain --from obsidian --keep-secrets none")).err).toContain(
    "--keep-secrets is no rule",
  );
  expect((await node.bash("$CAIRN import plain --from obsidian --prefix fleet")).code).toBe(3);
  expect(await storedAt("fleet/a")).toBeUndefined();
  expect((await node.bash("$CAIRN import nowhere")).err).toContain(
    "Cannot read nowhere: there is no such file or folder",
  );
}, 60_000);

test("an export of Cairn is known by its first line, and checked whole by a dry run", async () => {
  await node.bash("echo x | $CAIRN context put exp/a");
  const data = `--data ${node.dataDir}`;
  await node.bash(`env -u CAIRN_URL $CAIRN export ${data} --to all.jsonl`);
  const dry = await node.bash(`env -u CAIRN_URL $CAIRN import all.jsonl --dry-run ${data}`);
  expect(dry).toMatchObject({
    code: 0,
    out: expect.stringMatching(/the export is complete and has \d+ versions?; nothing was written/),
  });
  expect(await node.bash(`env -u CAIRN_URL $CAIRN import all.jsonl ${data}`)).toMatchObject({
    code: 0,
    out: expect.stringContaining("existed already"),
  });
}, 60_000);

test("a memory.jsonl goes into the knowledge graph of a space", async () => {
  const lines = [
    { type: "entity", name: "Ann", entityType: "person", observations: ["prefers tabs"] },
    { type: "relation", from: "Ann", to: "Ann", relationType: "knows" },
  ];
  writeFileSync(join(node.home, "memory.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const dry = await node.bash("$CAIRN import memory.jsonl --prefix graph-team --dry-run");
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining("1 entity new") });
  expect(await node.bash("$CAIRN graph export --space graph-team")).toMatchObject({
    ...{ code: 0, out: "" },
    err: "cairn: the graph of space graph-team is empty, or you may not read it\n",
  });
  expect(await node.bash("$CAIRN import memory.jsonl --prefix graph-team")).toMatchObject({ code: 0 });
  expect((await node.bash("$CAIRN graph export --space graph-team")).out).toContain("prefers tabs");
  expect((await node.bash("$CAIRN import memory.jsonl --prefix graph-team")).out).toContain("0 entities new");
}, 60_000);

test("chats are listed by title, go below the name of their kind, and a wrong file is named", async () => {
  mkdirSync(join(node.home, "gpt"));
  const told = { message: { author: { role: "user" }, content: { content_type: "text", parts: ["Hi"] } } };
  const talk = { conversation_id: "c-1", title: "Plans for May", mapping: { a: told }, current_node: "a" };
  writeFileSync(join(node.home, "gpt", "conversations.json"), JSON.stringify([talk]));
  const dry = await node.bash("$CAIRN import gpt --dry-run");
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining("create default/chatgpt/c-1  (Plans for May)\n") });
  const { out: help } = await node.bash("$CAIRN import --help");
  expect(help).toMatch(/default\/chatgpt or default\/claude, whatever the folder is called/);
  writeFileSync(join(node.home, "object.json"), "{}");
  expect((await node.bash("$CAIRN import object.json --from chatgpt")).err).toContain(
    "Cannot read object.json: it is no JSON array",
  );
  writeFileSync(join(node.home, "cut.json"), "[{");
  expect((await node.bash("$CAIRN import cut.json --from claude")).err).toContain(
    "Cannot read cut.json: the JSON array ends in the middle",
  );
}, 60_000);

test("300 MB of chats are read within a bound of memory", async () => {
  const file = join(node.home, "conversations.json");
  const out = openSync(file, "w");
  const text = "word ".repeat(30_000);
  const talk = (at: number) => ({
    uuid: `u${at}`,
    name: `Talk ${at}`,
    created_at: "2024-05-01T10:00:00Z",
    chat_messages: [
      { sender: "human", text },
      { sender: "assistant", text },
    ],
  });
  writeSync(out, "[");
  for (let at = 0; at < 1000; at++) writeSync(out, `${at === 0 ? "" : ",\n"}${JSON.stringify(talk(at))}`);
  writeSync(out, "]");
  closeSync(out);
  const child = Bun.spawn({
    cmd: [...node.command, "import", file, "--dry-run", "--json"],
    env: { PATH: process.env["PATH"] ?? "", HOME: node.home, TMPDIR: node.home, CAIRN_URL: node.url },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const report = JSON.parse(await new Response(child.stdout).text());
  expect(await child.exited).toBe(0);
  expect(report).toMatchObject({ kind: "claude", prefix: "default/claude", created: 1000, left: [] });
  const usage = child.resourceUsage();
  expect((usage?.maxRSS ?? 0) / 1024 / 1024).toBeLessThan(450);
}, 120_000);
