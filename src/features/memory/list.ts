// memory_list and memory_timeline: memories without their values, by key and by time.

import { z } from "zod";
import { type MacroSteps, macro } from "../../operation/define.ts";
import { metadataArgument } from "../../operation/metadata.ts";
import {
  isMemoryId,
  isOfItsPlace,
  type Places,
  placeArguments,
  placesOf,
  prefixOf,
  scopeArgument,
  spaceOfInput,
} from "./places.ts";
import {
  aboutArgument,
  type Context,
  context,
  filterAliases,
  kindArgument,
  type Memory,
  memory,
  memoryOf,
} from "./shown.ts";

/** Most memories that a timeline looks at: five pages of a list. */
export const MAX_LOOKED_AT = 2500;
const PAGE = 500;

/** Which memories are wanted. */
export const filters = {
  scope: scopeArgument.optional().describe("Only these (default: all that you may read)."),
  ...placeArguments,
  kind: kindArgument.optional().describe("Only of this kind."),
  about: aboutArgument.optional().describe("Only about this."),
  tag: z.string().min(1).max(64).optional().describe("Only with this tag."),
};
/** The filters of a call. */
export type Filters = z.output<z.ZodObject<typeof filters>>;

const page = z.object({ contexts: z.array(context), cursor: z.string().optional() });

/** Returns a page of memories, in the order of their ids. */
export async function memoriesOf(
  steps: MacroSteps,
  given: Filters,
  more: Record<string, unknown>,
  keyPrefix = "",
): Promise<{ memories: Memory[]; cursor?: string }> {
  const { kind, about, tag } = given;
  const metadata = { ...(kind === undefined ? {} : { kind }), ...(about === undefined ? {} : { about }) };
  const places = await placesOf(steps, given);
  const answer = await steps.ask("context_list", {
    prefix: `${prefixFor(places, given)}${keyPrefix}`,
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(tag === undefined ? {} : { tag }),
    ...more,
  });
  const { contexts, cursor } = page.parse(answer);
  return {
    memories: contexts.filter((found) => isMemory(found, places)).map((found) => memoryOf(found, places)),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** Returns the prefix of the memories that are wanted. */
export function prefixFor(places: Places, { scope }: Filters): string {
  if (scope !== undefined) return prefixOf(places, scope);
  return places.session ?? `${places.space}/memory/`;
}

/** Reports whether a context is a memory, of the agent in whose place it is. */
export function isMemory(found: Context, places: Places): boolean {
  return isMemoryId(found.id) && isOfItsPlace(found, places);
}

/** Lists memories. */
export const memoryList = macro({
  name: "memory_list",
  title: "List memories",
  search: "list memories, what is remembered, facts, notes",
  description:
    "Lists the memories that you may read in a space, by id, without their values: yours, those shared with you, those of sessions. What is of another agent, or of your caller itself, has scope other: get it by its id. Filter by scope, kind, about, tag, prefix of keys or metadata. What another one supersedes is left out unless current is false.",
  input: z.object({
    ...filters,
    prefix: z.string().max(128).optional().describe("Only keys that start with this; needs scope."),
    metadata: metadataArgument.optional().describe("JSON object of members it has."),
    current: z.boolean().optional().describe("Without superseded ones (default true)."),
    limit: z.number().int().min(1).max(200).optional().describe("At most this many (default 50)."),
    cursor: z.string().min(1).max(2048).optional().describe("The cursor of the previous page."),
  }),
  example: { space: "team-a", about: "ann" },
  samples: {
    ...{ scope: "own", session: "team-a/session_0123456789abcdef", kind: "fact", tag: "style", prefix: "ann/" },
    ...{ metadata: { project: "x" }, cursor: "dGVhbS1hL21lbW9yeQ" },
  },
  output: z.object({
    memories: z.array(memory),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOfInput(input)] },
  aliases: filterAliases,
  run: ({ prefix = "", metadata = {}, current = true, limit = 50, cursor, ...given }, steps) => {
    const filter = { ...metadata, ...(given.kind && { kind: given.kind }), ...(given.about && { about: given.about }) };
    const more = {
      ...{ current, limit },
      ...(cursor === undefined ? {} : { cursor }),
      ...(Object.keys(filter).length === 0 ? {} : { metadata: filter }),
    };
    return memoriesOf(steps, given, more, given.scope === undefined ? "" : prefix);
  },
});

/** Returns memories by time. */
export const memoryTimeline = macro({
  name: "memory_timeline",
  title: "Timeline of memories",
  search: "what happened, recent memories, timeline, history of a subject",
  description:
    "Returns what was remembered or changed lately, newest first, without values: by time, kind, subject or tag. It looks at 2,500 memories at most, and cut says that there are more.",
  input: z.object({
    ...filters,
    since: z.iso.datetime({ offset: true }).optional().describe("From this time on (ISO 8601)."),
    until: z.iso.datetime({ offset: true }).optional().describe("Up to this time."),
    limit: z.number().int().min(1).max(200).optional().describe("At most this many (default 50)."),
  }),
  example: { space: "team-a", limit: 20 },
  samples: {
    ...{ scope: "own", session: "team-a/session_0123456789abcdef", kind: "event", about: "ann", tag: "style" },
    ...{ since: "2026-01-31T12:00:00Z", until: "2026-02-01T12:00:00Z" },
  },
  output: z.object({
    memories: z.array(memory),
    cut: z.literal(true).optional().describe("Not all could be looked at: narrow it down."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOfInput(input)] },
  aliases: filterAliases,
  async run({ since, until, limit = 50, ...given }, steps) {
    const { memories, isCut } = await newest(steps, given, since);
    const untilMs = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
    const shown = memories.filter(({ updated_at }) => Date.parse(updated_at) <= untilMs).slice(0, limit);
    return { memories: shown, ...(isCut ? { cut: true as const } : {}) };
  },
});

/** Returns the memories that were written since a time, newest first. `isCut`: not all were looked at. */
export async function newest(
  steps: MacroSteps,
  given: Filters,
  since: string | undefined,
): Promise<{ memories: Memory[]; isCut: boolean }> {
  const memories: Memory[] = [];
  let cursor: string | undefined;
  for (let looked = 0; looked < MAX_LOOKED_AT; looked += PAGE) {
    const more = { limit: PAGE, ...(since === undefined ? {} : { updated_since: since }) };
    const found = await memoriesOf(steps, given, cursor === undefined ? more : { ...more, cursor });
    memories.push(...found.memories);
    cursor = found.cursor;
    if (cursor === undefined) break;
  }
  memories.sort((one, other) => Date.parse(other.updated_at) - Date.parse(one.updated_at));
  return { memories, isCut: cursor !== undefined };
}
