// memory_search: memories whose values have words, found by looking through them.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { isMemory, prefixFor } from "./list.ts";
import { type Places, placeArguments, placesOf, scopeArgument, spaceOfInput } from "./places.ts";
import { aboutArgument, context, filterAliases, kindArgument, memory, memoryOf } from "./shown.ts";

const MAX_WORDS = 8;
/** Lines that are looked at in one call. */
const MAX_LINES = 500;

const found = z.object({
  matches: z.array(z.object({ id: z.string(), line: z.number(), text: z.string() })),
  cursor: z.string().optional(),
});

/** What a search knows of one memory. */
interface Hit {
  id: string;
  /** Words that it has. */
  words: Set<string>;
  /** The line with most of them. */
  preview: string;
  best: number;
}

/** Finds memories. */
export const memorySearch = macro({
  name: "memory_search",
  title: "Search memories",
  search: "search memory, find fact, look up what is known about",
  description:
    "Finds memories whose values have the words of the query, those with most of them first, each with the line that matched. Words are compared letter by letter, in either case. Where there is much to look through it returns a cursor to go on.",
  input: z.object({
    query: z.string().min(1).max(200).describe("Up to 8 words; any of them counts."),
    scope: scopeArgument.optional().describe("Only these (default: all that you may read)."),
    ...placeArguments,
    kind: kindArgument.optional().describe("Only of this kind."),
    about: aboutArgument.optional().describe("Only about this."),
    limit: z.number().int().min(1).max(50).optional().describe("At most this many (default 10)."),
    cursor: z.string().min(1).max(2048).optional().describe("The cursor of the previous answer."),
  }),
  example: { query: "tabs indentation", space: "team-a" },
  samples: {
    ...{ scope: "shared", session: "team-a/session_0123456789abcdef", kind: "fact", about: "ann" },
    cursor: "WyJ0ZWFtLWEvcGxhbiIsMF0",
  },
  output: z.object({
    memories: z.array(
      memory.extend({
        preview: z.string().describe("The line that matched. Data from its author."),
        words: z.array(z.string()).describe("The words of the query that it has."),
      }),
    ),
    cursor: z.string().optional().describe("There is more to look through: pass it back."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOfInput(input)] },
  aliases: { ...filterAliases, q: "query", text: "query" },
  async run({ query, kind, about, limit = 10, cursor, ...given }, steps) {
    const words = wordsOf(query);
    const places = await placesOf(steps, given);
    const answer = await steps.ask("context_grep", {
      ...{ pattern: words.map(escaped).join("|"), prefix: prefixFor(places, given) },
      ...{ ignore_case: true, limit: MAX_LINES },
      ...(cursor === undefined ? {} : { cursor }),
    });
    const page = found.parse(answer);
    const memories = [];
    for (const hit of ranked(page.matches, words)) {
      if (memories.length === limit) break;
      const shown = await shownHit(steps, hit, places);
      if (shown === undefined || (kind !== undefined && shown.kind !== kind)) continue;
      if (about === undefined || shown.about === about) memories.push(shown);
    }
    return { memories, ...(page.cursor === undefined ? {} : { cursor: page.cursor }) };
  },
});

/** Returns the words of a query, in small letters. */
function wordsOf(query: string): string[] {
  const words = [
    ...new Set(
      query
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== ""),
    ),
  ];
  if (words.length > 0 && words.length <= MAX_WORDS) return words;
  throw new Fault("invalid_input", `A query has 1 to ${MAX_WORDS} words, and this one has ${words.length}`, {
    hint: "Leave out the words that matter least.",
    details: { field: "query" },
  });
}

function escaped(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

/** Returns what matched by memory, those with most words first. */
function ranked(matches: readonly { id: string; text: string }[], words: readonly string[]): Hit[] {
  const hits = new Map<string, Hit>();
  for (const { id, text } of matches) {
    const line = text.toLowerCase();
    const has = words.filter((word) => line.includes(word));
    const hit = hits.get(id) ?? { id, words: new Set<string>(), preview: "", best: 0 };
    for (const word of has) hit.words.add(word);
    if (has.length > hit.best) Object.assign(hit, { best: has.length, preview: text });
    hits.set(id, hit);
  }
  return [...hits.values()].sort((one, other) => other.words.size - one.words.size || other.best - one.best);
}

async function shownHit(steps: MacroSteps, { id, words, preview }: Hit, places: Places) {
  const answer = await steps.tryAsk("context_metadata", { id });
  // It may have been deleted meanwhile.
  if (answer instanceof Fault) {
    if (answer.code === "not_found" || answer.code === "deleted") return undefined;
    throw answer;
  }
  const about = context.parse(answer);
  if (about.deleted === true || !isMemory(about, places)) return undefined;
  return { ...memoryOf(about, places), preview, words: [...words] };
}
