// prime: what the store holds for the caller, and advice on how to use it, as data and as the text of the MCP prompt
// and of `cairn prime`. Stored text appears only as JSON data beside its author (security.md 22).

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { callerName } from "../../access/caller.ts";
import { spaceOf } from "../../access/space.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import { type ChangeRow, changeOf } from "../../log/change-row.ts";
import { type CallContext, read } from "../../operation/define.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import { mayReadRow } from "./audience.ts";
import { MAX_SPACE, spaceName } from "./context-id.ts";
import { MAX_COUNTED, type PrimeOutput, primeOutput, recentContext } from "./prime-output.ts";
import { adviceFor, primeText } from "./prime-text.ts";
import { headFor, readableSql } from "./readable.ts";
import { type ContextRow, metadataOf, thereSql } from "./rows.ts";

const MAX_SPACES = 50;
const MAX_RECENT = 20;
/** Most changes read to find the recently changed contexts. */
const MAX_LOOKED_AT = 2048;
/** Changes or spaces read before other work gets a turn. */
const STEP = 256;
/** Most contexts of a space that are looked at: those that are deleted, or may not be read, are passed over. */
const MAX_PASSED = 5000;

/** The right that `may_write` and the advice are about. */
const WRITE = { verb: "write", operation: "context_put" } as const;

/** Returns what the store holds for the caller, and advice. */
export const prime = read({
  name: "prime",
  title: "What is stored for you",
  search: "memory, what is remembered, notes and handoffs to continue, start of work",
  core: "always",
  description:
    "Returns what is remembered for you: your spaces, how much is in them, what changed last and by whom, and advice. Call it once when you begin.",
  input: z.object({
    space: spaceName.optional().describe("Only this space (default: all that you may read)."),
    format: z.enum(["data", "text"]).optional().describe('"data" (default), or "text": also as one text.'),
  }),
  example: { space: "team-a" },
  output: primeOutput,
  access: { verb: "read", spaces: (input) => (input.space === undefined ? "visible" : [input.space]) },
  async run(reader, input, context) {
    const all = await spacesOf(reader, input.space, context);
    const names = all.slice(0, MAX_SPACES);
    const spaces = [];
    for (const space of names) {
      const contexts = countOf(reader, space, context.viewer(space));
      spaces.push({ space, contexts, may_write: context.rights.mayUse({ ...WRITE, space }) });
      await afterRows(contexts, context);
    }
    const recent = await recentOf(reader, input.space, names, context);
    const primer: PrimeOutput = {
      you: {
        caller: callerName(context.caller),
        node: context.caller.node,
        grants: context.rights.grants
          .slice(0, MAX_SPACES)
          .map(({ role, spaces }) => ({ role, spaces: spaces.slice(0, MAX_SPACES) })),
      },
      spaces,
      more_spaces: all.length - names.length,
      recent: recent.map((row) => recentContext.parse(metadataOf(reader, row))),
      advice: adviceFor(context.rights.mayUseSomewhere(WRITE)),
    };
    return input.format === "text" ? { ...primer, text: primeText(primer, input.space) } : primer;
  },
});

/** Counts rows that were looked at against the caller's rate, and gives other work a turn. */
async function afterRows(rows: number, { spend, signal }: CallContext): Promise<void> {
  spend(LOOK_AT_ROW * rows);
  await nextTurn();
  signal.throwIfAborted();
}

/** Returns the spaces that have contexts, and empty ones that a grant names in full. */
async function spacesOf(reader: Reader, only: string | undefined, context: CallContext): Promise<string[]> {
  if (only !== undefined) return [only];
  const named = context.rights.grants
    .flatMap((grant) => grant.spaces)
    .filter((name) => name.length <= MAX_SPACE && !name.includes("*") && context.visible(name));
  return [...new Set([...(await visibleSpaces(reader, context)), ...named])].sort();
}

/** Returns the visible spaces that have contexts. One index lookup a space: the cost does not grow with contexts. */
async function visibleSpaces(reader: Reader, context: CallContext): Promise<string[]> {
  const spaces: string[] = [];
  let last = "";
  for (let looked = 1; ; looked++) {
    const next = reader.get<ContextRow>("SELECT * FROM contexts WHERE space > ? ORDER BY space, id LIMIT 1", last);
    if (next === undefined) return spaces;
    last = next.space;
    if (context.visible(last) && hasReadable(reader, next, context.viewer(last))) spaces.push(last);
    if (looked % STEP === 0) await afterRows(STEP, context);
  }
}

/** Reports whether a viewer may read one of the first contexts of a space, which may be deleted. */
function hasReadable(reader: Reader, first: ContextRow, viewer: Viewer): boolean {
  if (mayReadRow(first, viewer)) return true;
  const may = readableSql(reader, viewer);
  const sql = `SELECT 1 FROM (SELECT * FROM contexts WHERE space = ? LIMIT +?) WHERE ${may.sql} LIMIT 1`;
  return reader.get(sql, first.space, MAX_PASSED, ...may.values) !== undefined;
}

function countOf(reader: Reader, name: string, viewer: Viewer): number {
  const there = thereSql(reader);
  const may = readableSql(reader, viewer);
  const row = reader.get<{ found: number }>(
    `SELECT COUNT(*) AS found FROM (SELECT 1 FROM (SELECT * FROM contexts WHERE space = ? LIMIT +?) WHERE ${there.sql} AND ${may.sql} LIMIT +?)`,
    name,
    MAX_PASSED,
    ...there.values,
    ...may.values,
    MAX_COUNTED,
  );
  return row?.found ?? 0;
}

/**
 * Returns the recently changed contexts, newest first. They are taken from the end of the change feed, or, where the
 * feed shows too few that the caller may see, from a bounded part of each of its spaces.
 */
async function recentOf(
  reader: Reader,
  only: string | undefined,
  names: readonly string[],
  context: CallContext,
): Promise<ContextRow[]> {
  const wanted = (space: string) => (only === undefined ? context.visible(space) : space === only);
  const { found, enough } = await recentInFeed(reader, wanted, context);
  for (const name of enough ? [] : names) {
    found.push(...recentInSpace(reader, name, context.viewer(name)));
    await afterRows(MAX_COUNTED, context);
  }
  const byId = new Map(found.map((row) => [row.id, row]));
  return [...byId.values()].sort((a, b) => b.updated_at - a.updated_at).slice(0, MAX_RECENT);
}

/** Reads the change feed from its end. `enough`: MAX_RECENT contexts were found, or the feed has no more changes. */
async function recentInFeed(
  reader: Reader,
  wanted: (space: string) => boolean,
  context: CallContext,
): Promise<{ found: ContextRow[]; enough: boolean }> {
  const found: ContextRow[] = [];
  const seen = new Set<string>();
  let below = Number.MAX_SAFE_INTEGER;
  for (let looked = 0; looked < MAX_LOOKED_AT; looked += STEP) {
    const rows = reader.all<ChangeRow>("SELECT * FROM changes WHERE seq < ? ORDER BY seq DESC LIMIT +?", below, STEP);
    for (const row of rows) {
      const { target } = row;
      below = row.seq;
      if (seen.has(target) || !context.maySee(changeOf(row))) continue;
      seen.add(target);
      const head = headFor(reader, target, context.viewer(spaceOf(target)));
      if (head?.deleted === 0 && wanted(head.space)) found.push(head);
      if (found.length === MAX_RECENT) return { found, enough: true };
    }
    if (rows.length < STEP) return { found, enough: true };
    await afterRows(2 * STEP, context);
  }
  return { found, enough: false };
}

/** Returns the newest of the first MAX_COUNTED contexts of a space. */
function recentInSpace(reader: Reader, name: string, viewer: Viewer): ContextRow[] {
  const there = thereSql(reader);
  const may = readableSql(reader, viewer);
  return reader.all<ContextRow>(
    `SELECT * FROM (SELECT * FROM (SELECT * FROM contexts WHERE space = ? LIMIT +?) WHERE ${there.sql} AND ${may.sql} LIMIT +?) ORDER BY updated_at DESC LIMIT +?`,
    name,
    MAX_PASSED,
    ...there.values,
    ...may.values,
    MAX_COUNTED,
    MAX_RECENT,
  );
}
