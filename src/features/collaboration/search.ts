// search_context, search_by_sender and search_by_timerange: over the messages that the caller may read, so that no
// score, preview or count tells of another one.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { fromLast, type Listed, MAX_LOOKED_AT, messagesFor } from "./shown.ts";
import { SESSION_EXAMPLE, sessionArgument, tool } from "./tool.ts";

/** Characters of a preview. */
const PREVIEW = 200;
const MAX_QUERY = 500;
/** Bounds of the work of a search: messages, words of a query, and characters in which words are compared. */
const MAX_SEARCHED = 1000;
const MAX_WORDS = 12;
const MAX_COMPARED = 2000;
/** Messages that are scored before other work gets a turn. */
const STEP = 20;
const SCOPES = ["all", "public", "private"] as const;

/** Searches a session. */
export const searchContext = tool({
  name: "search_context",
  title: "Search a session",
  search: "fuzzy search in collaboration messages, find a finding",
  description: `Searches the newest ${MAX_SEARCHED} messages of a session that you may read, by words that may be misspelt. Returns results (message, score, match_preview, relevance), best first, query, threshold, search_scope, message_count, search_time_ms, cache_hit.`,
  input: {
    session_id: sessionArgument,
    query: z.string().trim().min(1).max(MAX_QUERY).describe("Words to find."),
    fuzzy_threshold: z.number().min(0).max(100).optional().describe("Lowest score of a result (default 60)."),
    limit: z.number().int().min(1).max(100).optional().describe("At most this many results (default 10)."),
    search_metadata: z.boolean().optional().describe("Also look into metadata and names of senders (default true)."),
    search_scope: z.enum(SCOPES).optional().describe("Only public messages, or only those that are not (default all)."),
  },
  example: { session_id: SESSION_EXAMPLE, query: "sql injection" },
  samples: { fuzzy_threshold: 60, limit: 10, search_metadata: true, search_scope: "all" },
  verb: "read",
  run: async (input, steps) => {
    const { session_id: session, query, fuzzy_threshold: threshold = 60, limit = 10 } = input;
    const { search_metadata: withMetadata = true, search_scope: scope = "all" } = input;
    const startMs = performance.now();
    const { messages } = await fromLast(steps, { session, most: MAX_SEARCHED });
    const wanted = wordsOf(query).slice(0, MAX_WORDS);
    const looked = messages.filter(
      (each) => scope === "all" || (each.visibility === "public") === (scope === "public"),
    );
    const scored: { message: Listed; score: number }[] = [];
    for (const [at, message] of looked.entries()) {
      if (at % STEP === 0) await nextTurn();
      const score = scoreOf(wanted, query, textsOf(message, withMetadata));
      if (score >= threshold) scored.push({ message, score });
    }
    scored.sort((a, b) => b.score - a.score).splice(limit);
    const shown = await messagesFor(
      steps,
      scored.map(({ message }) => message),
    );
    const results = shown.map((message, at) => {
      const score = scored[at]?.score ?? 0;
      return { message, score, match_preview: previewOf(message.content, wanted), relevance: relevanceOf(score) };
    });
    const time = Math.round((performance.now() - startMs) * 100) / 100;
    const asked = { query, threshold, search_scope: scope };
    return { results, ...asked, message_count: results.length, search_time_ms: time, cache_hit: false };
  },
});

/** Lists the messages of one sender. */
export const searchBySender = tool({
  name: "search_by_sender",
  title: "Messages of a sender",
  search: "what did an agent say in a collaboration session",
  description: "Lists the newest messages of one agent or caller that you may read. Returns messages, sender, count.",
  input: {
    session_id: sessionArgument,
    sender: z.string().min(1).max(256).describe("Name of an agent, or a caller as messages show it."),
    limit: z.number().int().min(1).max(100).optional().describe("At most this many (default 20)."),
  },
  example: { session_id: SESSION_EXAMPLE, sender: "reviewer" },
  samples: { limit: 20 },
  verb: "read",
  run: async ({ session_id: session, sender, limit = 20 }, steps) => {
    const { messages } = await fromLast(steps, { session, from: sender, most: limit });
    const page = messages.slice(0, limit);
    return { messages: await messagesFor(steps, page), sender, count: page.length };
  },
});

/** Lists the messages of a time. */
export const searchByTimerange = tool({
  name: "search_by_timerange",
  title: "Messages of a time",
  search: "messages since yesterday, between two times in a session",
  description: `Lists the messages that you may read from one time to another, oldest first, among the newest ${MAX_LOOKED_AT}. Returns messages, timerange, count.`,
  input: {
    session_id: sessionArgument,
    start_time: z.string().min(1).max(64).describe("ISO 8601, such as 2026-01-31T12:00:00Z."),
    end_time: z.string().min(1).max(64).describe("ISO 8601, not before start_time."),
    limit: z.number().int().min(1).max(200).optional().describe("At most this many (default 50)."),
  },
  example: { session_id: SESSION_EXAMPLE, start_time: "2026-01-31T12:00:00Z", end_time: "2026-01-31T13:00:00Z" },
  samples: { limit: 50 },
  verb: "read",
  run: async ({ session_id: session, start_time: start, end_time: end, limit = 50 }, steps) => {
    const [fromMs, toMs] = [timeIn("start_time", start), timeIn("end_time", end)];
    if (fromMs > toMs)
      throw new Fault("invalid_input", `start_time ${start} is after end_time ${end}`, { hint: "Exchange them." });
    const { messages } = await fromLast(steps, { session });
    const inTime = messages.filter(({ posted_at: at }) => Date.parse(at) >= fromMs && Date.parse(at) <= toMs);
    const page = inTime.toReversed().slice(0, limit);
    return { messages: await messagesFor(steps, page), timerange: { start, end }, count: page.length };
  },
});

/** Returns the time in ms. A time without a zone is in UTC, as clients in Python write it. */
function timeIn(field: string, text: string): number {
  const hasZone = /(?:Z|[+-]\d\d:?\d\d)$/i.test(text);
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(hasZone || text.length <= 10 ? text : `${text}Z`) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new Fault("invalid_input", `${field} ${JSON.stringify(text)} is no time`, {
    hint: "Give a time such as 2026-01-31T12:00:00Z.",
    details: { field },
  });
}

function textsOf({ text, metadata, agent = "", author }: Listed, withMetadata: boolean): string {
  return withMetadata && metadata !== undefined
    ? `${text}\n${JSON.stringify(metadata)}\n${agent} ${author}`
    : withMetadata
      ? `${text}\n${agent} ${author}`
      : text;
}

function wordsOf(text: string): string[] {
  return [...text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)].map(([word]) => word);
}

/** Returns 0 to 100: 100 where the query occurs as it is, else how well its words are found, on average. */
function scoreOf(wanted: readonly string[], query: string, text: string): number {
  if (text.toLowerCase().includes(query.toLowerCase())) return 100;
  if (wanted.length === 0) return 0;
  const words = new Set(wordsOf(text.slice(0, MAX_COMPARED)));
  const sum = wanted.reduce((total, word) => total + bestOf(word, words), 0);
  return Math.round((sum / wanted.length) * 1000) / 10;
}

/** Returns 0 to 1: how like a word the most similar one is. */
function bestOf(word: string, words: ReadonlySet<string>): number {
  if (words.has(word)) return 1;
  let best = 0;
  for (const other of words) best = Math.max(best, other.startsWith(word) ? 0.95 : likeness(word, other));
  return best;
}

/** Returns the Dice coefficient of the pairs of letters of two words that begin alike, and 0 for others. */
function likeness(one: string, other: string): number {
  if (one[0] !== other[0]) return 0;
  if (Math.abs(one.length - other.length) > Math.max(one.length, other.length) / 2) return 0;
  const pairs = new Set(pairsOf(one));
  const others = pairsOf(other);
  const common = others.filter((pair) => pairs.has(pair)).length;
  return pairs.size + others.length === 0 ? 0 : Math.min(0.9, (2 * common) / (pairs.size + others.length));
}

function pairsOf(word: string): string[] {
  const framed = ` ${word} `;
  return Array.from({ length: framed.length - 1 }, (_, at) => framed.slice(at, at + 2));
}

/** Returns the text around the first word that is found. */
function previewOf(text: string, wanted: readonly string[]): string {
  const folded = text.toLowerCase();
  const places = wanted.map((word) => folded.indexOf(word)).filter((at) => at >= 0);
  const start = Math.max(0, Math.min(...(places.length === 0 ? [0] : places)) - PREVIEW / 4);
  const cut = text.slice(start, start + PREVIEW).toWellFormed();
  return `${start > 0 ? "…" : ""}${cut}${start + PREVIEW < text.length ? "…" : ""}`;
}

function relevanceOf(score: number): string {
  return score >= 80 ? "high" : score >= 60 ? "medium" : "low";
}
