// Searches by meaning: what is found, what it says of itself, what no caller learns by it, and how vectors follow rows.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { Caller } from "../../src/access/caller.ts";
import { RequestRefused } from "../../src/operation/model-endpoint.ts";
import { ConceptEmbedder, conceptsOf } from "../kit/concepts.ts";
import { granted, localAdmin } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { inTime } from "../kit/in-time.ts";
import { type Hit, Searched } from "../kit/search.ts";
import { Someone, user } from "../kit/sessions.ts";

const SEED = Number(process.env["CAIRN_TEST_SEED"] ?? 20_261_129);
const ann = user("ann");
const idsOf = (hits: readonly Hit[]) => hits.map(({ id, message }) => id ?? message);

/** Searches once all vectors are made. */
async function found(node: Searched, query: string, more: Record<string, unknown> = {}, caller?: Caller) {
  await node.embedded();
  return (await node.answer(query, more, caller)) as unknown as {
    hits: Hit[];
    by: string;
    more?: true;
    cursor?: string;
    index: { position: string; meaning?: { model: string; position?: string; failed?: true } };
  };
}

describe("a search by meaning", () => {
  test("finds what has other words, and says why", async () => {
    await using node = new Searched({ embedder: new ConceptEmbedder() });
    await node.put("team-a/one", "A vehicle on the motorway");
    await node.put("team-a/two", "A loaf of the bakery");
    await node.put("team-a/three", "The automobile, our car, and the word");
    const { hits, by, index } = await found(node, "car");
    expect([idsOf(hits), by]).toEqual([["team-a/three", "team-a/one"], "both"]);
    expect(hits[0]?.why).toMatchObject({ words: 1, matched: ["car"], meaning: expect.any(Number) });
    expect(hits[1]?.why).toMatchObject({ words: 0, matched: [] });
    expect(hits[1]?.why.meaning).toBeGreaterThan(0.8);
    expect(index.meaning).toEqual({ model: "concepts", position: index.position });
    const words = await found(node, "car", { by: "words" });
    expect([idsOf(words.hits), words.by, words.hits[0]?.why.meaning]).toEqual([["team-a/three"], "words", undefined]);
    const meaning = await found(node, "boat", { by: "meaning" });
    expect([meaning.hits, meaning.by]).toEqual([[], "meaning"]);
  });

  test("shows the piece of a long text that is near, and finds nothing beyond the last piece", async () => {
    await using node = new Searched({ embedder: new ConceptEmbedder() });
    const filler = "nothing of note here at all ".repeat(30);
    await node.put("a/1", `${filler} the vessel left ${filler}`);
    await node.put("a/2", `${filler.repeat(10)} the vessel left`);
    const { hits } = await found(node, "ship");
    expect(idsOf(hits)).toEqual(["a/1"]);
    expect(hits[0]?.preview).toContain("the vessel left");
  });

  test("follows edits, deletions, expiry and purges, also in memory and on disk", async () => {
    let nowMs = Date.parse("2026-01-01T00:00:00Z");
    await using node = new Searched({ nowMs: () => nowMs, embedder: new ConceptEmbedder() });
    await node.put("a/1", "vessel");
    await node.put("a/2", "vessel", { expires_in: 60 });
    await node.put("a/3", "vessel");
    await node.put("a/4", "vessel");
    const rows = () => node.meaning.open()?.vectors.rows;
    expect(idsOf((await found(node, "ship")).hits).sort()).toEqual(["a/1", "a/2", "a/3", "a/4"]);
    expect(rows()).toBe(4);
    nowMs += 61_000;
    // Time passes with what is written.
    await node.put("a/1", "bakery");
    expect(idsOf((await found(node, "ship")).hits).sort()).toEqual(["a/3", "a/4"]);
    await node.core.call("context_delete", { id: "a/3" });
    await node.core.call("context_purge", { id: "a/4" });
    expect((await found(node, "ship")).hits).toEqual([]);
    expect(idsOf((await found(node, "bread")).hits)).toEqual(["a/1"]);
    expect(rows()).toBeLessThanOrEqual(2);
    expect(node.index.current()?.reader.all("SELECT DISTINCT seq FROM vectors")).toHaveLength(rows() ?? 0);
  });

  test("leaves no vector of a purged text in a file", async () => {
    const marked = new Float32Array(64).map((_, at) => Math.sin(at * at + 1));
    const embedder = new ConceptEmbedder();
    embedder.embed = async (texts) => texts.map((text) => (text.includes("secret") ? marked : marked.toReversed()));
    await using node = new Searched({ embedder });
    await node.put("a/1", "secret");
    await node.put("a/2", "plain");
    await node.embedded();
    const most = Math.max(...marked.map(Math.abs));
    const bytes = Buffer.from(Int8Array.from(marked, (value) => Math.round((value / most) * 127)).buffer);
    const folder = join(node.core.folder, "search");
    const isOnDisk = () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .some(({ parentPath, name }) => readFileSync(join(parentPath, name)).includes(bytes));
    expect(isOnDisk()).toBe(true);
    await node.core.call("context_purge", { id: "a/1" });
    await node.embedded();
    expect(await node.core.store.eraseBeside()).toBe("");
    expect(isOnDisk()).toBe(false);
  });

  test("goes on after a restart, and begins again with another model or none", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched({ embedder });
    for (let at = 0; at < 10; at += 1) await node.put(`a/${at}`, "vessel");
    await node.embedded();
    expect(embedder.seen).toHaveLength(10);
    await node.restart();
    expect((await found(node, "ship")).hits).toHaveLength(10);
    expect(embedder.seen).toHaveLength(11);
    await node.restart(() => {
      embedder.identity = "others";
    });
    expect((await found(node, "ship")).hits).toHaveLength(10);
    expect(embedder.seen).toHaveLength(22);
    node.embedder = undefined;
    await node.meaning.removed();
    expect((await node.answer("ship"))["by"]).toBe("words");
    expect(node.index.current()?.reader.all("SELECT seq FROM vectors")).toEqual([]);
    await expect(node.answer("ship", { by: "meaning" })).rejects.toMatchObject({
      code: "unavailable",
      hint: expect.stringContaining("search model install"),
    });
  });

  test("keeps the newest where memory is short", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched();
    node.maxVectorBytes = 16 * 20;
    await node.restart(() => {
      node.embedder = embedder;
    });
    for (let at = 0; at < 60; at += 1) await node.put(`a/${at}`, "vessel");
    const { hits } = await found(node, "ship", { limit: 50 });
    expect(hits.length).toBeGreaterThan(10);
    expect(hits.length).toBeLessThanOrEqual(20);
    expect(idsOf(hits).sort()).toEqual(hits.map((_, at) => `a/${59 - at}`).sort());
  });
});

describe("what makes vectors", () => {
  test("may fail: words are searched, the answer and a condition say so, and it goes on later", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched({ embedder });
    await node.put("a/1", "vessel ship");
    await node.embedded();
    embedder.before = () => {
      throw new Error("no route");
    };
    await node.put("a/2", "vessel");
    const { hits, by, index } = (await node.answer("ship")) as Awaited<ReturnType<typeof found>>;
    expect([idsOf(hits), by, index.meaning?.failed]).toEqual([["a/1"], "words", true]);
    await eventually("a problem", () => node.problem.includes("no route"));
    await expect(node.answer("other ship", { by: "meaning" })).rejects.toMatchObject({ code: "unavailable" });
    embedder.isResting = true;
    const position = `${index.position.split("-")[0]}-${node.core.log.position().seq}`;
    const start = performance.now();
    expect(await node.answer("ship", { min_position: position })).toMatchObject({ by: "words" });
    expect(performance.now() - start).toBeLessThan(1000);
    embedder.isResting = false;
    embedder.before = () => {};
    expect(idsOf((await found(node, "ship")).hits)).toEqual(["a/1", "a/2"]);
    expect(node.problem).toBe("");
  });

  test("may be far behind, which no search waits for", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched({ embedder });
    await node.put("a/0", "vessel");
    await node.embedded();
    const blocked = Promise.withResolvers<void>();
    embedder.before = (texts) => (texts.includes("vessel again") ? blocked.promise : undefined);
    await Promise.all(Array.from({ length: 250 }, (_, at) => node.put(`a/${at}`, "vessel again")));
    const { epoch, seq } = node.core.log.position();
    await node.index.reach(seq, 20_000, new AbortController().signal);
    const searched = node.core.call("search", { query: "again", min_position: `${epoch}-${seq}` });
    const answer = await inTime(1500, searched);
    expect((answer["hits"] as Hit[]).length).toBe(20);
    blocked.resolve();
    await eventually("all vectors", () => node.meaning.open()?.vectors.rows === 250);
  });

  test("may refuse one text, which is left out", async () => {
    const embedder = new ConceptEmbedder();
    embedder.before = (texts) => {
      if (texts.some((text) => text.includes("poison"))) throw new RequestRefused("unavailable", "refused with 400");
    };
    await using node = new Searched({ embedder });
    for (let at = 0; at < 6; at += 1) await node.put(`a/${at}`, at === 3 ? "poison vessel" : "vessel");
    expect(idsOf((await found(node, "ship")).hits).sort()).toEqual(["a/0", "a/1", "a/2", "a/4", "a/5"]);
  });

  test("may refuse everything, and then nothing is left out", async () => {
    const embedder = new ConceptEmbedder();
    let refuses = true;
    embedder.before = () => {
      if (refuses) throw new RequestRefused("unavailable", "refused with 400");
    };
    await using node = new Searched({ embedder });
    await node.put("a/1", "vessel");
    await eventually("a problem", () => node.problem.includes("400"));
    await eventually("several attempts", () => embedder.seen.length > 6);
    refuses = false;
    expect(idsOf((await found(node, "ship")).hits)).toEqual(["a/1"]);
  });

  test("may change the width of its vectors, which is a problem until it has another name", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched({ embedder });
    await node.put("a/1", "vessel ship");
    await node.embedded();
    const plain = embedder.embed.bind(embedder);
    embedder.embed = async (texts) => (await plain(texts)).map((vector) => Float32Array.from([...vector, 1]));
    await node.put("a/2", "vessel");
    await eventually("a problem", () => node.problem.includes("8 numbers, and those before have 7"));
    const { hits, by, index } = (await node.answer("other ship")) as Awaited<ReturnType<typeof found>>;
    expect([idsOf(hits), by, index.meaning?.failed]).toEqual([["a/1"], "words", true]);
    expect(idsOf((await node.answer("ship"))["hits"] as Hit[])).toEqual(["a/1"]);
    await node.restart(() => {
      embedder.identity = "wider";
    });
    expect(idsOf((await found(node, "ship")).hits).sort()).toEqual(["a/1", "a/2"]);
  });

  test("is waited for by min_position", async () => {
    const embedder = new ConceptEmbedder();
    await using node = new Searched({ embedder });
    await node.put("a/1", "vessel");
    await node.embedded();
    embedder.before = (texts) => (texts.includes("loaf") ? Bun.sleep(300) : undefined);
    await node.put("a/2", "loaf");
    const { epoch, seq } = node.core.log.position();
    const found = await node.core.call("search", { query: "bread", min_position: `${epoch}-${seq}`, by: "meaning" });
    expect(idsOf(found["hits"] as Hit[])).toEqual(["a/2"]);
  });
});

test("nothing in an answer depends on rows that may not be read", async () => {
  console.log(`seed ${SEED}`);
  const words = ["car", "vehicle", "ship", "boat", "bread", "loaf", "rain", "storm", "parser", "word"];
  const text = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 4 }).map((all) => all.join(" "));
  const row = fc.record({
    text,
    space: fc.constantFrom("open", "shut"),
    visibility: fc.constantFrom("public", "private"),
  });
  const only = granted({ role: "member", spaces: ["open"] });
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), text, async (rows, query) => {
      const nowMs = Date.parse("2026-01-01T00:00:00Z");
      const answers = [];
      // The same messages in the same order; in the second node the hidden ones say nothing.
      for (const hidden of [(said: string) => said, () => "x"]) {
        await using node = new Searched({ nowMs: () => nowMs, embedder: new ConceptEmbedder() });
        const [open, shut] = [new Someone(node.core, ann), new Someone(node.core, localAdmin)];
        const sessions = { open: await open.create("Work", "open"), shut: await shut.create("Work", "shut") };
        for (const { text: said, space, visibility } of rows) {
          const isHidden = space === "shut" || visibility === "private";
          const author = space === "open" ? open : shut;
          await author.post(sessions[space as "open" | "shut"], isHidden ? hidden(said) : said, { visibility });
        }
        for (const by of ["both", "meaning"] as const) {
          const { hits, by: how, more } = await found(node, query, { by }, only);
          answers.push({
            how,
            more,
            hits: hits.map(({ preview, score, why, space }) => ({ preview, score, why, space })),
          });
          expect(hits.every(({ space }) => space === "open")).toBe(true);
          // Against a plain model: all that is near and may be read is found.
          const readable = rows.filter((each) => each.space === "open" && each.visibility === "public");
          const cosines = readable.map((each) => cosine(conceptsOf(each.text), conceptsOf(query)));
          const near = cosines.filter((each) => each >= Math.max(0.2, Math.max(...cosines) / 2) + 0.02);
          expect(hits.length).toBeGreaterThanOrEqual(near.length);
        }
      }
      expect(answers.slice(0, 2)).toEqual(answers.slice(2));
    }),
    { seed: SEED, numRuns: 12 },
  );
});

test("what narrows a search narrows what is found by meaning", async () => {
  await using node = new Searched({ embedder: new ConceptEmbedder() });
  const bob = new Someone(node.core, user("bob"));
  const session = await bob.create();
  await bob.post(session, "vessel");
  await node.put("a/1", "vessel", { tags: ["sea"] });
  await node.put("a/2", "vessel");
  await bob.call("context_put", { id: "b/3", content: "vessel" });
  const cases: [Record<string, unknown>, number][] = [
    [{}, 4],
    [{ tag: "sea" }, 1],
    [{ kind: "message" }, 1],
    [{ session }, 1],
    [{ from: "bob@example.com" }, 2],
    [{ space: "a" }, 2],
    [{ until: "2000-01-01T00:00:00Z" }, 0],
  ];
  for (const [more, count] of cases) {
    const { hits } = await found(node, "ship", { by: "meaning", ...more });
    expect([more, hits.length]).toEqual([more, count]);
  }
});

test("a row is not found by what it said before, though the index is behind", async () => {
  await using node = new Searched({ embedder: new ConceptEmbedder() });
  for (const id of ["a/1", "a/2"]) await node.put(id, "vessel");
  await node.embedded();
  node.diskIsFull = true;
  await node.put("a/0", "wakes the index up, which then has no room");
  await node.put("a/1", "bread");
  const { hits } = (await node.core.call("search", { query: "ship", by: "meaning" })) as { hits: Hit[] };
  expect(idsOf(hits)).toEqual(["a/2"]);
});

test("pages show each row once, whatever is written meanwhile", async () => {
  await using node = new Searched({ embedder: new ConceptEmbedder() });
  for (let at = 0; at < 30; at += 1) await node.put(`a/${at}`, at % 2 === 0 ? "vessel" : `ship ${"x ".repeat(at)}`);
  const seen: (string | undefined)[] = [];
  let page = await found(node, "ship", { limit: 7 });
  for (let pages = 1; ; pages += 1) {
    seen.push(...idsOf(page.hits));
    if (page.cursor === undefined) break;
    await node.put(`new/${pages}`, "ship vessel");
    if (pages === 2) await node.core.call("context_delete", { id: seen[0] });
    page = await found(node, "ship", { limit: 7, cursor: page.cursor });
  }
  expect(new Set(seen).size).toBe(30);
  expect(seen).toHaveLength(30);
  const first = await found(node, "ship", { limit: 7 });
  for (const more of [{ query: "boat" }, { space: "a" }, { by: "words" }])
    await expect(node.answer("ship", { limit: 7, cursor: first.cursor, ...more })).rejects.toMatchObject({
      code: "invalid_input",
    });
  const [hash, position = "", nowMs, ...shown] = JSON.parse(Buffer.from(first.cursor ?? "", "base64url").toString());
  const otherEpoch = position.replace(
    /^[^-]*/,
    (epoch: string) => (epoch.startsWith("0") ? "1" : "0") + epoch.slice(1),
  );
  for (const forged of [
    [1],
    [hash, otherEpoch, nowMs, ...shown],
    [hash, position, nowMs, -1],
    [hash, position, nowMs, 0.5],
    [hash, position, nowMs, ...Array(251).fill(1)],
  ]) {
    const cursor = Buffer.from(JSON.stringify(forged)).toString("base64url");
    await expect(node.answer("ship", { limit: 7, cursor })).rejects.toMatchObject({ code: "invalid_input" });
  }
});

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
