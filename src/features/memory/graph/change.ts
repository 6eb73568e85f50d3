// Reads a graph and changes it: what a call changes is one command of the log, made again on what is stored then where
// others wrote meanwhile.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { MacroSteps } from "../../../operation/define.ts";
import { Draft, storedContext } from "./draft.ts";
import { entityId, graphPrefix, shardId, shardIds, shardOf } from "./shapes.ts";

/** Most text of a graph that one call reads, in characters. */
const MAX_READ = 8 * 1024 * 1024;
/** How often a change is made again: each time at least one other write got through. */
const MAX_TRIES = 32;

/** Which part of a graph a call reads: all, or these entities, and all relations or those that start at these. */
export type Part = "all" | { names?: readonly string[]; relations?: "all" | readonly string[] };

type Ask = MacroSteps["ask"];

const page = z.looseObject({ contexts: z.array(storedContext), cursor: z.string().optional() });

/** Reads a part of the graph of a space, at most `most` characters of it. Throws `too_large`. */
export async function readPart(
  ask: Ask,
  space: string,
  part: Part,
  { nowMs = 0, isFresh = false, most = MAX_READ }: { nowMs?: number; isFresh?: boolean; most?: number } = {},
): Promise<Draft> {
  const draft = new Draft(space, nowMs);
  const ids = part === "all" ? [] : idsOf(space, part);
  if (part !== "all" && ids.length === 0) return draft;
  const wanted = part === "all" ? { prefix: graphPrefix(space) } : { ids };
  const how = isFresh ? { ...wanted, consistency: "leader" } : wanted;
  let characters = 0;
  for (let cursor: string | undefined; ; ) {
    const given = cursor === undefined ? how : { ...how, cursor };
    const { contexts, cursor: next } = page.parse(await ask("context_get_many", given));
    for (const stored of contexts) {
      draft.hold(stored);
      characters += stored.content.length;
    }
    if (next === undefined) return draft;
    if (characters > most) throw tooLarge(space, most);
    cursor = next;
  }
}

function idsOf(space: string, { names = [], relations = [] }: Exclude<Part, "all">): string[] {
  const shards = relations === "all" ? shardIds(space) : relations.map((from) => shardId(space, shardOf(from)));
  return [...new Set([...names.map((name) => entityId(space, name)), ...shards])];
}

/**
 * Changes the graph of a space: `change` changes a draft, and returns the answer of the call. It runs again, on what is
 * stored then, where others wrote meanwhile. `isTrial`: nothing is written. Throws its Faults, and `version_mismatch`
 * where others wrote each time.
 */
export async function changePart<T>(
  { ask, tryAsk }: MacroSteps,
  { space, part, nowMs, isTrial = false }: { space: string; part: Part; nowMs: () => number; isTrial?: boolean },
  change: (draft: Draft) => T,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const draft = await readPart(ask, space, part, { nowMs: nowMs(), isFresh: tries > 1 });
    const answer = change(draft);
    const writes = draft.writes();
    if (writes.length === 0 || isTrial) return answer;
    const done = await tryAsk("context_many", { writes });
    if (!(done instanceof Fault)) return answer;
    // A key that was used: an earlier attempt of this call ended, and what it did is in what is read now.
    if (done.code !== "version_mismatch" && done.code !== "key_reused") throw done;
    if (tries === MAX_TRIES) throw busy(space);
  }
}

function busy(space: string): Fault {
  return new Fault(
    "version_mismatch",
    `Others changed the same part of the graph of ${space} ${MAX_TRIES} times meanwhile`,
    {
      hint: "Nothing of this call was stored. Call it again.",
    },
  );
}

function tooLarge(space: string, most: number): Fault {
  return new Fault(
    "too_large",
    `The graph of ${space} has more than ${most} characters, which is the limit of one call`,
    {
      hint: "Use open_nodes with the names that you need, or `cairn graph export`.",
      details: { limit: most },
    },
  );
}
