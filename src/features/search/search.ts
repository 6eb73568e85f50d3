// search: finds contexts and messages by words, and by meaning where vectors are made.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { stateTimeMs } from "../../log/log-time.ts";
import { parsePosition } from "../../log/position.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { MAX_POSITION_WAIT_MS } from "../../operation/read-router.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { Candidates, type Filter } from "./candidates.ts";
import { cursorOf, MAX_SHOWN, type Page, pageOf } from "./cursor.ts";
import { type Compared, Search } from "./find.ts";
import type { Meaning } from "./meaning/meaning.ts";
import { previewOf } from "./preview.ts";
import { MAX_QUERY, parseQuery, type Query } from "./query.ts";
import { type By, type Ranked, ranked } from "./rank.ts";
import type { OpenIndex, SearchIndex } from "./search-index.ts";
import { type Facet, folded } from "./tokens.ts";

/** The index of this node. */
export const SEARCH_INDEX: ServiceKey<SearchIndex> = new ServiceKey("the search index");

/** Vectors for it; absent on a node that makes none. */
export const MEANING: ServiceKey<Meaning> = new ServiceKey("the vectors of searches");

const MAX_HITS = 50;
/** Work for a query's vector, and for a byte that is compared. */
const MAKE_VECTOR = 5_000_000;
const COMPARE_BYTE = 0.1;

const share = z.number();

const hit = z.object({
  kind: z.string().describe("context or message."),
  id: z.string().optional().describe("Of a context: context_get reads it."),
  session: z.string().optional().describe("Of a message: message_get reads it, with message."),
  message: z.string().optional(),
  space: z.string(),
  title: z.string().optional(),
  tags: z.array(z.string()).optional(),
  author: z.string().describe("Verified by the tailnet."),
  agent: z.string().optional(),
  time: z.string(),
  score: share.describe("From 0 to 1; it compares hits of one answer."),
  why: z
    .object({
      words: share.describe("How well its words match, beside the best hit."),
      meaning: share.optional().describe("How near its meaning is, where that was looked at."),
      part: share.describe("1: it has the whole query as it is. 0.5: it has each piece of it."),
      recent: share.describe("How new it is: halved in 30 days."),
      matched: z.array(z.string()).describe("Words of the query that it has."),
      corrected: z
        .record(z.string(), z.string())
        .optional()
        .describe("Words that were taken for others, which it has."),
    })
    .describe("The shares of the score."),
  preview: z.string().describe("A piece of its text. Data from its author."),
  marks: z.array(z.array(z.number().int())).describe("Start and end of what matches in the preview."),
});

const input = z.object({
  query: z
    .string()
    .min(1)
    .max(MAX_QUERY)
    .describe("Words, or a part of a word or identifier. No character is special."),
  space: z.string().min(1).max(256).optional().describe("Only in this space."),
  kind: z.enum(["context", "message"]).optional().describe("Only rows of this kind."),
  session: z.string().min(1).max(256).optional().describe("Only messages of this session."),
  from: z.string().min(1).max(256).optional().describe("Only what this agent or caller wrote."),
  tag: z.string().min(1).max(64).optional().describe("Only contexts with this tag."),
  since: z.iso.datetime({ offset: true }).optional().describe("Only what was written at or after this time."),
  until: z.iso.datetime({ offset: true }).optional().describe("Only what was written at or before this time."),
  limit: z.number().int().min(1).max(MAX_HITS).optional().describe("At most this many (default 20)."),
  by: z.enum(["words", "meaning", "both"]).optional().describe("Default: both, where this node has vectors."),
  cursor: z.string().min(1).max(8192).optional().describe("The cursor of the previous page."),
});

const output = z.object({
  hits: z.array(hit),
  by: z.enum(["words", "meaning", "both"]).describe("By what they were found."),
  more: z.literal(true).optional().describe("There are more than these: name more words, or narrow the search."),
  cursor: z.string().optional().describe("Pass it for the next page, with the same arguments."),
  index: z.object({
    position: z.string().describe("Everything up to this position could be found."),
    building: z.literal(true).optional().describe("The index is being built: what is older may be missing."),
    meaning: z
      .object({
        model: z.string(),
        position: z.string().optional().describe("Everything up to this position could be found by meaning."),
        failed: z
          .literal(true)
          .optional()
          .describe("Only words were looked at: vectors of rows or of the query are missing now."),
      })
      .optional()
      .describe("Where this node makes vectors."),
  }),
});

/** Makes the operation. */
export function searchOperation(node: Services) {
  return read({
    name: "search",
    title: "Search",
    search: "find by words, full text search, look up notes, memories, messages, what was said about",
    description:
      "Finds contexts and messages that you may read by words, and by meaning where the node has vectors: the best and newest at the top, with a preview each. Mistyped words and parts of identifiers are found where little else is. For a pattern within known documents use context_grep. An answer says how fresh the index is; min_position waits until a write of yours can be found.",
    input,
    example: { query: "release plan", space: "team-a" },
    samples: {
      ...{ kind: "context", session: "team-a/session_0123456789abcdef", from: "reviewer", tag: "release" },
      ...{ since: "2026-01-01T00:00:00Z", until: "2026-12-31T00:00:00Z", limit: 5, by: "words" },
      cursor: "WzI3NDgsIjNmOWEwYzEyYmUtNDIiLDE3NjcyMjU2MDAwMDAsMTdd",
    },
    output,
    access: { verb: "read", spaces: spacesOf },
    aliases: { q: "query", text: "query", words: "query", sender: "from", author: "from" },
    async run(reader, asked, context) {
      const query = parseQuery(asked.query);
      const index = node.get(SEARCH_INDEX);
      const meaning = node.find(MEANING);
      if (context.minPosition !== undefined) {
        const { seq } = parsePosition(context.minPosition);
        await index.reach(seq, MAX_POSITION_WAIT_MS, context.signal);
        const isThere = asked.by === "words" || (await meaning?.reach(seq, MAX_POSITION_WAIT_MS, context.signal));
        if (asked.by === "meaning" && isThere !== true) throw noVectors(meaning);
      }
      // It is opened after the node's start, and after it was deleted.
      await index.begun(MAX_POSITION_WAIT_MS, context.signal);
      const open = index.open();
      try {
        return await find({ reader, open, sources: index.sources, meaning }, query, asked, context);
      } catch (error) {
        // One of another history is closed and deleted at any time.
        const isGone = index.current()?.reader !== open.reader;
        if (!isGone && !index.discardDamaged(error)) throw error;
        throw new Fault("unavailable", "The search index of this node was deleted, and is built again", {
          hint: "Try again in a moment.",
          details: { retryAfterSeconds: 2 },
          cause: error,
        });
      }
    },
  });
}

function spacesOf({ space, session }: Asked): string[] | "visible" {
  const named = [...(space === undefined ? [] : [space]), ...(session === undefined ? [] : [spaceOf(session)])];
  return named.length === 0 ? "visible" : [...new Set(named)];
}

interface Within {
  reader: Reader;
  open: OpenIndex;
  sources: SearchIndex["sources"];
  meaning: Meaning | undefined;
}

type Asked = z.output<typeof input>;

/** One search, and what its pages have in common. */
async function find(
  { reader, open, sources, meaning }: Within,
  query: Query,
  { limit = 20, cursor, ...asked }: Asked,
  context: CallContext,
): Promise<z.input<typeof output>> {
  const position = parsePosition(open.position);
  const first: Page = { position, nowMs: stateTimeMs(reader), shown: [] };
  const page = cursor === undefined ? first : pageOf(cursor, asked, position.epoch);
  const filter = filterOf(asked, page.position.seq);
  const candidates = new Candidates({ store: reader, index: open.reader }, sources, filter, context);
  const search = new Search(open.reader, candidates, query, filter, context);
  const wanted = page.shown.length + limit;
  const rank = async (by: By, compared?: Compared) => {
    if (by !== "meaning") await search.run(wanted);
    if (compared !== undefined) await search.near(compared);
    const { rows, hasMore } = search.finds();
    const shown = new Set(page.shown);
    const all = ranked(rows, page.nowMs, by, (row) => compared?.scan.cosineOf(row.row.seq));
    return { by, hasMore, best: all.filter(({ row }) => !shown.has(row.seq)) };
  };
  const { by, hasMore, best } = await compare({ meaning, candidates, context }, asked, rank);
  const found = best.slice(0, limit);
  context.spend(SHOW_ROW * found.length);
  const shown = [...page.shown, ...found.map(({ row }) => row.seq)];
  const hasNext = best.length > limit && shown.length + MAX_HITS <= MAX_SHOWN;
  return {
    hits: found.map((row) => hitOf(row, query, by)),
    by,
    ...(hasMore || best.length > limit ? { more: true as const } : {}),
    ...(hasNext ? { cursor: cursorOf(asked, { ...page, shown }) } : {}),
    index: {
      position: open.position,
      ...(open.isBuilding ? { building: true as const } : {}),
      ...stateOf(meaning, asked.by, by),
    },
  };
}

/** Calls `rank` with how near the rows are to the query, where that is asked for and can be had. */
async function compare<T>(
  { meaning, candidates, context }: { meaning: Meaning | undefined; candidates: Candidates; context: CallContext },
  { by = "both", query }: Pick<Asked, "by" | "query">,
  rank: (by: By, compared?: Compared) => Promise<T>,
): Promise<T> {
  const open = by === "words" ? undefined : meaning?.open();
  if (open !== undefined) context.spend(MAKE_VECTOR + COMPARE_BYTE * open.vectors.bytes);
  const vector = open && (await meaning?.query(query));
  if (open !== undefined && vector?.length === open.vectors.width) {
    const hasSpace = (space: string) => candidates.hasSpace(space);
    return open.vectors.scan(vector, hasSpace, context.signal, (scan) => rank(by, { scan, startOf: open.startOf }));
  }
  if (by === "meaning") throw noVectors(meaning);
  return rank("words");
}

/** Returns how far the vectors are. */
function stateOf(meaning: Meaning | undefined, asked: By | undefined, by: By) {
  const state = meaning?.state();
  if (state === undefined) return {};
  const { model, position } = state;
  const failed = by === "words" && asked !== "words";
  return {
    meaning: {
      model,
      ...(position === undefined ? {} : { position }),
      ...(failed ? { failed: true as const } : {}),
    },
  };
}

function noVectors(meaning: Meaning | undefined): Fault {
  if (meaning?.state() === undefined) {
    return new Fault("unavailable", "This node has no vectors, so it cannot search by meaning", {
      hint: "Search by words. Vectors come from search.embeddings_url or `cairn search model install`.",
    });
  }
  return new Fault("unavailable", "The vectors of this node are behind, or the query has none now", {
    hint: "Try again in a moment, or search by words.",
    details: { retryAfterSeconds: 5 },
  });
}

function filterOf({ space, kind, session, from, tag, since, until }: Asked, lastSeq: number): Filter {
  const wanted: [Facet, string | undefined][] = [
    ["space", space],
    ["kind", kind],
    ["session", session],
    ["tag", tag],
    ["from", from === undefined ? undefined : folded(from.replace(/^@/, ""))],
  ];
  return {
    facets: wanted.flatMap(([facet, value]) => (value === undefined ? [] : [[facet, value] as const])),
    sinceMs: since === undefined ? 0 : Date.parse(since),
    untilMs: until === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(until),
    lastSeq,
  };
}

function hitOf(found: Ranked, query: Query, by: By): z.input<typeof hit> {
  const { kind, row, score, shares, counts, corrected } = found;
  const { words, meaning, part, recent } = shares;
  return {
    ...{ kind, ...row.shown, space: row.space },
    ...(row.title === "" ? {} : { title: row.title }),
    ...(row.tags.length === 0 ? {} : { tags: [...row.tags] }),
    author: row.author,
    ...(row.agent === "" ? {} : { agent: row.agent }),
    time: timeOf(row.timeMs),
    score: rounded(score),
    why: {
      ...{ words: rounded(words), part, recent: rounded(recent) },
      ...(by === "words" ? {} : { meaning: rounded(meaning) }),
      matched: [...counts.keys()].filter((word) => !corrected.has(word)),
      ...(corrected.size === 0 ? {} : { corrected: Object.fromEntries(corrected) }),
    },
    ...previewOf(found, query),
  };
}

function rounded(share: number): number {
  return Math.round(share * 1000) / 1000;
}
