// Folders as they should not be: links, bytes that are no text, names, a damaged state, very many files.

import { expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Files } from "../../src/folder/files.ts";
import { SyncState } from "../../src/folder/index.ts";
import { readText } from "../../src/folder/read-file.ts";
import { id, NotesFolder, PREFIX, textsOf } from "../kit/notes-folder.ts";
import { NotesNode } from "../kit/notes-node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

test("each file that cannot be synced is named, and stops no other one", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  const outside = temporaryFolder();
  writeFileSync(join(outside, "secret.md"), "secret");
  folder.write("good.md", "\uFEFFline\r\n");
  folder.write("binary.md", "a\0b");
  folder.write("latin.md", new Uint8Array([0x61, 0xff]));
  folder.write("large.md", "x".repeat(4 * 1024 * 1024 + 65 * 1024));
  folder.write(`${"long/".repeat(60)}name.md`, "too long");
  folder.write(".hidden.md", "hidden");
  folder.write(".git/x.md", "hidden");
  folder.write("picture.png", "png");
  symlinkSync(join(outside, "secret.md"), join(folder.root, "link.md"));
  symlinkSync(outside, join(folder.root, "linked"));
  symlinkSync(folder.root, join(folder.root, "circle"));
  mkdirSync(join(folder.root, "folder.md"));
  const report = await folder.sync();
  expect(report.left.map(({ place }) => place).sort()).toEqual(
    ["binary.md", "circle", "large.md", "latin.md", "link.md", "linked", `${"long/".repeat(60)}name.md`].sort(),
  );
  for (const { why, hint } of report.left)
    expect([why, hint]).toEqual([expect.stringMatching(/.{5}/), expect.stringMatching(/.{5}/)]);
  const ignored = report.left.flatMap((each) => (each.ignored ? [each.place] : []));
  expect(ignored.sort()).toEqual(["circle", "link.md", "linked"]);
  expect([...node.versions.keys()]).toEqual([id("good")]);
  // The byte order mark is of the file, not of the note; line ends stay.
  expect(node.newest(id("good"))?.content).toBe("line\r\n");
  expect([report.other_files, folder.read("good.md")]).toEqual([1, "\uFEFFline\r\n"]);
  node.put(id("good"), "line\r\nmore\r\n");
  await folder.sync();
  expect(folder.read("good.md")).toBe("\uFEFFline\r\nmore\r\n");
});

test("a file that is written while it is read is read whole, or left", async () => {
  const root = temporaryFolder();
  const file = join(root, "a.md");
  const { signal } = new AbortController();
  writeFileSync(file, "first half, ");
  const reading = readText(root, "a.md", signal);
  appendFileSync(file, "second half");
  expect(await reading).toMatchObject({ text: "first half, second half" });
  let writes = 0;
  const writer = setInterval(() => writeFileSync(file, `${writes++}`), 3);
  writeFileSync(file, "begun");
  const left = await readText(root, "a.md", signal);
  clearInterval(writer);
  expect([left, writes > 5]).toEqual([expect.objectContaining({ why: "it is being written just now" }), true]);
});

test("nothing is written through a link, and a folder that became one deletes nothing", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  const outside = temporaryFolder();
  for (const each of ["sub/a", "sub/b", "top"]) node.put(id(each), each);
  await folder.sync();
  folder.remove("sub");
  symlinkSync(outside, join(folder.root, "sub"));
  node.put(id("sub/a"), "changed");
  node.put(id("sub/new"), "new");
  const report = await folder.sync();
  expect(report.left.map(({ place, ignored }) => [place, ignored])).toEqual([["sub", undefined]]);
  expect([readdirSync(outside), node.newest(id("sub/b"))?.content]).toEqual([[], "sub/b"]);
});

test("a file is written only in place of what was seen, and never through a link", () => {
  const root = temporaryFolder();
  const outside = temporaryFolder();
  const files = new Files(root);
  const seen = files.write("a.md", "one", undefined);
  expect(() => files.write("a.md", "two", undefined)).toThrow("has changed");
  writeFileSync(join(root, "a.md"), "edited by hand");
  expect(() => files.write("a.md", "two", seen)).toThrow("has changed");
  expect(() => files.remove("a.md", seen)).toThrow("has changed");
  symlinkSync(outside, join(root, "sub"));
  symlinkSync(join(outside, "target.md"), join(root, "link.md"));
  writeFileSync(join(outside, "target.md"), "target");
  expect(() => files.write("sub/b.md", "x", undefined)).toThrow("Its folder sub is a symbolic link");
  expect(() => files.write("link.md", "x", undefined)).toThrow("has changed");
  expect(() => files.write(`${"n".repeat(300)}.md`, "x", undefined)).toThrow("more than 255 bytes");
  expect(readdirSync(outside)).toEqual(["target.md"]);
  expect(readdirSync(root).sort()).toEqual(["a.md", "link.md", "sub"]);
  expect(readFileSync(join(root, "a.md"), "utf8")).toBe("edited by hand");
});

test("a link is not read through", async () => {
  const root = temporaryFolder();
  writeFileSync(join(root, "secret"), "secret");
  symlinkSync(join(root, "secret"), join(root, "link.md"));
  expect(await readText(root, "link.md", new AbortController().signal)).toMatchObject({
    why: expect.stringContaining("cannot be read"),
  });
});

test("ids that no context has, from a node that is none of ours, become no files", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  const ids = ["../x", "../../x", "/x", "", "a//b", "a/", "..", ".", "a\0b", "a\nb", "a\\b", "~{2e}~{2e}~{2f}x"];
  for (const inner of ids) node.put(`${PREFIX}/${inner}`, "planted");
  node.put(id("good"), "good");
  const report = await folder.sync();
  expect(report.steps.map(({ path }) => path).sort()).toEqual(["%{7e}{2e}%{7e}{2e}%{7e}{2f}x.md", "good.md"]);
  expect(report.left).toEqual([]);
});

test("a disk that goes away during a sync ends it, and nothing is deleted", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (let at = 0; at < 30; at++) node.put(id(`n${at}`), "old");
  await folder.sync();
  for (let at = 0; at < 20; at++) folder.write(`n${at}.md`, "new");
  node.before = (operation) => {
    if (operation !== "context_put" || existsSync(`${folder.root}.away`)) return;
    renameSync(folder.root, `${folder.root}.away`);
    mkdirSync(folder.root);
  };
  await expect(folder.sync()).rejects.toThrow("is another folder than at the start of the sync");
  rmdirSync(folder.root);
  renameSync(`${folder.root}.away`, folder.root);
  node.before = () => {};
  expect(await folder.sync()).toMatchObject({ left: [] });
  for (let at = 0; at < 30; at++) expect(node.newest(id(`n${at}`))?.content).toBe(at < 20 ? "new" : "old");
});

test("a folder that cannot be listed deletes nothing", async () => {
  if (process.getuid?.() === 0) return;
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["sub/a", "top"]) node.put(id(each), each);
  await folder.sync();
  chmodSync(join(folder.root, "sub"), 0o000);
  const report = await folder.sync();
  chmodSync(join(folder.root, "sub"), 0o700);
  expect(report.left).toEqual([
    expect.objectContaining({ place: "sub", why: expect.stringContaining("cannot be listed") }),
  ]);
  expect(node.newest(id("sub/a"))?.content).toBe("sub/a");
});

test("ids that differ only in case are one file on a disk without case: the second one is named", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["Plan", "plan"]) node.put(id(each), each);
  const report = await folder.sync({ foldsCase: true });
  expect(report.left).toEqual([
    expect.objectContaining({ place: id("plan"), why: expect.stringContaining("differs from Plan.md only in case") }),
  ]);
  expect([folder.files(), node.newest(id("plan"))?.content]).toEqual([{ "Plan.md": "Plan" }, "plan"]);
  expect((await folder.sync({ foldsCase: false })).left).toEqual([]);
  expect(folder.files()).toEqual({ "Plan.md": "Plan", "plan.md": "plan" });
});

test("two files that would be one context: the first one is synced, the other one named", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  folder.write("e\u0301.md", "decomposed");
  await folder.sync();
  folder.write("\u00e9.md", "composed");
  const report = await folder.sync();
  expect(report.left).toEqual([
    expect.objectContaining({ place: "\u00e9.md", why: expect.stringContaining("the same context") }),
  ]);
  expect(textsOf(node, "\u00e9")).toEqual(["decomposed"]);
});

test("one process at a time syncs a folder; a state that is damaged is named", async () => {
  const node = new NotesNode();
  const root = temporaryFolder();
  const states = temporaryFolder();
  const state = SyncState.open(states, root, PREFIX, "test");
  expect(() => SyncState.open(states, root, PREFIX, "test")).toThrow("Another cairn folder sync runs for");
  SyncState.open(states, root, "team/other", "test").close();
  state.set(id("a"), {
    path: "a.md",
    version: 1,
    etag: "1-x",
    digest: "d",
    seen: { size: 1, mtime: "1", ctime: "1", inode: "1" },
    settled: true,
  });
  state.save();
  state.close();
  const [file] = readdirSync(states, { recursive: true })
    .map(String)
    .filter((each) => each.endsWith("state.json"));
  expect(statSync(join(states, file as string)).mode & 0o777).toBe(0o600);
  writeFileSync(join(states, file as string), '{"format":1,"entries":[{"id":"a"}]}');
  expect(() => SyncState.open(states, root, PREFIX, "test")).toThrow("is not as this version writes it");
  expect(node.seq).toBe(0);
});

test("10,000 files are created, and found unchanged", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (let at = 0; at < 10_000; at++) folder.write(`d${at % 100}/n${at}.md`, `---\ntitle: ${at}\n---\n${at}\n`);
  expect((await folder.sync()).steps.length).toBe(10_000);
  expect(node.newest(id("d7/n107"))).toMatchObject({ title: "107", content: "107\n" });
  const startedMs = performance.now();
  expect(await folder.sync()).toMatchObject({ unchanged: 10_000, steps: [] });
  expect(performance.now() - startedMs).toBeLessThan(20_000);
}, 180_000);
