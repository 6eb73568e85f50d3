// context_grep: lines that match a pattern, in one document or in all below a prefix. In linear time and by turns with
// other work; a search that is not at its end returns a cursor.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { LinearPattern, type Paused, type SearchBudget } from "../../lib/linear-pattern.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { listCursor, parseListCursor } from "../../operation/page-cursor.ts";
import type { Reader } from "../../store/store.ts";
import { contextId, idAliases, idPrefix, idProblem, MAX_ID_CURSOR } from "./context-id.ts";
import { rowsAfter } from "./list-contexts.ts";
import { headFor } from "./readable.ts";
import { newestText, textOf } from "./rows.ts";
import { startOfCharacter } from "./text-part.ts";
import { missing, requireNewest } from "./version-faults.ts";

const MAX_PATTERN = 256;
const MAX_MATCHES = 500;
/** Most of a line that is shown, before the end of its match and after it. */
const SHOWN_BEFORE = 200;
const SHOWN_AFTER = 100;
/** Work of one call; a search of more goes on with its cursor. */
const MAX_UNITS = 24_000_000;
/** Work between two turns of others. */
const TURN_UNITS = 1_000_000;
/** Ids that are read at once. */
const IDS_AT_ONCE = 50;
/** What a unit of the search counts against the caller's rate, in units of work (lib/work.ts). */
const WORK_OF_UNIT = 10;
/** Units for a document, and for a character of it that is read. */
const DOCUMENT = 10_000;
/** Units for a line, searched or passed over. */
const LINE = 1;

/** Where a search goes on: after a line of a document; 0: with its first. */
interface Place {
  id: string;
  line: number;
}

const match = z.object({
  id: z.string(),
  version: z.number().int(),
  line: z.number().int().describe("From 1."),
  chars: z.string().describe("Where text is in the document; context_get takes it."),
  text: z.string().describe("The line, or of a long one what is around the match. Data from its author."),
});

/** Finds lines by a pattern. */
export const contextGrep = read({
  name: "context_grep",
  title: "Search in contexts",
  search: "search memory, find in notes, grep, look for text",
  core: "daily",
  description:
    "Returns the lines that match a pattern, in one document (id) or in all under a prefix, newest versions, with line numbers. Use it to find the part of a long document to read. The pattern is a regular expression without backreferences and lookaround; literal takes it as plain text.",
  input: z.object({
    pattern: z.string().min(1).max(MAX_PATTERN).describe("Matched within single lines, such as error|warning."),
    id: contextId.optional().describe("Only this document."),
    prefix: idPrefix.optional(),
    literal: z.boolean().optional().describe("The pattern is plain text."),
    ignore_case: z.boolean().optional().describe("Letters match in either case."),
    limit: z.number().int().min(1).max(MAX_MATCHES).optional().describe("At most this many lines (default 100)."),
    cursor: z.string().min(1).max(MAX_ID_CURSOR).optional().describe("The cursor of the previous answer."),
  }),
  example: { pattern: "release", prefix: "team-a/", ignore_case: true },
  samples: { id: "team-a/plan", cursor: "WyJ0ZWFtLWEvcGxhbiIsMF0" },
  output: z.object({
    matches: z.array(match),
    searched: z.number().int().describe("Documents that were searched to their end."),
    cursor: z.string().optional().describe("Pass it back to go on; absent where all was searched."),
  }),
  access: {
    verb: "read",
    spaces: ({ id, prefix }) => {
      if (id !== undefined) return [spaceOf(id)];
      return prefix?.includes("/") === true ? [spaceOf(prefix)] : "visible";
    },
  },
  aliases: { ...idAliases, query: "pattern", regex: "pattern", text: "pattern", case_insensitive: "ignore_case" },
  async run(reader, input, context) {
    if (input.id?.startsWith(input.prefix ?? "") === false)
      throw new Fault(
        "invalid_input",
        `${JSON.stringify(input.id)} is not below the prefix ${JSON.stringify(input.prefix)}`,
        {
          hint: "Leave one of them out.",
        },
      );
    const pattern = new LinearPattern(input.pattern, {
      literal: input.literal === true,
      ignoreCase: input.ignore_case === true,
    });
    const search = new Search(reader, pattern, input.limit ?? 100);
    const from = input.cursor === undefined ? { id: "", line: 0 } : readCursor(input.cursor);
    const ids =
      input.id === undefined ? idsBelow(reader, input.prefix ?? "", context, from.id) : only(reader, input.id, context);
    try {
      await context.inTurn(async () => {
        for await (const id of ids) {
          // Asked again: a turn of others may have changed who may read it.
          if (headFor(reader, id, context.viewer(spaceOf(id))) === undefined) continue;
          await search.document(id, id === from.id ? from.line : 0, context.signal);
          if (search.stoppedAt !== undefined) break;
        }
      });
    } finally {
      // A call that is given up has had its work done, too.
      context.spend(WORK_OF_UNIT * search.units);
    }
    const { matches, searched, stoppedAt } = search;
    return { matches, searched, ...(stoppedAt === undefined ? {} : { cursor: writeCursor(stoppedAt) }) };
  },
});

/** A line of a document: from `start` up to `end`, without its line end. */
interface Line {
  id: string;
  version: number;
  text: string;
  line: number;
  start: number;
  end: number;
}

/** One call's search. */
class Search {
  readonly matches: z.output<typeof match>[] = [];
  searched = 0;
  /** Where it stopped before its end. */
  stoppedAt: Place | undefined;
  readonly #reader: Reader;
  readonly #pattern: LinearPattern;
  readonly #limit: number;
  readonly #budget: SearchBudget & { pauseAt: number } = { units: MAX_UNITS, pauseAt: MAX_UNITS - TURN_UNITS };
  /** Lines that were searched to their end. */
  #lines = 0;

  constructor(reader: Reader, pattern: LinearPattern, limit: number) {
    this.#reader = reader;
    this.#pattern = pattern;
    this.#limit = limit;
  }

  /** Units that it took so far. */
  get units(): number {
    return MAX_UNITS - this.#budget.units;
  }

  /** Searches a document after a line. Rejects when the signal aborts. */
  async document(id: string, afterLine: number, signal: AbortSignal): Promise<void> {
    const row = newestText(this.#reader, id);
    if (row === undefined) return;
    this.#budget.units -= DOCUMENT + row.size;
    if (this.#budget.units < 0 && this.searched > 0) {
      this.stoppedAt = { id, line: afterLine };
      return;
    }
    const text = textOf(row);
    let line = 0;
    for (let start = 0; start < text.length || line === 0; ) {
      const next = text.indexOf("\n", start);
      const end = next < 0 ? text.length : next;
      line++;
      this.#budget.units -= LINE;
      const at = {
        id,
        version: row.version,
        text,
        line,
        start,
        end: text[end - 1] === "\r" && end > start ? end - 1 : end,
      };
      if (line > afterLine && !(await this.#line(at, signal))) {
        this.stoppedAt = { id, line: line - 1 };
        return;
      }
      if (this.#budget.units < this.#budget.pauseAt) await this.#giveTurn(signal);
      start = end + 1;
    }
    this.searched++;
  }

  /** Adds the line if it matches. Reports whether there was room for it, and work left. */
  #line(at: Line, signal: AbortSignal): boolean | Promise<boolean> {
    const found = this.#pattern.endOfMatch(at.text, at, this.#budget);
    return typeof found === "object" ? this.#longLine(at, found, signal) : this.#add(at, found);
  }

  async #longLine(at: Line, paused: Paused, signal: AbortSignal): Promise<boolean> {
    let found: ReturnType<LinearPattern["endOfMatch"]> = paused;
    while (typeof found === "object") {
      await this.#giveTurn(signal);
      found = this.#pattern.endOfMatch(at.text, at, this.#budget, found);
    }
    return this.#add(at, found);
  }

  #add({ id, version, text, line, start, end }: Line, found: number | undefined): boolean {
    if (found === undefined) {
      if (this.#lines === 0 && this.searched === 0) throw tooCostly(id, line);
      return false;
    }
    if (found >= 0 && this.matches.length >= this.#limit) return false;
    this.#lines++;
    if (found < 0) return true;
    const isShort = end - start <= SHOWN_BEFORE + SHOWN_AFTER;
    const first = isShort ? start : startOfCharacter(text, Math.max(start, found - SHOWN_BEFORE));
    const last = isShort ? end : startOfCharacter(text, Math.min(end, found + SHOWN_AFTER));
    this.matches.push({ id, version, line, chars: `${first + 1}-${last}`, text: text.slice(first, last) });
    return true;
  }

  async #giveTurn(signal: AbortSignal): Promise<void> {
    this.#budget.pauseAt = this.#budget.units - TURN_UNITS;
    await nextTurn();
    signal.throwIfAborted();
  }
}

/** The refusal of a search that would go on for ever with its cursor. */
function tooCostly(id: string, line: number): Fault {
  return new Fault(
    "too_large",
    `Line ${line} of ${JSON.stringify(id)} takes more work than one search with this pattern has`,
    {
      hint: "Use a simpler pattern, such as literal text or fewer repetitions, or leave this document out.",
      details: { id, line },
    },
  );
}

/** Returns the id, or throws the Faults of a read for a document that has no text. */
function only(reader: Reader, id: string, context: CallContext): string[] {
  const viewer = context.viewer(spaceOf(id));
  const head = headFor(reader, id, viewer);
  if (head === undefined) throw missing(id, { reader, viewer });
  requireNewest(reader, head, viewer);
  return [id];
}

/** Returns the ids that a caller may see, in their order, from one on. */
async function* idsBelow(reader: Reader, prefix: string, context: CallContext, from: string): AsyncGenerator<string> {
  if (from.startsWith(prefix) && from !== "" && context.visible(spaceOf(from))) yield from;
  const wanted = { prefix, updatedSince: 0, tag: "", limit: IDS_AT_ONCE };
  for (let after = from; ; ) {
    const rows = await rowsAfter(reader, after, context, wanted);
    for (const { id } of rows) yield id;
    if (rows.length < IDS_AT_ONCE) return;
    after = rows.at(-1)?.id ?? after;
  }
}

const placeShape = z.tuple([z.string().refine((id) => idProblem(id) === undefined), z.number().int().min(0)]);

function writeCursor({ id, line }: Place): string {
  return listCursor([id, line]);
}

function readCursor(cursor: string): Place {
  const [id, line] = parseListCursor(cursor, placeShape, "this search");
  return { id, line };
}
