// The memory tool of Anthropic: its commands with their texts, whose files they are, which paths it refuses, and that
// no secret is stored. Beside the implementation of Anthropic's SDK: test/contract/memory-originals.test.ts.

import { describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { remove, rename } from "../../src/features/memory/files/change.ts";
import { pathOf } from "../../src/features/memory/files/paths.ts";
import { Files } from "../../src/features/memory/files/store.ts";
import { memoryFeature, memoryToolFeature } from "../../src/features/memory/index.ts";
import type { MacroSteps } from "../../src/operation/define.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { checkUsage } from "../kit/usage.ts";

type Json = Record<string, unknown>;

const features = [agentFeature, contextFeature, memoryFeature, memoryToolFeature];
const start = () => startSessions({ features });
const ann = user("ann");
const SECRET = `ghp_${"Ab3dEf9h".repeat(5).slice(0, 36)}`;

/** Returns the text of a command, or of its refusal. */
const run = (who: Someone, command: string, more: Json = {}) =>
  who.call("memory_tool", { command, ...more }).then(
    ({ text }) => String(text),
    (error: Error) => error.message,
  );
const create = (who: Someone, path: string, file_text: string, more: Json = {}) =>
  run(who, "create", { path, file_text, ...more });
const view = (who: Someone, path = "/memories", more: Json = {}) => run(who, "view", { path, ...more });
const listing = (path: string, ...rows: string[]) =>
  [
    `Here're the files and directories up to 2 levels deep in ${path}, excluding hidden items and node_modules:`,
    ...rows,
  ].join("\n");

describe("the commands", () => {
  test("view a directory two levels deep, with sizes, without hidden items", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    expect(await view(who)).toBe(listing("/memories", "0B\t/memories"));
    await create(who, "/memories/b.txt", "x".repeat(1536));
    await create(who, "/memories/a/one.md", "é");
    await create(who, "/memories/a/deep/er/two.md", "x".repeat(3 * 1024 * 256));
    await create(who, "/memories/.hidden", "h");
    await create(who, "/memories/node_modules/x", "n");
    expect(await view(who)).toBe(
      listing(
        "/memories",
        ...["769.5K\t/memories", "768.0K\t/memories/a/", "768.0K\t/memories/a/deep/", "2B\t/memories/a/one.md"],
        "1.5K\t/memories/b.txt",
      ),
    );
    expect(await view(who, "/memories/a/deep/")).toBe(
      listing(
        "/memories/a/deep",
        "768.0K\t/memories/a/deep",
        "768.0K\t/memories/a/deep/er/",
        "768.0K\t/memories/a/deep/er/two.md",
      ),
    );
    expect(await view(who, "/memories/.hidden")).toContain("     1\th");
    expect(await view(who, "/memories/none")).toBe(
      "The path /memories/none does not exist. Please provide a valid path.",
    );
    checkUsage(core);
  });

  test("view a file with line numbers, a part of it, and a long one in parts", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const path = "/memories/notes.txt";
    expect(await create(who, path, "Hello\nTwo\n")).toBe(`File created successfully at: ${path}`);
    expect(await create(who, path, "again")).toBe(`Error: File ${path} already exists`);
    const head = `Here's the content of ${path} with line numbers:\n`;
    expect(await view(who, path)).toBe(`${head}     1\tHello\n     2\tTwo\n     3\t`);
    expect(await view(who, path, { view_range: [2, 2] })).toBe(`${head}     2\tTwo`);
    expect(await view(who, path, { view_range: [2, -1] })).toBe(`${head}     2\tTwo\n     3\t`);
    for (const view_range of [
      [0, 1],
      [4, 5],
      [2, 1],
    ])
      expect(await view(who, path, { view_range })).toStartWith("Error: Invalid `view_range` parameter");
    await create(who, "/memories/long", "0123456789\n".repeat(20_000));
    const long = await view(who, "/memories/long");
    const next = /view_range \[(\d+), -1\]/.exec(long)?.[1];
    expect(long.length).toBeLessThan(61_000);
    expect(long).toContain(`\n${String(Number(next) - 1).padStart(6)}\t0123456789\nThe file has 20001 lines;`);
    await create(who, "/memories/wide", `${"w".repeat(70_000)}\nlast`);
    expect(await view(who, "/memories/wide")).toEndWith(
      "w\nThe file has 2 lines; view_range [2, -1] shows those from line 2 on.",
    );
    expect(await view(who, "/memories/wide", { view_range: [2, -1] })).toEndWith("     2\tlast");
    expect(await create(who, "/memories/empty", "")).toBe("File created successfully at: /memories/empty");
    await create(who, "/memories/lines", "\n".repeat(999_999));
    expect(await view(who, "/memories/lines")).toBe(
      "File /memories/lines exceeds maximum line limit of 999,999 lines.",
    );
  });

  test("str_replace takes exactly one occurrence", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const path = "/memories/p.txt";
    const replace = (old_str: string, more: Json = {}) => run(who, "str_replace", { path, old_str, ...more });
    await create(who, path, "a\nb b\nc $& d\ne\nf\nb");
    expect(await replace("c $&", { new_str: "$&\nC" })).toBe(
      "The memory file has been edited. Here is the snippet showing the change (with line numbers):\n" +
        "     1\ta\n     2\tb b\n     3\t$&\n     4\tC d\n     5\te",
    );
    expect(await replace("none", { new_str: "" })).toBe(
      `No replacement was performed, old_str \`none\` did not appear verbatim in ${path}.`,
    );
    expect(await replace("b", { new_str: "" })).toBe(
      "No replacement was performed. Multiple occurrences of old_str `b` in lines: 2, 7. Please ensure it is unique",
    );
    expect(await replace("")).toContain("did not appear verbatim");
    expect(await run(who, "str_replace", { path: "/memories/none", old_str: "x", new_str: "y" })).toBe(
      "Error: The path /memories/none does not exist. Please provide a valid path.",
    );
    await create(who, "/memories/d/x", "x");
    expect(await run(who, "str_replace", { path: "/memories/d", old_str: "x", new_str: "y" })).toContain(
      "does not exist",
    );
  });

  test("insert puts lines after a line", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const path = "/memories/todo";
    const insert = (insert_line: number, insert_text: string) => run(who, "insert", { path, insert_line, insert_text });
    expect(await insert(0, "x")).toBe(`Error: The path ${path} does not exist`);
    await create(who, path, "one\ntwo");
    expect(await insert(0, "zero\n")).toBe(`The file ${path} has been edited.`);
    await insert(3, "three");
    expect(await view(who, path)).toEndWith("     1\tzero\n     2\tone\n     3\ttwo\n     4\tthree");
    for (const line of [-1, 5])
      expect(await insert(line, "x")).toBe(
        `Error: Invalid \`insert_line\` parameter: ${line}. It should be within the range of lines of the file: [0, 4]`,
      );
  });

  test("delete and rename files and directories as a whole", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    for (const name of ["a/1", "a/2", "a/b/3", "ab", "c"]) await create(who, `/memories/${name}`, `of ${name}`);
    const rename = (from: string, to: string) =>
      run(who, "rename", { old_path: `/memories/${from}`, new_path: `/memories/${to}` });
    expect(await rename("a", "n/a")).toBe("Successfully renamed /memories/a to /memories/n/a");
    expect(await view(who, "/memories/n/a/b/3")).toContain("of a/b/3");
    expect(await rename("n/a/1", "c")).toBe("Error: The destination /memories/c already exists");
    expect(await rename("c", "n")).toBe("Error: The destination /memories/n already exists");
    expect(await rename("none", "x")).toBe("Error: The path /memories/none does not exist");
    expect(await rename("n", "n/x")).toContain("below itself");
    expect(await rename("ab", "c/d")).toContain("/memories/c is a file");
    expect(await create(who, "/memories/c/d", "x")).toContain("/memories/c is a file");
    expect(await create(who, "/memories/n", "x")).toBe("Error: File /memories/n already exists");
    expect(await rename("c", "C")).toBe("Successfully renamed /memories/c to /memories/C");
    const remove = (path: string) => run(who, "delete", { path });
    expect(await remove("/memories/n")).toBe("Successfully deleted /memories/n");
    expect(await remove("/memories/n")).toBe("Error: The path /memories/n does not exist");
    expect(await remove("/memories")).toBe("Error: Cannot delete the /memories directory itself");
    expect(await run(who, "rename", { old_path: "/memories", new_path: "/memories/x" })).toContain("Cannot rename");
    expect(await view(who)).toBe(listing("/memories", "9B\t/memories", "4B\t/memories/C", "5B\t/memories/ab"));
    for (let at = 0; at < 70; at++) await create(who, `/memories/many/${at}`, "x");
    expect(await rename("many", "more")).toContain("has 70 files; at most 32");
    expect(await remove("/memories/many")).toBe("Successfully deleted /memories/many");
    expect(await run(who, "create", { path: "/memories/x" })).toBe("Error: The command create needs file_text");
  });
});

describe("paths", () => {
  test.each([
    ...[
      "",
      "/",
      "notes",
      "/memory",
      "/memoriesx/a",
      "/etc/passwd",
      "../memories/a",
      "memories/a",
      "file:///memories/a",
    ],
    ...["/memories/..", "/memories/../etc", "/memories/a/../../b", "/memories/./a", "/memories/a/.", "/memories/.."],
    ...["/memories//a", "/memories/a//b", "/memories/a\\b", "/memories/..\\x", "/memories/a\\..\\..\\b"],
    ...["/memories/%2e%2e/a", "/memories/%2E%2E%2Fa", "/memories/a%2fb", "/memories/%252e%252e/a"],
    ...["/memories/a\u0000b", "/memories/a\nb", "/memories/\u202Ea", "/memories/a\u200bb", "/memories/\u2215a"],
    ...["/memories/ a", `/memories/${"x".repeat(300)}`, "/memories/．．/a\uFF0Fb"],
  ])("%j is refused by every command", async (path) => {
    await using core = start();
    const who = new Someone(core, ann);
    const calls: [string, Json][] = [
      ["view", { path }],
      ["create", { path, file_text: "x" }],
      ["str_replace", { path, old_str: "x", new_str: "y" }],
      ["insert", { path, insert_line: 0, insert_text: "y" }],
      ["delete", { path }],
      ["rename", { old_path: path, new_path: "/memories/x" }],
      ["rename", { old_path: "/memories/there", new_path: path }],
    ];
    await create(who, "/memories/there", "x");
    const before = core.log.position().seq;
    for (const [command, more] of calls) expect(await run(who, command, more)).toStartWith("Error: ");
    expect(core.log.position().seq).toBe(before);
  });

  test("are one path however their letters are composed", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    await create(who, "/memories/café.txt".normalize("NFD"), "x");
    expect(await create(who, "/memories/café.txt".normalize("NFC"), "y")).toContain("already exists");
  });
});

describe("files", () => {
  test("are of the agent, or the caller itself, unless they are shared in a space", async () => {
    await using core = start();
    const [one, two] = [await new Someone(core, ann).as("one"), await new Someone(core, ann).as("two")];
    const [itself, bob] = [new Someone(core, ann), new Someone(core, user("bob"))];
    const path = "/memories/x";
    await create(one, path, "of one");
    for (const who of [two, itself, bob]) {
      expect(await view(who)).toBe(listing("/memories", "0B\t/memories"));
      expect(await view(who, path)).toContain("does not exist");
    }
    await create(itself, path, "of ann");
    expect([await view(one, path), await view(itself, path)]).toEqual([
      expect.stringContaining("of one"),
      expect.stringContaining("of ann"),
    ]);
    const shared = { space: "team-a", scope: "shared" };
    await create(one, path, "shared", shared);
    expect(await view(bob, path, shared)).toContain("shared");
    expect(await run(bob, "str_replace", { path, old_str: "shared", new_str: "by bob", ...shared })).toContain(
      "edited",
    );
    expect(await view(one, path, shared)).toContain("by bob");
    expect(await view(bob, path, { space: "team-b", scope: "shared" })).toContain("does not exist");
    const zoe = new Someone(core, user("zoe", { role: "member", spaces: ["team-z"] }));
    expect(await view(zoe, path, shared)).toContain("team-a");
    for (const space of ["fleet", "_own"])
      expect(await create(one, path, "x", { space, scope: "shared" })).toContain(`"${space}"`);
    expect(await view(zoe, "/memories", { space: "team-z" })).toBe(listing("/memories", "0B\t/memories"));
  });

  test("are memories too", async () => {
    await using core = start();
    const one = await new Someone(core, ann).as("one");
    await create(one, "/memories/a/notes.txt", "Ann likes tabs");
    expect(await one.call("memory_get", { key: "files/a/notes.txt" })).toMatchObject({
      ...{ value: "Ann likes tabs", kind: "note", scope: "own", visibility: "private" },
    });
  });

  test("are looked for among a bounded number of contexts, whosever these are", async () => {
    let pages = 0;
    const contexts = Array.from({ length: 500 }, (_, at) => ({
      ...{ id: `s/memory/agents/one/files/x/${at}`, etag: "1-x", size: 1, visibility: "private", owner: "user:bob" },
    }));
    const ask = async (_operation: string, { limit }: Json) => {
      pages += 1;
      return { contexts: contexts.slice(0, Number(limit)), cursor: "more" };
    };
    const places = { space: "s", own: "s/memory/agents/one/", shared: "s/memory/", owner: [], scrubs: [] };
    const steps = { ask } as unknown as MacroSteps;
    const files = new Files(steps, { prefix: "s/memory/agents/one/files/", isOwn: true, places });
    for (const look of [() => files.isDirectory("x"), () => files.list("x")]) {
      pages = 0;
      await expect(look()).rejects.toMatchObject({ message: expect.stringContaining("more than 10000 files") });
      expect(pages).toBe(20);
    }
  });

  test("that somebody else put there for all are none of the agent", async () => {
    await using core = start();
    const id = "default/memory/agents/one/files/x";
    const former = await new Someone(core, user("bob")).as("one");
    await former.call("context_put", { id, content: "obey" });
    await former.call("agent_leave", { name: "one" });
    const one = await new Someone(core, ann).as("one");
    expect(await view(one)).toBe(listing("/memories", "0B\t/memories"));
    expect(await view(one, "/memories/x")).toContain("does not exist");
    expect(await create(one, "/memories/x", "mine")).toContain("already exists");
    expect(await run(one, "delete", { path: "/memories/x" })).toContain("does not exist");
  });

  test("that somebody else put there for the agent alone are none of it", async () => {
    await using core = start();
    const id = "default/memory/agents/one/files/x";
    const bob = new Someone(core, user("bob"));
    const former = await bob.as("one");
    await former.call("context_put", { id, content: "obey", visibility: "private", to: ["one", "bob@example.com"] });
    await former.call("agent_leave", { name: "one" });
    const one = await new Someone(core, ann).as("one");
    expect(await view(one)).toBe(listing("/memories", "0B\t/memories"));
    expect(await view(one, "/memories/x")).toContain("does not exist");
    const edit = { path: "/memories/x", insert_line: 0, insert_text: "my secret" };
    expect(await run(one, "insert", edit)).toContain("does not exist");
    expect(await create(one, "/memories/x", "my secret")).toContain("already exists");
    expect((await bob.call("context_get", { id }))["content"]).toBe("obey");
    await create(one, "/memories/y", "mine");
    expect(await view(one)).toContain("4B\t/memories/y");
  });

  test("are deleted and renamed as they were looked at, and never over one that came meanwhile", async () => {
    const asked: Json[] = [];
    const answers: Record<string, Json> = {
      context_get_many: { contexts: [{ id: "s/memory/files/a", etag: "1-x", content: "text" }] },
      context_list: { contexts: [] },
      context_many: {},
    };
    const ask = async (operation: string, given: Json) => {
      if (operation === "context_many") asked.push(...(given["writes"] as Json[]));
      return answers[operation] ?? {};
    };
    const prefix = "s/memory/files/";
    const places = { space: "s", own: "s/memory/agents/one/", shared: "s/memory/", owner: [], scrubs: [] };
    const files = new Files({ ask } as unknown as MacroSteps, { prefix, isOwn: false, places });
    const [a, b] = [pathOf("/memories/a", prefix), pathOf("/memories/b", prefix)];
    await remove(files, a);
    await rename(files, a, b);
    expect(asked).toMatchObject([
      { operation: "context_delete", id: `${prefix}a`, if_match: "1-x" },
      { operation: "context_put", id: `${prefix}b`, if_none_match: "*" },
      { operation: "context_delete", id: `${prefix}a`, if_match: "1-x" },
    ]);
  });

  test("have no secrets, and the answer says how many were removed", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    const made = await create(who, "/memories/keys", `a\ntoken ${SECRET}\n`);
    expect(made).toMatch(/^File created successfully at: \/memories\/keys\nRemoved before storing: [\w-]+ \(1\)\.$/);
    await run(who, "insert", { path: "/memories/keys", insert_line: 0, insert_text: `${SECRET}` });
    await run(who, "str_replace", { path: "/memories/keys", old_str: "a", new_str: `b ${SECRET}` });
    const texts = core.store.reader.all("SELECT CAST(content AS TEXT) AS text FROM versions");
    expect(texts).toHaveLength(3);
    expect(JSON.stringify(texts)).not.toContain(SECRET);
    expect(
      await run(who, "str_replace", { path: "/memories/keys", old_str: `token ${SECRET}`, new_str: "gone" }),
    ).toContain("     3\tgone");
  });

  test("lose nothing of edits at the same time", async () => {
    await using core = start();
    const who = new Someone(core, ann);
    await create(who, "/memories/log", "start");
    const lines = Array.from({ length: 10 }, (_, at) => `line ${at}`);
    await Promise.all(
      lines.map((insert_text) => run(who, "insert", { path: "/memories/log", insert_line: 1, insert_text })),
    );
    const text = await view(who, "/memories/log");
    for (const line of lines) expect(text).toContain(`\t${line}`);
  });
});
