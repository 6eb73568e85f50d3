// What deleted rows leave in the files of a store, and that `erase` removes all of it, beside writes and readers.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { refuseDamage } from "../../src/store/open.ts";
import { Scrubber } from "../../src/store/scrub.ts";
import { Store } from "../../src/store/store.ts";
import { Random } from "../chaos/random.ts";
import { eventually } from "../kit/eventually.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const INSERT =
  "INSERT INTO versions (id, version, seq, hash, content_type, title, tags, size, author, via, log_time, deleted, purged, encoding, content) VALUES (?,1,?,'','text/plain',?,'',1,'a','',1,0,0,0,?)";
const INSERT_HEAD =
  "INSERT INTO contexts VALUES (?,'a',1,'','text/plain',?,'',1,'a',1,1,0,0,'','','public','','','','',0,'')";

const open = (folder = join(temporaryFolder(), "store")) =>
  Store.open({
    folder,
    migrations: MIGRATIONS,
    log: () => {},
    sync: "checkpoint",
  });

/** Returns the words in angle brackets that are in a file of the folder, of those that must not be. */
function leftOf(store: Store, words: ReadonlySet<string>): string[] {
  const folder = dirname(store.path);
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), "latin1"));
  const found = texts.flatMap((text) => text.match(/<[a-z]+ \w+>/g) ?? []);
  return [...new Set(found)].filter((word) => words.has(word));
}

test("rows of every size that were deleted or shortened leave no byte, and the rest is whole", async () => {
  const random = new Random(7);
  const folder = join(temporaryFolder(), "store");
  let store = open(folder);
  const gone = new Set<string>();
  const kept = new Map<number, { id: string; text: string }>();
  let leftBefore = 0;
  for (let at = 0; at < 4000; at++) {
    store.transaction((tx) => {
      const id = `a/${Math.floor(random.next() * 1e9)}-${at}`;
      const text = `<text ${at}>${"x".repeat(random.next() < 0.05 ? 20_000 * random.next() : 1500 * random.next())}`;
      tx.run(INSERT, id, at, `<title ${at}>`, Buffer.from(text));
      tx.run(INSERT_HEAD, id, `<title ${at}>`);
      kept.set(at, { id, text });
      if (random.chance(0.5)) return;
      const [seq, other] = random.pick([...kept]);
      tx.run("UPDATE contexts SET title = '' WHERE id = ?", other.id);
      if (random.chance(0.5)) tx.run("DELETE FROM versions WHERE id = ?", other.id);
      else tx.run("UPDATE versions SET content = x'', title = '' WHERE id = ?", other.id);
      kept.delete(seq);
      for (const word of [`<text ${seq}>`, `<title ${seq}>`]) gone.add(word);
    });
    if (at % 1000 < 999) continue;
    store.close();
    store = open(folder);
    leftBefore += leftOf(store, gone).length;
    expect(await store.erase()).toBe(true);
    expect(leftOf(store, gone)).toEqual([]);
  }
  // Otherwise the test would show nothing.
  expect(leftBefore).toBeGreaterThan(0);
  for (const { id, text } of kept.values()) {
    const row = store.reader.get<{ content: Uint8Array }>("SELECT content FROM versions WHERE id = ?", id);
    expect(Buffer.from(row?.content ?? []).toString()).toBe(text);
  }
  const { path } = store;
  store.close();
  const database = new Database(path, { readonly: true });
  refuseDamage(database, path);
  database.close();
});

test("writes go on beside it, and a reader of another connection holds it up until it ends", async () => {
  const store = open();
  const put = (at: number) => store.transaction((tx) => tx.run(INSERT, `a/${at}`, at, "", Buffer.alloc(3000, "x")));
  for (let at = 0; at < 2000; at++) put(at);
  store.transaction((tx) => tx.run(INSERT, "a/secret", 9999, "", Buffer.from("<the secret>")));
  const reader = new Database(store.path, { readonly: true });
  reader.run("BEGIN");
  reader.query("SELECT COUNT(*) FROM versions").get();
  store.transaction((tx) => tx.run("DELETE FROM versions WHERE id = 'a/secret'"));
  expect(await store.erase()).toBe(false);
  reader.run("COMMIT");
  reader.close();
  const erased = store.erase();
  for (let at = 2000; at < 2050; at++) {
    put(at);
    await Bun.sleep(0);
  }
  // A checkpoint in the worker holds it up too, on a busy machine.
  expect((await erased) || (await eventually("the store to be erased", () => store.erase()))).toBe(true);
  expect(leftOf(store, new Set(["<the secret>"]))).toEqual([]);
  expect(store.reader.get("SELECT COUNT(*) AS count FROM versions")).toEqual({ count: 2050 });
  const closing = store.erase();
  store.close();
  expect(await closing).toBe(false);
  expect(existsSync(`${store.path}-wal`)).toBe(false);
});

test("a file with auto_vacuum is left as it is: its pointer maps could begin like a page of rows", () => {
  const path = join(temporaryFolder(), "other.db");
  const database = new Database(path);
  database.run("PRAGMA auto_vacuum = FULL");
  database.run("CREATE TABLE texts (text TEXT)");
  database.close();
  const before = readFileSync(path);
  const scrubber = new Scrubber(path);
  expect(() => scrubber.step(0)).toThrow("auto_vacuum");
  scrubber.close();
  expect(readFileSync(path).equals(before)).toBe(true);
});
