// Getting everything out and back: export and import without loss, reading an export without a node, backup and restore
// that never touch live data.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let node: TestNode;
let folder: string;
let exported: string;

beforeAll(async () => {
  folder = temporaryFolder();
  exported = join(folder, "all.jsonl");
  node = await spawnNode({ args: ["--conformance"] });
  const { localUrl } = await node.ready();
  await fill(node, localUrl ?? "");
  expect(await node.cli(["export", "--to", exported])).toMatchObject({ code: 0, out: "" });
}, 60_000);
afterAll(() => node[Symbol.asyncDispose]());

/** Contexts of every kind: several authors, types, tags, deletions, purged versions, deleted and made again. */
async function fill(at: TestNode, url: string): Promise<void> {
  const call = (operation: string, input: unknown) => at.cli(["call", operation, "-"], JSON.stringify(input));
  const text = 'line\u2028two \u{1f5fb} \u0000 "quoted" \\n\n';
  await call("context_put", { id: "a/text", content: text, title: "Títle", tags: ["x", "y z"] });
  await call("context_put", { id: "a/json", content: '{"__proto__":1,"n":1e400}', content_type: "application/json" });
  await call("context_put", { id: "a/json", content: { b: [1, null, true] } });
  await call("context_patch", { id: "a/json", format: "merge", patch: { c: "d" } });
  await call("context_put", { id: "b/gone", content: "x" });
  await call("context_delete", { id: "b/gone" });
  await call("context_put", { id: "b/again", content: "1" });
  await call("context_delete", { id: "b/again" });
  await call("context_put", { id: "b/again", content: "2", content_type: "text/markdown" });
  await call("context_put", { id: "b/purged", content: "secret-canary" });
  await call("context_put", { id: "b/purged", content: "clean" });
  await call("context_purge", { id: "b/purged", versions: [1] });
  await call("context_put", { id: "b/empty", content: "" });
  await call("context_put", { id: "big/doc", content: "0123456789abcdef".repeat(40_000) });
  const answer = await fetch(`${url}/contexts/c/other-author`, {
    method: "PUT",
    body: "by another",
    headers: { "content-type": "text/plain" },
  });
  expect(answer.status).toBe(201);
}

/** The lines of an export that say what is kept; position and hash of the whole are of that node. */
async function versionsOf(at: TestNode, ...words: string[]): Promise<string[]> {
  const { out, code } = await at.cli(["export", ...words]);
  expect(code).toBe(0);
  return out.trimEnd().split("\n").slice(1, -1);
}

const canMount = Bun.spawnSync(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).exitCode === 0;

describe("export and import", () => {
  test.skipIf(!canMount)(
    "an export onto a disk that fills up says so and leaves nothing [mounting a small disk needs root]",
    () => {
      const disk = join(temporaryFolder(), "disk");
      mkdirSync(disk);
      const words = [...node.command, "export", "--to", join(disk, "all.jsonl"), "--data", node.dataDir];
      const mount = [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount -t tmpfs -o size=64k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code',
      ];
      const done = Bun.spawnSync([...mount, disk, ...words], { env: node.env });
      expect(done.stdout.toString()).toBe("");
      expect(done.stderr.toString()).toContain("The disk is full");
      expect(done.exitCode).toBe(40);
    },
    60_000,
  );

  test("an import into a fresh node has every document, version, author, time and tombstone", async () => {
    await using fresh = await spawnNode({ args: ["--conformance"] });
    await fresh.ready();
    const before = await versionsOf(node);
    expect(before.length).toBeGreaterThan(12);
    expect(before.join("\n")).not.toContain("secret-canary");
    expect(new Set(before.map((line) => JSON.parse(line).author))).toEqual(new Set(["local", "local:dev"]));
    const imported = await fresh.cli(["import", exported]);
    expect(imported).toMatchObject({ code: 0, err: "" });
    expect(await versionsOf(fresh)).toEqual(before);
    for (const id of ["a/text", "a/json", "b/again", "big/doc", "c/other-author"]) {
      const [here, there] = await Promise.all([node, fresh].map((at) => at.cli(["context", "get", id, "--json"])));
      expect(there?.out).toBe(here?.out ?? "");
    }
    for (const id of ["b/gone", "b/purged"]) {
      const [here, there] = await Promise.all([node, fresh].map((at) => at.cli(["context", "history", id, "--json"])));
      const bare = (text: string | undefined) =>
        JSON.parse(text ?? "").versions.map(({ position: _, ...rest }: Record<string, unknown>) => rest);
      expect(bare(there?.out)).toEqual(bare(here?.out));
    }
    expect((await fresh.cli(["audit", "--verify"])).code).toBe(0);
    const again = await fresh.cli(["import", exported]);
    expect(again.out).toMatch(new RegExp(`^0 versions imported, ${before.length} existed already`));
  }, 60_000);

  test("by pipes, with a prefix", async () => {
    await using fresh = await spawnNode({ args: ["--conformance"] });
    await fresh.ready();
    const { out } = await node.cli(["export", "a/"]);
    expect((await fresh.cli(["import"], out)).code).toBe(0);
    expect(await versionsOf(fresh)).toEqual(await versionsOf(node, "a/"));
    expect((await fresh.cli(["context", "ls", "--ids"])).out).toBe("a/json\na/text\n");
  }, 60_000);

  test("another history is refused, and left alone with --missing-only", async () => {
    await using other = await spawnNode({ args: ["--conformance"] });
    await other.ready();
    await other.cli(["context", "put", "a/text"], "mine");
    const refused = await other.cli(["import", exported]);
    expect(refused.code).toBe(5);
    expect(refused.err).toContain("a/text");
    const taken = await other.cli(["import", exported, "--missing-only", "--json"]);
    expect(JSON.parse(taken.out)).toMatchObject({ left: 1 });
    expect((await other.cli(["context", "get", "a/text"])).out).toBe("mine");
    expect((await other.cli(["context", "get", "b/again"])).out).toBe("2");
  }, 60_000);

  test("a cut or changed file is refused before anything is written", async () => {
    await using fresh = await spawnNode({ args: ["--conformance"] });
    await fresh.ready();
    const lines = readFileSync(exported, "utf8").trimEnd().split("\n");
    const damaged: [string, string][] = [
      ["its last line is missing", lines.slice(0, -1).join("\n")],
      ["a line is missing", [...lines.slice(0, 3), ...lines.slice(4)].join("\n")],
      ["a text was changed", lines.join("\n").replace("by another", "by  Another")],
      ["it is something else", '{"a":1}\n'],
    ];
    for (const [name, text] of damaged) {
      const file = join(folder, "damaged.jsonl");
      writeFileSync(file, text);
      const refused = await fresh.cli(["import", file]);
      expect({ name, code: refused.code }).toEqual({ name, code: 2 });
    }
    expect((await fresh.cli(["context", "ls", "--ids"])).out).toBe("");
    expect((await fresh.cli(["context", "history", "a/text"])).code).toBe(4);
  }, 60_000);

  test("an export file is never written over, and is private", async () => {
    expect((await node.cli(["export", "--to", exported])).code).toBe(45);
    expect((statSync(exported).mode & 0o777).toString(8)).toBe("600");
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  });
});

describe("context get --from", () => {
  const alone = (...words: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync({
      cmd: [...node.command, "context", "get", ...words],
      env: { PATH: node.env["PATH"] ?? "", HOME: folder },
    });
    return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
  };

  test("reads any version without a node, byte for byte", async () => {
    expect(alone("a/text", "--from", exported).out).toBe((await node.cli(["context", "get", "a/text"])).out);
    expect(alone("b/again", "--from", exported).out).toBe("2");
    expect(alone("b/again", "--version", "1", "--from", exported).out).toBe("1");
    const here = JSON.parse((await node.cli(["call", "context_get", '{"id":"c/other-author","format":"text"}'])).out);
    expect(JSON.parse(alone("c/other-author", "--json", "--from", exported).out)).toEqual(here);
  });

  test.each([
    ["what is not in it", ["a/none"], 4],
    ["a deleted one", ["b/gone"], 4],
    ["a purged version", ["b/purged", "--version", "1"], 4],
    ["a version that is not kept", ["a/text", "--version", "9"], 4],
  ])("%s: there is none", (_name, words, code) => {
    const asked = alone(...words, "--from", exported);
    expect(asked).toMatchObject({ code, out: "" });
    expect(asked.err).toContain("try: ");
  });

  test("a file that is no export is refused", () => {
    expect(alone("a/text", "--from", join(import.meta.dir, "cli-keep.test.ts")).code).toBe(2);
    expect(alone("a/text", "--from", "/nowhere").code).toBe(2);
  });
});

describe("backup and restore", () => {
  const data = (name: string): string => join(folder, name, "data");
  const run = async (at: TestNode, ...words: string[]): Promise<Finished> => {
    const child = Bun.spawn({ cmd: [...at.command, ...words], env: at.env, stdout: "pipe", stderr: "pipe" });
    return { ...(await finished(child)), signal: null };
  };

  test("a backup of a running node restores into an empty folder, as a new history", async () => {
    const backup = join(folder, "backup");
    const made = await node.cli(["backup", backup]);
    expect(made).toMatchObject({ code: 0, err: "" });
    expect(made.out).toMatch(/: \d+ contexts at [0-9a-f]{10}-\d+, \d+ bytes, made \S+, checked\n$/);
    expect(readdirSync(backup).sort()).toEqual(["cairn.db", "manifest.json"]);
    expect((await run(node, "backup", backup, "--verify")).code).toBe(0);
    expect((await node.cli(["backup", backup])).code).toBe(45);

    const restored = await run(node, "restore", backup, "--data", data("one"));
    expect(restored.code).toBe(0);
    expect(restored.err).toContain("a fleet of its own");
    await using again = await spawnNode({ args: ["--conformance"], dataDir: data("one") });
    await again.ready();
    expect(await versionsOf(again)).toEqual(await versionsOf(node));
    const old = JSON.parse(readFileSync(join(backup, "manifest.json"), "utf8")).content.position;
    const forked = await again.cli(["context", "watch", "--since", `${old.split("-")[0]}-999999`]);
    expect(forked.code).toBe(5);
    expect((await again.cli(["context", "put", "after/it"], "x")).code).toBe(0);
    expect((await again.cli(["audit", "--verify"])).code).toBe(0);
  }, 60_000);

  test("never over live data: a running node and a store that is there are refused", async () => {
    const backup = join(folder, "backup");
    const running = await node.cli(["restore", backup]);
    expect(running.code).toBe(41);
    expect(running.err).toContain(String(node.pid));
    const aside = await node.cli(["restore", backup, "--aside"]);
    expect(aside.code).toBe(41);
    expect((await node.cli(["context", "get", "b/again"])).out).toBe("2");
    const there = await run(node, "restore", backup, "--data", data("one"));
    expect(there.code).toBe(45);
    expect(there.err).toContain("--aside");
    const kept = await run(node, "restore", backup, "--data", data("one"), "--aside", "--json");
    expect(kept.code).toBe(0);
    const path = JSON.parse(kept.out).aside;
    expect(existsSync(join(path, "store", "CURRENT"))).toBe(true);
    expect(existsSync(join(path, "raft", "snapshot.json"))).toBe(true);
    await using again = await spawnNode({ args: ["--conformance"], dataDir: data("one") });
    await again.ready();
    expect((await again.cli(["context", "get", "after/it"])).code).toBe(4);
  }, 60_000);

  test("a backup that was changed is refused, and nothing is made of it", async () => {
    const backup = join(folder, "bad");
    expect((await node.cli(["backup", backup])).code).toBe(0);
    const file = join(backup, "cairn.db");
    const bytes = readFileSync(file);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const refused = await run(node, "restore", backup, "--data", data("two"));
    expect(refused.code).toBe(44);
    expect(existsSync(join(data("two"), "store"))).toBe(false);
    expect((await run(node, "backup", backup, "--verify")).code).toBe(44);
  });

  test("a restore that ended half-way is no reason to start empty", async () => {
    const place = data("half");
    mkdirSync(join(place, "store.partial"), { recursive: true, mode: 0o700 });
    await using broken = await spawnNode({ args: ["--conformance"], dataDir: place });
    const { code, err } = await broken.exited();
    expect(code).toBe(44);
    expect(err).toContain("cairn restore");
  });

  test("a data folder without a store has no backup", async () => {
    expect((await run(node, "backup", join(folder, "none"), "--data", data("empty"))).code).toBe(4);
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});
