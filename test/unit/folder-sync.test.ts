// Syncs against a node in memory: the three-way rule against a plain model, two folders, and what happens between two
// looks.

import { expect, test } from "bun:test";
import { lstatSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Fault } from "../../src/lib/fault.ts";
import { id, NotesFolder, PREFIX, textsOf } from "../kit/notes-folder.ts";
import { NotesNode } from "../kit/notes-node.ts";

const VALUES = [undefined, "a", "b", "c"] as const;

for (const prefer of ["store", "folder"] as const) {
  test(`every case of the rule is as the plain model says; --prefer ${prefer}`, async () => {
    for (const base of VALUES) {
      for (const here of VALUES) {
        for (const there of VALUES) {
          const node = new NotesNode();
          const folder = new NotesFolder(node);
          // Another note, so that a deletion is not one of all notes.
          node.put(id("other"), "other");
          if (base !== undefined) node.put(id("x"), base);
          await folder.sync();
          expect(folder.read("x.md")).toBe(base);
          if (here === undefined) folder.remove("x.md");
          else if (here !== base) folder.write("x.md", here);
          if (there === undefined) node.remove(id("x"));
          else if (there !== base) node.put(id("x"), there);
          const report = await folder.sync({ prefer });

          // One that did not change takes what the other one has; of two that did, a text wins over none.
          const both = here !== base && there !== base && here !== there;
          const winner =
            here === base ? there : there === base ? here : prefer === "store" ? (there ?? here) : (here ?? there);
          const label = `base ${base}, here ${here}, there ${there}`;
          expect([label, folder.read("x.md"), node.newest(id("x"))?.content]).toEqual([label, winner, winner]);
          const isConflict = both && here !== undefined && there !== undefined;
          expect([label, report.conflicts.length, report.left]).toEqual([label, isConflict ? 1 : 0, []]);
          // What was anywhere is in a version.
          const texts = [base, here, there].filter((text) => text !== undefined);
          expect(textsOf(node, "x")).toEqual(expect.arrayContaining(texts));
          const [conflict] = report.conflicts;
          if (conflict !== undefined)
            expect(textsOf(node, "x")[conflict.version - 1]).toBe(
              prefer === "store" ? (here as string) : (there as string),
            );
          expect(await folder.sync()).toMatchObject({ steps: [], conflicts: [], left: [] });
        }
      }
    }
  }, 60_000);
}

type Event =
  | { kind: "write"; at: number; name: string }
  | { kind: "remove"; at: number; name: string }
  | { kind: "put"; name: string }
  | { kind: "delete"; name: string }
  | { kind: "sync"; at: number };

const name = fc.constantFrom("a", "b", "sub/c");
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant("write" as const), at: fc.nat(1), name }),
  fc.record({ kind: fc.constant("remove" as const), at: fc.nat(1), name }),
  fc.record({ kind: fc.constant("put" as const), name }),
  fc.record({ kind: fc.constant("delete" as const), name }),
  fc.record({ kind: fc.constant("sync" as const), at: fc.nat(1) }),
);

test("two folders of one store become the same, and no text that was synced is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
      const node = new NotesNode();
      const folders = [new NotesFolder(node), new NotesFolder(node)];
      const synced = new Set<string>();
      let count = 0;
      const sync = async (at: number) => {
        const folder = folders[at] as NotesFolder;
        for (const text of Object.values(folder.files())) synced.add(text);
        const report = await folder.sync({ deleteAll: true });
        expect(report.left).toEqual([]);
      };
      for (const each of events) {
        count += 1;
        if (each.kind === "write") folders[each.at]?.write(`${each.name}.md`, `text ${count}\n`);
        if (each.kind === "remove") folders[each.at]?.remove(`${each.name}.md`);
        if (each.kind === "put") node.put(id(each.name), `text ${count}\n`);
        if (each.kind === "delete") node.remove(id(each.name));
        if (each.kind === "sync") await sync(each.at);
      }
      for (const at of [0, 1, 0, 1]) await sync(at);
      const there = [...node.versions.keys()].flatMap((key) => {
        const newest = node.newest(key);
        return newest === undefined ? [] : [[`${key.slice(PREFIX.length + 1)}.md`, newest.content]];
      });
      for (const folder of folders) expect(folder.files()).toEqual(Object.fromEntries(there));
      const kept = [...node.versions.values()].flatMap((versions) => versions.map(({ content }) => content));
      expect(kept).toEqual(expect.arrayContaining([...synced]));
      const before = node.seq;
      for (const folder of folders) expect((await folder.sync()).steps).toEqual([]);
      expect(node.seq).toBe(before);
    }),
    { numRuns: 40 },
  );
}, 120_000);

test("a run that ends after any call is taken up by the next one; nothing is doubled", async () => {
  for (let calls = 1; calls < 40; calls++) {
    const node = new NotesNode();
    const folder = new NotesFolder(node);
    for (const each of ["changed-here", "changed-there", "both", "gone-here", "gone-there"]) node.put(id(each), "old");
    await folder.sync();
    folder.write("changed-here.md", "here");
    folder.write("both.md", "here");
    folder.write("new.md", "new");
    folder.remove("gone-here.md");
    node.put(id("changed-there"), "there");
    node.put(id("both"), "there");
    node.remove(id("gone-there"));
    let left = calls;
    node.before = () => {
      left -= 1;
      if (left < 0) throw new Fault("unavailable", "cut");
    };
    const wasCut = await folder.sync().then(
      () => false,
      (error) => (error as Fault).code === "unavailable",
    );
    node.before = () => {};
    expect((await folder.sync()).left).toEqual([]);
    expect(folder.files()).toEqual({
      ...{ "changed-here.md": "here", "changed-there.md": "there", "both.md": "there", "new.md": "new" },
    });
    expect([textsOf(node, "both"), textsOf(node, "new")]).toEqual([["old", "there", "here", "there"], ["new"]]);
    if (!wasCut) return;
  }
  throw new Error("a sync takes more calls than were tried");
});

test("a state that is lost deletes nothing, and keeps both texts where they differ", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  node.put(id("same"), "same");
  node.put(id("differs"), "there");
  node.put(id("only-there"), "there");
  folder.write("same.md", "same");
  folder.write("differs.md", "here");
  folder.write("only-here.md", "here");
  const report = await folder.sync();
  expect(report.conflicts).toEqual([{ path: "differs.md", id: id("differs"), kept: "store", version: 2 }]);
  expect(textsOf(node, "differs")).toEqual(["there", "here", "there"]);
  expect(folder.files()).toEqual({
    "same.md": "same",
    "differs.md": "there",
    "only-here.md": "here",
    "only-there.md": "there",
  });
});

test("a store with another history deletes no file, and its versions are not taken for those of before", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  node.put(id("a"), "a");
  node.put(id("b"), "one");
  node.put(id("b"), "two");
  await folder.sync();
  const restored = new NotesNode();
  restored.epoch = "e2";
  restored.put(id("b"), "one");
  Object.assign(node, { versions: restored.versions, epoch: "e2" });
  const report = await folder.sync();
  expect(report.remarks).toEqual([expect.stringContaining("another history")]);
  expect(folder.files()).toEqual({ "a.md": "a", "b.md": "one" });
  expect(textsOf(node, "b")).toEqual(["one", "two", "one"]);
});

test("a node that has not caught up changes nothing here", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  node.put(id("a"), "one");
  await folder.sync();
  folder.write("a.md", "two");
  await folder.sync();
  const versions = node.versions.get(id("a")) as never[];
  node.versions.set(id("a"), versions.slice(0, 1));
  expect(await folder.sync()).toMatchObject({ steps: [], left: [], unchanged: 1 });
  expect(folder.read("a.md")).toBe("two");
});

test("an empty folder deletes nothing without --delete-all, nor does one of which most is gone", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (let at = 0; at < 50; at++) node.put(id(`n${at}`), `${at}`);
  await folder.sync();
  for (let at = 0; at < 30; at++) folder.remove(`n${at}.md`);
  folder.write("n49.md", "new");
  const most = await folder.sync();
  expect(most.left).toEqual([
    expect.objectContaining({ place: folder.root, why: expect.stringContaining("30 of 50 notes") }),
  ]);
  expect([most.steps, node.newest(id("n1"))?.content]).toEqual([
    [{ did: "updated", path: "n49.md", id: id("n49") }],
    "1",
  ]);
  for (let at = 0; at < 50; at++) folder.remove(`n${at}.md`);
  expect((await folder.sync()).left[0]?.hint).toContain("--delete-all");
  expect(node.newest(id("n40"))?.content).toBe("40");
  expect((await folder.sync({ deleteAll: true })).steps.length).toBe(50);
  expect(node.newest(id("n40"))).toBeUndefined();
});

test("a store that was emptied removes no file without --delete-all", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["a", "sub/b"]) node.put(id(each), each);
  await folder.sync();
  for (const each of ["a", "sub/b"]) node.remove(id(each));
  const held = await folder.sync();
  expect(held.left[0]).toMatchObject({ place: PREFIX, why: expect.stringContaining("their files were not deleted") });
  expect(Object.keys(folder.files())).toEqual(["a.md", "sub/b.md"]);
  await folder.sync({ deleteAll: true });
  // Empty folders go with their last file.
  expect(readdirSync(folder.root)).toEqual([]);
});

test("what can no longer be read is not taken as deleted", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["a", "b"]) node.put(id(each), each);
  await folder.sync();
  node.versions.delete(id("a"));
  const report = await folder.sync();
  expect(report.left).toEqual([
    expect.objectContaining({ place: "a.md", why: expect.stringContaining("was not deleted") }),
  ]);
  expect(folder.read("a.md")).toBe("a");
});

test("a context that became JSON is named, and its file stays", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["a", "b"]) node.put(id(each), each);
  await folder.sync();
  node.put(id("a"), "{}", { content_type: "application/json" });
  node.put(id("c"), "{}", { content_type: "application/json" });
  const report = await folder.sync();
  expect(report.left).toEqual([
    expect.objectContaining({ place: "a.md", why: expect.stringContaining("application/json") }),
  ]);
  expect([report.other_contexts, folder.files()]).toEqual([1, { "a.md": "a", "b.md": "b" }]);
});

test("a file that changes between the look and the step is not overwritten, removed or sent half", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["pulled", "removed", "sent", "other"]) node.put(id(each), "old");
  await folder.sync();
  node.put(id("pulled"), "there");
  node.remove(id("removed"));
  folder.write("sent.md", "first half");
  let looks = 0;
  const signal = Object.assign(new AbortController().signal, {
    throwIfAborted: () => {
      looks += 1;
      // Four files are looked at, then comes the first step.
      if (looks === 5) for (const each of ["pulled", "removed", "sent"]) folder.write(`${each}.md`, `late ${each}`);
    },
  });
  await folder.with({ signal }, async (sync) => {
    const report = await sync.pass("all");
    expect(report.left.map(({ place }) => place).sort()).toEqual(["pulled.md", "removed.md", "sent.md"]);
  });
  expect(["pulled", "removed", "sent"].map((each) => folder.read(`${each}.md`))).toEqual([
    "late pulled",
    "late removed",
    "late sent",
  ]);
  expect(textsOf(node, "sent")).toEqual(["old"]);
  await folder.sync();
  expect(textsOf(node, "sent")).toEqual(["old", "late sent"]);
  expect(textsOf(node, "pulled")).toEqual(["old", "there", "late pulled", "there"]);
  expect(node.newest(id("removed"))?.content).toBe("late removed");
});

test("a file that comes back between the look and the step keeps its context", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  for (const each of ["back", "gone", "other"]) node.put(id(each), "old");
  await folder.sync();
  for (const each of ["back", "gone"]) folder.remove(`${each}.md`);
  // The files are looked at before the contexts are listed.
  node.before = (operation) => {
    if (operation === "context_list") folder.write("back.md", "old");
  };
  await folder.with({}, async (sync) => {
    const report = await sync.pass("all");
    expect(report.left).toMatchObject([{ place: "back.md", code: "version_mismatch" }]);
  });
  expect([textsOf(node, "back"), node.newest(id("gone"))]).toEqual([["old"], undefined]);
});

test("a change that leaves size and time of the file as they were is seen once they say nothing any more", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  folder.write("a.md", "one");
  const { mtime, atime } = lstatSync(join(folder.root, "a.md"));
  await folder.sync();
  folder.write("a.md", "two");
  utimesSync(join(folder.root, "a.md"), atime, mtime);
  await folder.sync();
  expect(textsOf(node, "a")).toEqual(["one", "two"]);
});

test("a store that keeps no earlier version leaves the file of a conflict alone", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  node.put(id("a"), "old");
  await folder.sync();
  folder.write("a.md", "here");
  node.put(id("a"), "there");
  node.before = (operation, input) => {
    if (operation === "context_get" && input["version"] !== undefined) throw new Fault("purged", "not kept");
  };
  const report = await folder.sync();
  expect(report.left).toEqual([
    expect.objectContaining({ place: "a.md", why: expect.stringContaining("keeps no earlier versions") }),
  ]);
  expect(folder.read("a.md")).toBe("here");
});

test("a dry run says what would be done, and does nothing", async () => {
  const node = new NotesNode();
  const folder = new NotesFolder(node);
  node.put(id("there"), "there");
  folder.write("here.md", "here");
  const dry = await folder.sync({ dryRun: true });
  expect(dry.steps).toEqual([
    { did: "created", path: "here.md", id: id("here") },
    { did: "written", path: "there.md", id: id("there") },
  ]);
  expect([node.newest(id("here")), folder.read("there.md")]).toEqual([undefined, undefined]);
  const { steps } = await folder.sync();
  expect(steps.map(({ did }) => did).sort()).toEqual(["created", "written"]);
});
