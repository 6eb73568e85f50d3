// prime: what the store holds for the caller, and advice on how to use it, as data and as the text of the MCP prompt
// and of `cairn prime`. Stored text appears only as JSON data beside its author (security.md 22).

import { z } from "zod";
import { callerName } from "../../access/caller.ts";
import { type CallContext, read } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { MAX_SPACE, spaceName } from "./context-id.ts";
import { visibleSpaces } from "./list-contexts.ts";
import { MAX_COUNTED, type PrimeOutput, primeOutput, recentContext } from "./prime-output.ts";
import { adviceFor, primeText } from "./prime-text.ts";
import { type ContextRow, headOf, metadataOf } from "./rows.ts";

const MAX_SPACES = 50;
const MAX_RECENT = 20;
/** Most changes read to find the recently changed contexts. */
const MAX_LOOKED_AT = 2048;
/** Changes read at once. */
const STEP = 256;

/** The right that `may_write` and the advice are about. */
const WRITE = { verb: "write", operation: "context_put" } as const;

/** Returns what the store holds for the caller, and advice. */
export const prime = read({
  name: "prime",
  title: "What is stored for you",
  search: "memory, what is remembered, notes and handoffs to continue, start of work",
  core: "always",
  description:
    "Returns what is remembered for you and how to use it well: your spaces, how much is in them, what changed last and by whom, and advice. Call it once when you begin to work.",
  input: z.object({
    space: spaceName.optional().describe("Only this space (default: all that you may read)."),
    format: z.enum(["data", "text"]).optional().describe('"data" (default), or "text": also as one text.'),
  }),
  example: { space: "team-a" },
  output: primeOutput,
  access: { verb: "read", spaces: (input) => (input.space === undefined ? "visible" : [input.space]) },
  hints: { idempotent: true },
  run(reader, input, context) {
    const all = spacesOf(reader, input.space, context);
    const names = all.slice(0, MAX_SPACES);
    const spaces = names.map((name) => ({
      space: name,
      contexts: countOf(reader, name),
      may_write: context.rights.mayUse({ ...WRITE, space: name }),
    }));
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
      recent: recentOf(reader, input.space, names, context.visible).map((row) => recentContext.parse(metadataOf(row))),
      advice: adviceFor(context.rights.mayUseSomewhere(WRITE)),
    };
    return input.format === "text" ? { ...primer, text: primeText(primer, input.space) } : primer;
  },
});

/** Returns the spaces that have contexts, and empty ones that a grant names in full. */
function spacesOf(reader: Reader, only: string | undefined, { visible, rights }: CallContext): string[] {
  if (only !== undefined) return [only];
  const named = rights.grants
    .flatMap((grant) => grant.spaces)
    .filter((name) => name.length <= MAX_SPACE && !name.includes("*") && visible(name));
  return [...new Set([...visibleSpaces(reader, visible), ...named])].sort();
}

function countOf(reader: Reader, name: string): number {
  const row = reader.get<{ found: number }>(
    "SELECT COUNT(*) AS found FROM (SELECT 1 FROM contexts WHERE space = ? AND deleted = 0 LIMIT ?)",
    name,
    MAX_COUNTED,
  );
  return row?.found ?? 0;
}

/**
 * Returns the recently changed contexts, newest first. They are taken from the end of the change feed, or, where the
 * feed shows too few that the caller may see, from a bounded part of each of its spaces.
 */
function recentOf(
  reader: Reader,
  only: string | undefined,
  names: readonly string[],
  visible: (space: string) => boolean,
): ContextRow[] {
  const feed = recentInFeed(reader, (space) => (only === undefined ? visible(space) : space === only));
  const found = feed.enough ? feed.found : [...feed.found, ...names.flatMap((name) => recentInSpace(reader, name))];
  const byId = new Map(found.map((row) => [row.id, row]));
  return [...byId.values()].sort((a, b) => b.updated_at - a.updated_at).slice(0, MAX_RECENT);
}

/** Reads the change feed from its end. `enough`: MAX_RECENT contexts were found, or the feed has no more changes. */
function recentInFeed(reader: Reader, wanted: (space: string) => boolean): { found: ContextRow[]; enough: boolean } {
  const found: ContextRow[] = [];
  const seen = new Set<string>();
  let below = Number.MAX_SAFE_INTEGER;
  for (let looked = 0; looked < MAX_LOOKED_AT; looked += STEP) {
    const rows = reader.all<{ seq: number; target: string }>(
      "SELECT seq, target FROM changes WHERE seq < ? ORDER BY seq DESC LIMIT ?",
      below,
      STEP,
    );
    for (const { seq, target } of rows) {
      below = seq;
      if (seen.has(target)) continue;
      seen.add(target);
      const head = headOf(reader, target);
      if (head?.deleted === 0 && wanted(head.space)) found.push(head);
      if (found.length === MAX_RECENT) return { found, enough: true };
    }
    if (rows.length < STEP) return { found, enough: true };
  }
  return { found, enough: false };
}

/** Returns the newest of the first MAX_COUNTED contexts of a space. */
function recentInSpace(reader: Reader, name: string): ContextRow[] {
  return reader.all<ContextRow>(
    "SELECT * FROM (SELECT * FROM contexts WHERE space = ? AND deleted = 0 LIMIT ?) ORDER BY updated_at DESC LIMIT ?",
    name,
    MAX_COUNTED,
    MAX_RECENT,
  );
}
