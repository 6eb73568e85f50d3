// Searches: what is found by words, parts and mistyped words, what narrows them, and what no caller learns by one.

import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { notePurge } from "../../src/log/purge-state.ts";
import { localAdmin } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { Searched } from "../kit/search.ts";
import { Someone, user } from "../kit/sessions.ts";

const ann = user("ann");
const bob = user("bob");
const idsOf = (hits: readonly { id?: string; message?: string }[]) => hits.map(({ id, message }) => id ?? message);

describe("a search", () => {
  test("finds words in title, tags, id and text, those in a title first", async () => {
    await using node = new Searched();
    await node.put("team-a/one", "The harbour is calm today.");
    await node.put("team-a/two", "Nothing of note.", { title: "Harbour" });
    await node.put("team-a/three", "Nothing either.", { tags: ["harbour"] });
    await node.put("harbour/four", "Nothing at all.");
    await node.put("team-a/five", "Unrelated.");
    expect(idsOf(await node.search("HARBOUR"))).toHaveLength(4);
    expect(idsOf(await node.search("harbour nothing", { space: "team-a" })).sort()).toEqual([
      "team-a/three",
      "team-a/two",
    ]);
    expect(idsOf(await node.search("harbour", { space: "team-a" })).at(-1)).toBe("team-a/one");
    expect(idsOf(await node.search("unrelated nonsense"))).toEqual(["team-a/five"]);
    const [first] = await node.search("calm harbour");
    expect(first).toMatchObject({ id: "team-a/one", kind: "context", space: "team-a" });
    expect(first?.why).toMatchObject({ words: 1, matched: expect.arrayContaining(["harbour", "calm"]) });
    expect(first?.marks.map(([start, end]) => first.preview.slice(start, end))).toEqual(["harbour", "calm"]);
  });

  test("finds accents, other scripts, identifiers and their parts", async () => {
    await using node = new Searched();
    await node.put("a/1", "Übergrößenträger im Café");
    await node.put("a/2", "const appendVersion = write_head(HTTPServer)");
    await node.put("a/3", "データベース is a database");
    await node.put("a/4", "a.b(c) => {}");
    expect(idsOf(await node.search("cafe"))).toEqual(["a/1"]);
    expect(idsOf(await node.search("ubergroßentrager"))).toEqual(["a/1"]);
    for (const query of ["appendVersion", "append", "version", "write_head", "head", "http", "pendVers", "d(HTTP"])
      expect(idsOf(await node.search(query))).toEqual(["a/2"]);
    expect(idsOf(await node.search("タベース"))).toEqual(["a/3"]);
    expect(idsOf(await node.search("b(c) =>"))).toEqual(["a/4"]);
  });

  test("finds mistyped words, and says for what it took them", async () => {
    await using node = new Searched();
    await node.put("a/1", "The deployment of the scheduler failed");
    for (const query of ["deplyoment", "deploymnet", "deploymentt", "shceduler", "sceduler failed"]) {
      const [hit] = await node.search(query);
      expect(hit).toMatchObject({ id: "a/1" });
      expect(Object.values(hit?.why.corrected ?? {})).toHaveLength(1);
    }
    expect(await node.search("xyzzyplugh")).toEqual([]);
  });

  test("takes no mistyped word for one that only hidden rows have", async () => {
    await using node = new Searched();
    // One edit away, and the readable word two: more of them than are tried.
    await node.put("shut/1", [..."abcdfg"].map((letter) => `granitxy${letter}`).join(" "));
    await node.put("open/1", "granitx");
    const reader = user("reader", { role: "reader", spaces: ["open"] });
    const [hit] = await node.search("granitxyy", {}, reader);
    expect(hit).toMatchObject({ id: "open/1", why: { corrected: { granitxyy: "granitx" } } });
    expect(idsOf(await node.search("granitxyy"))).toEqual(["shut/1"]);
  });

  test("takes words as they are that many readable rows have, and looks for parts of others", async () => {
    await using node = new Searched();
    for (let at = 0; at < 5; at += 1) await node.put(`open/${at}`, at < 4 ? "harbour" : "harbour crane");
    for (let at = 0; at < 5; at += 1) await node.put(`shut/${at}`, at < 4 ? "crane" : "cranes of harbours");
    await node.put("open/parts", "harbourmaster cranewalk");
    const reader = user("reader", { role: "reader", spaces: ["open"] });
    // Only readable rows count: one of them has the second word, so its parts are looked for too.
    expect(idsOf(await node.search("harbour crane", {}, reader)).sort()).toEqual(["open/4", "open/parts"]);
    expect(idsOf(await node.search("harbour crane"))).toEqual(["open/4"]);
    // Where no row has both, parts are looked for, however common the words are.
    await node.core.call("context_delete", { id: "open/4" });
    expect(idsOf(await node.search("harbour crane")).sort()).toEqual(["open/parts", "shut/4"]);
  });

  test("takes no character of a query as syntax", async () => {
    await using node = new Searched();
    await node.put("a/1", 'say "near" AND (x OR y) NOT z* col:umn ^caret');
    for (const query of [
      '"',
      '""',
      "NEAR(",
      "a AND",
      "AND OR NOT",
      "near*",
      "tokens:near",
      "^near",
      "-near",
      "near'--",
    ])
      await node.search(query).catch((error) => expect(error).toMatchObject({ code: "invalid_input" }));
    for (const query of ['"near" AND', "(x OR y)", "col:umn", "z*", "^caret", "NOT z"])
      expect(idsOf(await node.search(query))).toEqual(["a/1"]);
    await expect(node.search("*(")).rejects.toMatchObject({ code: "invalid_input", hint: expect.any(String) });
    await expect(node.search("\u{e000}\u{e001}")).rejects.toMatchObject({ code: "invalid_input" });
  });

  test("is narrowed by space, kind, session, sender, tag and time", async () => {
    let nowMs = Date.parse("2026-01-01T00:00:00Z");
    await using node = new Searched({ nowMs: () => nowMs });
    const [one, two] = [new Someone(node.core, ann), new Someone(node.core, bob)];
    const session = await one.create("Work", "team-a");
    const other = await one.create();
    const builder = await two.as("builder");
    const first = await one.post(session, "pebble one");
    nowMs += 3_600_000;
    const second = await builder.post(other, "pebble two");
    await node.put("team-a/pebbles", "pebble three", { tags: ["stone"] });
    const found = async (more: Record<string, unknown>) => idsOf(await node.search("pebble", more)).sort();
    expect(await found({})).toEqual([first, second, "team-a/pebbles"].sort());
    expect(await found({ space: "team-a" })).toEqual([first, "team-a/pebbles"].sort());
    expect(await found({ kind: "message" })).toEqual([first, second].sort());
    expect(await found({ session })).toEqual([first]);
    expect(await found({ from: "@Builder" })).toEqual([second]);
    expect(await found({ from: "bob@example.com" })).toEqual([second]);
    expect(await found({ from: "user:ann@example.com" })).toEqual([first]);
    expect(await found({ tag: "stone" })).toEqual(["team-a/pebbles"]);
    expect(await found({ until: "2026-01-01T00:30:00Z" })).toEqual([first]);
    expect(await found({ since: "2026-01-01T00:30:00Z", kind: "message" })).toEqual([second]);
  });

  test("follows edits, deletions, retractions and expiry", async () => {
    let nowMs = Date.parse("2026-01-01T00:00:00Z");
    await using node = new Searched({ nowMs: () => nowMs });
    const one = new Someone(node.core, ann);
    const session = await one.create();
    const message = await one.post(session, "walnut");
    await node.put("a/1", "walnut");
    await node.put("a/2", "walnut", { expires_in: 60 });
    expect(await node.search("walnut")).toHaveLength(3);
    await one.call("message_edit", { session, message, text: "hazel" });
    await node.put("a/1", "hazel");
    nowMs += 61_000;
    await node.put("a/3", "time goes on");
    expect(await node.search("walnut")).toEqual([]);
    expect(idsOf(await node.search("hazel")).sort()).toEqual(["a/1", message].sort());
    await one.call("message_retract", { session, message });
    await node.core.call("context_delete", { id: "a/1" });
    expect(await node.search("hazel")).toEqual([]);
  });

  test("waits for min_position, and says how fresh its index is", async () => {
    await using node = new Searched();
    await node.put("a/1", "first");
    await node.answer("first");
    for (let n = 0; n < 20; n += 1) {
      await node.put("a/2", `fresh${n}`);
      const position = node.core.invoker.position();
      const answer = await node.core.call("search", { query: `fresh${n}`, min_position: position });
      expect(idsOf(answer["hits"] as [])).toEqual(["a/2"]);
      expect(answer["index"]).toEqual({ position });
    }
  });

  test("of a text beyond what is counted finds its words to the end", async () => {
    await using node = new Searched();
    await node.put("a/1", `${"filler words ".repeat(40_000)} needle`);
    const hits = await node.search("needle filler");
    expect(idsOf(hits)).toEqual(["a/1"]);
    expect(hits[0]?.preview.length).toBeLessThan(250);
  });

  test("of one common letter in many rows is quick, and lets other work go on", async () => {
    await using node = new Searched();
    const one = new Someone(node.core, ann);
    const session = await one.create();
    for (let n = 0; n < 1500; n += 1) await one.post(session, `a note number${n}`);
    const answer = await node.answer("a", { limit: 10 });
    expect(answer["hits"]).toHaveLength(10);
    expect(answer["more"]).toBe(true);
  });
});

describe("rights come before ranking", () => {
  const outside = user("eve", { role: "member", spaces: ["team-a"] });

  test("a hidden space, a private message, and their words", async () => {
    await using node = new Searched();
    await node.put("hidden/plan", "The passphrase is swordfish");
    const one = new Someone(node.core, ann);
    const session = await one.create("Work", "team-a");
    await one.post(session, "swordfish for my eyes", { visibility: "private" });
    await one.post(session, "swordfish to Bob", { visibility: "private", to: ["bob@example.com"] });
    await one.post(session, "swordfish for admins", { visibility: "admin_only" });
    for (const query of ["swordfish", "swordfsh", "wordfis", "swordfish nothing"])
      expect(await node.answer(query, {}, outside)).toMatchObject({ hits: [] });
    expect(await node.answer("swordfish", {}, outside)).not.toHaveProperty("more");
    await expect(node.search("swordfish", { space: "hidden" }, outside)).rejects.toMatchObject({ code: "forbidden" });
    const foreign = node.search("swordfish", { session: "hidden/session_0000000000000000" }, outside);
    await expect(foreign).rejects.toMatchObject({ code: "forbidden" });
    expect(await node.search("swordfish", {}, ann)).toHaveLength(3);
    expect(await node.search("swordfish", { session }, bob)).toHaveLength(1);
    expect(await node.search("swordfish", {}, localAdmin)).toHaveLength(2);
  });

  test("an answer is the same whether other rows are there or not", async () => {
    const random = randomOf(7);
    const word = () => WORDS[Math.floor(random() * WORDS.length)] ?? "";
    await using full = new Searched({ nowMs: () => 1_800_000_000_000 });
    await using bare = new Searched({ nowMs: () => 1_800_000_000_000 });
    const both = [full, bare];
    const sessions = await Promise.all(both.map((node) => new Someone(node.core, ann).create("Work", "team-a")));
    for (let n = 0; n < 150; n += 1) {
      const text = Array.from({ length: 1 + Math.floor(random() * 8) }, word).join(" ");
      const isHidden = random() < 0.5;
      for (const [at, node] of both.entries()) {
        const session = sessions[at] ?? "";
        const more = isHidden ? { visibility: "private" } : {};
        if (isHidden && node === bare) continue;
        await new Someone(node.core, ann).post(session, isHidden ? `${text} ${word()}` : text, more);
      }
    }
    const shownTo = async (node: Searched, query: string) =>
      (
        (await node.answer(query, { limit: 50 }, outside))["hits"] as { preview: string; score: number; why: unknown }[]
      ).map(({ preview, score, why }) => ({ preview, score, why }));
    for (let n = 0; n < 60; n += 1) {
      const query = n % 3 === 0 ? word() : n % 3 === 1 ? `${word()} ${word()}` : word().slice(1).concat("x");
      expect(await shownTo(full, query)).toEqual(await shownTo(bare, query));
    }
  });

  test("against a naive scan: nothing forbidden, nothing missing that an exact word names", async () => {
    const random = randomOf(11);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    await using node = new Searched();
    const people = [ann, bob, outside];
    const spaces = ["team-a", "team-b", "default"];
    const model: { name: string; text: string; space: string; mayRead: (who: Caller) => boolean }[] = [];
    const sessions = new Map<string, string>();
    for (const space of spaces) sessions.set(space, await new Someone(node.core, ann).create("Work", space));
    for (let n = 0; n < 160; n += 1) {
      const space = pick(spaces);
      const text = Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(WORDS)).join(
        pick([" ", ", ", "\n"]),
      );
      const readsSpace = (who: Caller) => who !== outside || space === "team-a";
      const author = pick([ann, bob]);
      const to = pick([[], ["ann@example.com"], ["eve@example.com"]]);
      const isPrivate = random() < 0.5;
      const readers = isPrivate ? { visibility: "private", to } : {};
      const isContext = random() < 0.4;
      const id = `${space}/note-${n}`;
      const writer = new Someone(node.core, author);
      if (isContext) await writer.call("context_put", { id, content: text, content_type: "text/plain", ...readers });
      const name = isContext ? id : await writer.post(sessions.get(space) ?? "", text, readers);
      const names = [author.login, ...to];
      model.push({ name, text, space, mayRead: (who) => readsSpace(who) && (!isPrivate || names.includes(who.login)) });
    }
    for (const who of people) {
      for (const word of WORDS) {
        const hits = await node.search(word, { limit: 50 }, who);
        const mayRead = new Set(model.filter((row) => row.mayRead(who)).map(({ name }) => name));
        for (const hit of hits) expect(mayRead).toContain(hit.id ?? hit.message ?? "");
        const named = model.filter((row) => mayRead.has(row.name) && row.text.split(/\W+/).includes(word));
        const found = new Set(idsOf(hits));
        if (named.length <= 50) for (const { name } of named) expect(found).toContain(name);
        expect(named.length > 0 && hits.length === 0).toBe(false);
      }
    }
  });
});

describe("an index", () => {
  const fileOf = (node: Searched) => join(node.core.folder, "search", "1", "cairn.db");

  test("goes on after a restart, and is built again when it is missing, cut, foreign or damaged", async () => {
    await using node = new Searched();
    for (let n = 0; n < 100; n += 1) await node.put(`a/${n}`, `granite number${n}n`);
    expect(await node.search("granite number42n")).toHaveLength(1);
    await node.restart();
    expect(node.index.open()).toMatchObject({ isBuilding: false });
    expect(await node.search("granite number42n")).toHaveLength(1);
    const faults: (() => void)[] = [
      () => rmSync(join(node.core.folder, "search"), { recursive: true }),
      () => truncateSync(fileOf(node), 8192),
      () => truncateSync(fileOf(node), 10),
      () => writeFileSync(fileOf(node), "no index at all ".repeat(1000)),
      () => writeFileSync(join(node.core.folder, "search", "CURRENT"), "nonsense"),
      () => alter(fileOf(node), "UPDATE state SET value = '0 other' WHERE name = 'sources'"),
      () => alter(fileOf(node), "CREATE TABLE foreign_table (x)"),
      () => alter(fileOf(node), "UPDATE state SET value = '00000000aa-3' WHERE name = 'position'"),
      () => alter(fileOf(node), "UPDATE state SET value = substr(value, 1, 11) || '9999' WHERE name = 'position'"),
      () => damage(fileOf(node)),
    ];
    for (const fault of faults) {
      await node.restart(fault);
      await node.put("a/later", "granite later");
      const search = () => node.search("granite number42n");
      expect(await search().catch(search)).toHaveLength(1);
      expect(idsOf(await node.search("granite later"))).toEqual(["a/later"]);
    }
  });

  test("is continued where a kill left it while it was built", async () => {
    await using node = new Searched();
    await node.index.stop();
    const one = new Someone(node.core, ann);
    const session = await one.create();
    for (let n = 0; n < 300; n += 1) await one.post(session, `quartz number${n}n`);
    await node.restart();
    while (!isBuilding(node)) await Bun.sleep(1);
    await node.restart();
    expect(await node.search("quartz number7n")).toHaveLength(1);
    expect(await node.search("quartz number299n")).toHaveLength(1);
    expect(node.errors).toEqual([]);
  });

  test("of another history finds nothing of it", async () => {
    await using other = new Searched();
    await using node = new Searched();
    for (let n = 0; n < 20; n += 1) await node.put(`a/${n}`, "basalt here");
    for (let n = 0; n < 10; n += 1) await other.put(`a/${n}`, "marble elsewhere");
    await other.search("marble");
    await other.index.stop();
    await node.restart(() => {
      rmSync(join(node.core.folder, "search"), { recursive: true });
      cpSync(join(other.core.folder, "search"), join(node.core.folder, "search"), { recursive: true });
    });
    expect(await node.search("marble")).toEqual([]);
    expect(await node.search("basalt", { limit: 50 })).toHaveLength(20);
  });

  test("waits while the disk is full, is deleted by a purge then, and goes on when there is room", async () => {
    await using node = new Searched();
    await node.put("a/1", "chalk first");
    const before = await node.answer("chalk");
    node.diskIsFull = true;
    await node.put("a/2", "chalk second");
    await eventually("the index to say so", () => node.errors.some((error) => error.includes("disk is full")));
    expect(await node.core.call("search", { query: "chalk" })).toMatchObject({ index: before["index"] });
    const late = node.core.call("search", { query: "chalk", min_position: node.core.invoker.position() });
    await expect(late).rejects.toMatchObject({ code: "unavailable", details: { retryAfterSeconds: 2 } });
    node.core.store.transaction((tx) => notePurge(tx, node.core.log.position().seq, 1));
    expect(await node.core.store.eraseBeside()).toBe("");
    expect(existsSync(fileOf(node))).toBe(false);
    node.diskIsFull = false;
    expect(idsOf(await node.search("chalk")).sort()).toEqual(["a/1", "a/2"]);
    expect(node.errors).toHaveLength(1);
  }, 30_000);

  test("holds nothing of a purged text, in no file", async () => {
    await using node = new Searched();
    const secrets = new Map([
      ["a/42", "swordfish"],
      ["a/43", "xylophone"],
    ]);
    for (let n = 0; n < 200; n += 1) await node.put(`a/${n}`, `slate number${n}n ${secrets.get(`a/${n}`) ?? ""}`);
    const home = join(node.core.folder, "search", "1");
    for (const [id, secret] of secrets) {
      expect(idsOf(await node.search(secret))).toEqual([id]);
      // FTS5 leaves out what a word has in common with the one before it.
      const holds = () => readdirSync(home).some((name) => readFileSync(join(home, name)).includes(secret.slice(1)));
      expect(holds()).toBe(true);
      await node.core.call("context_purge", { id });
      expect(await node.search(secret)).toEqual([]);
      expect(holds()).toBe(true);
      expect(await node.core.store.eraseBeside()).toBe("");
      expect(existsSync(fileOf(node))).toBe(true);
      expect(holds()).toBe(false);
    }
    expect(idsOf(await node.search("number41n"))).toEqual(["a/41"]);
  });
});

const WORDS = [
  ...["river", "rivers", "stone", "stones", "cloud", "clouds", "forest", "meadow", "harbour", "lantern"],
  ...["copper", "silver", "window", "widow", "garden", "warden", "signal", "single", "planet", "plane"],
];

function isBuilding({ index }: Searched): boolean {
  try {
    return index.open().isBuilding;
  } catch {
    return false;
  }
}

/** Changes a file of an index as another build might have written it. */
function alter(path: string, sql: string): void {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", ALTER, path, sql]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

const ALTER = `const { Database } = await import("bun:sqlite"); const db = new Database(process.argv[1]); db.run(process.argv[2]); db.close();`;

/** Overwrites all pages but the first three, which name the tables. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes.fill(0x55, 3 * 4096);
  writeFileSync(path, bytes);
}

/** A generator of numbers from 0 to 1 that are the same in each run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
