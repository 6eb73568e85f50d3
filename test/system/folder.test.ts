// cairn folder sync with a real node: two folders on one store, watch mode, conflicts, and a process that is killed.

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";

let node: DevNode;
beforeAll(async () => {
  node = await startDevNode();
}, 60_000);
afterAll(() => node[Symbol.asyncDispose](), 60_000);

function folder(name: string): string {
  const path = join(node.home, name);
  mkdirSync(path);
  return path;
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

async function storedAt(id: string, query = ""): Promise<string | undefined> {
  const response = await fetch(`${node.url}/contexts/${id}${query}`);
  return response.ok ? response.text() : undefined;
}

async function put(id: string, body: string): Promise<void> {
  const headers = { "content-type": "text/plain" };
  expect((await fetch(`${node.url}/contexts/${id}`, { method: "PUT", body, headers })).ok).toBe(true);
}

const sync = (dir: string, prefix: string, ...more: string[]) =>
  node.bash(`$CAIRN folder sync ${dir} --prefix ${prefix} ${more.join(" ")}`);

function spawn(dir: string, prefix: string, ...more: string[]) {
  const child = Bun.spawn({
    cmd: [...node.command, "folder", "sync", dir, "--prefix", prefix, ...more],
    cwd: node.home,
    env: { PATH: process.env["PATH"] ?? "", HOME: node.home, TMPDIR: node.home, CAIRN_URL: node.url },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const finished = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { child, finished: finished.then(([out, err, code]) => ({ out, err, code })) };
}

test("two folders of one store: front matter, both directions, a conflict with the way to the other text", async () => {
  const [one, two] = [folder("one"), folder("two")];
  mkdirSync(join(one, "sub"));
  writeFileSync(join(one, "plan.md"), "---\ntitle: The plan\ntags: [release]\nproject: x\n---\n# Plan\r\n");
  writeFileSync(join(one, "sub", "two  words.md"), "two\n");
  const dry = await sync("one", "pair/wiki", "--dry-run");
  expect([dry.code, dry.out]).toEqual([0, expect.stringContaining("would be: pair/wiki/: 2 contexts created")]);
  expect(await storedAt("pair/wiki/plan")).toBeUndefined();
  expect(await sync("one", "pair/wiki")).toMatchObject({ code: 0, err: "" });
  expect(await storedAt("pair/wiki/plan")).toBe("# Plan\r\n");
  const about = await (await fetch(`${node.url}/contexts/pair/wiki/plan/metadata`)).json();
  expect(about).toMatchObject({
    ...{ title: "The plan", tags: ["release"], metadata: { project: "x" }, content_type: "text/markdown" },
  });
  const second = await sync("two", "pair/wiki/");
  expect([second.code, second.out]).toEqual([0, expect.stringContaining("2 files written")]);
  expect(textOf(join(two, "sub", "two  words.md"))).toBe("two\n");
  expect(textOf(join(two, "plan.md"))).toContain("project: x\r\n---\r\n# Plan\r\n");

  writeFileSync(join(one, "plan.md"), "ours\n");
  writeFileSync(join(two, "plan.md"), "theirs\n");
  rmSync(join(two, "sub"), { recursive: true });
  await sync("one", "pair/wiki");
  const conflict = await sync("two", "pair/wiki");
  expect(conflict.code).toBe(0);
  const [, way] = /try: cairn (context get \S+ --version \d+)/.exec(conflict.err) ?? [];
  expect((await node.bash(`$CAIRN ${way}`)).out).toBe("theirs\n");
  expect([textOf(join(two, "plan.md")), await storedAt("pair/wiki/plan")]).toEqual(["ours\n", "ours\n"]);
  await sync("one", "pair/wiki");
  expect(readdirSync(one)).toEqual(["plan.md"]);
  const third = await sync("one", "pair/wiki", "--json");
  expect(JSON.parse(third.out)).toMatchObject({ unchanged: 1, steps: [], conflicts: [], left: [] });
}, 60_000);

test("a symbolic link is named and left, and no reason for the exit code 3, unless a note was there", async () => {
  const dir = folder("links");
  writeFileSync(join(dir, "plan.md"), "plan");
  symlinkSync("plan.md", join(dir, "current.md"));
  symlinkSync(node.home, join(dir, "elsewhere"));
  for (let time = 0; time < 2; time += 1) {
    const { code, err } = await sync("links", "links/wiki");
    expect([code, err]).toEqual([0, expect.stringContaining("left current.md: it is a symbolic link")]);
    expect(err).toContain("left elsewhere: it is a symbolic link");
  }
  renameSync(join(dir, "plan.md"), join(node.home, "moved.md"));
  symlinkSync(join(node.home, "moved.md"), join(dir, "plan.md"));
  expect(await sync("links", "links/wiki")).toMatchObject({ code: 3, err: expect.stringContaining("left plan.md") });
  expect(await storedAt("links/wiki/plan")).toBe("plan");
}, 60_000);

test("what is left is named and makes the exit code 3; bad words are refused", async () => {
  const dir = folder("left");
  writeFileSync(join(dir, "good.md"), "good");
  writeFileSync(join(dir, "long.md"), `---\ntitle: ${"x".repeat(300)}\n---\n`);
  writeFileSync(join(dir, "large.md"), "x".repeat(2 * 1024 * 1024));
  writeFileSync(join(dir, "odd.md"), "---\ntitle: a: b\n---\ntext\n");
  const { code, err } = await sync("left", "left/wiki");
  expect(code).toBe(3);
  expect(err).toMatch(/left long\.md: .*title.*\n {2}try: /);
  expect(err).toMatch(/left large\.md: The document has 2097152 bytes; the limit is 1048576\n {2}try: /);
  expect(err).toContain("odd.md: its front matter is kept as text: it is not YAML");
  expect([await storedAt("left/wiki/good"), await storedAt("left/wiki/odd")]).toEqual([
    "good",
    "---\ntitle: a: b\n---\ntext\n",
  ]);
  expect(await sync("nowhere", "left/x")).toMatchObject({
    code: 4,
    err: expect.stringContaining("There is no folder nowhere"),
  });
  expect(await sync("left", "'a b/x'")).toMatchObject({
    code: 2,
    err: expect.stringContaining("The prefix cannot be"),
  });
  expect(await sync("left", "fleet")).toMatchObject({ code: 3 });
  expect(await storedAt("fleet/good")).toBeUndefined();
  expect((await sync("left", "left/wiki", "--prefer", "both")).code).toBe(2);
  expect((await sync("left", "left/wiki", "--watch", "--dry-run")).code).toBe(2);
  // Without a prefix the name of the folder is one.
  expect((await node.bash("$CAIRN folder sync left --dry-run")).out).toContain("default/left/good");
}, 60_000);

test("watch carries changes both ways, replaced files too, and ends with Ctrl-C", async () => {
  const dir = folder("watched");
  await put("watch/wiki/there", "one");
  const watching = spawn("watched", "watch/wiki", "--watch");
  await eventually("the first file", () => textOf(join(dir, "there.md"))?.endsWith("one") === true);
  await put("watch/wiki/there", "two");
  await eventually("a change of the store", () => textOf(join(dir, "there.md"))?.endsWith("two") === true);
  writeFileSync(join(dir, "here.md"), "here");
  await eventually("a new file", async () => (await storedAt("watch/wiki/here")) === "here");
  mkdirSync(join(dir, "new"));
  writeFileSync(join(dir, "new", "deep.md"), "deep");
  await eventually("a file in a new folder", async () => (await storedAt("watch/wiki/new/deep")) === "deep");
  // As editors do it: the file is away for a moment.
  renameSync(join(dir, "here.md"), join(dir, ".here.md.bak"));
  writeFileSync(join(dir, ".here.md.new"), "edited");
  renameSync(join(dir, ".here.md.new"), join(dir, "here.md"));
  await eventually("an edit", async () => (await storedAt("watch/wiki/here")) === "edited");
  expect(await storedAt("watch/wiki/here", "?version=2")).toBe("edited");
  rmSync(join(dir, "new"), { recursive: true });
  await eventually("a deletion", async () => (await storedAt("watch/wiki/new/deep")) === undefined);
  await fetch(`${node.url}/contexts/watch/wiki/there`, { method: "DELETE" });
  await eventually("a deletion in the store", () => !existsSync(join(dir, "there.md")));
  // One at a time.
  expect(await sync("watched", "watch/wiki")).toMatchObject({
    err: expect.stringContaining("Another cairn folder sync"),
  });
  await node.restart();
  await put("watch/wiki/after", "after");
  await eventually("a change after a restart of the node", () => existsSync(join(dir, "after.md")));
  watching.child.kill("SIGINT");
  const { code, out, err } = await watching.finished;
  expect([code, err]).toEqual([130, expect.stringContaining("ended; what was done is recorded")]);
  expect(out).toContain("created context  watch/wiki/here  (here.md)");
  const after = await sync("watched", "watch/wiki", "--json");
  expect(JSON.parse(after.out)).toMatchObject({ unchanged: 2, steps: [], left: [] });
}, 120_000);

test("a process that is killed in the middle is taken up by the next run, in both directions", async () => {
  const from = folder("killed");
  for (let at = 0; at < 1500; at++) writeFileSync(join(from, `n${at}.md`), `---\ntitle: T${at}\n---\n${at}\n`);
  const pushing = spawn("killed", "kill/wiki");
  await eventually("the first contexts", async () => (await storedAt("kill/wiki/n20")) !== undefined);
  pushing.child.kill("SIGKILL");
  await pushing.finished;
  expect(await sync("killed", "kill/wiki")).toMatchObject({ code: 0, err: "" });
  const to = folder("killed-too");
  const pulling = spawn("killed-too", "kill/wiki");
  await eventually("the first files", () => readdirSync(to).length > 20);
  pulling.child.kill("SIGKILL");
  await pulling.finished;
  const files = readdirSync(to).filter((name) => !name.startsWith("."));
  expect(files.length).toBeLessThan(1500);
  // No file is half.
  for (const name of files) expect(textOf(join(to, name))).toBe(textOf(join(from, name)));
  expect(await sync("killed-too", "kill/wiki")).toMatchObject({ code: 0, err: "" });
  const end = await sync("killed-too", "kill/wiki", "--json");
  expect(JSON.parse(end.out)).toMatchObject({ unchanged: 1500, steps: [], left: [] });
  const listed = (await (await fetch(`${node.url}/contexts?prefix=kill/wiki/&limit=500&fields=version`)).json()) as {
    contexts: { version: number }[];
  };
  expect(listed.contexts.filter(({ version }) => version !== 1)).toEqual([]);
}, 180_000);
