// The context commands beyond get and put: patches, history, diff, restore, purge, many, the editor, and following
// changes through a restart of the node.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";

let node: TestNode;
beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  await node.ready();
});
afterAll(() => node[Symbol.asyncDispose]());

const cairn = (...words: string[]): Promise<Finished> => node.cli(words);
const put = (id: string, text: string, ...words: string[]) => node.cli(["context", "put", id, ...words], text);

/** Runs `cairn` in the background, with what it has said so far. */
function start(words: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn({
    cmd: [...node.command, ...words, "--data", node.dataDir],
    env: { ...node.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const seen = { out: "", err: "" };
  const read = async (stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> => {
    for await (const chunk of stream) take(new TextDecoder().decode(chunk));
  };
  const reading = Promise.all([
    read(child.stdout, (text) => {
      seen.out += text;
    }),
    read(child.stderr, (text) => {
      seen.err += text;
    }),
  ]);
  return { child, seen, ended: reading.then(() => child.exited) };
}

test("a context that expires is removed by the node; metadata and successors are set, listed and filtered by", async () => {
  await put("e/old", "x");
  const said = ["--expires-in", "1h", "--metadata", '{"project": "x"}', "--supersedes", "e/old"];
  expect((await put("e/new", "x", ...said)).code).toBe(0);
  expect((await cairn("context", "list", "e/", "--ids", "--metadata", '{"project":"x"}', "--current")).out).toBe(
    "e/new\n",
  );
  expect((await cairn("context", "list", "e/")).out).toContain("superseded by e/new");
  expect((await cairn("context", "metadata", "e/new")).out).toMatch(/metadata +\{"project":"x"\}\n/);
  expect((await put("e/new", "y", "--expires-in", "1s")).code).toBe(0);
  await eventually("the leader to remove it", async () =>
    (await cairn("context", "history", "e/new")).out.includes("expired"),
  );
  expect(await cairn("context", "get", "e/new")).toMatchObject({
    out: "",
    err: expect.stringContaining("expired at 20"),
  });
  expect((await cairn("context", "list", "e/", "--current", "--ids")).out).toBe("e/old\n");
  for (const time of ["1.5h", "-1", "", "soon"]) {
    const refused = await put("e/no", "x", `--expires-in=${time}`);
    expect([time, refused.code, refused.err.includes("--expires-in")]).toEqual([time, 2, true]);
  }
});

describe("patch", () => {
  test("append, prepend and replace change the text; \\n is a line break", async () => {
    await put("p/text", "ship on Friday\n");
    const patched = await cairn(
      ...["context", "patch", "p/text", "--prepend", "# Plan\\n", "--replace", "Friday", "--with", "Monday"],
      ...["--append", "- call Ann\\n"],
    );
    expect(patched).toMatchObject({ code: 0, err: "" });
    expect(patched.out).toMatch(/^p\/text version 2 etag 2-[0-9a-f]{12} as text\/plain\n$/);
    expect((await cairn("context", "get", "p/text")).out).toBe("# Plan\nship on Monday\n- call Ann\n");
  });

  test("a merge patch from stdin, a json-patch from a file", async () => {
    await put("p/json", '{"a":1,"b":{"c":2}}');
    expect((await node.cli(["context", "patch", "p/json"], '{"a":null,"b":{"d":3}}')).code).toBe(0);
    const file = join(node.home, "steps.json");
    writeFileSync(file, '[{"op":"test","path":"/b/c","value":2},{"op":"remove","path":"/b/c"}]');
    expect((await cairn("context", "patch", "p/json", file, "--format", "json-patch")).code).toBe(0);
    expect((await cairn("context", "get", "p/json")).out).toBe('{"b":{"d":3}}');
    expect(await cairn("context", "patch", "p/json", file, "--format", "json-patch")).toMatchObject({
      code: 5,
      out: "",
    });
  });

  test.each([
    ["a text that is not there", ["--replace", "nowhere", "--with", "x"], 5, "is not in the text"],
    ["--replace alone", ["--replace", "a"], 2, "belong together"],
    ["an edit and a file", ["x.json", "--append", "a"], 2, "already are a patch"],
    ["a stale etag", ["--append", "a", "--if-match", "1-000000000000"], 5, ""],
  ])("%s is refused", async (_name, words, code, said) => {
    const refused = await cairn("context", "patch", "p/text", ...words);
    expect(refused.code).toBe(code);
    expect(refused.err).toContain(said);
  });
});

test("history, diff, restore: what was is found and comes back", async () => {
  await put("h/doc", "one\n", "--title", "The doc");
  await put("h/doc", "two\n");
  await cairn("context", "rm", "h/doc");
  const history = (await cairn("context", "log", "h/doc")).out.split("\n");
  expect(history[0]).toMatch(/^3 .* deleted/);
  expect(history[1]).toMatch(/^2 .* 4 bytes +The doc$/);
  expect(history[2]).toMatch(/^1 .* local +4 bytes +The doc$/);
  const restored = await cairn("context", "restore", "h/doc", "1");
  expect(restored.out).toMatch(/^h\/doc version 4 /);
  expect((await cairn("context", "get", "h/doc")).out).toBe("one\n");
  const diff = (await cairn("context", "diff", "h/doc", "2")).out;
  expect(diff).toContain("-two\n");
  expect(diff).toContain("+one\n");
  expect(await cairn("context", "diff", "h/doc", "1", "4")).toMatchObject({ code: 0, out: "" });
  await put("h/json", '{"a":1}');
  await put("h/json", '{"a":2}');
  expect((await cairn("context", "diff", "h/json", "1", "2")).out).toBe('{"op":"replace","path":"/a","value":2}\n');
  const page = await cairn("context", "history", "h/doc", "--limit", "2");
  const cursor = /--cursor (\S+)/.exec(page.err)?.[1] ?? "";
  expect((await cairn("context", "history", "h/doc", "--cursor", cursor)).out.split("\n")).toHaveLength(3);
});

test("metadata, ids of a list, an earlier position", async () => {
  await put("m/a", "first", "--tag", "x");
  const position = JSON.parse((await cairn("call", "context_wait", '{"timeout_seconds":0}')).out).position;
  await put("m/a", "second");
  expect((await cairn("context", "get", "m/a", "--at", position)).out).toBe("first");
  const meta = await cairn("context", "metadata", "m/a");
  expect(meta.out).toMatch(/^tags +x$/m);
  expect(meta.out).toMatch(/^versions +2$/m);
  await put("m/b", "x");
  expect((await cairn("context", "ls", "m/", "--ids")).out).toBe("m/a\nm/b\n");
  expect((await cairn("context", "get", "m/a", "--min-position", `${position.split("-")[0]}-999999`)).code).toBe(3);
});

test("purge wants --yes, and removes the text for good", async () => {
  await put("x/secret", "hunter2");
  await put("x/secret", "clean");
  const asked = await cairn("context", "purge", "x/secret", "--version", "1");
  expect(asked).toMatchObject({ code: 2, out: "" });
  expect(asked.err).toContain("--yes");
  expect((await cairn("context", "get", "x/secret", "--version", "1")).out).toBe("hunter2");
  const purged = await cairn("context", "purge", "x/secret", "--version", "1", "--yes");
  expect(purged.out).toBe("x/secret: 1 version purged\n");
  expect(purged.err).toContain("cairn status names the members and backups that still hold them");
  // The row is of the context: version 2 was the newest then, and is not what was purged.
  expect((await cairn("audit", "--prefix", "x/secret", "--operation", "context_purge")).out).toMatch(
    /purged +x\/secret {2,}local/,
  );
  expect((await cairn("context", "get", "x/secret", "--version", "1")).code).toBe(4);
  expect((await cairn("context", "get", "x/secret")).out).toBe("clean");
});

test("many: all of them or none, the index of the one that failed", async () => {
  const writes = [
    { operation: "context_put", id: "many/a", content: { n: 1 } },
    { operation: "context_put", id: "many/b", content: "b" },
  ];
  expect((await node.cli(["context", "many"], JSON.stringify(writes))).out).toMatch(
    /^many\/a version 1 etag .*\nmany\/b version 1 etag .*\n$/,
  );
  const failing = [
    { operation: "context_delete", id: "many/a" },
    { operation: "context_delete", id: "many/none" },
  ];
  const refused = await node.cli(["context", "many"], JSON.stringify(failing));
  expect(refused.code).toBe(4);
  expect(refused.err).toContain("Write 1");
  expect((await cairn("context", "get", "many/a")).code).toBe(0);
});

describe("edit", () => {
  /** An editor that is a script; it gets the file's path. */
  function editor(script: string): Record<string, string> {
    const path = join(node.home, `editor-${crypto.randomUUID().slice(0, 8)}`);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return { EDITOR: `${path} --flag` };
  }

  test("what the editor leaves is the next version; title, tags and type stay", async () => {
    await put("e/doc", "one\n", "--type", "text/markdown", "--title", "T", "--tag", "t");
    const { ended, seen } = start(["context", "edit", "e/doc"], editor('[ "$1" = --flag ] && echo more >> "$2"'));
    expect(await ended).toBe(0);
    expect(seen.out).toMatch(/^e\/doc version 2 /);
    expect((await cairn("context", "get", "e/doc")).out).toBe("one\nmore\n");
    expect(JSON.parse((await cairn("context", "get", "e/doc", "--json")).out)).toMatchObject({
      content_type: "text/markdown",
      title: "T",
      tags: ["t"],
    });
  });

  test("nothing changed writes nothing; a new context is made; --editor of put is the same", async () => {
    const same = start(["context", "edit", "e/doc"], { VISUAL: "true" });
    expect(await same.ended).toBe(0);
    expect(same.seen.err).toContain("nothing was written");
    const made = start(["context", "put", "e/new.json", "--editor"], editor(`echo '{"a":1}' > "$2"`));
    expect(await made.ended).toBe(0);
    expect(JSON.parse((await cairn("context", "get", "e/new.json", "--json")).out)).toMatchObject({
      version: 1,
      content_type: "application/json",
    });
  });

  test("a conflict keeps the text, says where, and overwrites nothing", async () => {
    await put("e/race", "mine\n");
    const cli = [...node.command, "context", "put", "e/race", "--data", node.dataDir].join(" ");
    const { ended, seen } = start(
      ["context", "edit", "e/race"],
      editor(`echo theirs | ${cli} > /dev/null; echo edited >> "$2"`),
    );
    expect(await ended).toBe(5);
    const kept = /your text is kept in (\S+)/.exec(seen.err)?.[1] ?? "";
    expect(readFileSync(kept, "utf8")).toBe("mine\nedited\n");
    expect((await cairn("context", "get", "e/race")).out).toBe("theirs\n");
  });

  test("an editor that fails keeps the text too", async () => {
    const { ended, seen } = start(["context", "edit", "e/doc"], editor('echo lost >> "$2"; exit 3'));
    expect(await ended).toBe(130);
    const kept = /your text is kept in (\S+)/.exec(seen.err)?.[1] ?? "";
    expect(existsSync(kept)).toBe(true);
    expect((await cairn("context", "get", "e/doc")).out).not.toContain("lost");
  });
});

describe("following changes", () => {
  test("watch prints what changes under a prefix, as the node sends it with --json, and ends after --count", async () => {
    const people = start(["context", "watch", "w/", "--count", "2"]);
    const json = start(["context", "watch", "--id", "w/b", "--json", "--count", "1"]);
    await eventually("both to follow", async () => {
      const { out } = await cairn("call", "node_status");
      const metrics = await fetch("http://cairn/metrics", { unix: (await node.ready()).socket });
      return out !== "" && /cairn_streams_open 2\b|streams\S* 2\b/.test(await metrics.text());
    });
    await put("other/x", "1");
    await put("w/a", "1");
    await put("w/b", "1");
    expect(await people.ended).toBe(0);
    expect(people.seen.out.split("\n")).toEqual([
      expect.stringMatching(/^\S+Z {2}w\/a version 1 created by local {2}[0-9a-f]{10}-\d+$/),
      expect.stringMatching(/w\/b version 1 created by local/),
      "",
    ]);
    expect(await json.ended).toBe(0);
    expect(JSON.parse(json.seen.out)).toMatchObject({ target: "w/b", version: 1, outcome: "created", caller: "local" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends it with %d", async (signal, code) => {
    const { child, ended, seen } = start(["context", "watch", "s/", "--since", await positionBefore("s/x")]);
    await eventually("the change", () => seen.out.includes("s/x"), { seen: () => seen.out + seen.err });
    child.kill(signal);
    expect(await ended).toBe(code);
    expect(seen.err).toBe("");
  });

  /** A position after which `id` is written once. */
  async function positionBefore(id: string): Promise<string> {
    const position = JSON.parse((await cairn("call", "context_wait", '{"timeout_seconds":0}')).out).position;
    await put(id, crypto.randomUUID());
    return position;
  }

  test("it comes back by itself after the node was away, without a gap", async () => {
    const own = await spawnNode({ args: ["--conformance"] });
    await using stack = new AsyncDisposableStack();
    stack.use(own);
    await own.ready();
    await own.cli(["context", "put", "r/1"], "1");
    const child = Bun.spawn({
      cmd: [...own.command, "context", "watch", "r/", "--json", "--count", "3", "--data", own.dataDir],
      env: own.env,
      stdout: "pipe",
      stderr: "pipe",
    });
    const out = new Response(child.stdout).text();
    const err = new Response(child.stderr).text();
    // The node says when the stream is open.
    await eventually("the stream", async () => {
      const answer = await fetch("http://cairn/metrics", { unix: (await own.ready()).socket });
      return /streams\S* 1\b/.test(await answer.text());
    });
    await own.cli(["context", "put", "r/2"], "2");
    await own.stop();
    const again = await own.again({ env: own.env });
    stack.use(again);
    const ready = await again.ready();
    expect(ready.dataDir).toBe(own.dataDir);
    await again.cli(["context", "put", "r/3"], "3");
    await again.cli(["context", "put", "r/4"], "4");
    expect(await child.exited).toBe(0);
    const targets = (await out)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).target);
    expect(targets).toEqual(["r/2", "r/3", "r/4"]);
    expect(await err).toContain("reconnecting from ");
  }, 60_000);

  test("a position of another history ends it with words, and no node with exit 32", async () => {
    const forked = await cairn("context", "watch", "--since", "0000000000-1");
    expect(forked).toMatchObject({ code: 5, out: "" });
    const nowhere = Bun.spawnSync({ cmd: [...node.command, "context", "watch", "--data", node.home], env: node.env });
    expect(nowhere.exitCode).toBe(32);
  });

  test("a reader that has enough ends the watch", async () => {
    const since = await positionBefore("s/enough");
    const shell = Bun.spawnSync({
      cmd: [
        "bash",
        "-c",
        'set -o pipefail; "$@" | head -n 1',
        "bash",
        ...node.command,
        "context",
        "watch",
        "s/enough",
        "--since",
        since,
        "--count",
        "1",
        "--data",
        node.dataDir,
      ],
      env: node.env,
    });
    expect(shell.stdout.toString()).toContain("s/enough");
    expect(shell.exitCode).toBe(0);
  });

  test("wait answers a change, and exits 3 when there was none", async () => {
    const since = await positionBefore("wait/x");
    expect((await cairn("context", "wait", "wait/", "--since", since)).out).toContain("wait/x version 1 created");
    const none = await cairn("context", "wait", "--id", "wait/never", "--timeout", "1");
    expect(none).toMatchObject({ code: 3, out: "" });
    expect(none.err).toContain("no change within 1 s");
    const json = await cairn("context", "wait", "--id", "wait/never", "--timeout", "0", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ changes: [], timed_out: true });
  });
});

test("nothing to print leaves a file that stdout was redirected to as it is", async () => {
  const file = join(node.home, "redirected");
  Bun.spawnSync({
    cmd: [
      "bash",
      "-c",
      `{ echo before; "$@"; echo after; } > ${file}`,
      "bash",
      ...node.command,
      "context",
      "ls",
      "none/",
      "--data",
      node.dataDir,
    ],
    env: node.env,
  });
  expect(readFileSync(file, "utf8")).toBe("before\nafter\n");
});
